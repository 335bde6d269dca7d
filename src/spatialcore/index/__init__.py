# SPDX-License-Identifier: Apache-2.0
"""The scene index: visibility, overlap, objects and rigid parts, computed once for each scene.

from spatialcore.index import Index, plan_route, relation_graph
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spatialcore.index.index import Index, IndexConfig, SceneIndex, build_index
    from spatialcore.index.rules import Rules, load_rules
    from spatialcore.index.scene_graph import plan_route, relation_graph

__all__ = [
    "Index",
    "IndexConfig",
    "Rules",
    "SceneIndex",
    "build_index",
    "load_rules",
    "plan_route",
    "relation_graph",
]

_MODULES = {
    "Index": "index",
    "IndexConfig": "index",
    "SceneIndex": "index",
    "build_index": "index",
    "Rules": "rules",
    "load_rules": "rules",
    "plan_route": "scene_graph",
    "relation_graph": "scene_graph",
}


def __getattr__(name: str) -> Any:
    # On first use: `--help` and the rules need neither tables nor images.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
