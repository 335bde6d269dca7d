# SPDX-License-Identifier: Apache-2.0
"""Records as a Rerun recording (extra `viz`): each with its scene and the evidence of its answer.

Time is the sequence `record`, in the order of the data set. A step shows `record/text` (question,
answer, evidence), `record/images/K` with marks, and in `world`: the cloud, all boxes, the cameras
of the record's images, the objects that the answer is about, its points, its route and free floor.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial_engine.dataset.dataset import Dataset, OpenedRecord
from spatial_engine.records.record import QARecord
from spatial_engine.view.evidence_rules import (
    cloud_points_of,
    free_space_of,
    numbers,
    route_of,
)
from spatial_engine.view.scene_files import ScenePlans
from spatial_engine.view.scene_plan import ScenePlan
from spatial_engine.view.why import Why
from spatialcore.errors import SpatialCoreError
from spatialcore.recording import record_boxes, record_camera, record_cloud, recording_file, view_up

if TYPE_CHECKING:
    from rerun import RecordingStream

_ANSWER = (230, 85, 66)
_ROUTE = (38, 132, 255)
_FLOOR = (120, 190, 120)
_LIFT_M = 0.02  # of what lies on the floor
_QUALITY = 90


@dataclass
class Recorded:
    """What a recording holds.

    Attributes:
        records: Steps.
        lost_images: Record id -> why an image of it cannot be opened.
        without_map: Scenes whose index is missing, and why.
    """

    records: int = 0
    lost_images: dict[str, str] = field(default_factory=dict)
    without_map: dict[tuple[str, str], str] = field(default_factory=dict)


def record_dataset(dataset: Dataset, records: Iterable[OpenedRecord], path: Path) -> Recorded:
    """Write records as a recording, whole or not at all.

    Args:
        dataset: The data set, whose indexes give clouds, boxes and cameras.
        records: The records to show.
        path: The `.rrd` file.

    Raises:
        ModuleNotFoundError: rerun-sdk (extra `viz`) is not installed.
    """
    plans = ScenePlans(dataset)
    done = Recorded(without_map=plans.missing)
    shown: tuple[str, str] | None = None
    with recording_file(path, dataset.path.name) as stream:
        for number, opened in enumerate(records):
            record = opened.record
            stream.set_time("record", sequence=number)
            plan, why = plans.explain(record)
            if shown != (record.source, record.scene):
                shown = (record.source, record.scene)
                _scene(stream, plan)
            _text(stream, record, why)
            _images(stream, opened, done)
            _evidence(stream, record, plan, why)
            done.records += 1
    return done


def _scene(stream: RecordingStream, plan: ScenePlan | None) -> None:
    """The cloud and the boxes of another scene, in place of those before."""
    import rerun as rr

    stream.log("world", rr.Clear(recursive=True))
    if plan is None:
        return
    scene = plan.scene
    view_up(stream, None if scene.up == "unknown" else (0.0, 0.0, 1.0))
    if scene.is_clip:
        return
    record_cloud(stream, "world/cloud", scene.points, scene.instance, static=False)
    rows = list(plan.objects.values())
    if rows:
        record_boxes(
            stream, "world/boxes", [row.box_center for row in rows], [row.box_size for row in rows],
            [row.box_R for row in rows], [row.category for row in rows], static=False,
        )  # fmt: skip


def _text(stream: RecordingStream, record: QARecord, why: Why) -> None:
    import rerun as rr

    rows = "".join(f"| {name} | {value.replace('|', '/')} |\n" for name, value in why.table)
    text = (
        f"**{record.task}**\n\n{record.question}\n\n**{record.answer}**\n\n"
        f"| evidence | |\n|---|---|\n{rows}\n`{record.id}`\n"
    )
    stream.log("record/text", rr.TextDocument(text, media_type="text/markdown"))


def _images(stream: RecordingStream, opened: OpenedRecord, done: Recorded) -> None:
    """The images as they are exported, marks drawn."""
    import rerun as rr

    stream.log("record/images", rr.Clear(recursive=True))
    for k in range(len(opened.record.images)):
        try:
            image = opened.image(k)
        except (SpatialCoreError, OSError) as error:
            done.lost_images[opened.record.id] = str(error)
            continue
        content = io.BytesIO()
        image.save(content, "jpeg", quality=_QUALITY)
        encoded = rr.EncodedImage(contents=content.getvalue(), media_type="image/jpeg")
        stream.log(f"record/images/{k + 1}", encoded)


def _evidence(stream: RecordingStream, record: QARecord, plan: ScenePlan | None, why: Why) -> None:
    """What the answer follows from, in the scene's world."""
    import rerun as rr

    stream.log("world/evidence", rr.Clear(recursive=True))
    if plan is None:
        return
    for k, frame in enumerate(record.frames):
        if frame in plan.scene.table_row_of_frame:
            pose = plan.scene.world_from_cam(frame)
            if np.isfinite(pose).all():
                path = f"world/evidence/camera_{k + 1}"
                record_camera(stream, path, pose, plan.scene.color_camera(frame))
    rows = [plan.objects[number] for number in why.objects if number in plan.objects]
    if rows:
        record_boxes(
            stream, "world/evidence/objects", [row.box_center for row in rows],
            [row.box_size for row in rows], [row.box_R for row in rows],
            [row.category for row in rows], static=False, colour=_ANSWER,
        )  # fmt: skip
    points = _points(record, plan)
    if points:
        places, names = [p for _, p in points], [name for name, _ in points]
        shown = rr.Points3D(places, labels=names, radii=0.04, colors=[_ANSWER] * len(names))
        stream.log("world/evidence/points", shown)
    _floor_and_route(stream, record)


def _points(record: QARecord, plan: ScenePlan) -> list[tuple[str, Any]]:
    """Names and places of the evidence's points: `*_world`, `*_xy`, rows of the cloud."""
    found: list[tuple[str, Any]] = []
    for name, value in record.facts.items():
        place = numbers(value, (3,)) if name.endswith("_world") else None
        flat = numbers(value, (2,)) if name.endswith("_xy") else None
        if place is not None:
            found.append((name.removesuffix("_world"), place))
        elif flat is not None:
            found.append((name.removesuffix("_xy"), np.array([*flat, _LIFT_M])))
    return found + [(str(i), place) for _, i, place in cloud_points_of(record, plan)]


def _floor_and_route(stream: RecordingStream, record: QARecord) -> None:
    import rerun as rr

    route = route_of(record.facts)
    if route is not None:
        strip = np.pad(route, ((0, 0), (0, 1)), constant_values=_LIFT_M)
        stream.log("world/evidence/route", rr.LineStrips3D([strip], colors=[_ROUTE], radii=0.03))
    space = free_space_of(record.facts)
    if space is not None:
        rows, columns = np.nonzero(space.free)
        flat = np.asarray(space.origin) + (np.stack([columns, rows], axis=1) + 0.5) * space.cell_m
        cells = np.pad(flat, ((0, 0), (0, 1)))
        shown = rr.Points3D(cells, colors=_FLOOR, radii=space.cell_m / 2)
        stream.log("world/evidence/free_floor", shown)
