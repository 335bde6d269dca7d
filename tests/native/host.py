# SPDX-License-Identifier: Apache-2.0
"""`spatialcore._cuda` over the host build of its kernels, with host arrays in place of a GPU's.

torch tensors on the CPU stand for tensors on a GPU, and numpy for cupy, whose functions it names.
Everything but the stream, the device number and page-locked memory is the shipped code.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import spatialcore
from spatialcore import _check, _dispatch
from spatialcore._libraries import Cupy, Torch
from tests.native.build import MODULE


class NumpyAsCupy:
    """The functions of cupy that the adapter calls, by numpy."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def asnumpy(self, array: Any) -> Any:
        return np.array(array)


class Done:
    """A marker that has been passed."""

    waited = 0

    def synchronize(self) -> None:
        Done.waited += 1


class HostCupy(Cupy):
    def __init__(self) -> None:
        self._cupy = NumpyAsCupy()
        self._number = 0

    def stream(self) -> int:
        return 0

    def address(self, array: Any) -> int:
        assert array.flags.c_contiguous
        return int(array.ctypes.data)

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """Every byte 0xFF, so that nothing is left unset."""
        array = super().empty(shape, dtype)
        array.reshape(-1).view(np.uint8)[...] = 0xFF
        return array

    def _here(self) -> Any:
        return nullcontext()


class HostTorch(Torch):
    def __init__(self) -> None:
        super().__init__("cpu")

    @property
    def number(self) -> int:
        return 0

    def stream(self) -> int:
        return 0

    def address(self, array: Any) -> int:
        assert array.is_contiguous()
        return int(array.data_ptr())

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        array = super().empty(shape, dtype)
        array.numpy().reshape(-1).view(np.uint8)[...] = 0xFF
        return array

    def mark(self) -> Any:
        return Done()


def load(name: str, path: Path) -> ModuleType:
    """A module of a file, registered nowhere."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cuda_module(built: Path, library: Any) -> ModuleType:
    """`spatialcore._cuda` over the built host module, every array taken as one of `library`."""
    host = sys.modules.get(MODULE) or load(MODULE, built)
    sys.modules[MODULE] = host
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "spatialcore._cuda_ext", host)
        patch.setattr(spatialcore, "_cuda_ext", host, raising=False)
        module = load("cuda_on_host", Path(spatialcore.__file__).with_name("_cuda.py"))
    vars(module)["library"] = lambda array: library
    return module


@contextmanager
def torch_as_gpu(built: Path) -> Iterator[ModuleType]:
    """While it lasts, torch tensors on the CPU are on "cuda:0" for the dispatch."""
    module = cuda_module(built, HostTorch())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "spatialcore._cuda", module)
        patch.setattr(spatialcore, "_cuda", module, raising=False)
        patch.setattr(_dispatch, "cuda_is_built", lambda: True)
        place = _dispatch.device_of

        # `_check.on_host` asks, too, and would hand such a tensor over as a numpy array.
        def on_gpu(array: object) -> str:
            return "cuda:0" if _check.library_of(array) == "torch" else place(array)

        for asks in (_dispatch, _check):
            patch.setattr(asks, "device_of", on_gpu)
        yield module
