# SPDX-License-Identifier: Apache-2.0
"""Two visits of a room: what moved by the sample's own truth, and what is no second visit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from spatial_engine.commands import generate, verify
from spatial_engine.dataset.chains import chain_of, thought_of
from spatial_engine.dataset.dataset import open_records
from spatial_engine.engines import engine_of, engines
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.visits import Move
from spatial_engine.recipe import load_recipe
from spatial_engine.records.chains import parts_of
from spatial_engine.records.record import QARecord
from spatial_engine.reference.scene import ReferenceScene
from spatial_engine.scoring.multispa import score
from spatialcore.errors import SceneFormatError
from spatialcore.io.open import open_source
from spatialcore.io.revisits import two_visits
from spatialcore.sample import SampleConfig, make_sample
from spatialcore.types import Scene, transform_points
from spatialcore.visits import FRAMES, OBJECTS, thing_of, visit_of_frame

BOTH = "visit0000_first--visit0000_later"
TASKS = [engine.task for engine in engines() if engine.kind == "revisit"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("visits") / "set"
    config = SampleConfig(rooms=1, clips=0, frames=100, layouts=("rescan",), seed=41)
    for _ in make_sample(folder, config, workers=1):
        pass
    return folder / "rescan"


@pytest.fixture(scope="module")
def records(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[QARecord]]:
    out = tmp_path_factory.mktemp("revisit") / "out"
    assert generate.main([str(root), "-o", str(out), "--tasks", "revisit.*"]) == 0
    assert verify.main([str(out)]) == 0
    found: dict[str, list[QARecord]] = {}
    for opened in open_records(out):
        found.setdefault(opened.record.task, []).append(opened.record)
    return found


def test_every_record_tells_a_chain(records: dict[str, list[QARecord]]) -> None:
    for told in records.values():
        for record in told:
            chain = chain_of(record)  # which refuses a chain that ends elsewhere
            assert chain is not None
            assert (chain.text, record.answer) == parts_of(thought_of(record) or "")


@pytest.fixture(scope="module")
def room(root: Path) -> Scene:
    scene = open_source(root).open(BOTH)
    assert isinstance(scene, Scene)
    return scene


def motions(root: Path) -> dict[int, np.ndarray]:
    """(4, 4) motion of each thing that the sample moved, in the first world."""
    (listed,) = json.loads((root / "3RScan.json").read_text())
    return {
        one["instance_rescan"]: np.array(one["transform"]).reshape(4, 4).T
        for one in listed["scans"][0]["rigid"]
    }


def test_each_task_is_asked_and_its_truth_scores_all(records: dict[str, list[QARecord]]) -> None:
    assert set(records) == set(TASKS)
    for record in (one for task in TASKS for one in records[task]):
        assert score(record, record.answer).value == 1.0
        assert [visit_of_frame(frame) for frame in record.frames] == [0, 0, 0, 1, 1, 1]
        assert [name.partition("-")[0] for name in record.frame_names] == 3 * ["first"] + 3 * [
            "later"
        ]


def test_what_moved_and_how_far_is_what_the_sample_did(
    records: dict[str, list[QARecord]], root: Path, room: Scene
) -> None:
    cloud, truth = room.read_cloud(), motions(root)
    name_of = {item.object_id: item.category for item in room.objects}
    for record in (one for task in TASKS for one in records[task]):
        thing = record.facts["items"][0]
        assert thing in truth
        assert not set(record.facts["items"][1:]) & set(truth)
        points = cloud.points_world[cloud.instance == thing].astype(np.float64)
        middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
        shift = np.linalg.norm(transform_points(truth[thing], middle) - middle)
        assert record.facts["moved_m"][0] == pytest.approx(shift, abs=0.05)
        if record.task == "revisit.which_moved":
            assert record.options["ABCD".index(str(record.answer_text))] == name_of[thing]


def test_what_stayed_cannot_have_moved(records: dict[str, list[QARecord]], room: Scene) -> None:
    stored = records["revisit.gap_change"][0]
    reference = ReferenceScene(room, load_recipe(), stored.seed, stored.split)
    engine, (thing, landmark) = engine_of(stored.task), stored.facts["items"]
    facts, broken = engine.recompute(reference, Row(stored.frames, (thing, landmark)))
    assert (facts.answer.text, broken) == (stored.answer_text, "")
    with pytest.raises(ValueError, match="has no answer"):
        engine.recompute(reference, Row(stored.frames, (landmark, thing)))


def test_numbers_tell_the_visit(room: Scene) -> None:
    assert room.visits == 2
    ids = [item.object_id for item in room.objects]
    assert len({thing_of(k) for k in ids}) < len(ids)
    later = next(frame for frame in room.frames if frame.index >= FRAMES and frame.valid)
    assert room.read_depth(later).shape == room.depth_size_of(later)[::-1]
    cloud = room.read_cloud()
    assert set(np.unique(cloud.visit[cloud.instance >= OBJECTS])) == {1}


def test_only_scans_that_lie_on_one_another_are_visits(root: Path) -> None:
    source = open_source(root)
    first, later = (source.open(one) for one in BOTH.split("--"))
    (listed,) = json.loads((root / "3RScan.json").read_text())
    metres = np.array(listed["scans"][0]["transform"]).reshape(4, 4).T
    units = metres.copy()
    units[:3, 3] *= 1000
    good = two_visits(first, later, (units, metres), "both")
    np.testing.assert_allclose(
        good.frames[-1].world_from_cam, metres @ later.frames[-1].world_from_cam, atol=1e-9
    )
    with pytest.raises(SceneFormatError, match="no scan of the same room") as refused:
        two_visits(first, later, (units,), "both")
    assert refused.value.code == "visits_apart"
    bare = dataclasses.replace(later, read_cloud=None)
    with pytest.raises(SceneFormatError, match="no labelled mesh"):
        two_visits(first, bare, (metres,), "both")


@pytest.mark.parametrize(
    ("metres", "share", "same", "moved", "still"),
    [
        (0.31, 0.2, True, True, False), (0.29, 0.2, True, False, False),
        (0.31, 0.2, False, False, False), (0.09, 0.76, True, False, True),
        (0.11, 0.76, True, False, False), (0.09, 0.74, True, False, False),
    ],
)  # fmt: skip
def test_between_what_moved_and_what_stayed_lies_a_gap(
    metres: float, share: float, same: bool, moved: bool, still: bool
) -> None:
    one = Move(metres, share, same)
    assert (one.moved, one.still) == (moved, still)
