# SPDX-License-Identifier: Apache-2.0
"""The public names of `spatialcore`, which the package takes from here when one is asked for."""

from spatialcore.bitmask import BitMask
from spatialcore.coverage import (
    Coverage,
    axis_extents,
    covering_sets_by_bins,
    max_coverage,
    minimal_view_sets,
)
from spatialcore.errors import (
    BackendUnavailable,
    PlanError,
    RecordError,
    SceneFormatError,
    SceneIndexError,
    SettingsError,
    SpatialCoreError,
)
from spatialcore.occlusion import (
    DepthRule,
    DepthViews,
    PixelMap,
    visible_points,
    visible_points_batch,
)
from spatialcore.overlap import (
    Overlap,
    overlapping_pairs,
    pairwise_overlap,
    pairwise_overlap_batch,
)
from spatialcore.projection import Projection, project_points
from spatialcore.rigidity import (
    accumulate_distance_change,
    accumulate_distance_change_batch,
    rigid_segments,
)
from spatialcore.scenes import open_scene as open
from spatialcore.types import Camera, Cloud, Frame, Object3D, Scene, Source, Track3D

__all__ = [
    "BackendUnavailable",
    "BitMask",
    "Camera",
    "Cloud",
    "Coverage",
    "DepthRule",
    "DepthViews",
    "Frame",
    "Object3D",
    "Overlap",
    "PixelMap",
    "PlanError",
    "Projection",
    "RecordError",
    "Scene",
    "SceneFormatError",
    "SceneIndexError",
    "SettingsError",
    "Source",
    "SpatialCoreError",
    "Track3D",
    "accumulate_distance_change",
    "accumulate_distance_change_batch",
    "axis_extents",
    "covering_sets_by_bins",
    "max_coverage",
    "minimal_view_sets",
    "open",
    "overlapping_pairs",
    "pairwise_overlap",
    "pairwise_overlap_batch",
    "project_points",
    "rigid_segments",
    "visible_points",
    "visible_points_batch",
]
