# SPDX-License-Identifier: Apache-2.0
"""The ScanNet `.sens` container, version 4: random access to frames without any export.

Little-endian. Header: u32 version; u64 name length, name; four 4x4 f32 matrices (colour
intrinsic, colour extrinsic, depth intrinsic, depth extrinsic); i32 colour and depth compression;
u32 colour width, height, depth width, height; f32 depth shift; u64 frame count. Each frame: 16
f32 world_from_cam; u64 colour time, depth time, colour bytes, depth bytes; the two payloads.
Inertial records follow: u64 count, then 128 bytes each. They are not read.
"""

from __future__ import annotations

import functools
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spatialcore import _cpu
from spatialcore.errors import SceneFormatError
from spatialcore.io.depth_png import MAX_PIXELS as MAX_DEPTH_PIXELS
from spatialcore.io.images import MAX_FILE_BYTES, MAX_PIXELS
from spatialcore.io.paths import file_size, fragment_number, resolve_inside, split_uri
from spatialcore.io.upright import stored_depth
from spatialcore.types import Float64, Frame

MAX_FRAMES = 1 << 20
_FRAME_BYTES = 96
_INERTIAL_BYTES = 128
_NAME_BYTES = 4096
_JPEG, _PNG = 2, 1
_RAW_DEPTH, _ZLIB_DEPTH = 0, 1
_MAGIC = {_JPEG: b"\xff\xd8", _PNG: b"\x89P"}
_SIZES = struct.Struct("<iiIIIIfQ")
_COUNTS = struct.Struct("<QQQQ")


@dataclass(frozen=True, slots=True, eq=False)
class SensHeader:
    """Calibration and sizes of a `.sens`; matrices (4, 4) float64, shift units per metre."""

    color_intrinsic: Float64
    depth_intrinsic: Float64
    color_compression: int
    depth_compression: int
    color_size: tuple[int, int]
    depth_size: tuple[int, int]
    depth_shift: float
    declared_frame_count: int
    length: int


def _read_at(descriptor: int, offset: int, count: int) -> bytes:
    return os.pread(descriptor, count, offset)


def _matrix(raw: bytes, index: int) -> Float64:
    stored = np.frombuffer(raw, "<f4", 16, 64 * index)
    with np.errstate(invalid="ignore"):  # of NaNs that signal
        return stored.astype(np.float64).reshape(4, 4)


def _parse_header(descriptor: int, size: int, path: Path) -> SensHeader:
    head = _read_at(descriptor, 0, 12 + _NAME_BYTES + 256 + _SIZES.size)
    if len(head) < 12 or head[:4] != b"\x04\0\0\0":
        raise SceneFormatError(path, "is not a .sens file of version 4", code="sens_bad")
    name_length = int.from_bytes(head[4:12], "little")
    start = 12 + name_length
    if name_length > _NAME_BYTES or start + 256 + _SIZES.size > min(size, len(head)):
        raise SceneFormatError(path, "ends within its header", code="sens_bad")
    matrices = head[start : start + 256]
    color, depth, cw, ch, dw, dh, shift, count = _SIZES.unpack_from(head, start + 256)
    if color not in _MAGIC or depth not in (_RAW_DEPTH, _ZLIB_DEPTH):
        raise SceneFormatError(
            path,
            f"uses colour compression {color} and depth compression {depth}",
            "jpeg or png colour and zlib or raw 16-bit depth are read",
            code="sens_bad",
        )
    if not (0 < cw * ch <= MAX_PIXELS and 0 < dw * dh <= MAX_DEPTH_PIXELS):
        raise SceneFormatError(
            path, f"declares images of {cw}x{ch} and depth of {dw}x{dh}", code="sens_bad"
        )
    if not (np.isfinite(shift) and 1e-3 <= shift <= 1e9):
        raise SceneFormatError(path, f"declares a depth shift of {shift}", code="sens_bad")
    length = start + 256 + _SIZES.size
    return SensHeader(
        _matrix(matrices, 0),
        _matrix(matrices, 2),
        color,
        depth,
        (cw, ch),
        (dw, dh),
        float(shift),
        count,
        length,
    )


@dataclass(frozen=True, slots=True)
class _Record:
    """One frame's place in the file: pose bytes, colour time and where the payloads lie."""

    world_from_cam: bytes
    time: int
    color_offset: int
    color_bytes: int
    depth_bytes: int
    pictured: bool  # the colour payload begins as an image does


def _is_inertial_tail(descriptor: int, offset: int, size: int) -> bool:
    """Whether exactly the inertial records, or nothing, follow `offset`."""
    rest = size - offset
    if rest == 0:
        return True
    raw = _read_at(descriptor, offset, 8)
    return len(raw) == 8 and rest == 8 + _INERTIAL_BYTES * int.from_bytes(raw, "little")


def _read_record(descriptor: int, offset: int, size: int, magic: bytes) -> _Record | None:
    """The frame at `offset`, or None when the bytes there cannot be a frame."""
    raw = _read_at(descriptor, offset, _FRAME_BYTES + 2)
    if len(raw) < _FRAME_BYTES:
        return None
    time, _, color_bytes, depth_bytes = _COUNTS.unpack_from(raw, 64)
    if color_bytes + depth_bytes > size - offset - _FRAME_BYTES:
        return None
    pictured = color_bytes >= 2 and raw[_FRAME_BYTES:] == magic
    return _Record(raw[:64], time, offset + _FRAME_BYTES, color_bytes, depth_bytes, pictured)


def _index(descriptor: int, header: SensHeader, size: int, path: Path) -> tuple[_Record, ...]:
    """Walk the frames by seeking; where the walk ends is decided by bytes, not by the count."""
    records: list[_Record] = []
    offset = header.length
    while True:
        past = len(records) >= header.declared_frame_count
        record = _read_record(descriptor, offset, size, _MAGIC[header.color_compression])
        # Inertial records of zeros look like frames without payloads; past the declared count
        # only a frame with a picture is believed.
        doubtful = past or record is None or not record.pictured
        if doubtful and _is_inertial_tail(descriptor, offset, size):
            break
        if record is None or (past and not record.pictured):
            break
        records.append(record)
        if len(records) > MAX_FRAMES:
            raise SceneFormatError(path, f"holds more than {MAX_FRAMES} frames", code="sens_bad")
        offset = record.color_offset + record.color_bytes + record.depth_bytes
    return tuple(records)


@dataclass(frozen=True, slots=True, eq=False)
class SensFile:
    """An indexed `.sens`. Holds no open file, so that it may be shared and kept.

    Attributes:
        path: The file.
        header: Calibration and sizes.
        records: Place of every frame that is there, in file order.
    """

    path: Path
    header: SensHeader
    records: tuple[_Record, ...]

    def __len__(self) -> int:
        return len(self.records)

    def world_from_cam(self, frame: int) -> Float64:
        """(4, 4) float64 as stored; entries of a lost frame are -inf."""
        return _matrix(self._record(frame).world_from_cam, 0)

    def time(self, frame: int) -> float:
        """Seconds of the colour image's clock, stored in microseconds."""
        return self._record(frame).time / 1e6

    def payload_sizes(self, frame: int) -> tuple[int, int]:
        """(colour bytes, depth bytes) of a frame."""
        record = self._record(frame)
        return record.color_bytes, record.depth_bytes

    def image_bytes(self, frame: int, limit: int = MAX_FILE_BYTES) -> bytes:
        """The colour payload as stored, or its first `limit` bytes.

        Raises:
            SceneFormatError: No such frame, or the payload is larger than 256 MiB.
        """
        record = self._record(frame)
        if record.color_bytes > MAX_FILE_BYTES:
            raise SceneFormatError(
                self.path, f"frame {frame} declares {record.color_bytes} bytes", code="sens_bad"
            )
        return self._read(record.color_offset, min(record.color_bytes, limit), frame)

    def image_end(self, frame: int, count: int) -> bytes:
        """The last `count` bytes of the colour payload; all of a shorter one."""
        record = self._record(frame)
        count = min(count, record.color_bytes)
        return self._read(record.color_offset + record.color_bytes - count, count, frame)

    def depth(self, frame: int) -> NDArray[np.uint16]:
        """(h, w) uint16 as stored, 0 = no reading.

        Raises:
            SceneFormatError: No such frame, or its payload is not exactly one depth image; code
                "depth_missing" or "depth_bad".
        """
        record = self._record(frame)
        width, height = self.header.depth_size
        need = 2 * width * height
        if record.depth_bytes == 0:
            raise SceneFormatError(self.path, f"frame {frame} has no depth", code="depth_missing")
        # Deflate adds at most a few bytes per 16 KB block to what it cannot shrink.
        if record.depth_bytes > need + need // 1000 + 64:
            raise self._bad_depth(frame, f"declares {record.depth_bytes} bytes")
        raw = self._read(record.color_offset + record.color_bytes, record.depth_bytes, frame)
        if self.header.depth_compression == _ZLIB_DEPTH:
            pixels = self._inflate(raw, need, frame)
        elif len(raw) == need:
            pixels = np.frombuffer(raw, np.uint8)
        else:
            raise self._bad_depth(frame, f"holds {len(raw)} bytes, expected {need}")
        return pixels.view("<u2").astype(np.uint16, copy=False).reshape(height, width)

    def _inflate(self, raw: bytes, need: int, frame: int) -> NDArray[np.uint8]:
        # Deflate cannot exceed 1032:1, so nothing large is allocated for a small payload.
        if need > 1032 * len(raw):
            raise self._bad_depth(frame, f"holds {len(raw)} bytes, too few for an image")
        try:
            return _cpu.inflate(raw, need)
        except ValueError as error:
            raise self._bad_depth(frame, f"cannot be inflated: {error}") from error

    def _bad_depth(self, frame: int, what: str) -> SceneFormatError:
        return SceneFormatError(self.path, f"depth of frame {frame} {what}", code="depth_bad")

    def _record(self, frame: int) -> _Record:
        if not 0 <= frame < len(self.records):
            raise SceneFormatError(
                self.path,
                f"has {len(self.records)} frames, number {frame} was asked for",
                code="sens_bad",
            )
        return self.records[frame]

    def _read(self, offset: int, count: int, frame: int) -> bytes:
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                raw = _read_at(descriptor, offset, count)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise SceneFormatError(
                self.path, f"cannot be read: {error}", code="unreadable"
            ) from error
        if len(raw) != count:
            raise SceneFormatError(self.path, f"ends within frame {frame}", code="sens_bad")
        return raw


@functools.lru_cache(maxsize=4)
def _cached(path: Path, _mtime_ns: int, size: int) -> SensFile:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise SceneFormatError(path, f"cannot be read: {error}", code="unreadable") from error
    try:
        header = _parse_header(descriptor, size, path)
        return SensFile(path, header, _index(descriptor, header, size, path))
    finally:
        os.close(descriptor)


def open_sens(path: Path) -> SensFile:
    """Index a `.sens` by seeking from frame to frame; the last four files stay indexed.

    Raises:
        SceneFormatError: Not version 4, a compression that is not read, or sizes out of range.
    """
    size = file_size(path)
    return _cached(path, path.stat().st_mtime_ns, size)


def read_sens_depth(root: Path, frame: Frame) -> NDArray[np.uint16]:
    """The (h, w) depth of a frame whose uri is `<file>.sens#frame=N`; 0 = no reading.

    Raises:
        SceneFormatError: It has none, or it cannot be read.
    """
    uri, _ = stored_depth(root, frame)
    path = resolve_inside(root, split_uri(uri)[0])
    return open_sens(path).depth(fragment_number(uri, "frame="))
