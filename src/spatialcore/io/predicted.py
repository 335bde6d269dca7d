# SPDX-License-Identifier: Apache-2.0
"""Reader of geometry that a network predicted from pictures: one `.npz` a scene.

Depth Anything 3 exports `exports/npz/results.npz` (or `mini_npz/`, without pictures); VGGT's demo
keeps arrays of the same meaning under other names. Arrays: `depth` (N, H, W) or (N, H, W, 1),
`extrinsics` (N, 3|4, 4) of cam_from_world with OpenCV axes, `intrinsics` (N, 3, 3) of pictures of
that H and W, and `image`. Scale is known only where `is_metric` says so: other scenes are asked
nothing about lengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames, count_reasons
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.names import natural_order
from spatialcore.io.npz import Npz
from spatialcore.io.paths import list_names
from spatialcore.types import Float64, Scene, invert_pose

PLACES = (
    "exports/npz/results.npz", "exports/mini_npz/results.npz", "npz/results.npz",
    "mini_npz/results.npz", "results.npz", "predictions.npz",
)  # fmt: skip
_DEPTH = ("depth",)
_EXTRINSICS = ("extrinsics", "extrinsic")
_INTRINSICS = ("intrinsics", "intrinsic")
_IMAGES = ("image", "images")
_METRIC = ("is_metric", "metric")
_PICTURE_FOLDERS = ("images", "input_images")
_PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_MAX_FRAMES = 1 << 16


def _key(names: Sequence[str], known: Sequence[str]) -> str | None:
    return next((name for name in known if name in names), None)


def _has_geometry(path: Path) -> bool:
    if path.suffix != ".npz" or not path.is_file():
        return False
    try:
        with Npz(path) as archive:
            names = archive.names
    except SceneFormatError:
        return False
    return all(_key(names, known) for known in (_DEPTH, _EXTRINSICS, _INTRINSICS))


def _archive(entry: Path) -> Path | None:
    """The archive of a scene: the entry itself, or at one of its places."""
    if entry.is_dir():
        return next((entry / p for p in PLACES if _has_geometry(entry / p)), None)
    return entry if _has_geometry(entry) else None


def is_prediction(entry: Path) -> bool:
    """Whether an entry is such an archive, or a folder that holds one at a known place."""
    return _archive(entry) is not None


@dataclass(frozen=True, slots=True, eq=False)
class _Arrays:
    """What an archive holds.

    Attributes:
        shape: N, H, W.
        world_from_cam: (N, 4, 4).
        K: (N, 3, 3).
        depth: Name of the maps.
        image: Name of the pictures, or None.
        metric: Whether the archive says that lengths are metres.
    """

    shape: tuple[int, int, int]
    world_from_cam: Float64
    K: Float64
    depth: str
    image: str | None
    metric: bool


def _checked(
    path: Path, name: str, stored: NDArray[Any], shapes: tuple[tuple[int, ...], ...]
) -> Any:
    if stored.shape not in shapes or stored.dtype.kind != "f":
        wanted = " or ".join(map(str, shapes))
        what = f"{name} holds {stored.dtype} of shape {stored.shape}, expected floats of {wanted}"
        raise SceneFormatError(path, what, code="archive_bad")
    return stored.astype(np.float64)


def _read(path: Path) -> _Arrays:
    with Npz(path) as archive:
        names = [_key(archive.names, known) or "" for known in (_DEPTH, _EXTRINSICS, _INTRINSICS)]
        depth, E, K = (archive.array(name) for name in names)
        metric = _key(archive.names, _METRIC)
        stated = archive.array(metric) if metric else np.zeros(1)
        image = _key(archive.names, _IMAGES)
    shape = depth.shape[:-1] if depth.ndim == 4 and depth.shape[3] == 1 else depth.shape
    if len(shape) != 3 or not 0 < shape[0] <= _MAX_FRAMES or 0 in shape:
        raise SceneFormatError(
            path, f"{names[0]} has shape {depth.shape}, depth is (N, H, W)", code="archive_bad"
        )
    count = shape[0]
    E = _checked(path, names[1], E, ((count, 3, 4), (count, 4, 4)))
    cam_from_world = np.tile(np.eye(4), (count, 1, 1))
    cam_from_world[:, :3] = E[:, :3]
    return _Arrays(
        shape=(count, shape[1], shape[2]),
        world_from_cam=invert_pose(cam_from_world),
        K=_checked(path, names[2], K, ((count, 3, 3),)),
        depth=names[0],
        image=image,
        metric=bool(stated.size == 1 and stated.reshape(-1)[0]),
    )


def _pictures(path: Path, entry: Path, count: int) -> list[Path]:
    """The pictures of a folder beside an archive that holds none, one for each of its rows."""
    for folder in (entry / name for name in _PICTURE_FOLDERS):
        if entry.is_dir() and folder.is_dir():
            names = [n for n in list_names(folder) if n.lower().endswith(_PICTURE_SUFFIXES)]
            if len(names) == count:
                return [folder / name for name in sorted(names, key=natural_order)]
    raise SceneFormatError(
        path, "holds no pictures", f"put the {count} that it was made from into images/",
        code="image_missing",
    )  # fmt: skip


def _frame_files(path: Path, entry: Path, arrays: _Arrays, stride: int) -> Iterator[FrameFiles]:
    count, height, width = arrays.shape
    pictures = _pictures(path, entry, count) if arrays.image is None else None
    for index in range(0, count, stride):
        yield FrameFiles(
            index=index,
            name=f"{index:05d}",
            color=path if pictures is None else pictures[index],
            depth=path,
            world_from_cam=arrays.world_from_cam[index],
            intrinsics=Intrinsics(arrays.K[index], (width, height)),
            color_part="" if pictures is not None else f"{arrays.image}/{index}",
            depth_part=f"{arrays.depth}/{index}",
            color_size=None if pictures is not None else (width, height),
            depth_size=(width, height),
        )


class PredictedSource(FolderSource):
    """Scenes whose geometry a network predicted."""

    __slots__ = ()
    kind: ClassVar[str] = "predicted"

    def open(self, scene_id: str) -> Scene:
        """Open one archive: its cameras, and the shapes of its maps and pictures.

        Raises:
            SceneFormatError: No such archive, arrays of other shapes, no pictures, or no usable
                frame.
        """
        entry = self.folder(scene_id)
        path = _archive(entry)
        if path is None:
            raise SceneFormatError(
                entry, "holds no depth, extrinsics and intrinsics", code="file_missing"
            )
        arrays = _read(path)
        files = _frame_files(path, entry, arrays, self.options.stride or 1)
        built = build_frames(files, self.root.resolve(), entry)
        if built.color is None:
            raise SceneFormatError(path, count_reasons(built.frames), code="intrinsic")
        return self.registered_scene(
            scene_id, built, built.color, depth_scale=1.0, inputs=[path], metric=arrays.metric,
            notes=("geometry_predicted",),
        )  # fmt: skip
