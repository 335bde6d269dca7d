# SPDX-License-Identifier: Apache-2.0
"""The CUDA backend: allocation by the caller's library, on the caller's stream.

Arrays come from torch or cupy and stay where they are; results belong to the same library. The
library's current stream is used, the device is the arrays' device, and nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spatialcore import _cuda_ext
from spatialcore._check import dtype_of, library_of
from spatialcore._libraries import Library, library_at
from spatialcore.bitmask import BitMask, word_count
from spatialcore.errors import BackendUnavailable
from spatialcore.occlusion import DepthRule, DepthViews

if TYPE_CHECKING:
    from spatialcore.index.askable import AskableRule

# Below this many frames a tile of the tensor cores is mostly padding (docs/ops/overlap.md).
TENSOR_CORE_FRAMES = 64


def library(array: Any) -> Library:
    """The adapter of the array's library; BackendUnavailable when no device can be used."""
    reason = _cuda_ext.unavailable_reason()
    if reason:
        raise BackendUnavailable("cuda", reason)
    return library_at(array)


def _per_frame(lib: Library, K: Any, frame_count: int) -> Any:
    return lib.broadcast(lib.convert(K, "float64"), (frame_count, 3, 3))


def project_points(points_world: Any, K: Any, cam_from_world: Any, threads: int = 0) -> Any:
    """Pixels (F, P, 2) and depth (F, P), float64; contract: `spatialcore.projection`."""
    lib = library(points_world)
    points, frame_count = lib.convert(points_world), len(cam_from_world)
    intrinsics = _per_frame(lib, K, frame_count)
    poses = lib.convert(cam_from_world, "float64")
    uv = lib.empty((frame_count, len(points), 2), "float64")
    depth = lib.empty((frame_count, len(points)), "float64")
    _cuda_ext.project_points(
        points=lib.address(points),
        points_are_float64=dtype_of(points) == "float64",
        point_count=len(points),
        K=lib.address(intrinsics),
        cam_from_world=lib.address(poses),
        frame_count=frame_count,
        uv=lib.address(uv),
        depth=lib.address(depth),
        device=lib.number,
        stream=lib.stream(),
    )
    return uv, depth


class _View:
    """One scene for the occlusion kernels: its struct, and the arrays that outlive the call.

    Attributes:
        words: (F, ceil(P / 64)) output, uninitialised.
        types: Whether the points are float64, and whether the depth is float32.
    """

    def __init__(self, lib: Library, scene: DepthViews, rule: DepthRule) -> None:
        if not library_of(scene.depth):
            raise BackendUnavailable("cuda", "depth must be one array on the GPU, not an iterable")
        self.points = lib.convert(scene.points_world)
        self.poses = lib.convert(scene.cam_from_world, "float64")
        self.depth = lib.convert(scene.depth)
        self.frame_count, self.point_count = len(self.poses), len(self.points)
        self.K = _per_frame(lib, scene.K, self.frame_count)
        self.words = lib.empty((self.frame_count, word_count(self.point_count)), "uint64")
        self.types = dtype_of(self.points) == "float64", dtype_of(self.depth) == "float32"
        maps = scene.pixel_map_rows()
        self.maps = lib.upload([maps])[0] if len(maps) > 1 else None
        self.struct = _cuda_ext.DeviceView(
            points=lib.address(self.points),
            point_count=self.point_count,
            K=lib.address(self.K),
            cam_from_world=lib.address(self.poses),
            frame_count=self.frame_count,
            depth=lib.address(self.depth),
            depth_size=(int(self.depth.shape[2]), int(self.depth.shape[1])),
            depth_scale=1.0 if scene.depth_scale is None else scene.depth_scale,
            image_size=scene.image_size,
            pixel_map=tuple(maps[0].tolist()) if len(maps) else (1.0, 0.0, 1.0, 0.0),
            pixel_maps=0 if self.maps is None else lib.address(self.maps),
            strict=rule.kind == "strict",
            relative=rule.relative,
            absolute=rule.absolute,
            words=lib.address(self.words),
        )


def visible_points(views: DepthViews, *, rule: DepthRule, threads: int = 0) -> Any:
    """Words (F, ceil(P / 64)); contract: `spatialcore.occlusion`."""
    lib = library(views.points_world)
    view = _View(lib, views, rule)
    _cuda_ext.visible_points(view.struct, *view.types, lib.number, lib.stream())
    return view.words


def visible_points_batch(
    scenes: Sequence[DepthViews], *, rule: DepthRule, threads: int = 0
) -> list[Any]:
    """Words of every scene; one launch for each pair of dtypes that occurs, so commonly one."""
    if not scenes:
        return []
    lib = library(scenes[0].points_world)
    views = [_View(lib, scene, rule) for scene in scenes]
    for types in sorted({view.types for view in views}):
        same = [view for view in views if view.types == types]
        table = lib.upload([np.frombuffer(view.struct.to_bytes(), np.int64) for view in same])
        _cuda_ext.visible_points_batch(
            lib.address(table), len(same), max(view.frame_count for view in same),
            max(view.point_count for view in same), *types, lib.number, lib.stream(),
        )  # fmt: skip
    return [view.words for view in views]


def askable_points(views: DepthViews, visible: BitMask, rule: AskableRule) -> Any:
    """Words of the visible points that pass the guards; float32 points.

    Contract: `spatialcore.index.askable`.
    """
    lib = library(views.points_world)
    view = _View(lib, views, DepthRule())
    seen = lib.convert(visible.words)
    guards = _cuda_ext.AskableRule(**rule._asdict())
    _cuda_ext.askable_points(
        view.struct, lib.address(seen), guards, view.types[1], lib.number, lib.stream()
    )
    return view.words


def pairwise_overlap(visible: BitMask, threads: int = 0) -> Any:
    """Intersections (F, F); contract: `spatialcore.overlap`."""
    lib = library(visible.words)
    words = lib.convert(visible.words)
    frame_count, width = words.shape
    intersection = lib.empty((frame_count, frame_count), "uint32")
    _cuda_ext.pairwise_overlap(
        lib.address(words), frame_count, width, lib.address(intersection),
        frame_count >= TENSOR_CORE_FRAMES, lib.number, lib.stream(),
    )  # fmt: skip
    return intersection


def pairwise_overlap_batch(masks: Sequence[BitMask], threads: int = 0) -> list[Any]:
    """Intersections of many masks on one device, in one launch."""
    if not masks:
        return []
    lib = library(masks[0].words)
    words = [lib.convert(mask.words) for mask in masks]
    results = [lib.empty((len(mask), len(mask)), "uint32") for mask in masks]
    rows = [
        np.array([lib.address(w), *w.shape, lib.address(result)], np.int64)
        for w, result in zip(words, results, strict=True)
    ]
    largest = max(len(mask) for mask in masks)
    table = lib.upload(rows)
    _cuda_ext.pairwise_overlap_batch(
        lib.address(table), len(masks), largest, largest >= TENSOR_CORE_FRAMES, lib.number,
        lib.stream(),
    )  # fmt: skip
    return results


def accumulate_distance_change(
    tracks: Any, noise_floor: float, precision: str, threads: int = 0
) -> Any:
    """Condensed sums (N (N - 1) / 2,) float64; contract: `spatialcore.rigidity`."""
    lib = library(tracks)
    clip = lib.convert(tracks, "float64")
    step_count, track_count = clip.shape[:2]
    change = lib.empty((track_count * (track_count - 1) // 2,), "float64")
    _cuda_ext.accumulate_distance_change(
        lib.address(clip), step_count, track_count, lib.address(change), noise_floor, precision,
        lib.number, lib.stream(),
    )  # fmt: skip
    return change


def accumulate_distance_change_batch(
    clips: Sequence[Any], noise_floor: float, precision: str, threads: int = 0
) -> list[Any]:
    """Condensed sums of many clips on one device, in one launch."""
    if not clips:
        return []
    lib = library(clips[0])
    tracks = [lib.convert(clip, "float64") for clip in clips]
    sizes = [clip.shape[:2] for clip in tracks]
    results = [lib.empty((n * (n - 1) // 2,), "float64") for _, n in sizes]
    rows = [
        np.array([lib.address(clip), t, n, lib.address(result)], np.int64)
        for clip, (t, n), result in zip(tracks, sizes, results, strict=True)
    ]
    table = lib.upload(rows)
    _cuda_ext.accumulate_distance_change_batch(
        lib.address(table), len(clips), max(n for _, n in sizes), noise_floor, precision,
        lib.number, lib.stream(),
    )  # fmt: skip
    return results
