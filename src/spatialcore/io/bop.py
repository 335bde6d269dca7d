# SPDX-License-Identifier: Apache-2.0
"""Reader of BOP scenes, objects on a table: `scene_camera.json`, `rgb/` or `gray/`, `depth/`.

Lengths are millimetres; depth counts `depth_scale` of them. Poses are `cam_R_w2c` and `cam_t_w2c`,
which not all of the data sets have. `scene_gt.json` says where objects stand in each image; those
of one model that stand at one place of the world are one object. They are drawn by `mask_visib/`,
or else boxed by `models/models_info.json`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from spatialcore.errors import SceneFormatError
from spatialcore.io.bop_objects import MM, numbers, read_by_image, rigid, scene_labels
from spatialcore.io.crowds import check_frame_count
from spatialcore.io.file_tree import FileTree
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import (
    FrameFiles,
    build_frames,
    count_reasons,
    listed,
)
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.types import Scene, invert_pose

CAMERAS = "scene_camera.json"
_PICTURES = ("rgb/", "gray/")
_SUFFIXES = (".png", ".jpg", ".jpeg")
_SPLITS = ("train", "val")


def is_bop(folder: Path) -> bool:
    """Whether a folder is one scene of a BOP data set."""
    return (folder / CAMERAS).is_file() and any((folder / name).is_dir() for name in _PICTURES)


def _unit(rows: dict[int, Any], path: Path) -> float:
    """Metres a unit of depth, which has to be one for all images."""
    given = [row.get("depth_scale", 1.0) for row in rows.values() if isinstance(row, dict)]
    units = {float(unit) for unit in given if type(unit) in (int, float)}
    fits = len(units) == 1 and all(type(unit) in (int, float) for unit in given)
    if not fits or not 1e-6 < min(units) < 1e4:
        raise SceneFormatError(
            path, "must give one depth_scale for all images", "metres are depth_scale / 1000",
            code="bop_bad",
        )  # fmt: skip
    return units.pop() * MM


def _frame_files(folder: Path, rows: dict[int, Any], stride: int) -> Iterator[FrameFiles]:
    tree = FileTree(folder)
    for number, row in rows.items():
        if number % stride:
            continue
        cam_from_world = rigid(row, ("cam_R_w2c", "cam_t_w2c"))
        K = numbers(row, "cam_K", 9)
        yield FrameFiles(
            index=number,
            name=f"{number:06d}",
            color=tree.find(f"{number:06d}", _PICTURES, _SUFFIXES),
            depth=tree.find(f"{number:06d}", ("depth/",), _SUFFIXES),
            world_from_cam=None if cam_from_world is None else invert_pose(cam_from_world),
            fault="intrinsic_missing" if K is None else "",
            intrinsics=None if K is None else Intrinsics(K.reshape(3, 3)),
            rotate=0,  # masks and poses of models belong to the pictures as stored
        )


class BopSource(FolderSource):
    """Scenes of BOP data sets."""

    __slots__ = ()
    kind: ClassVar[str] = "bop"

    def open(self, scene_id: str) -> Scene:
        """Open one scene: its JSON files and the headers of its images.

        Raises:
            SceneFormatError: No such scene, malformed files, images without a pose, or none that
                can be used.
        """
        folder, root = self.folder(scene_id), self.root.resolve()
        path = folder / CAMERAS
        rows = read_by_image(path)
        unit, stride = _unit(rows, path), self.options.stride or 1
        check_frame_count(sum(number % stride == 0 for number in rows), path)
        files = listed(_frame_files(folder, rows, stride), folder)
        if files and all(part.world_from_cam is None for part in files):
            raise SceneFormatError(
                path, "has no cam_R_w2c and cam_t_w2c",
                "this data set says where objects are in an image, not where cameras stand",
                code="extrinsics_missing",
            )  # fmt: skip
        built = build_frames(files, root, folder)
        if built.color is None:
            raise SceneFormatError(path, count_reasons(built.frames), code="intrinsic")
        labels = scene_labels(folder, built.frames, built.color.size)
        parent = folder.parent.name
        return self.registered_scene(
            scene_id, built, built.color, depth_scale=unit, inputs=[path, *labels.inputs],
            notes=() if labels.objects else labels.notes, labels=labels,
            split=next((s for s in _SPLITS if parent.startswith(s)), None),
        )  # fmt: skip
