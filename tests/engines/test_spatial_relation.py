# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from collections import Counter
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest

from spatial_engine.dataset.compose import make
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.seen_answers import all_nearer
from spatial_engine.engines.spatial_relation import SPATIAL_RELATION
from spatial_engine.records.reading import parse_answer
from spatial_engine.records.wording import SLOT, TemplateFile, load_wordings
from spatialcore.relations.verdict import Answer
from tests.engines.test_scene_layout import scene

ENGINES = {engine.relation: engine for engine in SPATIAL_RELATION}
# At (2.5, -2), 1.5 m up, looking north: image right is east.
NORTH = np.array([[1.0, 0, 0, 2.5], [0, 0, 1, -2], [0, -1, 0, 1.5], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def context():
    layout = scene()
    layout.visible_count[:, 0] = 200
    made = SceneContext(SimpleNamespace(world_from_cam=lambda _: NORTH), layout.place)
    made._cache["scene_layout"] = layout
    return made


def answered(context, relation):
    engine = ENGINES[relation]
    rows = engine.candidates(context).rows()
    return {(row.frames, row.items): make(engine, context, row) for row in rows}


@pytest.mark.parametrize("relation", ENGINES)
def test_every_candidate_becomes_a_record_whose_text_reads_back(context, relation):
    engine = ENGINES[relation]
    records = answered(context, relation)
    assert records
    for record in records.values():
        read = parse_answer(record.answer, "word", "word", choices=engine.words).answer
        assert read is not None
        assert read.text == record.answer_text


def test_swapping_two_objects_swaps_the_word(context):
    opposite = {
        "above": "below", "right": "left", "behind": "in front", "larger": "smaller",
        "nearer": "farther",
    }  # fmt: skip
    opposite |= {b: a for a, b in opposite.items()}
    for relation in ("height", "side", "depth", "size", "nearer"):
        records = answered(context, relation)
        for (frames, (a, b, *rest)), record in records.items():
            other = records[frames, (b, a, *rest)].answer_text
            assert other == opposite.get(record.answer_text, record.answer_text)


def test_answers_worked_by_hand(context):
    shown = scene().frames
    side, depth = answered(context, "side"), answered(context, "depth")
    # The desk stands east of the bed, the shelf north of the desk.
    assert side[(shown[0],), (2, 1)].answer_text == "right"
    assert depth[(shown[0],), (6, 2)].answer_text == "behind"
    assert answered(context, "size")[shown, (6, 8)].answer_text == "larger"
    assert answered(context, "height")[shown, (9, 2)].answer_text == "above"
    assert answered(context, "topology")[shown, (2, 9)].answer_text == "adjacent"
    assert answered(context, "topology")[shown, (1, 2)].answer_text == "disjoint"
    assert answered(context, "nearer")[shown, (2, 5, 6)].answer_text == "nearer"
    items = {k for _, ids in answered(context, "size") for k in ids}
    assert not items & {3, 4}  # two chairs: "the chair" would name neither


@pytest.mark.parametrize("task", [engine.task for engine in SPATIAL_RELATION])
def test_wording_lists_the_words_and_uses_every_slot_once(task):
    wording = load_wordings(TemplateFile("spatial_relation"))[task]
    for text in wording.questions[""]:
        assert sorted(SLOT.findall(text)) == sorted(wording.question_slots)
        assert all(word in text.casefold() for word in wording.words)
    for text in wording.answers[""]:
        assert SLOT.findall(text) == ["word"]
        assert len(re.findall(r"`[^`]*`", text)) == 1


def test_all_that_is_nearer_is_what_each_set_of_three_is_told(context):
    layout, engine = context._cache["scene_layout"], ENGINES["nearer"]
    rows, refused = all_nearer(layout)
    told, reasons = {row.items: word for row, word in rows}, Counter()
    for items in permutations([item.object_id for item in layout.unique], 3):
        found = engine._ask(layout, items, layout.frames, lambda _: NORTH)
        if isinstance(found, Answer):
            assert told.pop(items) == found.value
        else:
            reasons[str(found.reason)] += 1
    assert not told
    assert reasons == refused
    assert refused
