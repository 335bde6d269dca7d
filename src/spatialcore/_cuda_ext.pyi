"""
CUDA kernels of spatialcore.
"""
from __future__ import annotations
import typing
__all__: list[str] = ['accumulate_distance_change', 'accumulate_distance_change_batch', 'askable_points', 'devices', 'pairwise_overlap', 'pairwise_overlap_batch', 'project_points', 'runtime_version', 'unavailable_reason', 'visible_points', 'visible_points_batch']
def accumulate_distance_change(tracks: typing.SupportsInt | typing.SupportsIndex, step_count: typing.SupportsInt | typing.SupportsIndex, track_count: typing.SupportsInt | typing.SupportsIndex, change: typing.SupportsInt | typing.SupportsIndex, noise_floor: typing.SupportsFloat | typing.SupportsIndex, precision: str, device: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    Condensed sums (N (N - 1) / 2,) float64.
    """
def accumulate_distance_change_batch(clips: typing.SupportsInt | typing.SupportsIndex, clip_count: typing.SupportsInt | typing.SupportsIndex, largest: typing.SupportsInt | typing.SupportsIndex, noise_floor: typing.SupportsFloat | typing.SupportsIndex, precision: str, device: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    Every clip in one launch; `clips` is (B, 4) int64 on the device: tracks, step_count, track_count, change.
    """
def askable_points(view: bytes, visible: typing.SupportsInt | typing.SupportsIndex, rule: bytes, depth_is_float: bool, device: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    Words of the visible points that pass the guards.
    """
def devices() -> list:
    """
    One dict for each device: name, compute_capability, multiprocessor_count, memory_bytes.
    """
def pairwise_overlap(words: typing.SupportsInt | typing.SupportsIndex, frame_count: typing.SupportsInt | typing.SupportsIndex, word_count: typing.SupportsInt | typing.SupportsIndex, intersection: typing.SupportsInt | typing.SupportsIndex, tensor_core: bool, device: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    Intersections (F, F) uint32.
    """
def pairwise_overlap_batch(masks: typing.SupportsInt | typing.SupportsIndex, mask_count: typing.SupportsInt | typing.SupportsIndex, largest: typing.SupportsInt | typing.SupportsIndex, tensor_core: bool, device: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    Every mask in one launch; `masks` is (B, 4) int64 on the device: words, frame_count, word_count, intersection.
    """
def project_points(scene: dict, uv: typing.SupportsInt | typing.SupportsIndex, depth: typing.SupportsInt | typing.SupportsIndex, device: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    uv (F, P, 2) and depth (F, P) float64.
    """
def runtime_version() -> int:
    """
    CUDA runtime the module was built with, e.g. 13000.
    """
def unavailable_reason() -> str:
    """
    Empty when a device can be used, else the reason.
    """
def visible_points(view: bytes, points_are_float64: bool, depth_is_float: bool, device: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    Words (F, ceil(P / 64)) uint64 of the packed view.
    """
def visible_points_batch(views: typing.SupportsInt | typing.SupportsIndex, view_count: typing.SupportsInt | typing.SupportsIndex, most_frames: typing.SupportsInt | typing.SupportsIndex, most_points: typing.SupportsInt | typing.SupportsIndex, points_are_float64: bool, depth_is_float: bool, device: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    Every view in one launch; `views` is (B, 19) int64 on the device, packed views.
    """
