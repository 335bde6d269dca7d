# SPDX-License-Identifier: Apache-2.0
"""The CUDA backend: allocation by the caller's library, on the caller's stream.

Arrays come from torch or cupy and stay where they are; results belong to the same library. The
library's current stream is used, the device is the arrays' device, and nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any, Protocol

from spatialcore import _cuda_ext
from spatialcore._check import library_of
from spatialcore.bitmask import BitMask
from spatialcore.errors import BackendUnavailable
from spatialcore.occlusion import DepthRule, PixelMap

# Below this many frames a tile of the tensor cores is mostly padding (docs/ops/overlap.md).
TENSOR_CORE_FRAMES = 64


class Library(Protocol):
    """What a backend needs of an array library; names of dtypes are numpy's."""

    def address(self, array: Any) -> int:
        """Address of the first element; ValueError unless the array is contiguous."""

    def empty(self, shape: tuple[int, ...], dtype: str, like: Any) -> Any:
        """An uninitialised array on the device of `like`."""

    def upload(self, rows: Sequence[Sequence[int]], like: Any) -> Any:
        """int64 rows as an array on the device of `like`, ordered on the current stream."""

    def convert(self, array: Any, dtype: str) -> Any:
        """The array as a contiguous one of that dtype, itself where it is one already."""

    def device(self, array: Any) -> int:
        """Number of the array's device."""

    def stream(self, array: Any) -> int:
        """Handle of the library's current stream there."""


class Torch:
    """torch tensors. Unsigned words and counts are held in signed dtypes, the same bits."""

    _DTYPES = {"uint64": "int64", "uint32": "int32"}  # noqa: RUF012 - a constant

    def __init__(self, torch: ModuleType) -> None:
        self._torch = torch

    def address(self, array: Any) -> int:
        if not array.is_contiguous():
            raise ValueError("arrays on a GPU must be contiguous")
        return int(array.data_ptr())

    def empty(self, shape: tuple[int, ...], dtype: str, like: Any) -> Any:
        kind = getattr(self._torch, self._DTYPES.get(dtype, dtype))
        return self._torch.empty(shape, dtype=kind, device=like.device)

    def upload(self, rows: Sequence[Sequence[int]], like: Any) -> Any:
        host = self._torch.tensor(rows, dtype=self._torch.int64, pin_memory=like.is_cuda)
        return host.to(like.device, non_blocking=True)

    def convert(self, array: Any, dtype: str) -> Any:
        return array.detach().to(getattr(self._torch, dtype)).contiguous()

    def device(self, array: Any) -> int:
        return int(array.device.index)

    def stream(self, array: Any) -> int:
        return int(self._torch.cuda.current_stream(array.device).cuda_stream)


class Cupy:
    """cupy arrays."""

    def __init__(self, cupy: ModuleType) -> None:
        self._cupy = cupy

    def address(self, array: Any) -> int:
        if not array.flags.c_contiguous:
            raise ValueError("arrays on a GPU must be contiguous")
        return int(array.data.ptr)

    def empty(self, shape: tuple[int, ...], dtype: str, like: Any) -> Any:
        with like.device:
            return self._cupy.empty(shape, dtype)

    def upload(self, rows: Sequence[Sequence[int]], like: Any) -> Any:
        with like.device:
            return self._cupy.asarray(rows, dtype="int64")

    def convert(self, array: Any, dtype: str) -> Any:
        return self._cupy.ascontiguousarray(array, dtype=dtype)

    def device(self, array: Any) -> int:
        return int(array.device.id)

    def stream(self, array: Any) -> int:
        with array.device:
            return int(self._cupy.cuda.get_current_stream().ptr)


def library(array: Any) -> Library:
    """The adapter of the array's library; BackendUnavailable when no device can be used."""
    reason = _cuda_ext.unavailable_reason()
    if reason:
        raise BackendUnavailable("cuda", reason)
    name = library_of(array)
    module = __import__(name)
    return Torch(module) if name == "torch" else Cupy(module)


def _scene(lib: Library, points: Any, K: Any, cam_from_world: Any) -> tuple[dict[str, Any], Any]:
    """The launcher's view of the three arrays, and the arrays that have to outlive the call."""
    frame_count = len(cam_from_world)
    poses = lib.convert(cam_from_world, "float64")
    intrinsics = lib.convert(K if K.ndim == 3 else K[None].repeat(frame_count, 1, 1), "float64")
    view = {
        "points": lib.address(points),
        "is_float64": str(points.dtype).endswith("float64"),
        "point_count": len(points),
        "K": lib.address(intrinsics),
        "cam_from_world": lib.address(poses),
        "frame_count": frame_count,
    }
    return view, (points, poses, intrinsics)


def project_points(points_world: Any, K: Any, cam_from_world: Any, threads: int = 0) -> Any:
    """Pixels (F, P, 2) and depth (F, P), float64; contract: `spatialcore.projection`."""
    lib = library(points_world)
    scene, _alive = _scene(lib, points_world, K, cam_from_world)
    shape = scene["frame_count"], scene["point_count"]
    uv = lib.empty((*shape, 2), "float64", points_world)
    depth = lib.empty(shape, "float64", points_world)
    where = lib.device(points_world), lib.stream(points_world)
    _cuda_ext.project_points(scene, lib.address(uv), lib.address(depth), *where)
    return uv, depth


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
    if not library_of(depth):
        raise BackendUnavailable("cuda", "depth must be one array on the GPU, not an iterable")
    lib = library(points_world)
    scene, _alive = _scene(lib, points_world, K, cam_from_world)
    width = (scene["point_count"] + 63) // 64
    words = lib.empty((scene["frame_count"], width), "uint64", points_world)
    settings = {
        "width": image_size[0], "height": image_size[1],
        "depth_width": int(depth.shape[2]), "depth_height": int(depth.shape[1]),
        "depth_scale": depth_scale,
        "ax": depth_from_image.ax, "bx": depth_from_image.bx,
        "ay": depth_from_image.ay, "by": depth_from_image.by,
        "strict": rule.kind == "strict", "relative": rule.relative, "absolute": rule.absolute,
    }  # fmt: skip
    is_float = str(depth.dtype).endswith("float32")
    where = lib.device(points_world), lib.stream(points_world)
    _cuda_ext.visible_points(
        scene, lib.address(depth), is_float, settings, lib.address(words), *where
    )
    return words


def pairwise_overlap(visible: BitMask, threads: int = 0) -> Any:
    """Intersections (F, F); contract: `spatialcore.overlap`."""
    words = visible.words
    lib = library(words)
    frame_count, width = words.shape
    intersection = lib.empty((frame_count, frame_count), "uint32", words)
    where = lib.device(words), lib.stream(words)
    tensor_core = frame_count >= TENSOR_CORE_FRAMES
    _cuda_ext.pairwise_overlap(
        lib.address(words), frame_count, width, lib.address(intersection), tensor_core, *where
    )
    return intersection


def pairwise_overlaps(masks: Sequence[BitMask]) -> list[Any]:
    """Intersections of many masks on one device, in one launch."""
    if not masks:
        return []
    first = masks[0].words
    lib = library(first)
    results = [lib.empty((len(m), len(m)), "uint32", m.words) for m in masks]
    rows = [
        (lib.address(m.words), len(m), m.words.shape[1], lib.address(result))
        for m, result in zip(masks, results, strict=True)
    ]
    largest = max(len(m) for m in masks)
    table = lib.upload(rows, first)
    where = lib.device(first), lib.stream(first)
    tensor_core = largest >= TENSOR_CORE_FRAMES
    _cuda_ext.pairwise_overlap_batch(lib.address(table), len(masks), largest, tensor_core, *where)
    return results


def accumulate_distance_change(
    tracks: Any, noise_floor: float, precision: str, threads: int = 0
) -> Any:
    """Condensed sums (N (N - 1) / 2,) float64; contract: `spatialcore.rigidity`."""
    lib = library(tracks)
    clip = lib.convert(tracks, "float64")
    step_count, track_count = clip.shape[:2]
    change = lib.empty((track_count * (track_count - 1) // 2,), "float64", clip)
    where = lib.device(clip), lib.stream(clip)
    _cuda_ext.accumulate_distance_change(
        lib.address(clip), step_count, track_count, lib.address(change), noise_floor, precision,
        *where,
    )  # fmt: skip
    return change


def accumulate_distance_changes(
    clips: Sequence[Any], noise_floor: float, precision: str
) -> list[Any]:
    """Condensed sums of many clips on one device, in one launch."""
    if not clips:
        return []
    lib = library(clips[0])
    tracks = [lib.convert(clip, "float64") for clip in clips]
    sizes = [clip.shape[:2] for clip in tracks]
    results = [lib.empty((n * (n - 1) // 2,), "float64", clips[0]) for _, n in sizes]
    rows = [
        (lib.address(clip), t, n, lib.address(result))
        for clip, (t, n), result in zip(tracks, sizes, results, strict=True)
    ]
    table = lib.upload(rows, clips[0])
    where = lib.device(clips[0]), lib.stream(clips[0])
    _cuda_ext.accumulate_distance_change_batch(
        lib.address(table), len(clips), max(n for _, n in sizes), noise_floor, precision, *where
    )
    return results
