"""
CPU kernels of spatialcore.
"""
from __future__ import annotations
import collections.abc
import numpy
import numpy.typing
import typing
__all__: list[str] = ['VoxelCloud', 'askable_points', 'available_threads']
class VoxelCloud:
    """
    Mean of the depth readings in each voxel of a grid.
    """
    def __init__(self, voxel: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    def add_frame(self, depth: numpy.ndarray, depth_scale: typing.SupportsFloat | typing.SupportsIndex, K: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], world_from_cam: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], *, depth_min: typing.SupportsFloat | typing.SupportsIndex, depth_max: typing.SupportsFloat | typing.SupportsIndex, edge_relative: typing.SupportsFloat | typing.SupportsIndex, edge_absolute: typing.SupportsFloat | typing.SupportsIndex, instance: typing.Annotated[numpy.typing.ArrayLike, numpy.int32] | None = None) -> None:
        """
        Add the readings of one frame; spatialcore.relations.cloud is the contract.
        """
    def count(self, min_frames: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Voxels with readings of at least so many frames.
        """
    def extract(self, min_frames: typing.SupportsInt | typing.SupportsIndex) -> tuple:
        """
        points (V, 3) float32 and instance (V,) int32, by voxel key.
        """
def askable_points(points_world: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], K: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], cam_from_world: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], depth: numpy.ndarray, visible: typing.Annotated[numpy.typing.ArrayLike, numpy.uint64], *, image_size: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex], depth_scale: typing.SupportsFloat | typing.SupportsIndex, pixel_map: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], depth_min: typing.SupportsFloat | typing.SupportsIndex, depth_max: typing.SupportsFloat | typing.SupportsIndex, border: bool, mark_radius: typing.SupportsFloat | typing.SupportsIndex, edge_share: typing.SupportsFloat | typing.SupportsIndex, edge_relative: typing.SupportsFloat | typing.SupportsIndex, edge_absolute: typing.SupportsFloat | typing.SupportsIndex, agreement_relative: typing.SupportsFloat | typing.SupportsIndex, agreement_absolute: typing.SupportsFloat | typing.SupportsIndex, disc_radius: typing.SupportsFloat | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex = 0) -> numpy.ndarray:
    """
    Words (F, ceil(P / 64)) of the visible points that pass the guards.
    """
def available_threads() -> int:
    """
    Threads that the process may use: the size of its affinity mask.
    """
__version__: str = '0.1.0'
