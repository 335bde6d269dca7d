# SPDX-License-Identifier: Apache-2.0
"""Reader of EmbodiedScan: the annotation of ScanNet, 3RScan, Matterport3D and ARKitScenes.

`embodiedscan_infos_{train,val,test}.pkl` lies beside the folders `scannet/`, `3rscan/`,
`matterport3d/` and `arkitscenes/` that its paths lead into. A scene has `sample_idx`
("scannet/scene0191_00"), `axis_align_matrix`, `cam2img`, `depth_cam2img`, `images[]` with
`img_path`, `depth_path`, `cam2global` and sometimes their own K, and `instances[]` with `bbox_3d`
(nine numbers in the aligned world), `bbox_label_3d` and `bbox_id`; `metainfo.categories` names the
labels. The file is pickled: it is read as plain values and nothing in it runs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.categories import named_objects
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames, count_reasons
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.matrices import rigid_alignment
from spatialcore.io.nine_numbers import box_of_nine
from spatialcore.io.object_files import Labels
from spatialcore.io.paths import resolve_inside
from spatialcore.io.pickled_values import as_array, read_pickled
from spatialcore.io.scannet_objects import space_of
from spatialcore.io.upright import upright_turn
from spatialcore.types import Float64, Scene, compose_poses

PARTS = frozenset(
    ("scannet", "3rscan", "matterport3d", "arkitscenes", "embodiedscan_occupancy", "embodiedscan")
)
_UP = np.array([0.0, 0.0, 1.0])
_UNITS = {"matterport3d": 1 / 4000}  # all others: millimetres
_MATRICES = ((4, 4), (3, 3))


def is_infos(entry: Path) -> bool:
    """Whether an entry is named as EmbodiedScan names its annotation."""
    named = entry.suffix == ".pkl" and entry.name.startswith("embodiedscan_infos_")
    return named and entry.is_file()


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """One scene of the file.

    Attributes:
        collection: The first part of its name.
        aligned_from_world: (4, 4).
        K: Of pictures without their own, or None.
        K_depth: Likewise of their maps.
        images: Rows of `images`, as the file has them.
        instances: Rows of `instances`.
    """

    collection: str
    aligned_from_world: Float64
    K: Float64 | None
    K_depth: Float64 | None
    images: tuple[Mapping[str, Any], ...]
    instances: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Infos:
    """The file: scenes by the name that they have here, and the names of labels."""

    scenes: Mapping[str, _Scene]
    words: Mapping[int, str]


def _matrix(value: Any) -> Float64 | None:
    """The (3, 3) of a K, or None."""
    found = None if value is None else as_array(value, *_MATRICES)
    return None if found is None else found[:3, :3]


def _dicts(value: Any) -> tuple[Mapping[str, Any], ...]:
    return tuple(row for row in value if isinstance(row, dict)) if isinstance(value, list) else ()


def _scene(row: Mapping[str, Any], path: Path) -> tuple[str, _Scene] | None:
    """Name and scene of a row of `data_list`, None where it names none."""
    full = row.get("sample_idx")
    if not isinstance(full, str) or not full:
        return None
    collection, _, rest = full.partition("/")
    aligned = as_array(row.get("axis_align_matrix"), (4, 4))
    return (rest or collection).replace("/", "_"), _Scene(
        collection=collection,
        aligned_from_world=np.eye(4) if aligned is None else rigid_alignment(aligned, path),
        K=_matrix(row.get("cam2img")),
        K_depth=_matrix(row.get("depth_cam2img")),
        images=_dicts(row.get("images")),
        instances=_dicts(row.get("instances")),
    )


@functools.lru_cache(maxsize=4)
def _read(path: Path, _stamp: tuple[int, int]) -> _Infos:
    stored = read_pickled(path)
    rows = stored.get("data_list") if isinstance(stored, dict) else None
    if not isinstance(rows, list):
        raise SceneFormatError(path, "holds no data_list of scenes", code="annotation_bad")
    about = stored.get("metainfo")
    words = about.get("categories") if isinstance(about, dict) else None
    scenes: dict[str, _Scene] = {}
    for row in _dicts(rows):
        found = _scene(row, path)
        if found is not None:
            scenes[found[0]] = found[1]
    return _Infos(
        scenes,
        {n: w for w, n in (words if isinstance(words, dict) else {}).items()
         if type(n) is int and isinstance(w, str)},
    )  # fmt: skip


def _infos(path: Path) -> _Infos:
    """The annotation, read once in a process."""
    try:
        status = path.stat()
    except OSError as error:
        raise SceneFormatError(path, "no such file", code="file_missing") from error
    return _read(path, (status.st_mtime_ns, status.st_size))


def scenes_of(path: Path) -> tuple[str, ...]:
    """Names of the scenes of a file."""
    return tuple(sorted(_infos(path).scenes))


def _file(root: Path, value: Any) -> Path | None:
    if not isinstance(value, str) or not value:
        return None
    path = resolve_inside(root, value)
    return path if path.is_file() else None


def _poses(scene: _Scene) -> list[Float64 | None]:
    """Poses in the aligned world."""
    found = (as_array(row.get("cam2global"), (4, 4)) for row in scene.images)
    return [None if m is None else compose_poses(scene.aligned_from_world, m) for m in found]


def _frame_files(root: Path, scene: _Scene, stride: int) -> Iterator[FrameFiles]:
    poses = _poses(scene)
    turn = upright_turn((pose for pose in poses if pose is not None), _UP)
    for index in range(0, len(scene.images), stride):
        row, fault, color, depth = scene.images[index], "", None, None
        K, own = _matrix(row.get("cam2img")), _matrix(row.get("depth_cam2img"))
        K, depth_K = (scene.K if K is None else K), (scene.K_depth if own is None else own)
        try:
            color, depth = _file(root, row.get("img_path")), _file(root, row.get("depth_path"))
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


def _labels(scene: _Scene, words: Mapping[int, str], path: Path) -> Labels:
    """The instances with their boxes; those without a box or a word are counted."""
    names, boxes, left = {}, {}, 0
    ids = [row.get("bbox_id") for row in scene.instances]
    own = all(type(n) is int and 0 <= n < 1 << 31 for n in ids) and len(set(ids)) == len(ids)
    for number, row in enumerate(scene.instances):
        numbers = as_array(row.get("bbox_3d"), (9,))
        box = None if numbers is None else box_of_nine(numbers)
        label = row.get("bbox_label_3d")
        word = words.get(label) if type(label) is int else None
        if box is None or word is None:
            left += 1
            continue
        key = 1 + (int(row["bbox_id"]) if own else number)
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
        infos = _infos(path)
        scene = infos.scenes.get(name)
        if scene is None:
            raise SceneFormatError(path, f"has no scene {name!r:.80}", code="scene_missing")
        base = path.parent
        built = build_frames(_frame_files(base, scene, self.options.stride or 1), root, path)
        if built.color is None:
            raise SceneFormatError(path, count_reasons(built.frames), code="intrinsic_missing")
        space = space_of(name, scene_id)
        if scene.collection == "matterport3d":
            space = name.partition("_")[0]
        opened = self.registered_scene(
            scene_id, built, built.color, inputs=[path], world_up=_UP, space=space,
            depth_scale=_UNITS.get(scene.collection, 0.001),
            split="train" if "train" in path.stem else "val",
            labels=_labels(scene, infos.words, path),
        )  # fmt: skip
        return replace(opened, aligned_from_world=np.eye(4))
