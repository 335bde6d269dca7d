# SPDX-License-Identifier: Apache-2.0
"""What sources with one folder a scene have in common: names, options, and finding the folder."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from spatialcore.io.depth_maps import holds_floats, read_depth
from spatialcore.io.frame_files import BuiltFrames
from spatialcore.io.intrinsics import registered_depth_camera
from spatialcore.io.listed import ListedSource
from spatialcore.io.object_files import Labels, read_labels
from spatialcore.io.orientation import resolve_orientation
from spatialcore.io.paths import resolve_inside
from spatialcore.io.scale import room_sized
from spatialcore.io.scannet_objects import find_annotation
from spatialcore.io.splits import split_note
from spatialcore.types import Camera, Float64, Frame, Scene


def _mesh_labels(folder: Path, table: str | None) -> Labels:
    """Objects of an annotated mesh in ScanNet's three files; none without them."""
    if not (folder / f"{folder.name}_vh_clean_2.ply").is_file():
        return Labels()
    found = find_annotation((folder,), folder.name, folder.parent, table)
    if not found.objects or found.read_cloud is None:
        return Labels()
    return Labels(found.objects, None, found.inputs, found.notes, found.read_cloud)


class FolderSource(ListedSource):
    """Scenes that are folders below a root."""

    __slots__ = ()

    def folder(self, scene_id: str) -> Path:
        """The folder of a scene; SceneFormatError when there is no such scene."""
        return resolve_inside(self.root.resolve(), self.place(scene_id))

    def registered_scene(
        self,
        scene_id: str,
        built: BuiltFrames,
        color: Camera,
        *,
        depth_scale: float | None,
        inputs: Sequence[Path],
        notes: tuple[str, ...] = (),
        read: Callable[[Path, Frame], NDArray[Any]] = read_depth,
        metric: bool = True,
        world_up: Float64 | None = None,
        space: str | None = None,
        split: str | None = None,
        described: bool = True,
        labels: Labels | None = None,
    ) -> Scene:
        """A scene whose depth images are registered to the colour view.

        Args:
            scene_id: One of `names`.
            built: Its frames.
            color: The colour camera.
            depth_scale: Metres a unit, unless `scene_meta.json` says otherwise; None where the
                layout does not say: a millimetre for integers, a metre for floats.
            inputs: Files beside the depth images that the scene is read from.
            notes: What the reader has to say about it.
            read: (root, frame) -> the stored depth map; picklable.
            metric: Whether the layout promises metres; `scene_meta.json` and options win.
            world_up: Up direction that the layout itself promises.
            space: Physical room; None: the scene itself.
            split: "train" or "val" where the layout ships a list.
            described: Whether a `scene_meta.json` in the folder is ours; WAI has its own.
            labels: Objects that the layout itself knows; without, those of a mesh annotated as
                ScanNet's, or of `objects.json` and `instance/` in the folder.
        """
        root, folder = self.root.resolve(), self.folder(scene_id)
        orientation = resolve_orientation(
            self.options, (folder,) if described else (), built.frames, world_up,
            default_metric=metric,
        )  # fmt: skip
        depth = [root / f.depth.partition("#")[0] for f in built.frames if f.depth is not None]
        scale = orientation.depth_scale or depth_scale
        if scale is None:
            scale = 1.0 if holds_floats(root, built.frames, read) else 0.001
        shared = color.same_as(built.color)
        if labels is None or not labels.objects:
            labels = _mesh_labels(folder, self.options.labels)
        if not labels.objects:
            labels = read_labels((folder,), built.frames, color.size)
        notes += split_note(folder.name, split, root)
        single = [*inputs, folder / "scene_meta.json", *labels.inputs]
        scene = Scene(
            source=self.key,
            id=scene_id,
            space=space or scene_id,
            root=root,
            color=color,
            depth=built.depth if shared else registered_depth_camera(color, built.depth_size),
            depth_size=built.depth_size,
            depth_scale=scale,
            frames=built.frames,
            read_depth=functools.partial(read, root),
            read_cloud=labels.read_cloud,
            read_instance=labels.read_instance,
            objects=labels.objects,
            metric=orientation.metric,
            world_up=orientation.world_up,
            up_estimated=orientation.estimated,
            split=split,
            kind=self.kind,
            inputs=tuple(p for p in dict.fromkeys((*single, *depth)) if os.path.isfile(p)),  # noqa: PTH113 - no name is too long
            notes=notes + built.notes + orientation.notes + labels.notes,
        )
        return room_sized(scene)
