# SPDX-License-Identifier: Apache-2.0
"""What is read of EmbodiedScan's pickled annotation, by a process of its own.

Ten bytes of pickle make the unpickler take gigabytes (the number of a memo is the length of its
table), and a hundred make it hash for hours (tuples within tuples as the key of a dictionary). It
gives no limit, so the system does: `read_infos` starts this file as a program,
`python -P embodiedscan_infos.py PATH`, whose memory and time are bounded by the size of the file,
and which answers with typed rows in MessagePack.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from spatialcore.errors import SceneFormatError
from spatialcore.io.bounds import address_space, bound
from spatialcore.io.paths import file_size
from spatialcore.io.pickled_values import as_array, read_pickled

ROOM_BYTES = 160 << 20
ROOM_FOR_A_BYTE = 16  # a float has 9 bytes stored and 32 in memory, an array 160 and 350
SECONDS, BYTES_A_SECOND = 2, 1 << 20  # of the processor
ANSWER_BYTES, ANSWER_FOR_A_BYTE = 1 << 20, 4
_LONGEST_TEXT = 4096

Numbers = tuple[float, ...]


class Picture(msgspec.Struct, frozen=True, array_like=True):
    """A row of `images`; what is malformed is None.

    Attributes:
        image: Path of the picture.
        depth: Path of its map.
        world_from_cam: 16 numbers, in the scanner's world.
        K: Nine numbers, where the picture has its own.
        K_depth: Likewise of the map.
    """

    image: str | None
    depth: str | None
    world_from_cam: Numbers | None
    K: Numbers | None
    K_depth: Numbers | None


class Instance(msgspec.Struct, frozen=True, array_like=True):
    """A row of `instances`: nine numbers of a box, the number of its label, its own number."""

    box: Numbers | None
    label: int | None
    id: int | None


class Room(msgspec.Struct, frozen=True, array_like=True):
    """A row of `data_list`.

    Attributes:
        name: `sample_idx`.
        aligned_from_world: 16 numbers, or None.
        K: Nine numbers, of pictures without their own, or None.
        K_depth: Likewise of their maps.
        images: Pictures.
        instances: Objects.
    """

    name: str
    aligned_from_world: Numbers | None
    K: Numbers | None
    K_depth: Numbers | None
    images: tuple[Picture, ...]
    instances: tuple[Instance, ...]


class Infos(msgspec.Struct, frozen=True, array_like=True):
    """The file: its scenes, and the words of labels."""

    rooms: tuple[Room, ...]
    words: dict[int, str]


class Fault(msgspec.Struct, frozen=True, tag=True):
    """Why a file is not read."""

    what: str
    hint: str
    code: str


class Found(msgspec.Struct, frozen=True, tag=True):
    """What a file holds."""

    infos: Infos


def read_infos(path: Path) -> Infos:
    """The annotation of a file.

    Raises:
        SceneFormatError: As `read_pickled`; without a list of scenes (code "annotation_bad"); or
            taking more memory or time than a file of its size does (code "archive_bomb").
    """
    file_size(path)
    run = subprocess.run(
        [sys.executable, "-P", __file__, str(path.resolve())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # signals are for those who ask
        check=False,
    )
    try:
        answer = msgspec.msgpack.decode(run.stdout, type=Fault | Found)
    except msgspec.DecodeError as error:  # it was ended before it answered
        raise SceneFormatError(path, *_TOO_MUCH, code="archive_bomb") from error
    if isinstance(answer, Fault):
        raise SceneFormatError(path, answer.what, answer.hint, answer.code)
    return answer.infos


_TOO_MUCH = (
    "takes more memory or time than a file of its size does",
    "it is no annotation of EmbodiedScan, or was made to harm",
)


def infos_of(stored: Any, path: Path) -> Infos:
    """The typed rows of an unpickled file.

    Raises:
        SceneFormatError: It holds no list of scenes; code "annotation_bad".
    """
    rows = stored.get("data_list") if isinstance(stored, dict) else None
    if not isinstance(rows, list):
        raise SceneFormatError(path, "holds no data_list of scenes", code="annotation_bad")
    about = stored.get("metainfo")
    words = about.get("categories") if isinstance(about, dict) else None
    found = {_whole(n): _text(w) for w, n in (words if isinstance(words, dict) else {}).items()}
    rooms = (_room(row) for row in _dicts(rows))
    return Infos(
        tuple(room for room in rooms if room is not None),
        {n: w for n, w in found.items() if n is not None and w is not None},
    )


def _room(row: Mapping[str, Any]) -> Room | None:
    """A scene, None where the row names none."""
    name = _text(row.get("sample_idx"))
    if not name:
        return None
    return Room(
        name,
        _numbers(row.get("axis_align_matrix"), (4, 4)),
        _camera(row.get("cam2img")),
        _camera(row.get("depth_cam2img")),
        tuple(_picture(image) for image in _dicts(row.get("images"))),
        tuple(_instance(item) for item in _dicts(row.get("instances"))),
    )


def _picture(row: Mapping[str, Any]) -> Picture:
    return Picture(
        _text(row.get("img_path")),
        _text(row.get("depth_path")),
        _numbers(row.get("cam2global"), (4, 4)),
        _camera(row.get("cam2img")),
        _camera(row.get("depth_cam2img")),
    )


def _instance(row: Mapping[str, Any]) -> Instance:
    box = _numbers(row.get("bbox_3d"), (9,))
    return Instance(box, _whole(row.get("bbox_label_3d")), _whole(row.get("bbox_id")))


def _dicts(value: Any) -> tuple[Mapping[str, Any], ...]:
    return tuple(row for row in value if isinstance(row, dict)) if isinstance(value, list) else ()


def _text(value: Any) -> str | None:
    """A text as long as a path may be, that UTF-8 can hold."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a pair
        return None
    return value


def _whole(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 31 else None


def _numbers(value: Any, *shapes: tuple[int, ...]) -> Numbers | None:
    found = None if value is None else as_array(value, *shapes)
    return None if found is None else tuple(found.ravel().tolist())


def _camera(value: Any) -> Numbers | None:
    """The nine numbers of a K of three or four rows."""
    found = None if value is None else as_array(value, (4, 4), (3, 3))
    return None if found is None else tuple(found[:3, :3].ravel().tolist())


def _answer(path: Path) -> bytes:
    """The answer about a file, encoded; a fault where it would be longer than such files are."""
    try:
        answer = msgspec.msgpack.encode(Found(infos_of(read_pickled(path), path)))
        if len(answer) <= ANSWER_BYTES + ANSWER_FOR_A_BYTE * file_size(path):
            return answer
        fault = Fault(*_TOO_MUCH, "archive_bomb")
    except SceneFormatError as error:
        memory = isinstance(error.__cause__, MemoryError)
        fault = (
            Fault(*_TOO_MUCH, "archive_bomb")
            if memory
            else Fault(error.what, error.hint, error.code)
        )
    except MemoryError:
        fault = Fault(*_TOO_MUCH, "archive_bomb")
    return msgspec.msgpack.encode(fault)


def main() -> None:
    """Answer about the file that is named, within the bounds of its size."""
    path, idle = Path(sys.argv[1]), address_space()
    size = path.stat().st_size
    room = None if idle is None else idle + ROOM_BYTES + ROOM_FOR_A_BYTE * size
    bound(room, SECONDS + size // BYTES_A_SECOND)
    sys.stdout.buffer.write(_answer(path))


if __name__ == "__main__":
    main()
