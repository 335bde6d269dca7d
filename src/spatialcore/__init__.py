# SPDX-License-Identifier: Apache-2.0
"""Geometry kernels, scene readers and the scene index of spatialcore."""

from spatialcore.errors import (
    BackendUnavailable,
    PlanError,
    RecordError,
    SceneFormatError,
    SceneIndexError,
    SpatialCoreError,
)
from spatialcore.types import Camera, Cloud, Frame, Object3D, Scene, Source, Track3D

__version__ = "0.1.0"

__all__ = [
    "BackendUnavailable",
    "Camera",
    "Cloud",
    "Frame",
    "Object3D",
    "PlanError",
    "RecordError",
    "Scene",
    "SceneFormatError",
    "SceneIndexError",
    "Source",
    "SpatialCoreError",
    "Track3D",
    "__version__",
]
