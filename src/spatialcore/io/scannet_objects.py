# SPDX-License-Identifier: Apache-2.0
"""What ScanNet keeps beside the images: mesh, segments, objects, alignment, split."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.categories import named_objects, read_label_table
from spatialcore.io.matrices import parse_numbers, rigid_alignment
from spatialcore.io.paths import file_size, read_json, read_text
from spatialcore.io.ply import ply_vertex_count, read_ply
from spatialcore.io.refusals import present
from spatialcore.io.splits import split_note, split_of
from spatialcore.types import Cloud, Float64, Object3D

LABEL_FILE = "scannetv2-labels.combined.tsv"
_MAX_JSON_BYTES = 256 << 20
_SCAN_ID = re.compile(r"(scene[0-9]{4})_[0-9]{2}\Z")


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """What the files beside the images say; every part may be absent."""

    split: str | None
    aligned_from_world: Float64 | None
    objects: tuple[Object3D, ...]
    read_cloud: Callable[[], Cloud] | None
    inputs: tuple[Path, ...]
    notes: tuple[str, ...]


def space_of(name: str, scene_id: str) -> str:
    """The room of a scan: `scene0000` of the name `scene0000_01`; else its id."""
    found = _SCAN_ID.match(name)
    return found.group(1) if found else scene_id


def read_scan_text(path: Path) -> dict[str, Float64]:
    """Numeric `key = value` lines of `<id>.txt`: key -> float64 (n,). Other lines are left out."""
    values = {}
    for line in read_text(path).splitlines():
        key, sign, value = line.partition("=")
        if sign and re.fullmatch(r"[\s0-9eE+.,-]+", value):
            values[key.strip()] = parse_numbers(value, path)
    return values


def _read_alignment(path: Path) -> Float64 | None:
    """`axisAlignment` as (4, 4), or None when the file has none."""
    numbers = read_scan_text(path).get("axisAlignment")
    if numbers is None:
        return None
    if numbers.size != 16 or not np.isfinite(numbers).all():
        raise SceneFormatError(
            path, f"axisAlignment holds {numbers.size} numbers, expected 16", code="annotation_bad"
        )
    return rigid_alignment(numbers.reshape(4, 4), path)


def _are_segments(rows: Any) -> bool:
    # Sets, minima and maxima run compiled: a scan has hundreds of thousands of vertices.
    if not isinstance(rows, list) or not set(map(type, rows)) <= {int}:
        return False
    return not rows or (min(rows) >= 0 and max(rows) < 1 << 31)


def _read_segments(path: Path) -> NDArray[np.int64]:
    stored = read_json(path, _MAX_JSON_BYTES)
    rows = stored.get("segIndices") if isinstance(stored, dict) else None
    if not _are_segments(rows):
        raise SceneFormatError(
            path, "segIndices must be a list of segment numbers", code="annotation_bad"
        )
    return np.array(rows, dtype=np.int64)


def _groups(path: Path) -> list[tuple[int, str, list[int]]]:
    """(object id, label, segments) of every group of an aggregation file, in order."""
    stored: Any = read_json(path, _MAX_JSON_BYTES)
    rows = stored.get("segGroups") if isinstance(stored, dict) else None
    if not isinstance(rows, list):
        raise SceneFormatError(path, "segGroups must be a list", code="annotation_bad")
    groups: list[tuple[int, str, list[int]]] = []
    for row in rows:
        fields: dict[str, Any] = row if isinstance(row, dict) else {}
        number: Any = fields.get("objectId", fields.get("id"))
        label: Any = fields.get("label")
        segments: Any = fields.get("segments")
        numbered = type(number) is int and 0 <= number < 1 << 31
        if not numbered or type(label) is not str or not _are_segments(segments):
            raise SceneFormatError(
                path, f"has a group without id, label, segments: {row!r:.80}", code="annotation_bad"
            )
        groups.append((number, label, segments))
    return groups


def vertex_instances(segs: Path, aggregation: Path) -> tuple[NDArray[np.int32], dict[int, str]]:
    """Object of every vertex, and the raw label of every object that has a vertex.

    Where groups share a segment the later group wins. Object ids may have gaps. An object left
    without a vertex is absent.

    Returns:
        instance (P,) int32, -1 = none; {object id: raw label}.

    Raises:
        SceneFormatError: Either file is malformed.
    """
    instance, labels = _vertex_instances(segs, aggregation, _stamp(segs), _stamp(aggregation))
    return instance.copy(), dict(labels)


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of a file, by which a change of it is seen."""
    file_size(path)
    status = path.stat()
    return status.st_size, status.st_mtime_ns


# A scene asks twice: for its objects when it is opened, for its vertices when the mesh is read.
@functools.lru_cache(maxsize=1)
def _vertex_instances(
    segs: Path, aggregation: Path, *_: tuple[int, int]
) -> tuple[NDArray[np.int32], dict[int, str]]:
    segment_of_vertex = _read_segments(segs)
    segments, row = np.unique(segment_of_vertex, return_inverse=True)
    owner = np.full(len(segments), -1, np.int32)
    labels: dict[int, str] = {}
    for object_id, label, members in _groups(aggregation):
        labels.setdefault(object_id, label)
        wanted = np.array(members, dtype=np.int64)
        place = np.searchsorted(segments, wanted)
        place = place[place < len(segments)] if len(segments) else place[:0]
        owner[place[np.isin(segments[place], wanted)]] = object_id
    instance = owner[row].astype(np.int32) if len(row) else np.zeros(0, np.int32)
    present = set(np.unique(instance).tolist())
    return instance, {k: v for k, v in labels.items() if k in present}


def _read_cloud(ply: Path, segs: Path | None, aggregation: Path | None) -> Cloud:
    mesh = read_ply(ply)
    if segs is None or aggregation is None:
        instance = np.full(len(mesh.points_world), -1, np.int32)
    else:
        instance, _ = vertex_instances(segs, aggregation)
    if len(instance) != len(mesh.points_world):
        raise SceneFormatError(
            ply,
            f"has {len(mesh.points_world)} vertices, the segments {len(instance)}",
            code="annotation_bad",
        )
    return Cloud(mesh.points_world, instance, mesh.colour)


def find_label_table(root: Path, chosen: str | None) -> Path | None:
    """The label table: the chosen one, else `scannetv2-labels.combined.tsv` near the scenes."""
    if chosen is not None:
        return Path(chosen)
    places = (root, root / "meta_data", root.parent)
    return next((p / LABEL_FILE for p in places if present(p / LABEL_FILE)), None)


def _existing(folders: Sequence[Path], *names: str) -> Path | None:
    paths = (folder / name for folder in folders for name in names)
    return next((path for path in paths if present(path)), None)


def find_annotation(
    folders: Sequence[Path], name: str, root: Path, labels: str | None = None
) -> Annotation:
    """Read what stands beside the images of a scene.

    Args:
        folders: Where it is looked for; the first folder that holds a file counts.
        name: Prefix of the file names: the name of the scan.
        root: Source root, where the label table and the split lists are looked for.
        labels: Path of a label table, None looks for one.

    Raises:
        SceneFormatError: A file that is there is malformed, or mesh and segments disagree.
    """
    mesh = f"{name}_vh_clean_2"
    ply = _existing(folders, f"{mesh}.ply")
    segs = _existing(folders, f"{mesh}.0.010000.segs.json")
    aggregation = _existing(
        folders, f"{name}.aggregation.json", f"{name}_vh_clean.aggregation.json"
    )
    text = _existing(folders, f"{name}.txt")
    objects: tuple[Object3D, ...] = ()
    notes: tuple[str, ...] = ()
    table = find_label_table(root, labels)
    if ply and segs and aggregation:
        instance, names = vertex_instances(segs, aggregation)
        count = ply_vertex_count(ply)
        if count != len(instance):
            raise SceneFormatError(
                segs, f"has {len(instance)} segments for {count} vertices", code="annotation_bad"
            )
        dropped = len({k for k, _, _ in _groups(aggregation)}) - len(names)
        objects, notes = named_objects(names, read_label_table(table) if table else {})
        notes += (f"empty_objects={dropped}",) if dropped else ()
    split, split_files = split_of(name, root, folder=folders[0])
    notes += split_note(name, split, root)
    inputs = (ply, segs, aggregation, text, table if objects else None, *split_files)
    return Annotation(
        split=split,
        aligned_from_world=_read_alignment(text) if text else None,
        objects=objects,
        read_cloud=functools.partial(_read_cloud, ply, segs, aggregation) if ply else None,
        inputs=tuple(path for path in inputs if path is not None),
        notes=notes,
    )
