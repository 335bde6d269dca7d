# SPDX-License-Identifier: Apache-2.0
"""Labels that a person adds to any posed folder: `objects.json`, and masks in `instance/`.

`instance/` holds one PNG a frame (8 or 16 bits, grey or with a palette) of the colour image's size;
a pixel is the number of its object, 0 none. `objects.json` names the numbers and may give boxes, in
the world of the poses: {"objects": [{"instance": 1, "name": "chair", "box": {"center": [x, y, z],
"size": [a, b, c], "rotation": [nine numbers, world_from_box row by row]}}]}. See docs/labels.md.
"""

from __future__ import annotations

import functools
import io
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from spatialcore.box import OrientedBox
from spatialcore.errors import SceneFormatError
from spatialcore.io.categories import named_objects
from spatialcore.io.depth_maps import MAX_FILE_BYTES
from spatialcore.io.depth_png import MAX_PIXELS, decode_depth_png
from spatialcore.io.paths import read_bytes, read_typed
from spatialcore.io.refusals import present
from spatialcore.io.upright import split_rotation, turned_map
from spatialcore.types import Cloud, Frame, Object3D

OBJECTS, MASKS = "objects.json", "instance"
_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3

ReadInstance = Callable[[Frame], NDArray[np.int32]]
Numbers = tuple[float, float, float]
Nine = tuple[float, float, float, float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class ListedBox:
    """A box of `objects.json`; without a rotation it lies along the axes of the world."""

    center: Numbers
    size: Numbers
    rotation: Nine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class NamedObject:
    """An object by its number in the masks, its category, and its box where it has one."""

    instance: Annotated[int, Meta(gt=0, lt=1 << 16)]
    name: str
    box: ListedBox | None = None


@dataclass(frozen=True, slots=True)
class ObjectList:
    """`objects.json`; keys beside these are the collection's own."""

    objects: tuple[NamedObject, ...]


@dataclass(frozen=True, slots=True)
class Labels:
    """What a folder says of its objects.

    Attributes:
        objects: By number.
        read_instance: frame -> (h, w) int32 ids on the colour grid, -1 none; None without masks.
        inputs: The files.
        notes: "instance_missing=n" counts usable frames without a mask.
        read_cloud: Vertices of a mesh with their objects, or None.
    """

    objects: tuple[Object3D, ...] = ()
    read_instance: ReadInstance | None = None
    inputs: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    read_cloud: Callable[[], Cloud] | None = None


def read_labels(folders: Sequence[Path], frames: Sequence[Frame], size: tuple[int, int]) -> Labels:
    """The labels of a scene.

    Args:
        folders: Where `objects.json` and `instance/` are looked for; the first that has one counts.
        frames: Of the scene.
        size: (width, height) of the images of frames without a camera of their own.

    Raises:
        SceneFormatError: `objects.json` is malformed; code "objects_bad".
    """
    listed = next((f / OBJECTS for f in folders if present(f / OBJECTS)), None)
    objects, notes = ((), ()) if listed is None else _read_objects(listed)
    inputs = () if listed is None else (listed,)
    masks = next((f / MASKS for f in folders if (f / MASKS).is_dir()), None)
    if masks is None:
        return Labels(objects, None, inputs, notes)
    paths = _mask_files(masks, frames)
    missing = sum(frame.valid and frame.index not in paths for frame in frames)
    notes += (f"instance_missing={missing}",) if missing else ()
    read = functools.partial(_read_instance, masks, paths, size)
    return Labels(objects, read, (*inputs, *paths.values()), notes)


def _read_objects(path: Path) -> tuple[tuple[Object3D, ...], tuple[str, ...]]:
    names: dict[int, str] = {}
    boxes: dict[int, OrientedBox] = {}
    for k, row in enumerate(read_typed(ObjectList, path, "objects_bad", foreign=True).objects):
        at = f"$.objects[{k}]"
        if row.instance in names:
            what = f"{at}: names instance {row.instance} twice"
            raise SceneFormatError(path, what, code="objects_bad")
        names[row.instance] = row.name
        if row.box is not None:
            boxes[row.instance] = _box(row.box, path, f"{at}.box")
    objects, notes = named_objects(names)
    return tuple(replace(o, box=boxes.get(o.object_id)) for o in objects), notes


def _box(row: ListedBox, path: Path, at: str) -> OrientedBox:
    try:
        turn = np.array(row.rotation).reshape(3, 3)
        return OrientedBox(np.array(row.center), np.array(row.size), turn)
    except ValueError as error:
        raise SceneFormatError(path, f"{at}: {error}", code="objects_bad") from error


def _mask_files(masks: Path, frames: Sequence[Frame]) -> dict[int, Path]:
    """Frame index -> its mask, of the frames that have one."""
    counts = Counter(frame.name for frame in frames)
    found = {}
    for frame in frames:
        names = _mask_names(frame, alone=counts[frame.name] == 1)
        path = next((masks / name for name in names if (masks / name).is_file()), None)
        if path is not None:
            found[frame.index] = path
    return found


def _mask_names(frame: Frame, *, alone: bool) -> Iterator[str]:
    """Names that a mask may have: the image's, with or without its folders.

    Args:
        frame: The frame.
        alone: Whether no other frame has its name, so that the name says which frame is meant.
    """
    path, _, part = (frame.image or "").partition("#")
    # All frames of a video have one path: there the name of the frame alone tells.
    parts = () if not path or part.startswith("frame=") else PurePosixPath(path).parts
    for first in range(len(parts) if alone else len(parts) - 1):
        tail = PurePosixPath(*parts[first:])
        yield tail.with_suffix(".png").as_posix()
        yield f"{tail}.png"
    if alone:
        yield f"{frame.name}.png"


def _read_instance(
    masks: Path, paths: Mapping[int, Path], size: tuple[int, int], frame: Frame
) -> NDArray[np.int32]:
    path = paths.get(frame.index)
    if path is None:
        raise SceneFormatError(masks, f"has no mask of frame {frame.name}", code="file_missing")
    ids = read_mask(path)
    width, height = size if frame.color is None else frame.color.size
    turn = split_rotation(frame.image or "")[1]
    if turn % 180 and ids.shape == (width, height) != (height, width):
        ids = turned_map(ids, turn)  # drawn on the picture as it is stored
    if ids.shape != (height, width):
        what = f"has shape {ids.shape}, the colour image {(height, width)}"
        raise SceneFormatError(path, what, code="instance_bad")
    ids[ids == 0] = -1
    return ids


def read_mask(path: Path) -> NDArray[np.int32]:
    """The numbers of a mask, (h, w) int32: grey values or entries of the palette.

    Raises:
        SceneFormatError: No PNG, of colours, too large or damaged; code "instance_bad".
    """
    return decode_mask(read_bytes(path, MAX_FILE_BYTES), path)


def decode_mask(png: bytes, path: Path) -> NDArray[np.int32]:
    """The numbers of a mask in memory, as `read_mask`; `path` is named in errors."""
    if len(png) < 33 or png[:8] != _PNG or png[12:16] != b"IHDR":
        raise SceneFormatError(path, "is not a PNG image", code="instance_bad")
    width, height, bits, colours = struct.unpack(">IIBB", png[16:26])
    try:
        if bits == 16 and colours == _GREY:
            return decode_depth_png(png, path).astype(np.int32)
    except SceneFormatError as error:
        raise SceneFormatError(path, error.what, code="instance_bad") from error
    if bits != 8 or colours not in (_GREY, _PALETTE):
        raise SceneFormatError(
            path, f"has {bits} bits and colour type {colours}",
            "a mask is a grey or palette PNG whose values are the numbers of objects",
            code="instance_bad",
        )  # fmt: skip
    if not 0 < width * height <= MAX_PIXELS:
        raise SceneFormatError(path, f"declares {width}x{height} pixels", code="instance_bad")
    return _with_pillow(png, path)


def _with_pillow(png: bytes, path: Path) -> NDArray[np.int32]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            return np.array(image, dtype=np.int32)
    except Exception as error:  # Pillow's plugins raise many kinds on damage
        raise SceneFormatError(path, "cannot be decoded", code="instance_bad") from error
