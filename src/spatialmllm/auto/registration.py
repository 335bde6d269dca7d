# SPDX-License-Identifier: Apache-2.0
"""`import spatialmllm` makes the Auto classes of transformers know the model, at no cost by itself.

Neither torch nor transformers is imported here. When a module of Auto classes is imported, at once
or later, ours that belongs to it is imported after it, and registers itself.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

# Module of the library -> ours, which registers itself at its end. The model's own module registers
# itself too; a configuration imports it, since no model is looked up without one.
_OURS = {
    "transformers.models.auto.configuration_auto": "spatialmllm.auto.config",
    "transformers.models.auto.processing_auto": "spatialmllm.auto.processor",
}


def register_when_imported() -> None:
    """Register with the Auto classes that are imported, and with the others once they are."""
    if not any(isinstance(finder, _AfterTheLibrary) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterTheLibrary())
    for library in _OURS:
        if library in sys.modules:
            _import_ours(library)


def _import_ours(library: str) -> None:
    # One that is being imported has the library's among its own imports, and goes on by itself.
    if _OURS[library] not in sys.modules:
        import_module(_OURS[library])


class _AfterTheLibrary(MetaPathFinder):
    """Finds the library's modules as they are found without it, and adds what comes after."""

    def __init__(self) -> None:
        self._searching = False

    def find_spec(self, fullname: str, *_: Any) -> ModuleSpec | None:
        """The spec of a module of Auto classes; None for every other, and while it searches."""
        if fullname not in _OURS or self._searching:
            return None
        self._searching = True
        try:
            spec = find_spec(fullname)
        finally:
            self._searching = False
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenOurs(spec.loader)
        return spec


class _ThenOurs(Loader):
    """The library's own loader; once it has run, it stands in its place again."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the library's loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As the library's loader; then our module is imported."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        _import_ours(module.__name__)
