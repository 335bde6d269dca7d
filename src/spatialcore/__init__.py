# SPDX-License-Identifier: Apache-2.0
"""Geometry kernels, scene readers and the scene index of spatialcore."""

from spatialcore.bitmask import BitMask
from spatialcore.errors import (
    BackendUnavailable,
    PlanError,
    RecordError,
    SceneFormatError,
    SceneIndexError,
    SpatialCoreError,
)
from spatialcore.occlusion import DepthRule, PixelMap, visible_points
from spatialcore.projection import Projection, project_points
from spatialcore.types import Camera, Cloud, Frame, Object3D, Scene, Source, Track3D

__version__ = "0.1.0"

__all__ = [
    "BackendUnavailable",
    "BitMask",
    "Camera",
    "Cloud",
    "DepthRule",
    "Frame",
    "Object3D",
    "PixelMap",
    "PlanError",
    "Projection",
    "RecordError",
    "Scene",
    "SceneFormatError",
    "SceneIndexError",
    "Source",
    "SpatialCoreError",
    "Track3D",
    "__version__",
    "project_points",
    "visible_points",
]
