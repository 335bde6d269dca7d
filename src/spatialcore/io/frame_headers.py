# SPDX-License-Identifier: Apache-2.0
"""Where the parts of a frame lie, what the headers of its files say, and lists of such frames."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spatialcore.errors import SceneFormatError
from spatialcore.io.crowds import Watch, check_frame_count
from spatialcore.io.depth_maps import depth_map_size
from spatialcore.io.images import image_size
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.upright import turned_uri
from spatialcore.types import Float64

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class FrameFiles:
    """Where one frame's parts lie, None for a part that is not there.

    Attributes:
        index: Frame index of the scene's table.
        name: File stem.
        color: Colour image.
        depth: Depth map, in any encoding of `depth_maps`.
        world_from_cam: (4, 4), or None.
        fault: Reason code that the layout's reader found already, or "".
        time: Seconds, or None.
        intrinsics: Of the colour image, where the layout gives them frame by frame.
        depth_intrinsics: Likewise of the depth map; None where depth is registered to colour.
        color_part: What of the colour file, as in a uri: "frame=3" of a video.
        depth_part: Likewise of the depth file.
        color_size: (width, height) where the reader knows it already; None: the header says it.
        depth_size: Likewise of the depth map.
        rotate: Clockwise degrees that turn picture and map upright, from gravity; K and pose are as
            stored. None: the picture's EXIF orientation counts.
    """

    index: int
    name: str
    color: Path | None
    depth: Path | None
    world_from_cam: Float64 | None
    fault: str = ""
    time: float | None = None
    intrinsics: Intrinsics | None = None
    depth_intrinsics: Intrinsics | None = None
    color_part: str = ""
    depth_part: str = ""
    color_size: Size | None = None
    depth_size: Size | None = None
    rotate: int | None = None


def file_uri(path: Path, root: Path, part: str = "", rotate: int = 0) -> str:
    """The uri of a file, or of a part of it, below the root of a source.

    Raises:
        ValueError: It does not lie below the root.
    """
    name, above = str(path), str(root)
    above += "" if above.endswith(os.sep) else os.sep
    if not name.startswith(above):
        raise ValueError(f"{path} does not lie below {root}")
    name = name[len(above) :].replace(os.sep, "/")  # a third of what `Path.relative_to` takes
    return turned_uri(f"{name}#{part}" if part else name, rotate)


class Headers:
    """Sizes that the headers of a scene's files tell. Each file is opened once.

    Files are told apart by their text: that of a path is kept by it, its hash is not.
    """

    __slots__ = ("_colors", "_depths")

    def __init__(self) -> None:
        self._colors: dict[str, tuple[Size | None, str]] = {}
        self._depths: dict[tuple[str, str], tuple[Size | None, str]] = {}

    def color(self, part: FrameFiles) -> tuple[Size | None, str]:
        """(width, height) of the picture, or None and the reason code."""
        if part.color is None:
            return None, "image_missing"
        if part.color_size is not None:
            return part.color_size, ""
        name = str(part.color)
        if name not in self._colors:
            self._colors[name] = _color_size(part.color, name)
        return self._colors[name]

    def depth(self, part: FrameFiles) -> tuple[Size | None, str]:
        """(width, height) of the map, or None and the reason code."""
        if part.depth is None:
            return None, "depth_missing"
        if part.depth_size is not None:
            return part.depth_size, ""
        key = str(part.depth), part.depth_part
        if key not in self._depths:
            self._depths[key] = _depth_size(part.depth, part.depth_part)
        return self._depths[key]

    def damage(self, part: FrameFiles) -> str:
        """The reason code of a frame's files, "" where those that are named have sound headers."""
        return self.color(part)[1] or ("" if part.depth is None else self.depth(part)[1])


def _there(path: Path | str) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - a name may be too long for a file


def _color_size(path: Path, name: str) -> tuple[Size | None, str]:
    if not _there(name):  # said without an error, whose making takes longer
        return None, "image_missing"
    try:
        return image_size(path), ""
    except SceneFormatError:
        return None, "image_bad"


def _depth_size(path: Path, part: str) -> tuple[Size | None, str]:
    if not _there(path):
        return None, "depth_missing"
    try:
        folder = path.parent
        return depth_map_size(folder, file_uri(path, folder, part)), ""
    except SceneFormatError as error:
        if error.code == "extra":
            raise  # a library that is not installed concerns every frame
        return None, "depth_bad" if _there(path) else "depth_missing"


class FrameList(list[FrameFiles]):
    """The frames of a scene, with what is known of their files."""

    __slots__ = ("headers",)

    def __init__(self) -> None:
        super().__init__()
        self.headers = Headers()


def listed(files: Iterable[FrameFiles], path: Path) -> FrameList:
    """The frames of a scene, of which a crowd is looked into while it is listed.

    Raises:
        SceneFormatError: More frames than one recording has (code "too_many_frames"), or thousands
            of which most are damaged (code "frames_damaged").
    """
    if isinstance(files, FrameList):
        return files
    watch, found = Watch(path), FrameList()
    for part in files:
        found.append(part)
        check_frame_count(len(found), path)
        watch.see(part.fault, partial(found.headers.damage, part))
    return found
