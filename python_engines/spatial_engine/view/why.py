# SPDX-License-Identifier: Apache-2.0
"""The reason for an answer, drawn: what a record's evidence says, on a map and on its images.

The gallery, `report` and `show` draw by this module alone; the gallery's page puts the same parts
together in its browser (page/draw.js). What evidence looks like is said by `evidence_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spatial_engine.records.record import QARecord
from spatial_engine.view.evidence_rules import RULES, Canvas, invertible, numbers
from spatial_engine.view.evidence_table import evidence_table
from spatial_engine.view.scene_plan import (
    FROM_ABOVE,
    Above,
    ScenePlan,
    above_of_cameras,
    is_walk,
)
from spatial_engine.view.shapes import Box, Shape, bounds, line

_NUMBERS_FROM = 2  # images, from which cameras carry their numbers


@dataclass(frozen=True)
class Why:
    """A record's evidence, drawn.

    Attributes:
        objects: Ids of the objects that the answer is about.
        top: Shapes of the map above the plan's base, centimetres.
        floor: Shapes below it.
        images: Number of an image -> shapes on it, pixels.
        box: What of the map is shown where no plan says it; None where nothing is drawn.
        said: How the map is seen.
        table: Names and values of the evidence.
    """

    objects: list[int]
    top: list[Shape]
    floor: list[Shape]
    images: dict[int, list[Shape]]
    box: Box | None
    said: str
    table: list[tuple[str, str]]


def explain(record: QARecord, plan: ScenePlan | None) -> Why:
    """Draw what a record's evidence says.

    Args:
        record: The record.
        plan: The plan of its scene; without it the evidence alone is drawn.
    """
    facts = record.facts
    canvas = Canvas(record, facts, plan, _plane(facts, plan))
    for rule in RULES:
        rule(canvas)
    box = None
    if canvas.points:
        reach = np.concatenate(canvas.points)
        box = bounds(reach, 0.12 * max(float(np.ptp(reach, axis=0).max()), 60.0))
    return Why(
        canvas.objects, canvas.top, canvas.floor, canvas.images, None if plan else box,
        canvas.above.said, evidence_table(facts),
    )  # fmt: skip


def top_view(record: QARecord, plan: ScenePlan | None, why: Why) -> list[Shape]:
    """The whole map of a record: the scene, its cameras, its objects, its evidence."""
    return [*why.floor, *(plan.base if plan else ()), *above_base(record, plan, why)]


def above_base(record: QARecord, plan: ScenePlan | None, why: Why) -> list[Shape]:
    """What lies on the plan's base: the record's cameras, objects and evidence."""
    shapes: list[Shape] = []
    if plan:
        placed = [(k, plan.camera(frame)) for k, frame in enumerate(record.frames)]
        known = [(k, camera) for k, camera in placed if camera is not None]
        if is_walk(record.frames) and len(known) > 1:
            shapes.append(line("walk", [(camera.x, camera.y) for _, camera in known]))
        shapes += [["camera", camera.d] for _, camera in known]
        if len(record.frames) >= _NUMBERS_FROM:
            shapes += [["number", c.number_x, c.number_y, str(k + 1)] for k, c in known]
        for number in why.objects:
            if number in plan.boxes:
                box = plan.boxes[number]
                shapes += [["object", box.d], ["name", box.x, box.y, box.name]]
    return [*shapes, *why.top]


def image_shapes(record: QARecord, plan: ScenePlan | None, why: Why, number: int) -> list[Shape]:
    """What is drawn on an image: boxes of the objects that it shows, and the evidence."""
    shapes: list[Shape] = []
    if plan and number < len(record.frames):
        for object_id in why.objects:
            seen = plan.outline(record.frames[number], object_id)
            if seen is not None:
                shapes += [["seen", seen.d], ["seen-name", seen.x, seen.y, seen.name]]
    return [*shapes, *why.images.get(number, [])]


def view_box(plan: ScenePlan | None, why: Why) -> Box | None:
    """What of the map is shown; None where there is nothing to show."""
    return plan.box if plan else why.box


def _plane(facts: Mapping[str, Any], plan: ScenePlan | None) -> Above:
    if plan is not None:
        return plan.above
    poses = numbers(facts.get("cam_from_world"), (None, 4, 4))
    if poses is None or not invertible(poses):
        return FROM_ABOVE
    return above_of_cameras(np.linalg.inv(poses))
