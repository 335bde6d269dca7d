# SPDX-License-Identifier: Apache-2.0
"""Boxes of ARKitScenes: `<video>_3dod_annotation.json`, an object a box and no masks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spatialcore.box import OrientedBox
from spatialcore.errors import SceneFormatError
from spatialcore.io.categories import named_objects
from spatialcore.io.matrices import is_number
from spatialcore.io.object_files import Labels
from spatialcore.io.paths import read_json
from spatialcore.io.refusals import present

_BYTES = 64 << 20
_FIELDS = (("centroid", 3), ("axesLengths", 3), ("normalizedAxes", 9))


def _box(row: Any, path: Path, at: str) -> OrientedBox:
    """The box along gravity of one object; `normalizedAxes` holds the axes as rows."""
    segments = row.get("segments") if isinstance(row, dict) else None
    stored = segments.get("obbAligned") if isinstance(segments, dict) else None
    values = []
    for field, count in _FIELDS:
        numbers = stored.get(field) if isinstance(stored, dict) else None
        if not (
            isinstance(numbers, list) and len(numbers) == count and all(map(is_number, numbers))
        ):
            raise SceneFormatError(
                path, f"{at} has no obbAligned.{field} of {count} numbers", code="annotation_bad"
            )
        values.append(np.array(numbers, dtype=np.float64))
    center, size, axes = values
    try:
        return OrientedBox(center, size, axes.reshape(3, 3).T)
    except ValueError as error:
        raise SceneFormatError(path, f"{at}: {error}", code="annotation_bad") from error


def read_boxes(path: Path) -> Labels | None:
    """Objects with their boxes in the world of the trajectory; None where there is no such file.

    Raises:
        SceneFormatError: It is malformed (code "annotation_bad").
    """
    if not present(path):
        return None
    stored = read_json(path, _BYTES)
    rows = stored.get("data") if isinstance(stored, dict) else None
    if not isinstance(rows, list):
        raise SceneFormatError(path, "has no list `data` of objects", code="annotation_bad")
    names: dict[int, str] = {}
    boxes: dict[int, OrientedBox] = {}
    for number, row in enumerate(rows, start=1):
        at = f"data[{number - 1}]"
        boxes[number] = _box(row, path, at)
        if not isinstance(row.get("label"), str):
            raise SceneFormatError(path, f"{at} has no label", code="annotation_bad")
        names[number] = row["label"]
    objects, notes = named_objects(names)
    return Labels(tuple(replace(o, box=boxes[o.object_id]) for o in objects), None, (path,), notes)
