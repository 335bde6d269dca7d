# SPDX-License-Identifier: Apache-2.0
"""Turns, boxes and maps: scores by hand, and how they are read."""

from __future__ import annotations

import numpy as np
import pytest

from spatial_engine.engines.place_chance import place_chance
from spatial_engine.records.answers import map_places, places_text
from spatial_engine.records.reading import parse_answer
from spatial_engine.scoring.places import iou_score, map_score, on_cells, turn_error

TRUTH = [("bed", 2, 7), ("floor lamp", 8, 1)]
GIVEN = [("desk", 5, 5)]


@pytest.mark.parametrize(
    ("said", "worth"),
    [
        ([("bed", 2, 7), ("floor lamp", 8, 1)], 1.0),
        ([("Bed", 3, 6), ("floor lamp", 7, 2)], 1.0),  # a cell off, all orders kept
        ([("bed", 4, 7), ("floor lamp", 8, 1)], 0.875),  # two cells off
        ([("bed", 2, 7)], 0.5 * (1 / 2 + 2 / 6)),  # of six orders those of bed and desk
        ([("bed", 8, 1), ("floor lamp", 2, 7)], 0.0),
        ([("sofa", 2, 7)], 0.0),
    ],
)
def test_maps_by_hand(said: list[tuple[str, int, int]], worth: float) -> None:
    assert map_score(said, TRUTH, GIVEN) == pytest.approx(worth)


def test_boxes_and_turns_by_hand() -> None:
    assert iou_score((0, 0, 10, 10), (0, 0, 10, 10)) == 1.0
    assert iou_score((0, 0, 10, 10), (5, 0, 15, 10)) == 0.0  # a third
    assert iou_score((0, 0, 10, 10), (2, 0, 12, 10)) == 0.4  # 8 / 12
    assert iou_score((10, 10, 0, 0), (0, 0, 10, 10)) == 0.0
    assert turn_error(359, 1) == 2
    assert turn_error(90, 270) == 180


@pytest.mark.parametrize(
    "text",
    [
        "The map reads: `bed [ 2 , 7 ]; floor lamp [ 8 , 1 ]`.",
        "bed [2,7]; floor lamp [8,1]",
        '{"bed": [2, 7], "floor lamp": [8, 1]}',
        "- the bed: (2, 7)\n- the floor lamp: (8, 1)",
        "<think>bed [0,0]</think><answer>bed at [2, 7]; floor lamp at [8, 1].</answer>",
    ],
)
def test_maps_are_read_as_models_write_them(text: str) -> None:
    assert parse_answer(text, "map", "cell", dialect="lenient").answer == map_places(TRUTH)


@pytest.mark.parametrize("text", ["", "somewhere", "[ 2 , 7 ]", "bed [ 2 , 7 ]; bed [ 3 , 3 ]"])
def test_what_is_no_map_is_not_read(text: str) -> None:
    assert parse_answer(text, "map", "cell", dialect="lenient").answer is None


def test_a_map_is_read_as_it_is_written() -> None:
    assert parse_answer(f"`{places_text(TRUTH)}`", "map", "cell").answer == map_places(TRUTH)


@pytest.mark.parametrize(
    "text", ["`[ 10 , 20 , 300 , 400 ]`", "the box is [10, 20, 300, 400]", "(10,20,300,400)"]
)
def test_boxes_are_read(text: str) -> None:
    found = parse_answer(text, "box", "norm1000", dialect="lenient").answer
    assert found is not None
    assert found.number == (10, 20, 300, 400)
    assert parse_answer("[10, 20, 300]", "box", "norm1000", dialect="lenient").answer is None


def test_a_guessed_place_scores_what_drawing_scores() -> None:
    """Cells and discs against counted pixels, cut off by the rim of the image."""
    size = width, height = 100, 70
    u, v = np.meshgrid(np.arange(width * 4) / 4 + 0.125, np.arange(height * 4) / 4 + 0.125)
    for truth in ((500, 500), (0, 0), (990, 300)):
        x, y = truth[0] * width / 1000, truth[1] * height / 1000
        counted = float(((u - x) ** 2 + (v - y) ** 2 <= (0.05 * width) ** 2).mean())
        found = place_chance("within 5 % of W", truth, size)
        assert found == pytest.approx(counted, rel=0.02)
    runs = [(3, 10, 12), (34, 0, 1)]
    inside = [on_cells((1000 * a / width, 1000 * b / height), runs, size)
              for a, b in zip(u.flat, v.flat, strict=True)]  # fmt: skip
    assert place_chance("on the object", (0, 0), size, runs) == pytest.approx(np.mean(inside))
    assert place_chance("IoU", (250, 250, 750, 625), size) == 0.6
    assert place_chance("accuracy", (0, 0), size) is None
