# SPDX-License-Identifier: Apache-2.0
"""Objects that are pointed at: boxes of what is seen, answers of the named tasks, symmetries."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from spatial_engine.commands import generate, verify
from spatial_engine.dataset.compose import make
from spatial_engine.dataset.dataset import open_records
from spatial_engine.engines import engine_of
from spatial_engine.engines.base import candidates_of
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import layout_scene
from spatial_engine.engines.references import (
    EVEN_SHARE,
    LEAST_SIDE,
    MOST_IOU,
    Reference,
    iou,
    pointed_layout,
    sights_of,
)
from spatial_engine.engines.referred import REFERRED, Referred
from spatial_engine.recipe import load_recipe
from spatial_engine.records.marks import Mark, box_mark, draw_marks
from spatial_engine.records.record import QARecord
from spatialcore.relations.verdict import Reason
from tests.engines.worlds import MIRROR_X, QUARTER, moved, opened, sample_room

ONE_SET = dataclasses.replace(load_recipe("default"), name="custom", walks=1)
TASKS = {engine.task: engine for engine in REFERRED}


@pytest.fixture(scope="module")
def records(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[QARecord]:
    """Records of every form, all of which `verify` derives again."""
    folder = tmp_path_factory.mktemp("referred")
    out, one = folder / "out", folder / "scenes.txt"
    one.write_text("scene0000_00\n")
    argv = [str(sample_dir / "scannet"), "-o", str(out), "--tasks", ",".join(TASKS)]
    argv += ["--scenes", str(one), "--limit", "450"]
    assert generate.main(argv) == 0
    assert verify.main([str(out)]) == 0
    return [one.record for one in open_records(out)]


@pytest.fixture(scope="module")
def plain(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> SceneContext:
    room = moved(sample_room(sample_dir), np.eye(4))
    return opened(room, tmp_path_factory.mktemp("plain"), ONE_SET)


def test_every_form_is_asked_drawn_and_given(records: list[QARecord]) -> None:
    forms = Counter(
        (r.task.rpartition(".")[2].rpartition("_")[2] or r.task, one["drawn"])
        for r in records for one in r.facts["references"][:1]
    )  # fmt: skip
    both = {(by, drawn): forms[by, drawn] for by in ("boxed", "pointed") for drawn in (True, False)}
    assert set(forms) == {*both, ("masked", True)}
    assert min(both.values()) > 0.3 * max(both.values())


def test_marks_and_text_point_at_the_same(records: list[QARecord]) -> None:
    for record in records:
        marks = [(k, m) for k, image in enumerate(record.images, 1) for m in image.marks]
        assert not re.search(r"#\d", record.question + record.answer + "".join(record.options))
        references = record.facts["references"]
        if not references[0]["drawn"]:
            assert not marks
            groups = re.findall(r"\[ ([\d ,]+) \]", record.question)
            said = Counter(tuple(map(int, g.split(" , "))) for g in groups)
            for one in references:
                image = record.images[one["image"] - 1]
                place = one["point"] or one["box"]
                sizes = (image.width, image.height) * 2
                want = tuple(round(1000 * c / s) for c, s in zip(place, sizes, strict=False))
                assert said[want] >= 1
            continue
        assert len(marks) == len(references)
        for one in references:
            mine = [mark for k, mark in marks if k == one["image"]]
            of_it = [m for m in mine if _place(m) == (one["point"] or one["box"])]
            assert of_it
            assert of_it[0].colour in record.question
        assert len({m.colour for _, m in marks}) == len(marks)


def _place(mark: Mark) -> list[float]:
    return list(mark.corners) if mark.width else [mark.u, mark.v]


def test_a_box_frames_the_vertices_that_its_image_shows(plain: SceneContext) -> None:
    """Found again from the stored masks by a matrix product over each object's vertices."""
    scene, sights = plain.scene, sights_of(plain, plain.shown)
    instance, points = np.asarray(scene.instance), np.asarray(scene.points, np.float64)
    checked = 0
    for frame in plain.shown[::3]:
        rows = scene.surface.indices(scene.row_of_frame[frame])
        camera, M = scene.color_camera(frame), scene.cam_from_world(frame)
        cam = points[rows] @ M[:3, :3].T + M[:3, 3]
        uv = (cam @ camera.K.T)[:, :2] / cam[:, 2:]
        for object_id, box in sights.boxes(frame).items():
            mine = uv[instance[rows] == object_id]
            last = np.array(camera.size) - 1.0  # a pixel reaches half a column beyond its centre
            low, high = mine.min(axis=0), np.minimum(mine.max(axis=0), last)
            assert np.abs(np.array(box) - [*low, *high]).max() <= 0.5 + 1e-6
            checked += 1
    assert checked > 20


def test_what_is_pointed_at_can_be_told_from_the_rest(plain: SceneContext) -> None:
    sights = sights_of(plain, plain.shown)
    refused: Counter[Reason] = Counter()
    for frame in plain.shown:
        width = sights.size_of(frame)[0]
        for object_id, box in sights.boxes(frame).items():
            found = sights.at(object_id, frame, "boxed")
            if isinstance(found, Reason):
                refused[found] += 1
                continue
            assert min(box[2] - box[0], box[3] - box[1]) >= LEAST_SIDE * width
            others = [b for k, b in sights.boxes(frame).items() if k != object_id]
            assert all(iou(box, other) < MOST_IOU for other in others)
            point = sights.at(object_id, frame, "pointed")
            if isinstance(point, Reference):
                u, v = point.point
                assert box[0] <= u <= box[2]
                assert box[1] <= v <= box[3]
    assert {Reason.BOX_SMALL, Reason.OBJECT_PARTIAL} & set(refused)


def test_boxes_of_sizes_are_alike_as_far_as_images_allow(plain: SceneContext) -> None:
    """Of all images that can point at a thing the one whose box is nearest to a quarter."""
    engine, sights = TASKS["scene_layout.object_size.boxed"], sights_of(plain, plain.shown)

    def off(box: tuple[int, ...], frame: int) -> float:
        size = np.array(sights.size_of(frame))
        return float(abs(np.log2(((np.array(box[2:]) - box[:2]) / size).max() / EVEN_SHARE)))

    rows = candidates_of(engine, plain).rows()
    spread = []
    for row, one in zip(rows, engine.facts(plain, rows), strict=True):
        (told,) = one.evidence["references"]
        mine = off(told["box"], row.frames[told["image"] - 1])
        for frame in plain.shown:
            found = sights.at(row.items[0], frame, "boxed")
            assert not isinstance(found, Reference) or off(found.corners, frame) >= mine
        best = sights.best(row.items[0], "boxed")
        assert isinstance(best, Reference)
        spread.append((mine, off(best.corners, best.frame)))
    near = np.array(spread)
    assert len(near) > 3
    assert near[:, 0].mean() < 0.8 * near[:, 1].mean()


def test_points_are_balanced_by_where_they_lie(plain: SceneContext) -> None:
    """No text tells the boxes around them: one content for each order of heights and breadths."""
    engine = TASKS["spatial_relation.nearer.image_pointed"]
    table = candidates_of(engine, plain)
    cues: dict[int, set[tuple[bool, bool]]] = {}
    for row, content, one in zip(
        table.rows(), table.content.tolist(), engine.facts(plain, table.rows()), strict=True
    ):
        size = np.array(sights_of(plain, plain.shown).size_of(row.frames[0]))
        (u0, v0), (u1, v1) = (r["point"] / size for r in one.evidence["references"])
        cues.setdefault(content, set()).add((v0 > v1, abs(u0 - 0.5) > abs(u1 - 0.5)))
    assert sorted(map(len, cues.values())) == [1] * 4
    assert len(set().union(*cues.values())) == 4


def test_several_objects_of_a_category_are_asked_about(plain: SceneContext) -> None:
    """What no name tells apart comes first."""
    layout, pointed = layout_scene(plain), pointed_layout(plain, plain.shown, "boxed")
    assert pointed.layout.pool is not None
    names = [layout.object(k).category for k in pointed.layout.pool]
    assert max(Counter(names).values()) > 1
    unique = {item.object_id for item in layout.unique}
    left_out = set(pointed.references) - pointed.layout.pool
    if pointed.layout.pool & unique:
        assert left_out <= unique


@pytest.mark.parametrize("task", TASKS)
def test_a_form_answers_as_the_named_task(plain: SceneContext, task: str) -> None:
    """Where both may be asked: the same objects, the same answer."""
    engine = TASKS[task]
    rows = {row: row for row in candidates_of(engine, plain).rows()}
    named = [row for row in candidates_of(engine.open, plain).rows() if row in rows]
    for row in named[:10]:
        mine, other = (one.facts(plain, [row])[0] for one in (engine, engine.open))
        if engine.answer.type == "letter":
            letters = [one.options["ABCD".index(str(one.answer.text))] for one in (mine, other)]
            assert letters[0] == letters[1] or engine.open.task.endswith("relative_distance")
        else:
            assert mine.answer == other.answer


OPPOSITE = {"left": "right", "right": "left"}


@pytest.mark.parametrize("world", ["turned", "mirrored"])
def test_another_world_says_the_same(
    plain: SceneContext, sample_dir: Path, tmp_path: Path, world: str
) -> None:
    """A turn changes nothing; a mirror swaps left and right, and the columns of boxes."""
    mirror = world == "mirrored"
    room = moved(sample_room(sample_dir), MIRROR_X if mirror else QUARTER, mirrored=mirror)
    other = opened(room, tmp_path, ONE_SET)
    compared = 0
    for engine in REFERRED:
        both = [candidates_of(engine, context).rows() for context in (plain, other)]
        common = sorted(set(both[0]) & set(both[1]))
        assert len(common) >= 0.8 * max(map(len, both))
        for row in common[:: max(1, len(common) // 6)]:
            one, two = (make(engine, context, row) for context in (plain, other))
            places = [[r["box"] for r in record.facts["references"]] for record in (one, two)]
            if mirror:
                last = one.images[0].width - 1
                places[1] = [[last - c, b, last - a, d] for a, b, c, d in places[1]]
            if engine.by != "pointed" or not mirror:
                assert np.abs(np.array(places[0]) - places[1]).max(initial=0) <= 1
            answers = [_said(engine, record) for record in (one, two)]
            if mirror and answers[0] is not None:
                words = str(answers[0]).split("-")
                answers[0] = "-".join(OPPOSITE.get(word, word) for word in words)
            assert str(answers[0]) == str(answers[1])
            compared += 1
    assert compared > 90


def _said(engine: Referred, record: QARecord) -> object:
    """The answer without its letter; of a choice among objects, which of them."""
    if engine.answer.type != "letter":
        return record.answer_text or record.answer_number
    option = record.options["ABCD".index(str(record.answer_text))]
    return None if option.startswith("the ") else option


def test_a_box_is_drawn_around_its_pixels() -> None:
    from PIL import Image

    plain = Image.new("RGB", (120, 90), (128, 128, 128))
    drawn = np.asarray(draw_marks(plain, [box_mark((30, 20, 80, 60), 120, "red")], letter_height=8))
    changed = (drawn != 128).any(axis=2)
    assert not changed[23:58, 33:78].any()
    assert changed[20 - 2, 30:80].all()
    assert tuple(drawn[19, 50]) == (230, 25, 25)
    at_rim = draw_marks(plain, [box_mark((0, 0, 119, 89), 120, "blue")], letter_height=8)
    assert tuple(np.asarray(at_rim)[0, 60]) != (128, 128, 128)
    for mark in (
        Mark(30, 30, 3, "red", "", 100, 20), Mark(50, 50, 3, "red", "", 20, 0),
        Mark(50, 50, 3, "red", "", -4, -4), Mark(50, 50, 3, "pink", "", 10, 10),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"box|neither|colour"):
            draw_marks(plain, [mark], letter_height=8)


def test_engines_of_forms_are_found_by_name() -> None:
    assert engine_of("spatial_relation.nearer.image_boxed") in REFERRED
    assert engine_of("scene_layout.object_size.pointed") in REFERRED
