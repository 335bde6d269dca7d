# SPDX-License-Identifier: Apache-2.0
"""Reader of COLMAP reconstructions with depth maps: a sparse model, images, and a folder of depth.

The model lies in `sparse/0`, `sparse` or `colmap`, text or binary; images in `images/`; depth in
`depth/`, `depths/` or `depth_maps/` under the names of the images, in any encoding of `depth_maps`,
or in COLMAP's own `stereo/depth_maps/<image>.geometric.bin`. Conventions undone here: poses are
cam_from_world, pixel centres lie at +0.5. The scale of a reconstruction is free: lengths are not
metres unless `scene_meta.json` says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from spatialcore.errors import SceneFormatError
from spatialcore.io.colmap_model import PosedImage, find_model, model_files, read_model
from spatialcore.io.depth_maps import DEPTH_SUFFIXES
from spatialcore.io.file_tree import FileTree
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames, count_reasons, listed
from spatialcore.types import Scene

_DEPTH_FOLDERS = ("depth/", "depths/", "depth_maps/", "stereo/depth_maps/")
# Behind the image's own suffix: `a.jpg.png`, and the dense maps of COLMAP.
_LONG_SUFFIXES = (*DEPTH_SUFFIXES, ".geometric.bin")
_IMAGE_FOLDERS = ("images/", "image/", "rgb/", "color/", "")


def is_reconstruction(folder: Path) -> bool:
    """Whether a folder holds a COLMAP model."""
    return folder.is_dir() and find_model(folder) is not None


def _frame_files(folder: Path, images: list[PosedImage], stride: int) -> Iterator[FrameFiles]:
    tree = FileTree(folder)
    for row, image in enumerate(images):
        index = row * stride
        color = depth = None
        fault = "" if image.intrinsics is not None else "camera_model_unknown"
        try:
            color = tree.find(image.name, _IMAGE_FOLDERS)
            stem = os.path.splitext(image.name)[0]  # noqa: PTH122 - names may be no paths
            depth = tree.find(stem, _DEPTH_FOLDERS, DEPTH_SUFFIXES)
            depth = depth or tree.find(image.name, _DEPTH_FOLDERS, _LONG_SUFFIXES)
        except SceneFormatError as error:
            fault = error.code
        yield FrameFiles(
            index=index,
            name=Path(image.name).stem,
            color=color,
            depth=depth,
            world_from_cam=image.world_from_cam,
            fault=fault,
            intrinsics=image.intrinsics,
        )


class ColmapSource(FolderSource):
    """COLMAP reconstructions."""

    __slots__ = ()
    kind: ClassVar[str] = "colmap"

    def open(self, scene_id: str) -> Scene:
        """Open one reconstruction: its model and the headers of its images and depth maps.

        Raises:
            SceneFormatError: The model is damaged, or no frame has a camera, an image and depth.
        """
        folder = self.folder(scene_id)
        model = find_model(folder)
        if model is None:
            raise SceneFormatError(folder, "holds no COLMAP model", code="nothing_found")
        stride = self.options.stride or 1
        files = listed(_frame_files(folder, read_model(model, stride), stride), folder)
        if files and all(part.depth is None for part in files):
            raise SceneFormatError(
                folder,
                "has no depth maps",
                "put one for each image into depth/ under its name: every task needs them",
                code="depth_missing",
            )
        built = build_frames(files, self.root.resolve(), folder)
        if built.color is None:
            raise SceneFormatError(
                folder,
                f"no frame has a camera: {count_reasons(built.frames)}",
                code="intrinsic_missing",
            )
        return self.registered_scene(
            scene_id, built, built.color, depth_scale=None, inputs=model_files(model), metric=False
        )
