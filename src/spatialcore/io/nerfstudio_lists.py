# SPDX-License-Identifier: Apache-2.0
"""The lists of frames of a nerfstudio capture: `transforms.json`, or one a split.

Blender's synthetic scenes and what was made after them keep `transforms_train.json`,
`transforms_val.json` and `transforms_test.json`: views of one place, so all are one capture.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatialcore.errors import SceneFormatError
from spatialcore.io.frame_files import FrameFiles
from spatialcore.io.names import natural_order
from spatialcore.io.paths import list_names, read_json
from spatialcore.io.refusals import present

TRANSFORMS = "transforms.json"
SPLITS = ("train", "val", "test")
_SPLIT_LISTS = tuple(f"transforms_{split}.json" for split in SPLITS)
LISTS = (TRANSFORMS, *_SPLIT_LISTS)
# nerfstudio; NeRFCapture and instant-ngp.
UNIT_KEYS = ("depth_unit_scale_factor", "integer_depth_scale")
_JSON_BYTES = 256 << 20
_DRAWN = re.compile(r"_depth(?:_?[0-9]+)?\.(?:png|jpg|jpeg)\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ListedFrames:
    """What the lists of a capture hold.

    Attributes:
        paths: The files that were read.
        frames: (fields of its list, its own fields) of every frame, in natural order of pictures.
        unit: Metres a unit of the depth maps; None where no list says it.
        notes: How many frames each of several lists has, and lists that were not read.
    """

    paths: tuple[Path, ...]
    frames: tuple[tuple[dict[str, Any], dict[str, Any]], ...]
    unit: float | None
    notes: tuple[str, ...]


def is_capture(folder: Path) -> bool:
    """Whether a folder holds a `transforms.json`, or one of a split."""
    return any((folder / name).is_file() for name in LISTS)


def number(fields: dict[str, Any], key: str, default: float = math.nan) -> float:
    """The number under a key; NaN where it is none."""
    value = fields.get(key, default)
    return float(value) if type(value) in (int, float) and abs(value) < 1e15 else math.nan


def read_transforms(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The fields of a list without its frames, and the frames; both checked to be what they are.

    Raises:
        SceneFormatError: It holds no list of frames, or a scale that none can be; code
            "transforms_bad".
    """
    stored = read_json(path, _JSON_BYTES)
    frames = stored.get("frames") if isinstance(stored, dict) else None
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise SceneFormatError(path, "must hold a list `frames` of objects", code="transforms_bad")
    scale, unit = number(stored, "applied_scale", 1.0), _depth_unit(stored)
    if not (1e-6 < scale < 1e6 and (unit is None or 1e-9 < unit < 1e3)):
        raise SceneFormatError(
            path, f"applied_scale or {UNIT_KEYS[0]} is out of range", code="transforms_bad"
        )
    return {key: value for key, value in stored.items() if key != "frames"}, frames


def _depth_unit(stored: dict[str, Any]) -> float | None:
    key = next((key for key in UNIT_KEYS if key in stored), None)
    return None if key is None else number(stored, key)


def read_lists(folder: Path) -> ListedFrames:
    """The frames of `transforms.json`; where there is none, those of the splits' lists.

    Raises:
        SceneFormatError: There is no list; one is malformed, or two differ in the unit of depth;
            code "transforms_bad".
    """
    there = [folder / name for name in LISTS if present(folder / name)]
    if not there:
        raise SceneFormatError(folder / TRANSFORMS, "no such file", code="file_missing")
    paths = there[:1] if there[0].name == TRANSFORMS else there
    read = [read_transforms(path) for path in paths]
    units = [_depth_unit(fields) for fields, _ in read]
    for path, unit in zip(paths, units, strict=True):
        if unit != units[0]:
            what = f"has another {UNIT_KEYS[0]} than {paths[0].name}"
            raise SceneFormatError(path, what, "make them one", code="transforms_bad")
    rows = [(fields, frame) for fields, frames in read for frame in frames]
    rows.sort(key=lambda row: natural_order(str(row[1].get("file_path", ""))))
    notes = tuple(f"lists_not_read={path.name}" for path in there[len(paths) :])
    if paths[0].name != TRANSFORMS:
        each = zip(paths, read, strict=True)
        counts = (f"{p.stem.removeprefix('transforms_')} {len(frames)}" for p, (_, frames) in each)
        notes += (f"split_lists={', '.join(counts)}",)
    return ListedFrames(tuple(paths), tuple(rows), units[0], notes)


def refuse_drawn_depth(files: Iterable[FrameFiles], path: Path, root: Path) -> None:
    """Say why maps beside the pictures are not read, where the lists name none at all.

    Blender's synthetic scenes have `r_0_depth_0001.png` beside `r_0.png`: depth drawn to be looked
    at, in 8 bits and no unit.

    Raises:
        SceneFormatError: No frame names a map, and such a drawing is there; code
            "no_usable_frames".
    """
    pictures: dict[Path, set[str]] = {}
    for part in files:
        if part.depth is not None:
            return
        if part.color is not None:
            pictures.setdefault(part.color.parent, set()).add(part.color.stem)
    for folder, stems in pictures.items():
        for name in list_names(folder) if folder.is_dir() else ():
            found = _DRAWN.search(name)
            if found and name[: found.start()] in stems:
                shown = (folder / name).relative_to(root).as_posix()
                raise SceneFormatError(
                    path,
                    f"names no depth maps; {shown} and its like are drawings of depth without "
                    "a unit, from which no length can be read",
                    "name maps in metres or millimetres under depth_file_path",
                    code="no_usable_frames",
                )
