# SPDX-License-Identifier: Apache-2.0
"""One scene of an index on disk: read lazily, written as a whole or not at all.

A scene's folder is made under a temporary name; every file is synced, scene.json comes last, and
one rename publishes it. A folder without scene.json is not a scene.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from spatialcore.bitmask import BitMask
from spatialcore.errors import SceneIndexError
from spatialcore.files import content_hash, is_sealed, sealed, write_json
from spatialcore.folders import replaced_folder
from spatialcore.index import tables
from spatialcore.index.frames import camera_of_numbers, frame_pixel_map
from spatialcore.index.inputs import differs_from_mark, hash_once
from spatialcore.index.tables import (
    FrameTable,
    ObjectFrames,
    ObjectRow,
    PairTable,
    PartTable,
    ViewSetTable,
)
from spatialcore.lens import Lens
from spatialcore.occlusion import PixelMap
from spatialcore.types import Camera, Scene, Source, Track3D, invert_pose

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

INDEX_VERSION = 2


@dataclass(frozen=True, eq=False)
class SceneIndex:
    """One indexed scene or clip. Everything is read on first use; masks are memory-mapped.

    Attributes:
        path: Folder `IDX/<source>/<scene>`.
        meta: scene.json.
    """

    path: Path
    meta: Mapping[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> SceneIndex:
        """Open a scene's folder; SceneIndexError when missing, partial or of another version."""
        path = Path(path)
        meta = read_sealed(path / "scene.json")
        if meta.get("version") != INDEX_VERSION:
            raise SceneIndexError(
                f"{path}: index version {meta.get('version')}, not {INDEX_VERSION}"
            )
        return cls(path, meta)

    @property
    def is_clip(self) -> bool:
        """Whether this is a clip of tracks; a clip has frames and parts, no cloud and no masks."""
        return bool(self.meta["is_clip"])

    @property
    def kind(self) -> Literal["scene", "clip", "revisit"]:
        """What may be asked of it: a scan, a clip of tracks, or two visits of a room."""
        return "clip" if self.is_clip else "revisit" if self.meta.get("visits") else "scene"

    @property
    def source(self) -> str:
        """Key of the source."""
        return str(self.meta["source"])

    @property
    def scene(self) -> str:
        """Scene id."""
        return str(self.meta["scene"])

    @property
    def space(self) -> str:
        """Physical room or sequence; splits never cut through it."""
        return str(self.meta["space"])

    @property
    def split(self) -> str | None:
        """Side of the split, "train" or "val", where the source says so."""
        return self.meta["split"]  # type: ignore[no-any-return]

    @property
    def metric(self) -> bool:
        """Whether lengths are metres."""
        return bool(self.meta["metric"])

    @property
    def up(self) -> Literal["given", "estimated", "unknown"]:
        """How the up direction is known; tasks about gravity need one that is not unknown."""
        return self.meta["up"]  # type: ignore[no-any-return]

    @property
    def aligned(self) -> bool:
        """Whether the source gives a room-axis alignment, which is then applied."""
        return bool(self.meta["aligned"])

    @cached_property
    def _shared_cameras(self) -> tuple[Camera, Camera | None]:
        color = Camera(
            _matrix(self.meta["K_color"], 3), *self.image_size, _lens(self.meta, "color")
        )
        if self.meta["K_depth"] is None:
            return color, None
        K = _matrix(self.meta["K_depth"], 3)
        return color, Camera(K, *self.depth_size, _lens(self.meta, "depth"))

    def color_camera(self, frame: int) -> Camera:
        """Camera of a frame's colour image: its own, or the scene's."""
        row = self.table_row_of_frame[int(frame)]
        numbers = self.frames.color_camera[row]
        if numbers is None:
            return self._shared_cameras[0]
        return camera_of_numbers(numbers, (self.frames.width[row], self.frames.height[row]))

    def depth_camera(self, frame: int) -> Camera | None:
        """Camera of a frame's depth map: its own, or the scene's; None when it is not known."""
        row = self.table_row_of_frame[int(frame)]
        numbers = self.frames.depth_camera[row]
        if numbers is None:
            return self._shared_cameras[1]
        size = self.frames.depth_width[row], self.frames.depth_height[row]
        return camera_of_numbers(numbers, size)

    def depth_size_of(self, frame: int) -> tuple[int, int]:
        """(w, h) of a frame's depth map."""
        row = self.table_row_of_frame[int(frame)]
        return int(self.frames.depth_width[row]), int(self.frames.depth_height[row])

    def pixel_map(self, frame: int) -> PixelMap:
        """The map from a frame's colour pixels to its depth pixels."""
        return frame_pixel_map(
            self.depth_map, self.color_camera(frame), self.depth_camera(frame),
            self.depth_size_of(frame),
        )  # fmt: skip

    @property
    def image_size(self) -> tuple[int, int]:
        """(W, H) of the colour images of frames without a camera of their own."""
        w, h = self.meta["image_size"]
        return int(w), int(h)

    @property
    def depth_size(self) -> tuple[int, int]:
        """(w, h) of the depth images of frames without a depth camera; (0, 0) for clips."""
        w, h = self.meta["depth_size"]
        return int(w), int(h)

    @property
    def depth_scale(self) -> float:
        """Metres per unit of the stored depth."""
        return float(self.meta["depth_scale"])

    @property
    def voxel(self) -> float | None:
        """Metres, side of the voxels that the cloud was built of; None for a mesh and clips."""
        voxel: float | None = self.meta.get("cloud", {}).get("voxel")
        return voxel

    @property
    def depth_map(self) -> str:
        """Pixel map that was used: "from_intrinsics", "from_sizes", "identity", "" for clips."""
        return str(self.meta["recipe"]["map"])

    @property
    def zup_from_world(self) -> NDArray[np.float64]:
        """(4, 4) rotation from the source's world to z up; identity where up is unknown."""
        return _matrix(self.meta["zup_from_world"], 4)

    @property
    def aligned_from_world(self) -> NDArray[np.float64]:
        """(4, 4) from the source's world to the index's: axis alignment after `zup_from_world`."""
        return _matrix(self.meta["aligned_from_world"], 4)

    @property
    def point_count(self) -> int:
        """P, points of the cloud (0 for clips)."""
        return int(self.meta["point_count"])

    @property
    def reasons(self) -> Mapping[str, int]:
        """Counts of what was masked or dropped, by reason code."""
        return self.meta["reasons"]  # type: ignore[no-any-return]

    @cached_property
    def frames(self) -> FrameTable:
        """All frames, masked ones included."""
        return tables.read_frames(self.file("frames.parquet"))

    @cached_property
    def valid_frames(self) -> NDArray[np.int32]:
        """(F_valid,) int32 frame of each row of the masks."""
        return self.frames.frame[self.frames.valid]

    @cached_property
    def row_of_frame(self) -> dict[int, int]:
        """Row of the masks for each valid frame."""
        return {int(f): k for k, f in enumerate(self.valid_frames)}

    @cached_property
    def table_row_of_frame(self) -> dict[int, int]:
        """Row of `frames` for each frame."""
        return {int(f): k for k, f in enumerate(self.frames.frame)}

    def world_from_cam(self, frame: int) -> NDArray[np.float64]:
        """(4, 4) pose of a frame in the z-up, aligned world."""
        pose: NDArray[np.float64] = self.frames.world_from_cam[self.table_row_of_frame[int(frame)]]
        return pose

    def cam_from_world(self, frame: int) -> NDArray[np.float64]:
        """(4, 4) inverse pose of a frame, by `invert_pose`."""
        return invert_pose(self.world_from_cam(frame))

    @cached_property
    def points(self) -> NDArray[np.float32]:
        """(P, 3) float32 metres in the z-up, aligned world, Morton order, memory-mapped."""
        return _map(self.file("points.npy"), np.float32)

    @cached_property
    def source_row(self) -> NDArray[np.uint32]:
        """(P,) uint32 row of each point in the source's cloud: the point id of records."""
        return _map(self.file("source_row.npy"), np.uint32)

    @cached_property
    def instance(self) -> NDArray[np.int32]:
        """(P,) int32 object id of each point, -1 = none."""
        return _map(self.file("instance.npy"), np.int32)

    @cached_property
    def visible(self) -> BitMask:
        """F_valid x P, row k is the k-th valid frame."""
        return BitMask(_map(self.file("visible.npy"), np.uint64), self.point_count)

    @cached_property
    def askable(self) -> BitMask:
        """Visible points that also pass the recipe's guards; `visible` where it has none."""
        return BitMask(_map(self.file("askable.npy"), np.uint64), self.point_count)

    @cached_property
    def surface(self) -> BitMask:
        """Points on the surface that the map shows; `visible` where the rules count those."""
        return BitMask(_map(self.file("surface.npy"), np.uint64), self.point_count)

    @cached_property
    def pairs(self) -> PairTable:
        """Pairs of frames with a common point."""
        return tables.read_pairs(self.file("pairs.parquet"))

    @cached_property
    def objects(self) -> tuple[ObjectRow, ...]:
        """Objects with vertices, by id."""
        return tables.read_objects(self.file("objects.parquet"))

    @cached_property
    def object_frames(self) -> ObjectFrames:
        """What each frame sees of each object."""
        return tables.read_object_frames(self.file("object_frames.parquet"))

    @cached_property
    def view_sets(self) -> ViewSetTable:
        """Minimal covering sets of frames of each object and axis."""
        return tables.read_view_sets(self.file("view_sets.parquet"))

    @cached_property
    def parts(self) -> PartTable:
        """Rigid parts of a clip."""
        return tables.read_parts(self.file("parts.parquet"))

    def open_scene(self, source: Source) -> Scene:
        """The scene in its source; SceneIndexError when this is a clip."""
        opened = source.open(self.scene)
        if not isinstance(opened, Scene):
            raise SceneIndexError(f"{self.path}: a clip of tracks, not a scene")
        return opened

    def open_track(self, source: Source) -> Track3D:
        """The clip in its source; SceneIndexError when this is a scene."""
        opened = source.open(self.scene)
        if not isinstance(opened, Track3D):
            raise SceneIndexError(f"{self.path}: a scene, not a clip of tracks")
        return opened

    def changed_inputs(self, root: str | Path) -> tuple[str, ...]:
        """Inputs under `root` that are missing or differ from when the index was made."""
        old = self.meta["inputs"]
        return tuple(n for n, mark in old.items() if differs_from_mark(Path(root) / n, mark))

    def check(self) -> None:
        """Compare every file with the hash that scene.json holds; SceneIndexError names one."""
        for name in self.meta["files"]:
            self.file(name)

    def file(self, name: str) -> Path:
        """Path of a file whose content is what was indexed; hashed once a process."""
        path = self.path / name
        try:
            if self.meta["files"].get(name) == hash_once(path):
                return path
        except OSError as error:
            raise SceneIndexError(
                f"{path}: missing; run the same `spatialcore index` again"
            ) from error
        raise SceneIndexError(
            f"{path}: not what was indexed; run the same `spatialcore index` again"
        )


def _lens(meta: Mapping[str, Any], which: str) -> Lens | None:
    stored = (meta.get("lenses") or {}).get(which)
    return None if stored is None else Lens(stored["model"], tuple(stored["coefficients"]))


def _matrix(values: list[float], n: int) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64).reshape(n, n)


def _map(path: Path, dtype: DTypeLike) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SceneIndexError(f"{path}: damaged; run the same `spatialcore index` again") from error
    if array.dtype != np.dtype(dtype):
        raise SceneIndexError(f"{path}: holds {array.dtype}, not {np.dtype(dtype)}")
    # Still mapped, as a plain array: each piece of a `memmap` is made by Python code.
    return array.view(np.ndarray)


def read_sealed(path: Path) -> dict[str, Any]:
    """A JSON object of the index, whose seal is whole."""
    meta = read_json(path)
    if not is_sealed(meta):
        raise SceneIndexError(
            f"{path}: damaged, or of an older release; run the same `spatialcore index` again"
        )
    return meta


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of the index; SceneIndexError when it is missing or broken."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SceneIndexError(f"{path}: missing or not finished") from error
    except (OSError, ValueError, RecursionError) as error:
        raise SceneIndexError(f"{path}: damaged; run the same `spatialcore index` again") from error
    if not isinstance(value, dict):
        raise SceneIndexError(f"{path}: not a JSON object")
    return value


def array_hash(*arrays: NDArray[Any]) -> str:
    """BLAKE2b-16 of the arrays' bytes, in order."""
    h = hashlib.blake2b(digest_size=16)
    for array in arrays:
        h.update(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data)
    return h.hexdigest()


SCENE_FILES = (
    "frames.parquet", "points.npy", "source_row.npy", "instance.npy", "visible.npy", "askable.npy",
    "surface.npy", "pairs.parquet", "objects.parquet", "object_frames.parquet", "view_sets.parquet",
    "parts.parquet", "scene.json",
)  # fmt: skip


def publish(
    path: Path, meta: Mapping[str, Any], writers: Mapping[str, Callable[[Path], None]]
) -> None:
    """Make a scene's folder: all files, then scene.json, then one rename.

    Args:
        path: Final folder; an older one is replaced.
        meta: scene.json.
        writers: File name -> function that writes it to the path it is given.

    Raises:
        FolderInUse: What lies there is not a scene's folder; it is left as it is.
        OutputError: The disk is full, or the like.
    """
    with replaced_folder(path, SCENE_FILES) as temporary:
        for name, write in writers.items():
            write(temporary / name)
        hashes = {name: content_hash(temporary / name) for name in writers}
        write_json(temporary / "scene.json", sealed({**meta, "files": hashes}))
