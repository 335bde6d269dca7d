# SPDX-License-Identifier: Apache-2.0
"""Depth maps by uri, in every encoding that captures come in, decoded under caps.

A uri is relative to the root of its source. A map is a file of its own or a part of one:

| uri | holds |
|---|---|
| `a.png` | 16-bit greyscale PNG |
| `a.pgm`, `a.tif` | 16-bit greyscale PGM (either byte order) or TIFF; TIFF also float32 |
| `a.npy` | (h, w) or (h, w, 1) of a float or unsigned integer type |
| `a.npz#depth`, `a.npz#depth/17` | a member of that shape, or row 17 of a member (N, h, w) |
| `a.exr` | the channel Z, or else the only one, or else the first of Y, R, V; half or float |
| `a.hdf5#depth` | a data set of that shape; the name may be left out where there is one only |
| `a.bin` | COLMAP's dense array: `w&h&1&`, then float32 |
| `a.zip#00017.exr`, `a.tar#7/depth.png` | any of the single files above as a member |

`read_depth_map` gives a map as stored: uint16, or float32 (half and double are converted).
`read_depth` is what frames of most layouts are read by: upright, and without what says "no
reading". What a unit means and whether it is z or range are the reader's matter.
"""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.archives import member_bytes
from spatialcore.io.depth_png import MAX_PIXELS, decode_depth_png, depth_png_size
from spatialcore.io.hdf5 import hdf5_numbers, hdf5_shape
from spatialcore.io.npz import Npz, array_from_npy, parse_npy_header
from spatialcore.io.paths import file_size, read_bytes, resolve_inside, split_uri
from spatialcore.io.tars import tar_member_bytes
from spatialcore.io.upright import stored_depth, turned_map
from spatialcore.types import Frame

MAX_FILE_BYTES = 256 << 20
# The largest code of 16 bits, as 7-Scenes, Matterport3D and saturated sensors write it.
NO_READING = 65535
_HEAD_BYTES = 4096
_EXR_CHANNELS = ("Z", "Y", "R", "V")
# The library prints warnings of damage where `check --json` prints its answer. One at a time: what
# is redirected belongs to the process; while maps are decoded nothing else prints.
_EXR_LOCK = threading.Lock()

T = TypeVar("T")
Size = tuple[int, int]
DepthMap = NDArray[Any]


def _bad(path: Path, what: str, hint: str = "") -> SceneFormatError:
    return SceneFormatError(path, what, hint, code="depth_bad")


def _checked_size(width: int, height: int, path: Path) -> Size:
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise _bad(path, f"declares {width}x{height} pixels, at most {MAX_PIXELS} are allowed")
    return width, height


def as_depth_map(stored: NDArray[Any], path: Path) -> DepthMap:
    """A stored array as (h, w) uint16 or float32, C-contiguous and writable.

    Raises:
        SceneFormatError: Another rank or type, or integers that uint16 cannot hold.
    """
    if stored.ndim == 3 and stored.shape[2] == 1:
        stored = stored[:, :, 0]
    if stored.ndim != 2:
        raise _bad(path, f"holds an array of shape {stored.shape}, a depth map is (h, w)")
    _checked_size(stored.shape[1], stored.shape[0], path)
    if stored.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            return np.array(stored, dtype=np.float32, order="C")
    if stored.dtype.kind not in "ui":
        raise _bad(path, f"holds {stored.dtype}, a depth map is of floats or unsigned integers")
    if stored.dtype.itemsize > 2 or stored.dtype.kind == "i":
        low, high = int(stored.min()), int(stored.max())
        if low < 0 or high > 65535:
            raise _bad(path, f"holds integers from {low} to {high}, depth is 0 to 65535")
    return np.array(stored, dtype=np.uint16, order="C")


def _shape_size(shape: tuple[int, ...], path: Path) -> Size:
    if len(shape) == 3 and shape[2] == 1:
        shape = shape[:2]
    if len(shape) != 2:
        raise _bad(path, f"holds an array of shape {shape}, a depth map is (h, w)")
    return _checked_size(shape[1], shape[0], path)


def _npy_size(head: bytes, path: Path) -> Size:
    return _shape_size(parse_npy_header(head[:_HEAD_BYTES], path).shape, path)


def _decode_npy(stored: bytes, path: Path) -> DepthMap:
    return as_depth_map(array_from_npy(stored, path), path)


def _open_pillow(stored: bytes, path: Path) -> Any:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a declared size beyond Pillow's own cap
            opened = Image.open(io.BytesIO(stored), formats=("TIFF", "PPM"))
    except Exception as error:  # Pillow's plugins raise many kinds on damage
        raise _bad(path, "is not a TIFF or PGM image") from error
    _checked_size(*opened.size, path)
    if opened.mode not in ("I;16", "I;16B", "I;16L", "I", "F"):
        opened.close()
        raise _bad(path, f"has pixels of mode {opened.mode}", "depth has 16 bits or float32")
    return opened


def _pillow_size(stored: bytes, path: Path) -> Size:
    with _open_pillow(stored, path) as opened:
        return opened.size[0], opened.size[1]


def _decode_pillow(stored: bytes, path: Path) -> DepthMap:
    with _open_pillow(stored, path) as opened:
        try:
            opened.load()
            return as_depth_map(np.asarray(opened), path)
        except SceneFormatError:
            raise
        except Exception as error:  # as above
            raise _bad(path, "cannot be decoded as TIFF or PGM") from error


def _with_exr(stored: bytes, path: Path, take: Callable[[Any], T], *, header_only: bool) -> T:
    """`take` of an EXR file; whatever the library raises on damage becomes a typed error."""
    try:
        import OpenEXR
    except ImportError as error:
        raise SceneFormatError(
            path, "is an EXR image", "reading it needs OpenEXR: pip install '.[captures]'", "extra"
        ) from error
    try:
        with _EXR_LOCK, contextlib.redirect_stdout(io.StringIO()):
            file = OpenEXR.File(
                io.BytesIO(stored), separate_channels=True, header_only=header_only, num_threads=1
            )
        return take(file)
    except SceneFormatError:
        raise
    except Exception as error:  # RuntimeError, ValueError, KeyError, TypeError
        raise _bad(path, "is not a readable EXR image") from error


def _exr_size(stored: bytes, path: Path) -> Size:
    def window(file: Any) -> Size:
        low, high = file.header()["dataWindow"]
        width, height = (int(high[k]) - int(low[k]) + 1 for k in (0, 1))
        return _checked_size(width, height, path)

    return _with_exr(stored, path, window, header_only=True)


def _decode_exr(stored: bytes, path: Path) -> DepthMap:
    def pixels(file: Any) -> DepthMap:
        channels = file.channels()
        names = list(channels)
        named = next((name for name in _EXR_CHANNELS if name in channels), None)
        if named is None and len(names) != 1:
            raise _bad(path, f"has channels {', '.join(names)[:80]}", "depth is the channel Z")
        return as_depth_map(np.asarray(channels[named or names[0]].pixels), path)

    _exr_size(stored, path)  # before anything is allocated
    return _with_exr(stored, path, pixels, header_only=False)


def _colmap_head(stored: bytes, path: Path) -> tuple[Size, int]:
    """Size of the map and where its numbers begin."""
    parts = stored[:64].split(b"&", 3)
    if len(parts) != 4 or not all(part.isdigit() and len(part) < 8 for part in parts[:3]):
        raise _bad(path, "is no dense array of COLMAP")
    width, height, channels = (int(part) for part in parts[:3])
    if channels != 1:
        raise _bad(path, f"holds {channels} channels, a depth map has one")
    return _checked_size(width, height, path), sum(len(part) + 1 for part in parts[:3])


def _colmap_size(stored: bytes, path: Path) -> Size:
    return _colmap_head(stored, path)[0]


def _decode_colmap(stored: bytes, path: Path) -> DepthMap:
    (width, height), start = _colmap_head(stored, path)
    if len(stored) - start != 4 * width * height:
        raise _bad(path, f"holds {len(stored) - start} bytes for {width}x{height} floats")
    return as_depth_map(np.frombuffer(stored, "<f4", offset=start).reshape(height, width), path)


class _Codec(NamedTuple):
    """How a single file is read: its size from the first `head` bytes (0 = all), and its map."""

    size: Callable[[bytes, Path], Size]
    head: int
    decode: Callable[[bytes, Path], DepthMap]


_TIFF_OR_PGM = _Codec(_pillow_size, 0, _decode_pillow)
_FILES = {
    ".png": _Codec(depth_png_size, 33, decode_depth_png),
    ".npy": _Codec(_npy_size, _HEAD_BYTES, _decode_npy),
    ".pgm": _TIFF_OR_PGM,
    ".tif": _TIFF_OR_PGM,
    ".tiff": _TIFF_OR_PGM,
    ".exr": _Codec(_exr_size, 0, _decode_exr),
    ".bin": _Codec(_colmap_size, 64, _decode_colmap),
}
_PARTS = (".npz", ".zip", ".tar", ".hdf5", ".h5")
DEPTH_SUFFIXES = (*_FILES, *_PARTS)


def _codec(name: str, path: Path) -> _Codec:
    codec = _FILES.get(Path(name).suffix.lower())
    if codec is None:
        known = " ".join(sorted(DEPTH_SUFFIXES))
        raise _bad(path, f"{Path(name).suffix or 'no suffix'!r} is no kind of depth map", known)
    return codec


def depth_map_size(root: Path, uri: str) -> Size:
    """(width, height) of the depth map behind a uri, from its header where there is one.

    Raises:
        SceneFormatError: As `read_depth_map`.
    """
    name, part = split_uri(uri)
    path = resolve_inside(Path(root), name)
    suffix = path.suffix.lower()
    if suffix in (".hdf5", ".h5"):
        return _hdf5_size(path, part)
    if suffix == ".npz":
        return _npz_size(path, part)
    if suffix in _ARCHIVES:
        return _codec(part, path).size(_ARCHIVES[suffix](path, part), path)
    codec = _codec(name, path)
    if not codec.head:
        return codec.size(read_bytes(path, MAX_FILE_BYTES), path)
    file_size(path)
    with path.open("rb", buffering=0) as stream:
        return codec.size(stream.read(codec.head), path)


def read_depth_map(root: Path, uri: str) -> DepthMap:
    """The depth map behind a uri, as stored.

    Args:
        root: Root of the source.
        uri: Any of the forms above.

    Returns:
        (h, w) uint16 or float32, C-contiguous and writable.

    Raises:
        SceneFormatError: The uri leads out of the root; the file is missing, damaged, of another
            kind, or larger than the caps (code "depth_bad"); or the library that reads this kind
            is not installed (code "extra").
    """
    name, part = split_uri(uri)
    path = resolve_inside(Path(root), name)
    suffix = path.suffix.lower()
    if suffix in (".hdf5", ".h5"):
        return _hdf5_map(path, part)
    if suffix == ".npz":
        return _npz_map(path, part)
    if suffix in _ARCHIVES:
        return _codec(part, path).decode(_ARCHIVES[suffix](path, part), path)
    return _codec(name, path).decode(read_bytes(path, MAX_FILE_BYTES), path)


def read_depth(root: Path, frame: Frame) -> DepthMap:
    """The (h, w) uint16 or float32 depth of a frame, upright; 0 or NaN = no reading.

    Raises:
        SceneFormatError: It cannot be read.
    """
    uri, degrees = stored_depth(root, frame)
    depth = read_depth_map(root, uri)
    if degrees:
        depth = turned_map(depth, degrees)
    if depth.dtype == np.uint16:
        depth[depth == NO_READING] = 0
    return depth


def holds_floats(root: Path, frames: Iterable[Frame], read: Callable[[Path, Frame], Any]) -> bool:
    """Whether the first depth map that can be read holds floats."""
    for frame in frames:
        if frame.valid and frame.depth is not None:
            try:
                return bool(read(root, frame).dtype.kind == "f")
            except SceneFormatError:
                continue
    return False


def _npz_part(part: str, path: Path) -> tuple[str, int | None]:
    """Member and row of `depth` or `depth/17`."""
    name, slash, row = part.partition("/")
    if not name or (slash and not (row.isascii() and row.isdigit() and len(row) <= 9)):
        raise _bad(path, f"#{part[:80]} names no array", "write #name or #name/row")
    return name, int(row) if slash else None


@lru_cache(maxsize=2)
def _npz_member(path: Path, stamp: tuple[int, int], name: str) -> NDArray[Any]:
    """A member as an array; the last two stay, since frames ask for rows of one."""
    del stamp
    with Npz(path) as archive:
        return archive.array(name)


def npz_array(path: Path, part: str) -> NDArray[Any]:
    """The array of `name`, or the row of `name/17`; SceneFormatError where there is none."""
    name, row = _npz_part(part, path)
    file_size(path)
    status = path.stat()
    stored = _npz_member(path, (status.st_mtime_ns, status.st_size), name)
    if row is None:
        return stored
    if stored.ndim < 3 or row >= len(stored):
        raise _bad(path, f"{name} has shape {stored.shape} and no map {row}")
    taken: NDArray[Any] = stored[row]
    return taken


def _npz_size(path: Path, part: str) -> Size:
    return _shape_size(npz_array(path, part).shape, path)


def _npz_map(path: Path, part: str) -> DepthMap:
    return as_depth_map(npz_array(path, part), path)


def _zip_member(path: Path, name: str) -> bytes:
    """The bytes of a member of a zip archive, never more than it may hold."""
    return member_bytes(path, name, missing="depth_missing", damaged="depth_bad")


def _tar_member(path: Path, name: str) -> bytes:
    return tar_member_bytes(path, name, missing="depth_missing")


_ARCHIVES = {".zip": _zip_member, ".tar": _tar_member}


def _hdf5_size(path: Path, part: str) -> Size:
    return _shape_size(hdf5_shape(path, part, "depth_bad"), path)


def _hdf5_map(path: Path, part: str) -> DepthMap:
    _hdf5_size(path, part)  # before anything is allocated
    return as_depth_map(hdf5_numbers(path, part, "depth_bad"), path)
