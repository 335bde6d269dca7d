# SPDX-License-Identifier: Apache-2.0
"""Frames of videos by number, found by seeking; needs PyAV (the extra `video`).

Containers that lie by themselves in one file are read: MP4, Matroska, AVI. What only points to
other files or addresses, as a playlist does, is refused whatever its suffix says.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spatialcore.errors import SceneFormatError
from spatialcore.io.paths import file_size

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 64 << 20
# Four hours at 60 frames a second.
_MAX_FRAMES = 1 << 20
SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm")
# Read without a packet or picture: the table of four hours has 24 MiB. Without a bound a damaged
# file is searched to its end for what may follow, by some demuxers at 8 bytes a step.
_SILENT_BYTES = 32 << 20
_DEMUXERS = "mov,matroska,webm,avi"
# Atoms of MP4 that hold nothing: the library takes a microsecond for each, files have a few.
_EMPTY_BYTES, _MOST_EMPTY, _MOST_ATOMS = 16, 1 << 16, 1 << 18
_NOT_ATOMS = (b"\x1aE\xdf\xa3", b"RIFF")

_COPY = "play it; where it stops, copy it again"
_NOTHING = f"holds no picture in {_SILENT_BYTES >> 20} MiB of its bytes"
_FAULTS = (OSError, LookupError, ValueError, ArithmeticError, AttributeError)

T = TypeVar("T")


def is_video(name: str) -> bool:
    """Whether the suffix of a file name is a video's."""
    return Path(name).suffix.lower() in SUFFIXES


def _bad(path: Path, what: str) -> SceneFormatError:
    return SceneFormatError(path, what, code="image_bad")


def _check_atoms(path: Path) -> None:
    """Refuse an MP4 of very many empty atoms, of which millions fit into what may bring nothing."""
    at = empty = 0
    try:
        with path.open("rb") as stream:
            if stream.read(4) in _NOT_ATOMS:
                return
            for _ in range(_MOST_ATOMS):
                stream.seek(at)
                length = int.from_bytes(stream.read(4), "big")
                if length < 8:  # the end, or one whose length is told otherwise
                    return
                at += length
                empty += length <= _EMPTY_BYTES
                if empty > _MOST_EMPTY:
                    raise _bad(path, f"holds more than {_MOST_EMPTY:,} empty atoms")
    except OSError as error:
        raise _bad(path, "cannot be read") from error


class _Stream(io.FileIO):
    """A file that ends where so many bytes have brought nothing.

    The library prints what is raised while it reads; that the file ended too early is told behind.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self._left = _SILENT_BYTES

    @property
    def silent(self) -> bool:
        """Whether it ended so."""
        return self._left < 0

    def read(self, count: int | None = -1, /) -> bytes:
        content = b"" if self.silent else super().read(count)
        self._left -= len(content)
        return content

    def heard(self) -> None:
        """A packet or picture came of what was read."""
        if not self.silent:
            self._left = _SILENT_BYTES


def _with_video(path: Path, take: Callable[[Any, Any, Callable[[], None]], T]) -> T:
    """`take(container, stream, heard)` of the first video stream; its faults become typed errors.

    `heard` is to be called for every packet or picture: between two the bytes are counted.
    """
    try:
        import av
    except ImportError as error:
        raise SceneFormatError(
            path, "video frames need PyAV", "pip install 'spatialcore-mllm[video]'", code="extra"
        ) from error
    file_size(path)
    options = {"format_whitelist": _DEMUXERS}
    try:
        file = _Stream(path)
    except OSError as error:
        raise _bad(path, "cannot be read") from error
    try:
        with file, av.open(file, options=options, metadata_errors="replace") as container:
            stream = container.streams.video[0]
            if file.silent:
                raise _bad(path, _NOTHING)
            if not 0 < stream.width * stream.height <= MAX_PIXELS:
                raise _bad(path, f"holds frames of {stream.width}x{stream.height} pixels")
            taken = take(container, stream, file.heard)
            if file.silent:
                raise _bad(path, _NOTHING)
            return taken
    except (*_FAULTS, av.FFmpegError) as error:
        # AttributeError: a stream without a decoder has neither width nor height
        if file.silent:
            raise _bad(path, _NOTHING) from error
        why = getattr(error, "strerror", None) or str(error)  # the other names the file again
        what = f"cannot be decoded: {why[:120]}"
        raise SceneFormatError(path, what, _COPY, "image_bad") from error


def _stamp(path: Path) -> tuple[int, int]:
    file_size(path)
    status = path.stat()
    return status.st_mtime_ns, status.st_size


_Times = tuple[tuple[int, int], tuple[int, ...], float]


def _times(path: Path) -> _Times:
    """Size, the time of every frame in the order shown, and seconds of a tick.

    There are no times where packets have none.
    """
    found = _looked_up(path, _stamp(path))
    if isinstance(found, SceneFormatError):
        raise SceneFormatError(found.path, found.what, found.hint, found.code)
    return found


@lru_cache(maxsize=8)
def _looked_up(path: Path, stamp: tuple[int, int]) -> _Times | SceneFormatError:
    """Of a damaged file what is wrong with it, so that it is searched once."""
    del stamp

    def packets(container: Any, stream: Any, heard: Callable[[], None]) -> _Times:
        times: list[int] = []
        tick = float(stream.time_base or 0)
        for seen, packet in enumerate(container.demux(stream)):
            heard()
            empty = packet.size == 0 or packet.is_discard
            if seen >= _MAX_FRAMES or (packet.pts is None and not empty):
                return (stream.width, stream.height), (), tick
            if not empty:
                times.append(packet.pts)
        shown = tuple(sorted(times))
        distinct = len(set(shown)) == len(shown)
        return (stream.width, stream.height), shown if distinct else (), tick

    try:
        _check_atoms(path)
        return _with_video(path, packets)
    except SceneFormatError as error:
        return error.with_traceback(None)


def video_size(path: Path) -> tuple[int, int]:
    """(width, height) of a video's frames, as stored.

    Raises:
        SceneFormatError: Missing, damaged, too large, or PyAV is not installed (code "extra").
    """
    return _times(path)[0]


def video_frame_count(path: Path) -> int | None:
    """How many frames a video holds; None where its packets do not tell.

    Raises:
        SceneFormatError: As `video_size`.
    """
    return len(_times(path)[1]) or None


def video_seconds(path: Path) -> float | None:
    """Seconds from a video's first frame to its last; None where its packets do not tell.

    Raises:
        SceneFormatError: As `video_size`.
    """
    _, times, tick = _times(path)
    return (times[-1] - times[0]) * tick if times and tick else None


def video_frame(path: Path, number: int) -> Image.Image:
    """Frame `number`, counted from 0 in the order shown, as an RGB image.

    Decodes from the key frame before it; where packets carry no times, from the beginning.

    Raises:
        SceneFormatError: As `video_size`, or there is no such frame.
    """
    times = _times(path)[1]
    if times and number >= len(times):
        raise _bad(path, f"has no frame {number}, it holds {len(times)}")

    def decode(container: Any, stream: Any, heard: Callable[[], None]) -> Image.Image | None:
        if not times:
            for k, frame in enumerate(container.decode(stream)):
                heard()
                if k == number:
                    return _picture(frame)
            return None
        # A key frame may be decoded before its time: pictures shown before it need the one before.
        for back in (0, 32, 256, number):
            start = times[max(number - back, 0)]
            container.seek(start, stream=stream, backward=True, any_frame=False)
            for frame in container.decode(stream):
                heard()
                if frame.pts == times[number]:
                    return _picture(frame)
                if frame.pts is not None and frame.pts > times[number]:
                    break
        return None

    image = _with_video(path, decode)
    if image is None:
        raise _bad(path, f"has no frame {number} that can be decoded")
    return image


def video_frames(path: Path, numbers: Sequence[int]) -> list[Image.Image]:
    """Several frames, in the order of their numbers, decoded in one pass from the beginning.

    Raises:
        SceneFormatError: As `video_frame`.
    """
    wanted = set(numbers)

    def decode(container: Any, stream: Any, heard: Callable[[], None]) -> dict[int, Image.Image]:
        found: dict[int, Image.Image] = {}
        for number, frame in enumerate(container.decode(stream)):
            heard()
            if number in wanted:
                found[number] = _picture(frame)
            if len(found) == len(wanted):
                break
        return found

    made = _with_video(path, decode)
    if missing := sorted(wanted - made.keys()):
        raise _bad(path, f"has no frame {missing[0]} that can be decoded")
    return [made[number] for number in numbers]


def _picture(frame: Any) -> Image.Image:
    image: Image.Image = frame.to_image()
    return image
