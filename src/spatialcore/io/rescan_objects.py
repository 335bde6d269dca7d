# SPDX-License-Identifier: Apache-2.0
"""Objects of 3RScan: a mesh whose vertices bear their object's number, or else boxes."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spatialcore.box import OrientedBox
from spatialcore.errors import SceneFormatError
from spatialcore.io.categories import named_objects
from spatialcore.io.object_files import Labels
from spatialcore.io.paths import read_json
from spatialcore.io.ply import read_vertices
from spatialcore.io.refusals import present
from spatialcore.types import Cloud, Float64

SEGMENTS = ("semseg.v2.json", "semseg.json")
MESHES = ("labels.instances.annotated.v2.ply", "labels.instances.annotated.ply")
_JSON_BYTES = 256 << 20


def scan_labels(folder: Path) -> Labels:
    """The objects of a scan; none for the rescans of the test set, which have no labels.

    Raises:
        SceneFormatError: The list of segments is malformed; code "annotation_bad".
    """
    path, mesh = (
        next((folder / name for name in names if present(folder / name)), None)
        for names in (SEGMENTS, MESHES)
    )
    if path is None:
        return Labels()
    named: dict[int, str] = {}
    boxes: dict[int, OrientedBox] = {}
    for k, group in enumerate(_groups(path)):
        number = group.get("objectId", group.get("id"))
        label = group.get("label")
        if type(number) is not int or not 0 < number < 1 << 16 or not isinstance(label, str):
            what = f"segGroups[{k}] must have an objectId and a label"
            raise SceneFormatError(path, what, code="annotation_bad")
        if number in named:
            what = f"segGroups[{k}] lists object {number} twice"
            raise SceneFormatError(path, what, code="annotation_bad")
        named[number] = label
        box = _box(group.get("obb"))
        if box is not None:
            boxes[number] = box
    objects, notes = named_objects(named)
    read = None if mesh is None else functools.partial(_read_cloud, mesh)
    boxed = tuple(replace(o, box=boxes.get(o.object_id)) for o in objects)
    inputs = tuple(p for p in (path, mesh) if p is not None)
    return Labels(boxed, None, inputs, notes, read)


def _groups(path: Path) -> list[dict[str, Any]]:
    stored = read_json(path, _JSON_BYTES)
    groups = stored.get("segGroups") if isinstance(stored, dict) else None
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise SceneFormatError(path, "must hold a list segGroups of objects", code="annotation_bad")
    return groups


def _numbers(fields: Any, key: str, count: int) -> Float64 | None:
    found = fields.get(key) if isinstance(fields, dict) else None
    if not isinstance(found, list) or len(found) != count:
        return None
    good = all(type(v) in (int, float) and abs(v) < 1e9 for v in found)
    return np.array(found, dtype=np.float64) if good else None


def _box(fields: Any) -> OrientedBox | None:
    """The box of a segment; its axes are written one after the other."""
    center, size = _numbers(fields, "centroid", 3), _numbers(fields, "axesLengths", 3)
    axes = _numbers(fields, "normalizedAxes", 9)
    if center is None or size is None or axes is None:
        return None
    try:
        return OrientedBox(center, size, axes.reshape(3, 3).T)
    except ValueError:
        return None


def _read_cloud(path: Path) -> Cloud:
    *position, ids = read_vertices(path, ("x", "y", "z", "objectId"))
    if not ((ids >= 0) & (ids < 1 << 16) & (ids == np.floor(ids))).all():
        raise SceneFormatError(path, "has an objectId out of range", code="mesh_bad")
    instance = ids.astype(np.int32)
    instance[instance == 0] = -1
    with np.errstate(over="ignore"):
        points = np.stack(position, axis=1).astype(np.float32)
    return Cloud(points, instance)
