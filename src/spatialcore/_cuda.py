# SPDX-License-Identifier: Apache-2.0
"""The CUDA backend: allocation by the caller's library, on the caller's stream.

Arrays come from torch or cupy and stay where they are; results belong to the same library. The
library's current stream is used, the device is the arrays' device, and nothing waits for it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spatialcore import _cuda_ext
from spatialcore._check import dtype_of, library_of
from spatialcore._libraries import Library, library_at
from spatialcore.bitmask import BitMask, word_count
from spatialcore.errors import BackendUnavailable
from spatialcore.occlusion import DepthRule, DepthViews, PixelMap

if TYPE_CHECKING:
    from spatialcore.index.askable import AskableRule

# Below this many frames a tile of the tensor cores is mostly padding (docs/ops/overlap.md).
TENSOR_CORE_FRAMES = 64
# DeviceView and AskableRule of the C++ side: fields of 8 bytes.
_VIEW = struct.Struct("<7q4qd4dq2d")
_GUARDS = struct.Struct("<2dq7d")


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
    scene = {
        "points": lib.address(points),
        "is_float64": dtype_of(points) == "float64",
        "point_count": len(points),
        "K": lib.address(intrinsics),
        "cam_from_world": lib.address(poses),
        "frame_count": frame_count,
    }
    _cuda_ext.project_points(scene, lib.address(uv), lib.address(depth), lib.number, lib.stream())
    return uv, depth


class _View:
    """One scene for the occlusion kernel: its packed struct, and the arrays that outlive the call.

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
        m = scene.depth_from_image or PixelMap.identity()
        _, depth_height, depth_width = (int(n) for n in self.depth.shape)
        self.packed = _VIEW.pack(
            lib.address(self.points), self.point_count, lib.address(self.K),
            lib.address(self.poses), self.frame_count, lib.address(self.depth),
            lib.address(self.words),
            *scene.image_size, depth_width, depth_height,
            1.0 if scene.depth_scale is None else scene.depth_scale,
            m.ax, m.bx, m.ay, m.by,
            rule.kind == "strict", rule.relative, rule.absolute,
        )  # fmt: skip


def visible_points(
    points_world: Any,
    K: Any,
    cam_from_world: Any,
    depth: Any,
    *,
    image_size: tuple[int, int],
    depth_scale: float,
    depth_from_image: PixelMap,
    rule: DepthRule,
    threads: int = 0,
) -> Any:
    """Words (F, ceil(P / 64)); contract: `spatialcore.occlusion`."""
    lib = library(points_world)
    scene = DepthViews(
        points_world, K, cam_from_world, depth, image_size, depth_scale, depth_from_image
    )
    view = _View(lib, scene, rule)
    _cuda_ext.visible_points(view.packed, *view.types, lib.number, lib.stream())
    return view.words


def visible_points_batch(
    scenes: Sequence[DepthViews], rule: DepthRule, threads: int = 0
) -> list[Any]:
    """Words of every scene; one launch for each pair of dtypes that occurs, so commonly one."""
    if not scenes:
        return []
    lib = library(scenes[0].points_world)
    views = [_View(lib, scene, rule) for scene in scenes]
    for types in sorted({view.types for view in views}):
        same = [view for view in views if view.types == types]
        table = lib.upload([np.frombuffer(view.packed, np.int64) for view in same])
        _cuda_ext.visible_points_batch(
            lib.address(table), len(same), max(view.frame_count for view in same),
            max(view.point_count for view in same), *types, lib.number, lib.stream(),
        )  # fmt: skip
    return [view.words for view in views]


def askable_points(scene: DepthViews, visible: BitMask, rule: AskableRule) -> Any:
    """Words of the visible points that pass the guards; float32 points.

    Contract: `spatialcore.index.askable`.
    """
    lib = library(scene.points_world)
    view = _View(lib, scene, DepthRule())
    seen = lib.convert(visible.words)
    guards = _GUARDS.pack(*(float(x) if isinstance(x, float) else int(x) for x in rule))
    _cuda_ext.askable_points(
        view.packed, lib.address(seen), guards, view.types[1], lib.number, lib.stream()
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
