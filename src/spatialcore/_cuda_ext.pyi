"""
CUDA kernels of spatialcore.
"""
from __future__ import annotations
import collections.abc
import typing
__all__: list[str] = ['AskableRule', 'DeviceView', 'accumulate_distance_change', 'accumulate_distance_change_batch', 'askable_points', 'devices', 'pairwise_overlap', 'pairwise_overlap_batch', 'project_points', 'runtime_version', 'unavailable_reason', 'visible_points', 'visible_points_batch']
class DeviceView:
    """
    Frames of one scene; arrays are addresses on the device.
    """
    def __init__(self, *, points: typing.SupportsInt | typing.SupportsIndex, point_count: typing.SupportsInt | typing.SupportsIndex, K: typing.SupportsInt | typing.SupportsIndex, cam_from_world: typing.SupportsInt | typing.SupportsIndex, frame_count: typing.SupportsInt | typing.SupportsIndex, depth: typing.SupportsInt | typing.SupportsIndex, depth_size: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex], depth_scale: typing.SupportsFloat | typing.SupportsIndex, image_size: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex], pixel_map: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(4)"], pixel_maps: typing.SupportsInt | typing.SupportsIndex, strict: bool, relative: typing.SupportsFloat | typing.SupportsIndex, absolute: typing.SupportsFloat | typing.SupportsIndex, words: typing.SupportsInt | typing.SupportsIndex) -> None:
        """
        pixel_maps is 0 where `pixel_map` is that of every frame.
        """
    def to_bytes(self) -> bytes:
        """
        The struct as a batch on the device holds it.
        """
class AskableRule:
    """
    spatialcore.index.askable.AskableRule.
    """
    def __init__(self, *, depth_min: typing.SupportsFloat | typing.SupportsIndex, depth_max: typing.SupportsFloat | typing.SupportsIndex, border: bool, mark_radius: typing.SupportsFloat | typing.SupportsIndex, edge_share: typing.SupportsFloat | typing.SupportsIndex, edge_relative: typing.SupportsFloat | typing.SupportsIndex, edge_absolute: typing.SupportsFloat | typing.SupportsIndex, agreement_relative: typing.SupportsFloat | typing.SupportsIndex, agreement_absolute: typing.SupportsFloat | typing.SupportsIndex, disc_radius: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
def accumulate_distance_change(tracks: typing.SupportsInt | typing.SupportsIndex, step_count: typing.SupportsInt | typing.SupportsIndex, track_count: typing.SupportsInt | typing.SupportsIndex, change: typing.SupportsInt | typing.SupportsIndex, noise_floor: typing.SupportsFloat | typing.SupportsIndex, precision: str, device: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    Condensed sums (N (N - 1) / 2,) float64.
    """
def accumulate_distance_change_batch(clips: typing.SupportsInt | typing.SupportsIndex, clip_count: typing.SupportsInt | typing.SupportsIndex, largest: typing.SupportsInt | typing.SupportsIndex, noise_floor: typing.SupportsFloat | typing.SupportsIndex, precision: str, device: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    Every clip in one launch; `clips` is (B, 4) int64 on the device: tracks, step_count, track_count, change.
    """
def askable_points(view: DeviceView, visible: typing.SupportsInt | typing.SupportsIndex, rule: AskableRule, depth_is_float: bool, device: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex) -> None:
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
def project_points(*, points: typing.SupportsInt | typing.SupportsIndex, points_are_float64: bool, point_count: typing.SupportsInt | typing.SupportsIndex, K: typing.SupportsInt | typing.SupportsIndex, cam_from_world: typing.SupportsInt | typing.SupportsIndex, frame_count: typing.SupportsInt | typing.SupportsIndex, uv: typing.SupportsInt | typing.SupportsIndex, depth: typing.SupportsInt | typing.SupportsIndex, device: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex) -> None:
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
def visible_points(view: DeviceView, points_are_float64: bool, depth_is_float: bool, device: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    Words (F, ceil(P / 64)) uint64 of the view.
    """
def visible_points_batch(views: typing.SupportsInt | typing.SupportsIndex, view_count: typing.SupportsInt | typing.SupportsIndex, most_frames: typing.SupportsInt | typing.SupportsIndex, most_points: typing.SupportsInt | typing.SupportsIndex, points_are_float64: bool, depth_is_float: bool, device: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    Every view in one launch; `views` is an array of DeviceView on the device.
    """
