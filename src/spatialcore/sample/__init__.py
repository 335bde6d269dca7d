# SPDX-License-Identifier: Apache-2.0
"""Procedural rooms and clips in the layouts of ScanNet and TAPVid-3D, made offline."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spatialcore.sample.config import SampleConfig

if TYPE_CHECKING:
    from spatialcore.sample.build import (
        SampleError,
        SampleEvent,
        SampleSummary,
        make_sample,
        write_sample,
    )

__all__ = [
    "SampleConfig",
    "SampleError",
    "SampleEvent",
    "SampleSummary",
    "make_sample",
    "write_sample",
]


def __getattr__(name: str) -> Any:
    # On first use: what the command line takes needs no renderer.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.build"), name)
