# SPDX-License-Identifier: Apache-2.0
"""Two visits of a room in a turned and in a mirrored world, and in the other order."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from spatial_engine.dataset.compose import make
from spatial_engine.engines.base import candidates_of
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.revisit import OPEN, REVISIT
from spatial_engine.recipe import load_recipe
from spatialcore.io.open import open_source
from spatialcore.sample import SampleConfig, make_sample
from spatialcore.types import Cloud, Frame, Scene
from spatialcore.visits import FRAMES, OBJECTS
from tests.engines.worlds import MIRROR_X, QUARTER, moved, opened

PLAIN = dataclasses.replace(load_recipe("default"), name="custom")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("visits") / "set"
    config = SampleConfig(rooms=1, clips=0, frames=60, layouts=("rescan",), seed=41)
    for _ in make_sample(folder, config, workers=1):
        pass
    scene = open_source(folder / "rescan").open("visit0000_first--visit0000_later")
    assert isinstance(scene, Scene)
    return moved(scene, np.eye(4))


@pytest.fixture(scope="module")
def plain(room: Scene, tmp_path_factory: pytest.TempPathFactory) -> SceneContext:
    return opened(room, tmp_path_factory.mktemp("plain"), PLAIN)


@pytest.mark.parametrize("world", ["turned", "mirrored"])
def test_another_world_says_the_same(
    room: Scene, plain: SceneContext, tmp_path: Path, world: str
) -> None:
    """A turn changes nothing; a mirror changes the columns of a box alone."""
    mirror = world == "mirrored"
    other = opened(moved(room, MIRROR_X if mirror else QUARTER, mirrored=mirror), tmp_path, PLAIN)
    compared = 0
    for engine in REVISIT:
        both = [candidates_of(engine, context) for context in (plain, other)]
        rows = [set(table.rows()) for table in both]
        common = sorted(rows[0] & rows[1])
        assert len(common) >= 0.8 * max(map(len, rows))
        for row in common[:12]:
            compared += 1
            one, two = (make(engine, context, row) for context in (plain, other))
            assert (one.answer_text, one.options) == (two.answer_text, two.options)
            if engine.answer.type == "box":
                u0, v0, u1, v1 = one.facts["box"]
                last = one.images[-1].width - 1
                want = [last - u1, v0, last - u0, v1] if mirror else [u0, v0, u1, v1]
                assert np.abs(np.subtract(two.facts["box"], want)).max() <= 1
            elif one.answer_number:
                assert two.answer_number == pytest.approx(one.answer_number, abs=0.011)
    assert compared > 6


def swapped(room: Scene) -> Scene:
    """The same room with the later visit first."""
    cloud = room.read_cloud() if room.read_cloud is not None else None
    assert cloud is not None
    assert cloud.visit is not None
    half = np.where(cloud.instance >= OBJECTS, -OBJECTS, OBJECTS)
    ids = np.where(cloud.instance < 0, -1, cloud.instance + half).astype(np.int32)
    other = Cloud(cloud.points_world, ids, cloud.colour, (1 - cloud.visit).astype(np.uint8))

    def frame(one: Frame) -> Frame:
        return dataclasses.replace(one, index=_other(one.index, FRAMES))

    frames = sorted(map(frame, room.frames), key=lambda one: one.index)
    objects = sorted(
        (dataclasses.replace(k, object_id=_other(k.object_id, OBJECTS)) for k in room.objects),
        key=lambda k: k.object_id,
    )
    return dataclasses.replace(
        room, frames=tuple(frames), objects=tuple(objects), read_cloud=lambda: other,
        read_depth=lambda one: room.read_depth(frame(one)),
    )  # fmt: skip


def _other(number: int, half: int) -> int:
    return number - half if number >= half else number + half


OPPOSITE = {"nearer": "farther", "farther": "nearer"}


def test_visits_in_the_other_order(room: Scene, plain: SceneContext, tmp_path: Path) -> None:
    """What moved and how far is the same; what came nearer has gone farther."""
    back = opened(swapped(room), tmp_path, PLAIN)
    asked: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for engine in OPEN[:3]:
        for row in engine.every(plain).rows()[:30]:
            (here,) = engine.facts(plain, [row])
            frames = tuple(_other(f, FRAMES) for f in (*row.frames[3:], *row.frames[:3]))
            asked[engine.task] += 1
            try:
                (there,) = engine.facts(back, [Row(frames, row.items)])
            except ValueError:  # what stayed is told by the later points, which are others now
                continue
            told[engine.task] += 1
            if engine.quantity == "which_moved":
                right = [f.options["ABCD".index(str(f.answer.text))] for f in (here, there)]
                assert right[0] == right[1]
            elif engine.quantity == "distance":
                assert there.answer.number == pytest.approx(here.answer.number)
            else:
                assert there.answer.text == OPPOSITE[str(here.answer.text)]
    assert set(told) == {engine.task for engine in OPEN[:3]}
    assert told.total() >= 0.7 * asked.total()
