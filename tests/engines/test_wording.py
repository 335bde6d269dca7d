# SPDX-License-Identifier: Apache-2.0
"""Every template obeys the linter, and the linter bites."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from spatial_engine.dataset.texts import drawn_texts
from spatial_engine.engines import engines
from spatial_engine.engines.base import Engine
from spatial_engine.engines.camera_object import BEHIND_DEG
from spatial_engine.engines.visits import MOVED_M
from spatial_engine.engines.walk_task import OPEN_FLOOR
from spatial_engine.plan.quotas import in_benchmark
from spatial_engine.recipe import Recipe, load_recipe
from spatial_engine.records.names import said, spoken, spoken_plural
from spatial_engine.records.task_name import family_of
from spatial_engine.records.wording import TemplateFile, Wording, load_wordings, wording_of
from spatial_engine.records.wording_lint import lint
from spatialcore.relations.floor_plan import WALL_REACH_M
from spatialcore.relations.pairs import DEFAULT_RULES as RULES

FAMILIES = sorted({engine.task.partition(".")[0] for engine in engines()})


@pytest.mark.parametrize("family", FAMILIES)
def test_templates_obey_the_rules(family: str) -> None:
    problems = [
        problem
        for wording in load_wordings(TemplateFile(family)).values()
        for problem in lint(wording)
    ]
    assert not problems


def test_every_task_has_its_wording_and_no_wording_is_left_over() -> None:
    worded = {task for family in FAMILIES for task in load_wordings(TemplateFile(family))}
    assert worded == {engine.task for engine in engines()}


@pytest.mark.parametrize("engine", engines(), ids=lambda engine: engine.task)
def test_every_task_is_worded_in_many_ways(engine: Engine) -> None:
    """24 questions and 12 answers for what MultiSPA's benchmark asks, 12 and 6 for the others."""
    questions, answers = (24, 12) if in_benchmark(engine.task) else (12, 6)
    wording = wording_of(engine.task)
    assert min(map(len, wording.questions.values())) >= questions
    assert min(map(len, wording.answers.values())) >= answers
    assert wording.least[1] >= questions
    assert wording.least[2] >= answers


QUESTION = ("Is the {thing} left or right, in mm?",)
GOOD = Wording(
    "family.task",
    ("Two views.",),
    {"": QUESTION},
    {"": ("It is `{word}`.",)},
    question_slots=("thing",), answer_slots=("word",), names=("thing",), unit="mm",
    words=("left", "right"), forbid=("path",), least=(1, 1, 1),
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"least": (2, 1, 1)}, "at least 2"),
        ({"descriptions": ("Two views.", "two VIEWS")}, "occurs 2 times"),
        ({"descriptions": ("Two `views`.",)}, "backtick"),
        ({"descriptions": ("The {thing}.",)}, "no slots"),
        ({"coordinates": True}, "1000"),
        ({"questions": {"": ("Left or right in mm?",)}}, "occurs 0 times"),
        ({"questions": {"": ("Is the {thing} of the {thing} left or right in mm?",)}}, "2 times"),
        ({"questions": {"": ("Is the {thing} left or right of {other} in mm?",)}}, "unknown slot"),
        ({"questions": {"": ("Is the {thing} left or right?",)}}, "no unit"),
        ({"questions": {"": ("Is the {thing} left, in mm?",)}}, "does not offer 'right'"),
        ({"questions": {"": ("Is the path of {thing} left or right, in mm?",)}}, "meaning"),
        ({"questions": {"": (*QUESTION, "Clearly, is the {thing} left or right in mm?")}}, "away"),
        ({"questions": {"": (*QUESTION, "In mm, is the {thing} right or left?")}}, "share"),
        ({"answers": {"": ("It is `{word}`.", "`{word}` it is!")}}, "share 100 %"),
        ({"notes": ("Left is {side}.",)}, "no slots"),
        ({"notes": ("left of the middle",)}, "a sentence"),
        ({"names": ("thing", "other")}, "no text says it"),
        ({"names": ()}, "is no name"),
        ({"question_slots": ("thing_plural",), "names": ()}, "plural of no name"),
        ({"answers": {"": ("It is {word}.",)}}, "one backticked span"),
        ({"answers": {"": ("`{word}` or `{word}`",)}}, "one backticked span"),
        ({"answers": {"": ("{word}: `yes`",)}}, "outside the machine answer"),
    ],
)
def test_the_linter_bites(change: dict[str, object], complaint: str) -> None:
    assert lint(GOOD) == []
    found = lint(dataclasses.replace(GOOD, **change))  # type: ignore[arg-type]
    assert any(complaint in problem for problem in found), found


def test_words_that_all_texts_hold_do_not_make_them_alike() -> None:
    """Slots, the closed set and the machine answer are the same in all of them."""
    several = (
        "Left or right of you in mm, where is the {thing}?",
        "Say left or right (mm): {thing}.",
    )
    changed = dataclasses.replace(GOOD, questions={"": (*QUESTION, *several)})
    assert lint(changed) == []


NUMBERS = {
    "spatial_relation.topology": f"{100 * RULES.adjacent_m:.0f} cm",
    "spatial_relation.size.floor_area": f"{100 * (RULES.similar_ratio**2 - 1):.0f} %",
    "spatial_relation.size.volume": f"{100 * (RULES.similar_ratio**3 - 1):.0f} %",
    "spatial_relation.size.height": f"{100 * (RULES.similar_ratio - 1):.0f} %",
    "floor_plan.same_wall": f"{100 * WALL_REACH_M:.0f} cm",
    "floor_plan.free_area": f"{200 * OPEN_FLOOR.clearance_m:.0f} cm",
    "revisit.which_moved": f"{100 * MOVED_M:.0f} cm",
    "camera_object.unseen_direction": f"{BEHIND_DEG:.0f} degrees",
    **dict.fromkeys(
        [
            f"object_movement.{what}.{how}"
            for what in ("distance", "vector")
            for how in ("coordinate", "marked")
        ],
        f"{100 * load_recipe().guards.static_max_m:.0f} cm",
    ),
    "over_time.which_moved": f"{100 * load_recipe().guards.moving_min_m:.0f} cm",
}


@pytest.mark.parametrize("task", NUMBERS)
def test_each_question_says_what_its_words_mean(task: str) -> None:
    """The numbers of the rules, so that a person can answer from the text; forms say them, too."""
    wording = wording_of(task)
    assert any(NUMBERS[task] in note for note in wording.notes)
    forms = [load_wordings(TemplateFile(family_of(task))).get(f"{task}.boxed"), wording]
    for text in (q for one in forms if one for q in one.questions[""]):
        said = text.removesuffix("\n{options}")
        assert any(said.endswith(f" {note}") for note in wording.notes)


def test_names_are_said_so_that_the_sentence_stays_english() -> None:
    nouns = ("office chair", "bag of chips", "gizmo", "kleenex tissue box", "mattress", "t-shirt")
    assert [spoken(name) for name in nouns] == list(nouns)
    odd = ("i am a bunny book", "scissors", "creativity chenille stems", "LAPTOP 2", 'the "one"')
    assert all(re.fullmatch(r'object labelled "[^"]+"', spoken(name)) for name in odd)
    assert [spoken_plural(name) for name in ("shelf", "tall shelf", "bag of chips")] == [
        "shelves", "tall shelves", "bags of chips",
    ]  # fmt: skip
    assert spoken_plural("scissors") == 'objects labelled "scissors"'
    given = {"category": "shelf", "count": "3"}
    assert said(given, ("category",)) == given | {"category_plural": "shelves"}
    assert said(given, ()) is given


def test_a_record_says_names_and_plurals() -> None:
    wording = wording_of("scene_layout.object_count.image")
    for name, plural in (("bookshelf", "bookshelves"), ("scissors", 'objects labelled "scissors"')):
        slots = said({"category": name, "count": "2"}, wording.names)
        question, answer, _ = drawn(wording, (0, 0, 0), **slots)
        assert f"How many {plural} does this image show?" in question
        assert "`2`" in answer


def drawn(wording: Wording, draws: tuple[int, int, int], **slots: str) -> tuple[str, str, Any]:
    """Question, answer and template ids of one record."""
    columns = np.array(draws, dtype=np.uint64).reshape(3, 1)
    texts = drawn_texts([wording.lines()], np.zeros(1, np.int64), columns, [slots])
    question, answer, ids = (column.to_pylist()[0] for column in texts)
    return question, answer, ids


def test_drawn_templates_are_the_ones_named() -> None:
    wording = wording_of("camera_movement.distance")
    question, answer, ids = drawn(wording, ((1 << 64) - 1,) * 3, distance_mm="12")
    assert question == f"{wording.descriptions[-1]}\n{wording.questions[''][-1]}"
    assert ids[1] == f"camera_movement.distance/question/{len(wording.questions['']) - 1}"
    assert answer == wording.answers[""][-1].format(distance_mm="12")
    assert "`12`" in answer


def test_each_record_draws_from_the_lines_of_its_own_task() -> None:
    wordings = [wording_of(f"camera_movement.{axis}_direction") for axis in "xyz"]
    draws = np.array([[0, 1 << 63, 5], [1 << 63, 0, 5], [1 << 62, 1 << 62, 0]], dtype=np.uint64)
    lines, slots = [wording.lines() for wording in wordings], [{"direction": "\u00e9t\u00e9"}] * 3
    texts = drawn_texts(lines, np.array([2, 0, 2]), draws, slots)
    for k, (task, answer) in enumerate(zip((2, 0, 2), texts.answer.to_pylist(), strict=True)):
        alone = drawn(wordings[task], tuple(draws[:, k].tolist()), direction="\u00e9t\u00e9")
        assert alone[1:] == (answer, texts.templates[k].as_py())
        assert alone[0] == texts.question[k].as_py()
        assert "`\u00e9t\u00e9`" in answer


def test_a_record_that_lacks_a_slot_is_refused() -> None:
    with pytest.raises(KeyError, match="distance_mm"):
        drawn(wording_of("camera_movement.distance"), (0, 0, 0), angle_deg="12")


def test_a_recipe_may_cut_every_list_to_its_first_texts() -> None:
    whole, one = wording_of("camera_movement.distance"), wording_of("camera_movement.distance", 1)
    assert one.questions[""] == whole.questions[""][:1]
    for draw in (0, 1 << 63, (1 << 64) - 1):
        _, _, ids = drawn(one, (draw, draw, draw), distance_mm="12")
        assert all(name.endswith("/0") for name in ids)
    with pytest.raises(ValueError, match=r"\$\.wordings: -1 is not a whole number from 0"):
        Recipe(wordings=-1)


def test_a_recipe_may_leave_descriptions_out() -> None:
    bare = wording_of("spatial_relation.image_side", described=False)
    question, _, _ = drawn(bare, (5, 0, 0), first="lamp", word="left")
    assert question == bare.questions[""][0].format(first="lamp")
    assert bare.questions == wording_of("spatial_relation.image_side").questions
