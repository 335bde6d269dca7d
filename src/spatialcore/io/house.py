# SPDX-License-Identifier: Apache-2.0
"""Objects of Matterport3D's `.house` files: oriented boxes with categories, one word a field."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from spatialcore.box import OrientedBox
from spatialcore.errors import SceneFormatError
from spatialcore.io.categories import named_objects
from spatialcore.io.object_files import Labels
from spatialcore.io.paths import list_names, read_text

_HOUSE_BYTES = 64 << 20
_MAX_OBJECTS = 1 << 15  # the largest building has some thousand
# mpcat40's words for what is no object: empty and not looked at.
_NOTHING = frozenset(("void", "unlabeled"))


def house_labels(folder: Path) -> Labels:
    """The objects of a building, as boxes in its world.

    Args:
        folder: Of the building; `house_segmentations/*.house` is read.

    Returns:
        Labels without masks. Notes: "objects_without_box=n" counts rows whose box is none.

    Raises:
        SceneFormatError: The file is not text, or lists an object twice; code "house_bad".
    """
    places = folder / "house_segmentations"
    names = [n for n in list_names(places) if n.endswith(".house")] if places.is_dir() else []
    if len(names) != 1:
        return Labels()
    path = places / names[0]
    rows = [line.split() for line in read_text(path, _HOUSE_BYTES).splitlines()]
    if sum(row[:1] == ["O"] for row in rows) > _MAX_OBJECTS:
        what = f"lists more than {_MAX_OBJECTS:,} objects"
        raise SceneFormatError(path, what, code="house_bad")
    words = _categories(rows)
    named: dict[int, str] = {}
    boxes: dict[int, OrientedBox] = {}
    bad = 0
    for row in rows:
        if row[:1] != ["O"]:
            continue
        numbers = _numbers(row[1:16])
        if numbers is None:
            bad += 1
            continue
        number, category = int(numbers[0]), int(numbers[2])
        if number in named:
            raise SceneFormatError(path, f"lists object {number} twice", code="house_bad")
        box = _box(numbers[3:])
        if category not in words:
            continue
        if box is None or number < 0:
            bad += 1
            continue
        named[number], boxes[number] = words[category], box
    objects, notes = named_objects(named)
    notes += (f"objects_without_box={bad}",) if bad else ()
    return Labels(tuple(replace(o, box=boxes[o.object_id]) for o in objects), None, (path,), notes)


def _numbers(words: list[str]) -> list[float] | None:
    """Fifteen numbers of a row: object, region, category, centre, two axes, three radii."""
    try:
        values = [float(word) for word in words]
    except ValueError:
        return None
    return values if len(values) == 15 and all(abs(v) < 1e9 for v in values) else None


def _categories(rows: list[list[str]]) -> dict[int, str]:
    """Category -> what it is called, of those that are objects; `#` stands for a space."""
    found = {}
    for row in rows:
        if row[:1] != ["C"] or len(row) < 6 or row[5] in _NOTHING:
            continue
        if row[1].isascii() and row[1].isdigit() and len(row[1]) < 10:
            found[int(row[1])] = row[3].replace("#", " ")
    return found


def _box(values: list[float]) -> OrientedBox | None:
    center, first, second, radii = (np.array(values[k : k + 3]) for k in (0, 3, 6, 9))
    lengths = [math.sqrt(float((axis * axis).sum())) for axis in (first, second)]
    if min(lengths) < 1e-6:
        return None
    first, second = first / lengths[0], second / lengths[1]
    turn = np.stack([first, second, np.cross(first, second)], axis=1)
    try:
        return OrientedBox(center, 2 * radii, turn)
    except ValueError:
        return None
