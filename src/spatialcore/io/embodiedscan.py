# SPDX-License-Identifier: Apache-2.0
"""Reader of EmbodiedScan: the annotation of ScanNet, 3RScan, Matterport3D and ARKitScenes.

`embodiedscan_infos_{train,val,test}.pkl` lies beside the folders `scannet/`, `3rscan/`,
`matterport3d/` and `arkitscenes/` that its paths lead into. A scene has `sample_idx`
("scannet/scene0191_00"), `axis_align_matrix`, `cam2img`, `depth_cam2img`, `images[]` with
`img_path`, `depth_path`, `cam2global` and sometimes their own K, and `instances[]` with `bbox_3d`
(nine numbers in the aligned world), `bbox_label_3d` and `bbox_id`; `metainfo.categories` names the
labels. The file is pickled: a process of its own reads it as plain values (embodiedscan_infos.py).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.categories import named_objects
from spatialcore.io.embodiedscan_infos import Numbers, Room, read_infos
from spatialcore.io.file_tree import FileTree
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames, count_reasons
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.matrices import rigid_alignment
from spatialcore.io.nine_numbers import box_of_nine
from spatialcore.io.object_files import Labels
from spatialcore.io.paths import resolve_inside
from spatialcore.io.scannet_objects import space_of
from spatialcore.io.upright import upright_turn
from spatialcore.types import Float64, Scene, compose_poses

PARTS = frozenset(
    ("scannet", "3rscan", "matterport3d", "arkitscenes", "embodiedscan_occupancy", "embodiedscan")
)
_UP = np.array([0.0, 0.0, 1.0])
_UNITS = {"matterport3d": 1 / 4000}  # all others: millimetres


def is_infos(entry: Path) -> bool:
    """Whether an entry is named as EmbodiedScan names its annotation."""
    named = entry.suffix == ".pkl" and entry.name.startswith("embodiedscan_infos_")
    return named and entry.is_file()


Scenes = tuple[Mapping[str, Room], Mapping[int, str]]


@functools.lru_cache(maxsize=4)
def _read(path: Path, _stamp: tuple[int, int]) -> Scenes | SceneFormatError:
    """What a file holds, or why it is not read: what is dear to refuse is refused once."""
    try:
        infos = read_infos(path)
    except SceneFormatError as error:
        return error
    names = (room.name.partition("/") for room in infos.rooms)
    keys = ((rest or collection).replace("/", "_") for collection, _, rest in names)
    return dict(zip(keys, infos.rooms, strict=True)), infos.words


def _infos(path: Path) -> Scenes:
    """Scenes by the name that they have here, and the words of labels; read once in a process."""
    try:
        status = path.stat()
    except OSError as error:
        raise SceneFormatError(path, "no such file", code="file_missing") from error
    found = _read(path, (status.st_mtime_ns, status.st_size))
    if isinstance(found, SceneFormatError):
        raise SceneFormatError(path, found.what, found.hint, found.code)
    return found


def scenes_of(path: Path) -> tuple[str, ...]:
    """Names of the scenes of a file."""
    return tuple(sorted(_infos(path)[0]))


def _square(numbers: Numbers | None, side: int) -> Float64 | None:
    return None if numbers is None else np.array(numbers).reshape(side, side)


def _poses(room: Room, aligned_from_world: Float64) -> list[Float64 | None]:
    """Poses in the aligned world."""
    found = (_square(picture.world_from_cam, 4) for picture in room.images)
    return [None if m is None else compose_poses(aligned_from_world, m) for m in found]


def _frame_files(root: Path, room: Room, aligned: Float64, stride: int) -> Iterator[FrameFiles]:
    poses = _poses(room, aligned)
    turn = upright_turn((pose for pose in poses if pose is not None), _UP)
    tree = FileTree(root)
    for index in range(0, len(room.images), stride):
        row, fault, color, depth = room.images[index], "", None, None
        K, depth_K = _square(row.K or room.K, 3), _square(row.K_depth or room.K_depth, 3)
        try:
            color, depth = (tree.find(name) if name else None for name in (row.image, row.depth))
        except SceneFormatError as error:
            fault = error.code
        yield FrameFiles(
            index=index,
            name=f"{index:05d}" if color is None else color.stem,
            color=color,
            depth=depth,
            world_from_cam=poses[index],
            fault=fault or ("" if K is not None else "intrinsic_missing"),
            intrinsics=None if K is None else Intrinsics(K),
            depth_intrinsics=None if depth_K is None else Intrinsics(depth_K),
            rotate=turn,
        )


def _labels(room: Room, words: Mapping[int, str], path: Path) -> Labels:
    """The instances with their boxes; those without a box or a word are counted."""
    names, boxes, left = {}, {}, 0
    ids = [row.id for row in room.instances]
    own = None not in ids and len(set(ids)) == len(ids)
    for number, row in enumerate(room.instances):
        box = None if row.box is None else box_of_nine(np.array(row.box))
        word = None if row.label is None else words.get(row.label)
        if box is None or word is None:
            left += 1
            continue
        key = 1 + (row.id if own and row.id is not None else number)
        names[key], boxes[key] = word, box
    objects, notes = named_objects(names)
    objects = tuple(replace(item, box=boxes[item.object_id]) for item in objects)
    notes += (f"objects_without_box={left}",) if left else ()
    return Labels(objects, None, (path,), notes)


class EmbodiedScanSource(FolderSource):
    """Scenes of EmbodiedScan."""

    __slots__ = ()
    kind: ClassVar[str] = "embodiedscan"

    def open(self, scene_id: str) -> Scene:
        """Open one scene: its rows of the annotation, and the headers of its images.

        The world is the aligned one: floor level, z up, axes along the walls.

        Raises:
            SceneFormatError: No such scene, an annotation that is damaged or holds code, or no
                frame with image, depth and camera.
        """
        root = self.root.resolve()
        file, _, name = self.place(scene_id).partition("#")
        path = resolve_inside(root, file)
        rooms, words = _infos(path)
        room = rooms.get(name)
        if room is None:
            raise SceneFormatError(path, f"has no scene {name!r:.80}", code="scene_missing")
        base, stored = path.parent, _square(room.aligned_from_world, 4)
        aligned = np.eye(4) if stored is None else rigid_alignment(stored, path)
        files = _frame_files(base, room, aligned, self.options.stride or 1)
        built = build_frames(files, root, path)
        if built.color is None:
            raise SceneFormatError(path, count_reasons(built.frames), code="intrinsic_missing")
        collection, space = room.name.partition("/")[0], space_of(name, scene_id)
        if collection == "matterport3d":
            space = name.partition("_")[0]
        opened = self.registered_scene(
            scene_id, built, built.color, inputs=[path], world_up=_UP, space=space,
            depth_scale=_UNITS.get(collection, 0.001),
            split="train" if "train" in path.stem else "val",
            labels=_labels(room, words, path),
        )  # fmt: skip
        return replace(opened, aligned_from_world=np.eye(4))
