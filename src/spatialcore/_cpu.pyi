"""
CPU kernels of spatialcore.
"""
from __future__ import annotations
import numpy
import numpy.typing
import typing
import typing_extensions
__all__: list[str] = ['OverlapRows', 'VoxelCloud', 'accumulate_distance_change', 'askable_points', 'available_threads', 'axis_extents', 'cells_along', 'copy_fields', 'decode_depth_png', 'distance_change_redone', 'fill_texts', 'find_path', 'float32_margin', 'fold_all', 'fold_lists', 'inflate', 'isa', 'isas', 'least_square_gap', 'line_clear', 'max_coverage', 'minimal_covers', 'minimal_view_sets', 'morton_order', 'pairwise_overlap', 'project_points', 'row_columns', 'set_isa', 'smallest_of_groups', 'smallest_seen', 'visible_points']
class VoxelCloud:
    """
    Mean of the depth readings in each voxel of a grid.
    """
    def __init__(self, voxel: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    def add_frame(self, depth: numpy.ndarray, depth_scale: typing.SupportsFloat | typing.SupportsIndex, K: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], world_from_cam: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], *, depth_min: typing.SupportsFloat | typing.SupportsIndex, depth_max: typing.SupportsFloat | typing.SupportsIndex, edge_relative: typing.SupportsFloat | typing.SupportsIndex, edge_absolute: typing.SupportsFloat | typing.SupportsIndex, instance: typing.Annotated[numpy.typing.ArrayLike, numpy.int32] | None = None) -> None:
        """
        Add the readings of one frame; spatialcore.index.cloud is the contract.
        """
    def count(self, min_frames: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Voxels with readings of at least so many frames.
        """
    def extract(self, min_frames: typing.SupportsInt | typing.SupportsIndex) -> tuple:
        """
        points (V, 3) float32 and instance (V,) int32, by voxel key.
        """
class OverlapRows:
    """
    Intersections of a mask's frames, strip by strip.
    """
    def __init__(self, visible: typing.Any, threads: typing.SupportsInt | typing.SupportsIndex = 0, path: str = 'auto') -> None:
        ...
    def matrix(self) -> numpy.typing.NDArray[numpy.uint32]:
        """
        (F, F) uint32 intersections.
        """
    def pairs(self, row_begin: typing.SupportsInt | typing.SupportsIndex, row_end: typing.SupportsInt | typing.SupportsIndex) -> tuple:
        """
        Sorted (i, j, intersection) of the rows with i < j and a non-empty intersection.
        """
    @property
    def sparse(self) -> bool:
        """
        Whether the sparse path was chosen.
        """
def accumulate_distance_change(tracks: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], noise_floor: typing.SupportsFloat | typing.SupportsIndex, precision: str, threads: typing.SupportsInt | typing.SupportsIndex = 0) -> typing.Any:
    """
    Condensed sums of distance changes of (T, N, 3) tracks.
    """
def askable_points(views: typing.Any, visible: typing.Annotated[numpy.typing.ArrayLike, numpy.uint64], rule: typing.Any, *, threads: typing.SupportsInt | typing.SupportsIndex = 0) -> numpy.typing.NDArray[numpy.uint64]:
    """
    Words (F, ceil(P / 64)) of the visible points of a checked DepthViews that pass the guards of an AskableRule.
    """
def available_threads() -> int:
    """
    Threads that the process may use: the size of its affinity mask.
    """
def axis_extents(points: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], visible: typing.Any, object_rows: list, axes: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], threads: typing.SupportsInt | typing.SupportsIndex = 0) -> tuple:
    """
    (O, F, 3) least and greatest coordinate of each object's visible points.
    """
def cells_along(start: tuple[typing.SupportsFloat | typing.SupportsIndex, typing.SupportsFloat | typing.SupportsIndex], end: tuple[typing.SupportsFloat | typing.SupportsIndex, typing.SupportsFloat | typing.SupportsIndex]) -> numpy.typing.NDArray[numpy.int64]:
    """
    Rows and columns (N, 2) of the cells that a line in cells crosses or grazes.
    """
def copy_fields(rows: typing_extensions.Buffer, row_bytes: typing.SupportsInt | typing.SupportsIndex, offset: typing.SupportsInt | typing.SupportsIndex, width: typing.SupportsInt | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.uint8]:
    """
    Bytes [offset, offset + width) of packed rows: (n, width) uint8.
    """
def decode_depth_png(png: typing_extensions.Buffer, max_pixels: typing.SupportsInt | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.uint16]:
    """
    Decode a plain 16-bit greyscale PNG to (h, w) uint16; ValueError when it is damaged.
    """
def distance_change_redone(tracks: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], noise_floor: typing.SupportsFloat | typing.SupportsIndex, precision: str, threads: typing.SupportsInt | typing.SupportsIndex = 0) -> tuple:
    """
    The sums, and how many pairs the exact mode summed again in float64.
    """
def fill_texts(templates: list, which: typing.Annotated[numpy.typing.ArrayLike, numpy.int64], slots: list) -> tuple:
    """
    The template that each row takes with its slots filled: offsets and bytes of a column.
    """
def find_path(free: typing.Annotated[numpy.typing.ArrayLike, numpy.bool], start: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex], goal: tuple[typing.SupportsInt | typing.SupportsIndex, typing.SupportsInt | typing.SupportsIndex]) -> typing.Any:
    """
    Cells (N, 2) of the shortest walk and its cost, or None.
    """
def float32_margin(largest_coordinate: typing.SupportsFloat | typing.SupportsIndex, noise_floor: typing.SupportsFloat | typing.SupportsIndex, largest_distance: typing.SupportsFloat | typing.SupportsIndex) -> float:
    """
    Bound on the float32 error of one change, metres.
    """
def fold_all(state: typing.SupportsInt | typing.SupportsIndex, ints: tuple) -> int:
    """
    The state with every integer folded in.
    """
def fold_lists(states: typing.Annotated[numpy.typing.ArrayLike, numpy.uint64], numbers: typing.Annotated[numpy.typing.ArrayLike, numpy.int64], ends: typing.Annotated[numpy.typing.ArrayLike, numpy.int64]) -> numpy.typing.NDArray[numpy.uint64]:
    """
    Each state with the numbers of its list folded in; list k ends before ends[k].
    """
def inflate(stream: typing_extensions.Buffer, size: typing.SupportsInt | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.uint8]:
    """
    Inflate a zlib stream of exactly `size` bytes to uint8; ValueError when it is damaged.
    """
def isa() -> str:
    """
    The instruction set in use: the best one unless `set_isa` chose.
    """
def isas() -> list[str]:
    """
    Instruction sets that this machine runs, slowest first.
    """
def least_square_gap(a: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], b: typing.Annotated[numpy.typing.ArrayLike, numpy.float64]) -> float:
    """
    Square of the least distance of points (3, N) and points (3, M).
    """
def line_clear(mask: typing.Annotated[numpy.typing.ArrayLike, numpy.bool], start: tuple[typing.SupportsFloat | typing.SupportsIndex, typing.SupportsFloat | typing.SupportsIndex], end: tuple[typing.SupportsFloat | typing.SupportsIndex, typing.SupportsFloat | typing.SupportsIndex]) -> bool:
    """
    Whether every cell along a line in cells lies on the grid and is set.
    """
def max_coverage(sets: typing.Any, k: typing.SupportsInt | typing.SupportsIndex) -> tuple:
    """
    Greedy order of the rows of a BitMask, and the points that each one adds.
    """
def minimal_covers(bins: typing.Annotated[numpy.typing.ArrayLike, numpy.uint64], required: typing.SupportsInt | typing.SupportsIndex, most: typing.SupportsInt | typing.SupportsIndex) -> tuple:
    """
    Minimal sets of 1..most frames whose bits contain `required`.
    """
def minimal_view_sets(lo: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], hi: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], target: typing.SupportsFloat | typing.SupportsIndex, tolerance: typing.SupportsFloat | typing.SupportsIndex) -> tuple:
    """
    Frames and pairs of frames whose extent matches the target.
    """
def morton_order(points: typing.Annotated[numpy.typing.ArrayLike, numpy.float32]) -> numpy.typing.NDArray[numpy.uint32]:
    """
    Order (P,) uint32 of float32 points (P, 3) by Morton key, 21 bits an axis, ties by row.
    """
def pairwise_overlap(visible: typing.Any, threads: typing.SupportsInt | typing.SupportsIndex = 0, path: str = 'auto') -> numpy.typing.NDArray[numpy.uint32]:
    """
    (F, F) uint32 intersections of the frames of a BitMask.
    """
def project_points(points_world: numpy.ndarray, K: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], cam_from_world: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], *, threads: typing.SupportsInt | typing.SupportsIndex = 0) -> tuple:
    """
    uv (F, P, 2) and depth (F, P); spatialcore.projection.project_points is the contract.
    """
def row_columns(rows: list) -> tuple:
    """
    Frames as shown and where those of each row end; and the same of its key: frames ascending, then items.
    """
def set_isa(name: str) -> None:
    """
    Choose the instruction set by name for this process; an empty name means the best one.
    """
def smallest_of_groups(values: typing.Annotated[numpy.typing.ArrayLike, numpy.uint64], groups: typing.Annotated[numpy.typing.ArrayLike, numpy.int64], most: typing.Annotated[numpy.typing.ArrayLike, numpy.int64]) -> numpy.typing.NDArray[numpy.int64]:
    """
    Rows of the smallest values of each group, by group, then value.
    """
def smallest_seen(states: typing.Annotated[numpy.typing.ArrayLike, numpy.uint64], mask: typing.Any, rows: typing.Annotated[numpy.typing.ArrayLike, numpy.int64], others: typing.Annotated[numpy.typing.ArrayLike, numpy.int64], ids: typing.Annotated[numpy.typing.ArrayLike, numpy.uint32], count: typing.SupportsInt | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.int64]:
    """
    Points with the smallest draws among those that both rows of each query see.
    """
def visible_points(views: typing.Any, *, rule: typing.Any, threads: typing.SupportsInt | typing.SupportsIndex = 0) -> numpy.typing.NDArray[numpy.uint64]:
    """
    Words (F, ceil(P / 64)) of a checked DepthViews; spatialcore.occlusion is the contract.
    """
__version__: str = '0.1.0'
