# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

from spatial_engine.dataset.compose import compose, make
from spatial_engine.engines.budgets import shown_frames
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import LayoutScene
from spatial_engine.engines.scene_layout import SCENE_LAYOUT, SECTORS
from spatial_engine.engines.seen_parts import SeenParts
from spatial_engine.recipe import Recipe
from spatial_engine.records.place import FrameImage, Place
from spatial_engine.records.reading import parse_answer
from spatial_engine.records.wording import SLOT, TemplateFile, load_wordings
from spatialcore.relations.verdict import Answer
from tests.relations.rooms import block, floor_points, room_points

ENGINES = {engine.quantity: engine for engine in SCENE_LAYOUT}
FRAMES = tuple(range(0, 80, 5))


def scene() -> LayoutScene:
    """A room 5 x 4 m with nine objects; two chairs; the vase is in no shown frame."""
    things = [
        block(1, "bed", (1, 1, 0.3), (1.2, 1.6, 0.6)),
        block(2, "desk", (4.4, 1, 0.4), (0.8, 1.2, 0.8)),
        block(3, "chair", (3.4, 1, 0.45), (0.5, 0.5, 0.9)),
        block(4, "chair", (2.4, 3.4, 0.45), (0.5, 0.5, 0.9)),
        block(5, "lamp", (0.4, 3.6, 0.7), (0.3, 0.3, 1.4)),
        block(6, "shelf", (4.6, 3.4, 0.9), (0.5, 1.0, 1.8)),
        block(7, "vase", (2.5, 2.2, 0.2), (0.3, 0.3, 0.4)),
        block(8, "clock", (2.5, 0.05, 1.8), (0.3, 0.05, 0.3)),
        block(9, "cup", (4.4, 1, 0.85), (0.1, 0.1, 0.1)),
    ]
    counts = np.zeros((len(things), len(FRAMES)), np.int64)
    for row, first in enumerate((0, 3, 6, 6, 9, 12, -1, 15, 15)):
        if first >= 0:
            counts[row, first] = 200
    points = np.concatenate(
        [
            floor_points(5, 4),
            room_points([(0, 0), (5, 0), (5, 4), (0, 4)]),
            *(i.points for i in things),
        ]
    ).astype(np.float32)
    images = {f: FrameImage(f"{f:05d}", f"{f:05d}.jpg", 640, 480) for f in FRAMES}
    recipe = dataclasses.replace(Recipe(), walks=1)  # a scene by hand has one set of frames
    place = Place("fake", "room0", "room0_00", "train", recipe, 7, "identity", images)
    return LayoutScene(place, recipe, FRAMES, None, tuple(things), counts, points)


@pytest.fixture(scope="module")
def context():
    layout = scene()
    made = SceneContext(None, layout.place)
    made._cache["scene_layout"] = layout
    return made


def test_frames_are_spread_evenly():
    assert shown_frames([3, 9]) == (3, 9)
    assert shown_frames(list(range(31)), 16) == tuple(range(0, 31, 2))
    spread = shown_frames(list(range(0, 1000, 7)))
    assert len(set(spread)) == 16
    assert (spread[0], spread[-1]) == (0, 994)


def seen_by(shows: dict[int, np.ndarray], *, masks: bool = True) -> LayoutScene:
    """The scene whose frames, by position, show these points of the bed alone."""
    layout = scene()
    instance = np.repeat(
        [-1, *(i.object_id for i in layout.objects)],
        [len(layout.points) - sum(len(i.points) for i in layout.objects),
         *(len(i.points) for i in layout.objects)],
    ).astype(np.int32)  # fmt: skip
    rows = np.flatnonzero(instance == 1)
    by_frame = {FRAMES[k]: rows[shown] for k, shown in shows.items()}
    parts = SeenParts(layout.points, instance, lambda f: by_frame.get(f, np.zeros(0, np.intp)))
    layout.visible_count[0] = [200 if k in shows else 0 for k in range(len(FRAMES))]
    cluster = (lambda _: True) if masks else None
    return dataclasses.replace(layout, parts=parts, one_cluster=cluster)


def size_of_bed(layout: LayoutScene):
    found = ENGINES["object_size"]._ask(layout, (1,))
    return found if isinstance(found, Answer) else str(found.reason)


def test_a_size_needs_both_ends_and_frames_that_agree():
    """The bed is 1.6 m long along y; every other frame has to see as much of it as the rest."""
    y = scene().objects[0].points[:, 1]
    whole, most, half = y < 9, y > y.min() + 0.1, y < 1.0
    for masks in (True, False):
        assert size_of_bed(seen_by({0: whole, 5: whole}, masks=masks)).value == pytest.approx(1.6)
        assert size_of_bed(
            seen_by({0: most, 5: most, 9: half}, masks=masks)
        ).value == pytest.approx(1.6)
        assert size_of_bed(seen_by({0: half, 5: half}, masks=masks)) == "ends_unseen"
    assert size_of_bed(seen_by({0: whole}, masks=False)).value == pytest.approx(1.6)
    assert size_of_bed(seen_by({0: whole})) == "extent_unsure"
    apart = seen_by({0: whole, 5: half})
    found = ENGINES["object_size"]._ask(apart, (1,))
    assert str(found.reason) == "extent_unsure"
    one, other = found.evidence["halves_m"]
    assert (max(one), max(other)) == (pytest.approx(1.6), pytest.approx(1.2, abs=0.05))
    pieces = dataclasses.replace(seen_by({0: whole, 5: whole}), one_cluster=lambda _: False)
    assert size_of_bed(pieces) == "extent_unsure"


@pytest.mark.parametrize("quantity", ENGINES)
def test_every_candidate_becomes_a_record_whose_text_reads_back(context, quantity):
    engine = ENGINES[quantity]
    table = engine.candidates(context)
    assert len(table) > 0
    assert len({int(h) for h in table.hash}) == len(table)
    for row in table.rows()[:60]:
        record = make(engine, context, row)
        read = parse_answer(
            record.answer, record.answer_type, record.answer_unit, choices=engine.words
        ).answer
        assert read is not None
        assert (read.text, read.number) == (record.answer_text, record.answer_number)
        assert record.question_type == engine.question_type
        assert json.loads(record.evidence)["items"] == list(row.items)
        assert compose(engine, context.place, row, engine.facts(context, [row])[0]) == record
        if engine.words:
            assert len(set(record.options)) == len(engine.words)
            assert all(option in record.question for option in record.options)


def test_answers_worked_by_hand(context):
    def answer(quantity, items):
        engine = ENGINES[quantity]
        row = next(r for r in engine.candidates(context).rows() if r.items == items)
        record = make(engine, context, row)
        if record.answer_text is None:
            return record.answer_number[0]
        return record.options["ABCD".index(record.answer_text)]

    assert answer("object_count", (3,)) == 2
    assert answer("absolute_distance", (1, 2)) == 2.4
    assert answer("object_size", (5,)) == 140
    assert answer("room_size", ()) == pytest.approx(20.0, abs=0.5)
    # At the bed facing the desk (east), the lamp in the north is to the left.
    assert answer("relative_direction_easy", (1, 2, 5)) == "left"
    assert answer("relative_direction_medium", (2, 1, 6)) == "right"
    assert answer("appearance_order", (1, 2, 5, 6)) == "bed, desk, lamp, shelf"


def test_what_no_frame_shows_is_not_asked(context):
    for quantity in ("absolute_distance", "object_size", "relative_direction_easy"):
        items = {k for row in ENGINES[quantity].candidates(context).rows() for k in row.items}
        assert 7 not in items
        assert not items & {3, 4}


def test_words_of_a_direction_are_strata(context):
    engine = ENGINES["relative_direction_hard"]
    table, recipe = engine.candidates(context), context.recipe
    names = [name for name, _ in engine.strata(recipe)]
    if recipe.word_strata:
        assert tuple(names) == SECTORS["hard"]
        for row, stratum in zip(table.rows()[:40], table.stratum[:40], strict=True):
            record = make(engine, context, row)
            assert record.options["ABCD".index(record.answer_text)] == names[stratum]


@pytest.mark.parametrize("task", [engine.task for engine in SCENE_LAYOUT])
def test_wording_uses_every_slot_once(task):
    wording = load_wordings(TemplateFile("scene_layout"))[task]
    assert len(wording.descriptions) >= wording.least[0]
    for texts, slots, least in (
        (wording.questions[""], wording.question_slots, wording.least[1]),
        (wording.answers[""], wording.answer_slots, wording.least[2]),
    ):
        assert len({re.sub(r"\W", "", text).casefold() for text in texts}) >= least
        for text in texts:
            assert sorted(SLOT.findall(text)) == sorted(slots)
    assert all(len(re.findall(r"`[^`]*`", text)) == 1 for text in wording.answers[""])
    assert not any("`" in text for text in wording.questions[""])
    if wording.unit:
        assert all(f"({wording.unit})" in text for text in wording.questions[""])
