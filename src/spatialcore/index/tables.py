# SPDX-License-Identifier: Apache-2.0
"""The tables of a scene index: their columns in memory, and the Parquet files that hold them.

A table is a NamedTuple of columns. A column is a numpy array, or a list where the values are text.
Layouts are those of docs/relations.md; files are byte-identical for equal columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneIndexError
from spatialcore.io.parquet import as_numpy, read_parquet
from spatialcore.io.parquet_footer import ParquetError

if TYPE_CHECKING:
    import pyarrow as pa

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]


class FrameTable(NamedTuple):
    """All frames of a scene or clip in index order, masked ones included (F rows).

    Attributes:
        frame: (F,) int32 index of the frame in its source.
        name: File stems.
        valid: (F,) bool; a masked frame is never used.
        reason: "" or the reason code of a masked frame.
        time: (F,) float64 seconds, NaN = unknown.
        world_from_cam: (F, 4, 4) float64, z-up and aligned; NaN where the pose is missing.
        image: uri relative to the source's root, or None.
        depth: uri relative to the source's root, or None.
        width: (F,) int32 columns of the image.
        height: (F,) int32 rows of the image.
        depth_width: (F,) int32, 0 for clips.
        depth_height: (F,) int32, 0 for clips.
        visible_count: (F,) uint32 visible points, 0 for masked frames and clips.
        color_camera: Numbers of the frame's own colour camera (`camera_numbers`), or None: the
            scene's. A file without this column has none.
        depth_camera: Likewise of the depth camera.
    """

    frame: Int32
    name: list[str]
    valid: NDArray[np.bool_]
    reason: list[str]
    time: Float64
    world_from_cam: Float64
    image: list[str | None]
    depth: list[str | None]
    width: Int32
    height: Int32
    depth_width: Int32
    depth_height: Int32
    visible_count: NDArray[np.uint32]
    color_camera: list[list[float] | None]
    depth_camera: list[list[float] | None]


class PairTable(NamedTuple):
    """Pairs of valid frames that see a common point, sorted by (i, j), i < j (N rows).

    Attributes:
        i: (N,) int32 frame.
        j: (N,) int32 frame.
        intersection: (N,) uint32 points visible in both.
        distance: (N,) float64 metres between the camera centres.
        dyaw_deg: (N,) float64 in (-180, 180], yaw of j minus yaw of i; NaN where up is unknown.
        dpitch_deg: (N,) float64, pitch of j minus pitch of i; NaN where up is unknown.
    """

    i: Int32
    j: Int32
    intersection: NDArray[np.uint32]
    distance: Float64
    dyaw_deg: Float64
    dpitch_deg: Float64


@dataclass(frozen=True, slots=True, eq=False)
class ObjectRow:
    """One annotated object that has vertices.

    Attributes:
        object_id: Its id; the cloud rows with `instance == object_id` are its vertices.
        raw_category: As annotated.
        category: Canonical.
        vertex_count: Vertices of the cloud.
        box_aligned: (6,) float64 metres: lowest x, y, z, then highest x, y, z.
        box_center: (3,) float64 centre of the gravity-aligned oriented box.
        box_size: (3,) float64 sides along the columns of `box_R`.
        box_R: (3, 3) float64, columns are the box's axes in the world; the last one is z.
    """

    object_id: int
    raw_category: str
    category: str
    vertex_count: int
    box_aligned: Float64
    box_center: Float64
    box_size: Float64
    box_R: Float64  # noqa: N815


class ObjectFrames(NamedTuple):
    """What each frame sees of each object, sorted by (object_id, frame); seen ones only (N rows).

    Attributes:
        object_id: (N,) int32.
        frame: (N,) int32.
        visible_count: (N,) uint32 visible vertices, at least 1.
        surface_count: (N,) uint32 vertices on the surface that the depth map shows; the visible
            ones where the rules take objects by those.
        inside_count: (N,) uint32 vertices in the image, seen or not; likewise.
        lo_aligned: (N, 3) float64 least coordinate of the surface vertices on the world's axes;
            NaN without any.
        hi_aligned: (N, 3) float64 greatest.
        lo_oriented: (N, 3) float64 least coordinate on the columns of the object's `box_R`.
        hi_oriented: (N, 3) float64 greatest.
    """

    object_id: Int32
    frame: Int32
    visible_count: NDArray[np.uint32]
    surface_count: NDArray[np.uint32]
    inside_count: NDArray[np.uint32]
    lo_aligned: Float64
    hi_aligned: Float64
    lo_oriented: Float64
    hi_oriented: Float64


class ViewSetTable(NamedTuple):
    """Minimal sets of one or two frames that cover an object on an axis (N rows).

    Sorted by (object_id, axis, axes, number of frames, frames).

    Attributes:
        object_id: (N,) int32.
        axis: "height", "length" or "width".
        axes: "aligned" or "oriented": which box gives the axis; the recipe's `object_axes`.
        frames: (N, 2) int32 ascending; the second is -1 for a single frame.
    """

    object_id: Int32
    axis: list[str]
    axes: list[str]
    frames: Int32


class PartTable(NamedTuple):
    """Rigid parts of a clip (N rows, one a kept track).

    Attributes:
        track: (N,) int32 column of the track in the source's file, ascending.
        label: (N,) int32 rigid part, -1 = in none that was kept.
    """

    track: Int32
    label: Int32


def _fixed(values: NDArray[Any], width: int) -> pa.Array:
    import pyarrow as pa

    flat = np.ascontiguousarray(values).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), width)


def _nan_as_null(values: NDArray[Any]) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, mask=np.isnan(values))


def write_columns(path: Path, columns: Mapping[str, Any]) -> None:
    """Write columns (numpy arrays, lists or arrow arrays) as one Parquet file, without metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {name: pa.array(c) if isinstance(c, np.ndarray) else c for name, c in columns.items()}
    )
    pq.write_table(table, path, compression="zstd", store_schema=False)


def write_frames(path: Path, table: FrameTable) -> None:
    """Write frames.parquet."""
    import pyarrow as pa

    text = pa.string()
    columns: dict[str, Any] = {name: getattr(table, name) for name in FrameTable._fields}
    for name in ("name", "reason", "image", "depth"):
        columns[name] = pa.array(columns[name], text)
    columns["time"] = _nan_as_null(table.time)
    columns["world_from_cam"] = _fixed(table.world_from_cam, 16)
    for name in ("color_camera", "depth_camera"):
        own = columns.pop(name)
        if any(numbers is not None for numbers in own):
            columns[name] = pa.array(own, pa.list_(pa.float64()))
    write_columns(path, columns)


def write_pairs(path: Path, table: PairTable) -> None:
    """Write pairs.parquet."""
    write_columns(path, table._asdict())


def write_objects(path: Path, rows: tuple[ObjectRow, ...]) -> None:
    """Write objects.parquet."""
    import pyarrow as pa

    def stacked(name: str, width: int) -> pa.Array:
        empty = np.zeros((0, width))
        values = [np.asarray(getattr(r, name)).reshape(-1) for r in rows]
        return _fixed(np.stack(values) if values else empty, width)

    write_columns(
        path,
        {
            "object_id": pa.array([r.object_id for r in rows], pa.int32()),
            "raw_category": pa.array([r.raw_category for r in rows], pa.string()),
            "category": pa.array([r.category for r in rows], pa.string()),
            "vertex_count": pa.array([r.vertex_count for r in rows], pa.int32()),
            "box_aligned": stacked("box_aligned", 6),
            "box_center": stacked("box_center", 3),
            "box_size": stacked("box_size", 3),
            "box_R": stacked("box_R", 9),
        },
    )


def write_object_frames(path: Path, table: ObjectFrames) -> None:
    """Write object_frames.parquet."""
    columns: dict[str, Any] = dict(table._asdict())
    for name in ("lo_aligned", "hi_aligned", "lo_oriented", "hi_oriented"):
        columns[name] = _fixed(columns[name], 3)
    write_columns(path, columns)


def write_view_sets(path: Path, table: ViewSetTable) -> None:
    """Write view_sets.parquet; the frames of a set are a list of one or two."""
    import pyarrow as pa

    sets = [[int(f) for f in row if f >= 0] for row in table.frames]
    write_columns(
        path,
        {
            "object_id": table.object_id,
            "axis": pa.array(table.axis, pa.string()),
            "recipe": pa.array(table.axes, pa.string()),
            "frames": pa.array(sets, pa.list_(pa.int32())),
        },
    )


def write_parts(path: Path, table: PartTable) -> None:
    """Write parts.parquet."""
    write_columns(path, table._asdict())


def _read(path: Path) -> pa.Table:
    try:
        return read_parquet(path)
    except ParquetError as error:
        raise SceneIndexError(f"{path}: {error}") from error


def _array(table: pa.Table, name: str, dtype: type[np.generic]) -> NDArray[Any]:
    return np.ascontiguousarray(as_numpy(table.column(name)), dtype=dtype)


def _matrix(table: pa.Table, name: str, width: int) -> Float64:
    flat = as_numpy(table.column(name).combine_chunks().flatten())
    return np.ascontiguousarray(flat, dtype=np.float64).reshape(-1, width)


def read_frames(path: Path) -> FrameTable:
    """Read frames.parquet; SceneIndexError when it cannot be read."""
    t = _read(path)
    return FrameTable(
        frame=_array(t, "frame", np.int32),
        name=t.column("name").to_pylist(),
        valid=_array(t, "valid", np.bool_),
        reason=t.column("reason").to_pylist(),
        time=_array(t, "time", np.float64),
        world_from_cam=_matrix(t, "world_from_cam", 16).reshape(-1, 4, 4),
        image=t.column("image").to_pylist(),
        depth=t.column("depth").to_pylist(),
        width=_array(t, "width", np.int32),
        height=_array(t, "height", np.int32),
        depth_width=_array(t, "depth_width", np.int32),
        depth_height=_array(t, "depth_height", np.int32),
        visible_count=_array(t, "visible_count", np.uint32),
        color_camera=_numbers(t, "color_camera"),
        depth_camera=_numbers(t, "depth_camera"),
    )


def _numbers(t: pa.Table, name: str) -> list[list[float] | None]:
    """A column of lists that a file may lack."""
    if name not in t.column_names:
        return [None] * len(t)
    rows: list[list[float] | None] = t.column(name).to_pylist()
    return rows


def read_pairs(path: Path) -> PairTable:
    """Read pairs.parquet."""
    t = _read(path)
    dtypes: tuple[Any, ...] = (np.int32, np.int32, np.uint32, *(np.float64,) * 3)
    return PairTable(*(_array(t, n, d) for n, d in zip(PairTable._fields, dtypes, strict=True)))


def read_objects(path: Path) -> tuple[ObjectRow, ...]:
    """Read objects.parquet."""
    t = _read(path)
    aligned, center = _matrix(t, "box_aligned", 6), _matrix(t, "box_center", 3)
    size, R = _matrix(t, "box_size", 3), _matrix(t, "box_R", 9).reshape(-1, 3, 3)
    return tuple(
        ObjectRow(
            object_id=row["object_id"],
            raw_category=row["raw_category"],
            category=row["category"],
            vertex_count=row["vertex_count"],
            box_aligned=aligned[k],
            box_center=center[k],
            box_size=size[k],
            box_R=R[k],
        )
        for k, row in enumerate(t.select(ObjectRow.__match_args__[:4]).to_pylist())
    )


def read_object_frames(path: Path) -> ObjectFrames:
    """Read object_frames.parquet."""
    t = _read(path)
    return ObjectFrames(
        _array(t, "object_id", np.int32),
        _array(t, "frame", np.int32),
        *(_array(t, n, np.uint32) for n in ("visible_count", "surface_count", "inside_count")),
        *(_matrix(t, n, 3) for n in ("lo_aligned", "hi_aligned", "lo_oriented", "hi_oriented")),
    )


def read_view_sets(path: Path) -> ViewSetTable:
    """Read view_sets.parquet."""
    t = _read(path)
    sets = t.column("frames").combine_chunks()
    frames = np.full((len(sets), 2), -1, np.int32)
    start = as_numpy(sets.offsets)[:-1] - (sets.offsets[0].as_py() if len(sets) else 0)
    flat = as_numpy(sets.flatten())
    if len(sets):
        frames[:, 0] = flat[start]
        two = np.diff(as_numpy(sets.offsets)) == 2
        frames[two, 1] = flat[start[two] + 1]
    return ViewSetTable(
        object_id=_array(t, "object_id", np.int32),
        axis=t.column("axis").to_pylist(),
        axes=t.column("recipe").to_pylist(),
        frames=frames,
    )


def read_parts(path: Path) -> PartTable:
    """Read parts.parquet."""
    t = _read(path)
    return PartTable(_array(t, "track", np.int32), _array(t, "label", np.int32))
