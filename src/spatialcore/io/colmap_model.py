# SPDX-License-Identifier: Apache-2.0
"""The files of a COLMAP model: cameras and posed images, as text or binary.

Counts in binary files come from whoever wrote them: each is held against the bytes that are left
before anything is made of it. Points are not read. Sources: COLMAP's documentation of its output
format (https://colmap.github.io/format.html) and of its camera models (.../cameras.html).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.crowds import check_frame_count
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.names import natural_order
from spatialcore.io.paths import read_bytes, read_text
from spatialcore.io.quaternions import rotation_of_quaternion
from spatialcore.lens import Lens
from spatialcore.types import Float64, invert_pose

PIXEL_CENTRE = 0.5  # of this format; spatialcore's are integers
_FILE_BYTES = 2 << 30
_LONGEST_NAME = 1024


def _bad(path: Path, what: str) -> SceneFormatError:
    return SceneFormatError(path, what, "write the model again with COLMAP", code="model_bad")


class _Model(NamedTuple):
    """Names of a camera model's parameters, in order; "f" stands for both focal lengths."""

    name: str
    parameters: tuple[str, ...]
    lens: str = "opencv"


# By the number that binary files use. Models that no lens of ours describes are known by name.
_MODELS = (
    _Model("SIMPLE_PINHOLE", ("f", "cx", "cy")),
    _Model("PINHOLE", ("fx", "fy", "cx", "cy")),
    _Model("SIMPLE_RADIAL", ("f", "cx", "cy", "k1")),
    _Model("RADIAL", ("f", "cx", "cy", "k1", "k2")),
    _Model("OPENCV", ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2")),
    _Model("OPENCV_FISHEYE", ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"), "fisheye"),
    _Model(
        "FULL_OPENCV",
        ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    ),
    _Model("FOV", ("fx", "fy", "cx", "cy", "omega"), ""),
    _Model("SIMPLE_RADIAL_FISHEYE", ("f", "cx", "cy", "k1"), "fisheye"),
    _Model("RADIAL_FISHEYE", ("f", "cx", "cy", "k1", "k2"), "fisheye"),
    _Model("THIN_PRISM_FISHEYE", tuple("abcdefghijkl"), ""),
)
_BY_NAME = {model.name: model for model in _MODELS}
_ORDER = {
    "opencv": ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "fisheye": ("k1", "k2", "k3", "k4"),
}


@dataclass(frozen=True, slots=True, eq=False)
class PosedImage:
    """One registered image.

    Attributes:
        name: Path below the folder of images.
        world_from_cam: (4, 4).
        intrinsics: Of its camera, or None where its model is not known.
    """

    name: str
    world_from_cam: Float64
    intrinsics: Intrinsics | None


def find_model(folder: Path) -> Path | None:
    """The folder of a model: `sparse/0`, `sparse`, `colmap/sparse/0`, `colmap` or the folder."""
    for place in ("sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse", "colmap", "."):
        if _files(folder / place) is not None:
            return folder / place
    return None


def _files(folder: Path) -> tuple[Path, Path] | None:
    for suffix in (".bin", ".txt"):
        cameras, images = folder / f"cameras{suffix}", folder / f"images{suffix}"
        if cameras.is_file() and images.is_file():
            return cameras, images
    return None


def model_files(folder: Path) -> tuple[Path, Path]:
    """The files of cameras and images of a model's folder; SceneFormatError when absent."""
    found = _files(folder)
    if found is None:
        raise SceneFormatError(
            folder, "holds no COLMAP model", "cameras and images, .bin or .txt", "model_missing"
        )
    return found


def read_model(folder: Path, stride: int = 1) -> list[PosedImage]:
    """Every so many of a model's images, in the natural order of their names.

    Raises:
        SceneFormatError: The model is damaged, or has too many images (code "too_many_frames").
    """
    cameras_path, images_path = model_files(folder)
    if cameras_path.suffix == ".bin":
        cameras, images = _binary_cameras(cameras_path), _binary_images(images_path)
    else:
        cameras, images = _text_cameras(cameras_path), _text_images(images_path)
    check_frame_count(len(range(0, len(images), stride)), images_path)
    images.sort(key=lambda image: natural_order(image[0]))
    kept = images[::stride]
    return [
        PosedImage(name, pose, cameras.get(camera))
        for (name, _, _, camera), pose in zip(kept, _poses(kept), strict=True)
    ]


def _poses(images: Sequence[_Image]) -> Float64:
    """world_from_cam (n, 4, 4)."""
    cam_from_world = np.tile(np.eye(4), (len(images), 1, 1))
    if images:
        cam_from_world[:, :3, :3] = rotation_of_quaternion(np.array([q for _, q, _, _ in images]))
        cam_from_world[:, :3, 3] = [t for _, _, t, _ in images]
    return invert_pose(cam_from_world)


def _intrinsics(
    model: _Model, width: int, height: int, numbers: tuple[float, ...]
) -> Intrinsics | None:
    """The camera of a model's parameters; None for a lens that none of ours describes."""
    named = dict(zip(model.parameters, numbers, strict=True))
    if not model.lens:
        return None
    fx = named.get("fx", named.get("f", math.nan))
    fy = named.get("fy", fx)
    K = np.array([
        [fx, 0.0, named["cx"] - PIXEL_CENTRE], [0.0, fy, named["cy"] - PIXEL_CENTRE], [0, 0, 1.0]
    ])  # fmt: skip
    try:
        lens = Lens(model.lens, tuple(named.get(n, 0.0) for n in _ORDER[model.lens]))  # type: ignore[arg-type]
    except ValueError:
        return None
    return Intrinsics(K, (width, height), lens)


class _Bytes:
    """A binary file read from front to back, never past its end."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.at = path, read_bytes(path, _FILE_BYTES), 0

    def take(self, form: str) -> tuple[float, ...]:
        size = struct.calcsize(form)
        if self.at + size > len(self.data):
            raise _bad(self.path, "ends in the middle of an entry")
        found = struct.unpack_from(form, self.data, self.at)
        self.at += size
        return found

    def count(self, least_bytes: int) -> int:
        (count,) = self.take("<Q")
        if count * least_bytes > len(self.data) - self.at:
            raise _bad(self.path, f"declares {count:.0f} entries, more than it holds")
        return int(count)

    def skip(self, size: int) -> None:
        self.at += size

    def text(self) -> str:
        end = self.data.find(b"\0", self.at, self.at + _LONGEST_NAME)
        if end < 0:
            raise _bad(self.path, f"holds a name of over {_LONGEST_NAME} bytes")
        try:
            name = self.data[self.at : end].decode("utf-8")
        except UnicodeDecodeError as error:
            raise _bad(self.path, "holds a name that is not UTF-8") from error
        self.at = end + 1
        return name


def _size(width: float, height: float, path: Path) -> tuple[int, int]:
    if not (1 <= width <= 1 << 20 and 1 <= height <= 1 << 20):
        raise _bad(path, f"has a camera of {width:.0f}x{height:.0f} pixels")
    return int(width), int(height)


def _binary_cameras(path: Path) -> dict[int, Intrinsics | None]:
    file = _Bytes(path)
    out: dict[int, Intrinsics | None] = {}
    for _ in range(file.count(24 + 8 * 3)):
        number, model, width, height = file.take("<IiQQ")
        if not 0 <= model < len(_MODELS):
            raise SceneFormatError(
                path, f"has a camera of model {model:.0f}", code="camera_model_unknown"
            )
        known = _MODELS[int(model)]
        numbers = file.take(f"<{len(known.parameters)}d")
        out[int(number)] = _intrinsics(known, *_size(width, height, path), numbers)
    return out


_Image = tuple[str, tuple[float, ...], tuple[float, ...], int]


def _binary_images(path: Path) -> list[_Image]:
    file = _Bytes(path)
    out: list[_Image] = []
    for _ in range(file.count(4 + 7 * 8 + 4 + 1 + 8)):
        file.skip(4)
        numbers = file.take("<7d")
        (camera,) = file.take("<I")
        name = file.text()
        file.skip(24 * file.count(24))
        out.append((name, numbers[:4], numbers[4:], int(camera)))
    return out


def _lines(path: Path) -> list[str]:
    text = read_text(path, _FILE_BYTES)
    return [line for line in text.splitlines() if not line.startswith("#")]


def _numbers(words: list[str], path: Path) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in words)
    except ValueError as error:
        raise _bad(path, f"holds a word that is no number: {error}") from error


def _text_cameras(path: Path) -> dict[int, Intrinsics | None]:
    out: dict[int, Intrinsics | None] = {}
    for line in _lines(path):
        words = line.split()
        if not words:
            continue
        model = _BY_NAME.get(words[1]) if len(words) > 4 else None
        if model is None or len(words) != 4 + len(model.parameters):
            raise SceneFormatError(
                path,
                f"holds a camera of no known model: {line[:80]!r}",
                code="camera_model_unknown",
            )
        number, width, height, *parameters = _numbers([words[0], *words[2:]], path)
        size = _size(width, height, path)
        out[_camera_id(number, path)] = _intrinsics(model, *size, tuple(parameters))
    return out


def _camera_id(number: float, path: Path) -> int:
    if not number.is_integer():  # nor are NaN and infinity
        raise _bad(path, f"numbers a camera {number:g}")
    return int(number)


def _text_images(path: Path) -> list[_Image]:
    """Every second line is an image: id, quaternion, translation, camera, name; then its points."""
    out: list[_Image] = []
    lines = _lines(path)
    while lines and not lines[0].strip():
        lines.pop(0)
    for line in lines[::2]:
        words = line.split(maxsplit=9)
        if not words:
            continue
        if len(words) != 10:
            raise _bad(path, f"holds a line that is no image: {line[:80]!r}")
        numbers = _numbers(words[:9], path)
        out.append((words[9], numbers[1:5], numbers[5:8], _camera_id(numbers[8], path)))
    return out
