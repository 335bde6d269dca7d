# SPDX-License-Identifier: Apache-2.0
"""Procedural rooms and clips in the layouts of ScanNet and TAPVid-3D, made offline."""

from spatialcore.sample.build import (
    SampleError,
    SampleEvent,
    SampleSummary,
    make_sample,
    write_sample,
)
from spatialcore.sample.config import SampleConfig

__all__ = [
    "SampleConfig",
    "SampleError",
    "SampleEvent",
    "SampleSummary",
    "make_sample",
    "write_sample",
]
