# SPDX-License-Identifier: Apache-2.0
"""Reader of 3RScan: rooms that were scanned again, `<scan>/sequence/` beside labels of a mesh.

`_info.txt` has sizes, both K and the units of depth to the metre; poses are world_from_cam, OpenCV,
metres, z up. The tablet was held upright and its pictures lie on their side: gravity turns them.
`3RScan.json` beside the scans says which of them show one room, how a rescan lies in the world of
the reference, and the split. A rescan whose reference lies beside it is also a scene of two visits,
`<reference>--<rescan>`; its transform is column by column, in metres or millimetres.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames, count_reasons, listed
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.matrices import parse_numbers, read_matrix
from spatialcore.io.names import is_scene_id, natural_order
from spatialcore.io.paths import list_names, read_json, read_text
from spatialcore.io.refusals import present
from spatialcore.io.rescan_objects import scan_labels
from spatialcore.io.revisits import two_visits
from spatialcore.io.upright import upright_turn
from spatialcore.types import Float64, Scene

INFO = "sequence/_info.txt"
ROOMS = "3RScan.json"
_UP = np.array([0.0, 0.0, 1.0])
_POSE = re.compile(r"frame-([0-9]{6})\.pose\.txt\Z")
_SPLITS = {"train": "train", "validation": "val"}
_AND = "--"  # between the two scans of an id
_TURN = 90  # clockwise, as the tablet was held
_JSON_BYTES = 256 << 20


def is_scan(folder: Path) -> bool:
    """Whether a folder holds a sequence of 3RScan, packed or not."""
    return (folder / INFO).is_file() or (folder / "sequence.zip").is_file()


@dataclass(frozen=True, slots=True, eq=False)
class _Info:
    """`_info.txt`: both cameras, and metres a unit of depth."""

    color: Intrinsics
    depth: Intrinsics
    unit: float


def _read_info(path: Path) -> _Info:
    """The cameras of a scan.

    Raises:
        SceneFormatError: A number is missing or none; code "intrinsic".
    """
    lines = (line.partition("=") for line in read_text(path).splitlines())
    fields = {name.strip(): value for name, _, value in lines}

    def numbers(name: str, count: int) -> Float64:
        if name not in fields:
            raise SceneFormatError(path, f"has no {name}", code="intrinsic")
        found = parse_numbers(fields[name], path)
        if found.size != count or not (np.isfinite(found).all() and abs(found).max() < 1e9):
            raise SceneFormatError(path, f"must hold {count} numbers {name}", code="intrinsic")
        return found

    def camera(kind: str) -> Intrinsics:
        K = numbers(f"m_calibration{kind}Intrinsic", 16).reshape(4, 4)[:3, :3]
        name = kind.lower()
        w, h = (int(numbers(f"m_{name}{side}", 1)[0]) for side in ("Width", "Height"))
        if not (0 < w < 1 << 16 and 0 < h < 1 << 16):
            raise SceneFormatError(path, f"declares {w}x{h} pixels", code="intrinsic")
        return Intrinsics(K.copy(), (w, h))

    shift = float(numbers("m_depthShift", 1)[0])
    if not 1 <= shift <= 1e6:
        raise SceneFormatError(path, f"has a depth shift of {shift:g}", code="intrinsic")
    return _Info(camera("Color"), camera("Depth"), 1.0 / shift)


def _frame_files(folder: Path, info: _Info, stride: int) -> Iterator[FrameFiles]:
    """The frames as stored; a pose that cannot be read masks its own."""
    for name in sorted(list_names(folder), key=natural_order):
        match = _POSE.match(name)
        if match is None or int(match[1]) % stride:
            continue
        number, pose, fault = int(match[1]), None, ""
        try:
            pose = read_matrix(folder / name, (4, 4))
        except SceneFormatError:
            fault = "pose_unreadable"
        color, depth = (folder / f"frame-{number:06d}.{s}" for s in ("color.jpg", "depth.pgm"))
        yield FrameFiles(
            index=number,
            name=f"{number:06d}",
            color=color if color.is_file() else None,
            depth=depth if depth.is_file() else None,
            world_from_cam=pose,
            fault=fault,
            intrinsics=info.color,
            depth_intrinsics=info.depth,
        )


class _Row(NamedTuple):
    """What `3RScan.json` says of a scan.

    Attributes:
        reference: The first scan of its room.
        split: "train", "val" or None.
        transforms: (4, 4) readings of reference_from_scan; () of the reference.
    """

    reference: str
    split: str | None
    transforms: tuple[Float64, ...] = ()


def _transforms(numbers: Any) -> tuple[Float64, ...]:
    """A stored transform in either unit of its shift; () where it is no rigid one."""
    if not isinstance(numbers, list) or len(numbers) != 16:
        return ()
    if not all(type(v) in (int, float) and abs(v) < 1e9 for v in numbers):
        return ()
    stored = np.array(numbers, dtype=np.float64).reshape(4, 4).T
    R = stored[:3, :3]
    rigid = np.allclose(R @ R.T, np.eye(3), atol=1e-3) and np.linalg.det(R) > 0
    if not rigid or stored[3].tolist() != [0, 0, 0, 1]:
        return ()
    found = []
    for unit in (1.0, 0.001):
        one = stored.copy()
        one[:3, 3] *= unit
        found.append(one)
    return tuple(found)


@functools.lru_cache(maxsize=4)
def _rooms(path: Path, _mtime_ns: int) -> Mapping[str, _Row]:
    """Scan -> what is said of it."""
    stored: Any = read_json(path, _JSON_BYTES)
    found = {}
    for room in stored if isinstance(stored, list) else ():
        reference = room.get("reference") if isinstance(room, dict) else None
        if not isinstance(reference, str) or not is_scene_id(reference):
            raise SceneFormatError(path, "must list rooms with a reference", code="list_bad")
        kind = room.get("type")
        split = _SPLITS.get(kind) if isinstance(kind, str) else None
        scans = room.get("scans")
        for scan in [room, *(scans if isinstance(scans, list) else ())]:
            name = scan.get("reference") if isinstance(scan, dict) else None
            if isinstance(name, str):
                transforms = () if scan is room else _transforms(scan.get("transform"))
                found[name] = _Row(reference, split, transforms)
    return found


class RescanSource(FolderSource):
    """Scans of 3RScan."""

    __slots__ = ()
    kind: ClassVar[str] = "rescan"

    def scene_ids(self) -> tuple[str, ...]:
        """The scans, and the scenes of two visits of the rescans whose references are here."""
        scans = {scan for scan, _ in self.files}
        both = [
            f"{row.reference}{_AND}{scan}"
            for scan, row in self._listed().items()
            if row.transforms and {scan, row.reference} <= scans
        ]
        return tuple(sorted({scan for scan, _ in (*self.files, *self.refused)} | set(both)))

    def _listed(self) -> Mapping[str, _Row]:
        """What `3RScan.json` says of all scans; nothing where it is not there, or damaged.

        A damaged one is said when a scan is opened.
        """
        table = self._table()
        try:
            return {} if table is None else _rooms(table, table.stat().st_mtime_ns)
        except SceneFormatError:
            return {}

    def _table(self) -> Path | None:
        root = self.root.resolve()
        return next((p / ROOMS for p in (root, root.parent) if present(p / ROOMS)), None)

    def open(self, scene_id: str) -> Scene:
        """Open one scan: its cameras, poses, the headers of its pictures, and its labels.

        Two scans are opened as one scene where the id joins theirs.

        Raises:
            SceneFormatError: No such scan, a packed sequence, malformed files, or no frame with
                picture and depth.
        """
        reference, both, rescan = scene_id.partition(_AND)
        row = self._listed().get(rescan)
        if both and row is not None and row.reference == reference and row.transforms:
            return two_visits(
                self._open_scan(reference), self._open_scan(rescan), row.transforms, scene_id
            )
        return self._open_scan(scene_id)

    def _open_scan(self, scene_id: str) -> Scene:
        folder, root = self.folder(scene_id), self.root.resolve()
        if not (folder / INFO).is_file():
            raise SceneFormatError(
                folder / "sequence.zip", "is packed", "unpack it into sequence/", "frames_missing"
            )
        info = _read_info(folder / INFO)
        stored = _frame_files(folder / "sequence", info, self.options.stride or 1)
        files = listed(stored, folder)
        seen = upright_turn((f.world_from_cam for f in files if f.world_from_cam is not None), _UP)
        turn, notes = (_TURN, ("upright_assumed",)) if seen is None else (seen, ())
        built = build_frames(files, root, folder, turn)
        if built.color is None:
            raise SceneFormatError(folder / INFO, count_reasons(built.frames), code="intrinsic")
        labels = scan_labels(folder)
        table = self._table()
        room = {} if table is None else _rooms(table, table.stat().st_mtime_ns)
        space, split, _ = room.get(folder.name, (None, None, ()))
        inputs = [folder / INFO, *labels.inputs] + ([] if table is None else [table])
        return self.registered_scene(
            scene_id, built, built.color, depth_scale=info.unit, inputs=inputs, world_up=_UP,
            space=space, split=split, labels=labels,
            notes=notes + (() if labels.objects else labels.notes),
        )  # fmt: skip
