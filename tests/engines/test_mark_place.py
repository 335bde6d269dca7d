# SPDX-License-Identifier: Apache-2.0
"""A mark that points at a thing stands on that thing, not on what lies on it or shows beside it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.mark_place import around, mark_place
from spatial_engine.engines.references import Reference, sights_of
from spatial_engine.recipe import load_recipe
from spatial_engine.records.marks import mark_radius
from tests.engines.worlds import moved, opened, sample_room

ONE_SET = dataclasses.replace(load_recipe("default"), name="custom", walks=1)


def _grid(u0: int, v0: int, u1: int, v1: int, step: int) -> np.ndarray:
    return np.mgrid[u0 : u1 + 1 : step, v0 : v1 + 1 : step].reshape(2, -1).T.astype(np.float64)


def _place(own: np.ndarray, *others: np.ndarray) -> tuple[int, int] | None:
    return mark_place(own, np.ones(len(own), bool), around(np.concatenate([own, *others])), 3)


def test_a_desk_is_marked_beside_the_keyboard_that_lies_on_it():
    # Of the desk below the keyboard as many vertices pass for seen as of the keyboard itself.
    desk, keyboard = _grid(100, 100, 300, 200, 4), _grid(160, 130, 240, 170, 4)
    assert _place(desk) == (200, 148)
    u, v = _place(desk, keyboard + 1)
    assert not (160 <= u <= 240 and 130 <= v <= 170)
    assert 100 <= u <= 300


def test_a_rod_before_a_wall_is_not_marked():
    rod, wall = _grid(150, 100, 150, 200, 4), _grid(100, 100, 200, 200, 4)
    assert _place(rod, wall[wall[:, 0] != 148]) is None
    assert _place(rod) == (150, 148)


def test_what_may_carry_no_mark_is_passed_over():
    desk = _grid(0, 0, 40, 40, 4)
    assert mark_place(desk, desk[:, 0] == 8, around(desk), 3) == (8, 20)
    assert mark_place(desk, np.zeros(len(desk), bool), around(desk), 3) is None


@pytest.fixture(scope="module")
def plain(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> SceneContext:
    room = moved(sample_room(sample_dir), np.eye(4))
    return opened(room, tmp_path_factory.mktemp("plain"), ONE_SET)


def test_marks_of_a_room_are_surrounded_by_their_own_thing(plain: SceneContext) -> None:
    """Counted again over all pairs."""
    sights, found, beside = sights_of(plain, plain.shown), 0, 0
    instance = np.asarray(plain.scene.instance)
    for frame in plain.shown[::2]:
        rows = plain.scene.surface.indices(plain.scene.row_of_frame[frame])
        uv = np.rint(sights.project(frame, rows))
        reach = 2 * mark_radius(sights.size_of(frame)[0])
        for object_id in sights.boxes(frame):
            one = sights.at(object_id, frame, "pointed")
            if isinstance(one, Reference):
                near = np.abs(uv - one.point).max(axis=1) <= reach
                own = instance[rows[near]] == object_id
                assert own.mean() >= 0.8
                found, beside = found + 1, beside + (not own.all())
    assert found > 20
    assert beside
