# SPDX-License-Identifier: Apache-2.0
"""Reader of OpenSpatial's scene Parquet: a row a scene, with lists of files and of boxes.

`per_scene/*.parquet` has the columns `dataset`, `scene_id`, and lists with an entry for each
picture: `image`, `depth_map`, `pose` (text files of world_from_cam, OpenCV, in the aligned world),
`intrinsic`, `depth_scale` (units to the metre), `obj_tags` and `bboxes_3d_world_coords` (nine
numbers a box, of what that picture shows). Paths are relative to the folder of the collections,
which is the nearest one above the Parquet file in which the first picture lies.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spatialcore.box import OrientedBox
from spatialcore.errors import SceneFormatError
from spatialcore.io.categories import named_objects
from spatialcore.io.file_tree import FileTree
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames, count_reasons
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.matrices import is_number, read_matrix
from spatialcore.io.nine_numbers import box_of_nine
from spatialcore.io.object_files import Labels
from spatialcore.io.parquet import OverLimit, ParquetFile, plain_rows
from spatialcore.io.parquet_footer import ParquetError
from spatialcore.io.paths import file_size, resolve_inside
from spatialcore.io.scannet_objects import space_of
from spatialcore.types import Float64, Scene

_COLUMNS = ("scene_id", "image", "depth_map", "pose", "intrinsic")
_OPTIONAL = ("dataset", "depth_scale", "obj_tags", "bboxes_3d_world_coords", "is_metric_depth")
_UP = np.array([0.0, 0.0, 1.0])
_MAX_FILE_BYTES = 2 << 30
_ABOVE = 3  # folders above the file in which the collections may lie
Row = Mapping[str, Any]


def _opened(path: Path) -> ParquetFile:
    if file_size(path) > _MAX_FILE_BYTES:
        raise SceneFormatError(path, "is larger than 2 GiB", code="file_too_large")
    try:
        return ParquetFile(path)
    except ParquetError as error:
        raise SceneFormatError(path, "is no readable Parquet file", code="archive_bad") from error


def is_scene_table(entry: Path) -> bool:
    """Whether an entry is a Parquet file with the columns of scenes, a list of pictures a row."""
    if entry.suffix != ".parquet" or not entry.is_file():
        return False
    import pyarrow as pa

    try:
        schema = _opened(entry).schema
    except SceneFormatError:
        return False
    return set(_COLUMNS) <= set(schema.names) and pa.types.is_list(schema.field("image").type)


@functools.lru_cache(maxsize=4)
def _read(path: Path, _stamp: tuple[int, int]) -> tuple[Row, ...]:
    file = _opened(path)
    kept = [name for name in (*_COLUMNS, *_OPTIONAL) if name in file.schema.names]
    try:
        rows: tuple[Row, ...] = tuple(plain_rows(file.read(kept)))
    except OverLimit as error:
        raise SceneFormatError(path, f"holds {error}", code="archive_bomb") from error
    except (ParquetError, ValueError) as error:  # a text that is no UTF-8
        raise SceneFormatError(path, "is damaged", code="archive_bad") from error
    return rows


def _rows(path: Path) -> tuple[Row, ...]:
    try:
        status = path.stat()
    except OSError as error:
        raise SceneFormatError(path, "no such file", code="file_missing") from error
    return _read(path, (status.st_mtime_ns, status.st_size))


def _name(row: Row, number: int) -> str:
    """The scene's name in the table; its number where it has none."""
    name = row.get("scene_id")
    return name.replace("/", "_") if isinstance(name, str) and name else f"row_{number:05d}"


def scenes_of(path: Path) -> tuple[str, ...]:
    """Names of the scenes of a table."""
    return tuple(_name(row, number) for number, row in enumerate(_rows(path)))


def _list(row: Row, name: str) -> Sequence[Any]:
    found = row.get(name)
    return found if isinstance(found, list) else ()


def data_root(path: Path) -> Path:
    """The folder that the paths of a table are relative to."""
    try:
        images = next((_list(row, "image") for row in _rows(path) if _list(row, "image")), ())
    except SceneFormatError:
        images = ()
    first = images[0] if images else None
    for folder in list(path.parents)[:_ABOVE]:
        try:
            if isinstance(first, str) and resolve_inside(folder, first).is_file():
                return folder
        except SceneFormatError:
            break
    return path.parent


def _at(values: Sequence[Any], index: int) -> Any:
    return values[index] if index < len(values) else None


class _Files:
    """Files that a table names: each is looked for and read once.

    Args:
        root: What its paths are relative to.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._tree = root, FileTree(root)
        self._matrices: dict[str, Float64 | SceneFormatError] = {}
        self._cameras: dict[str, Intrinsics] = {}

    def find(self, value: Any) -> Path | None:
        """The file, None where it is not there."""
        return self._tree.find(value) if isinstance(value, str) and value else None

    def matrix(self, value: Any) -> Float64 | None:
        """The matrix of a text file; None where none is named."""
        if not isinstance(value, str):
            return None
        if value not in self._matrices:
            try:
                path = resolve_inside(self._root, value)
                self._matrices[value] = read_matrix(path, (4, 4), (3, 3))
            except SceneFormatError as error:
                self._matrices[value] = error
        found = self._matrices[value]
        if isinstance(found, SceneFormatError):
            raise found
        return found

    def intrinsics(self, value: Any) -> Intrinsics | None:
        """The camera of a text file; None where there is none."""
        try:
            K = self.matrix(value)
        except SceneFormatError:
            return None
        return None if K is None else self._cameras.setdefault(value, Intrinsics(K[:3, :3]))


def _frame_files(root: Path, row: Row, stride: int) -> Iterator[FrameFiles]:
    images, files = _list(row, "image"), _Files(root)
    columns = {name: _list(row, name) for name in ("depth_map", "pose", "intrinsic")}
    for index in range(0, len(images), stride):
        color = depth = pose = None
        fault = ""
        try:
            color = files.find(images[index])
            depth = files.find(_at(columns["depth_map"], index))
            pose = files.matrix(_at(columns["pose"], index))
        except SceneFormatError as error:
            fault = error.code if error.code == "path_escape" else "pose_unreadable"
        intrinsics = files.intrinsics(_at(columns["intrinsic"], index))
        if pose is not None and pose.shape != (4, 4):
            pose, fault = None, fault or "pose_unreadable"
        yield FrameFiles(
            index=index,
            name=f"{index:05d}" if color is None else color.stem,
            color=color,
            depth=depth,
            world_from_cam=pose,
            fault=fault or ("" if intrinsics is not None else "intrinsic_missing"),
            intrinsics=intrinsics,
        )


def _pose_files(root: Path, row: Row) -> list[Path]:
    """Each once, though many frames may name it."""
    files, names = _Files(root), (v for v in _list(row, "pose") if isinstance(v, str))
    return [f for name in dict.fromkeys(names) if (f := files.find(name)) is not None]


def _unit(row: Row, path: Path) -> float:
    """Metres a unit of depth: one for all maps of a scene."""
    stored = row.get("depth_scale")
    values = set(stored if isinstance(stored, list) else [stored])
    if values == {None}:
        return 0.001
    if len(values) != 1 or not all(is_number(v) and 0 < v < 1e6 for v in values):
        raise SceneFormatError(
            path, f"{_name(row, 0)} has depth_scale {sorted(map(str, values))[:4]}",
            "it is one number a scene, the units to the metre", code="metadata_bad",
        )  # fmt: skip
    return 1.0 / float(values.pop())


def _box(values: list[Any]) -> OrientedBox | None:
    """The box of nine numbers, None where they are none."""
    sound = len(values) == 9 and all(is_number(v) and math.isfinite(v) for v in values)
    return box_of_nine(np.array(values, dtype=np.float64)) if sound else None


def _labels(row: Row, path: Path) -> Labels:
    """Objects of all pictures: an object is seen in many, and is one by its label and its box."""
    names: dict[int, str] = {}
    boxes = {}
    numbers: dict[tuple[Any, ...], int] = {}
    left = 0
    # An object of thousands of pictures is made once; by its text, since True is 1 to a table.
    known: dict[str, OrientedBox | None] = {}
    for tags, rows in zip(
        _list(row, "obj_tags"), _list(row, "bboxes_3d_world_coords"), strict=False
    ):
        for tag, stored in zip(tags or (), rows or (), strict=False):
            values = stored if isinstance(stored, list) else []
            text = repr(values)
            if text not in known:
                known[text] = _box(values)
            box = known[text]
            if box is None or not isinstance(tag, str):
                left += 1
                continue
            number = numbers.setdefault((tag, *values), len(numbers) + 1)
            names[number], boxes[number] = tag, box
    objects, notes = named_objects(names)
    objects = tuple(replace(item, box=boxes[item.object_id]) for item in objects)
    notes += (f"objects_without_box={left}",) if left else ()
    return Labels(objects, None, (path,), notes)


class OpenSpatialSource(FolderSource):
    """Scenes of OpenSpatial's tables."""

    __slots__ = ()
    kind: ClassVar[str] = "openspatial"

    def open(self, scene_id: str) -> Scene:
        """Open one scene: its row of the table, its matrices, the headers of its images.

        Raises:
            SceneFormatError: No such scene, a damaged table, or no frame with image, depth and
                camera.
        """
        root = self.root.resolve()
        file, _, name = self.place(scene_id).partition("#")
        path = resolve_inside(root, file)
        rows = enumerate(_rows(path))
        row = next((row for number, row in rows if _name(row, number) == name), None)
        if row is None:
            raise SceneFormatError(path, f"has no scene {name!r:.80}", code="scene_missing")
        base = data_root(path)
        built = build_frames(_frame_files(base, row, self.options.stride or 1), root, path)
        if built.color is None:
            raise SceneFormatError(path, count_reasons(built.frames), code="intrinsic_missing")
        inputs = [path, *_pose_files(base, row)]
        opened = self.registered_scene(
            scene_id, built, built.color, depth_scale=_unit(row, path), inputs=inputs,
            world_up=_UP, space=space_of(name, scene_id), labels=_labels(row, path),
            metric=row.get("is_metric_depth") is not False,
        )  # fmt: skip
        return replace(opened, aligned_from_world=np.eye(4))
