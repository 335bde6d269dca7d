# SPDX-License-Identifier: Apache-2.0
"""Frames of layout questions: sets of a walk, and what fewer or more of them would answer."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from spatial_engine.check.verify import check_records
from spatial_engine.commands import export, generate, plan, stats, verify
from spatial_engine.dataset.dataset import open_records
from spatial_engine.engines.budgets import (
    ALL,
    SHOWN_FRAMES,
    budget_frames,
    shown_frames,
    walk_sets,
)
from spatial_engine.recipe import load_recipe
from spatial_engine.records.answers import norm1000
from spatial_engine.records.record import QARecord
from spatial_engine.reference.scene import ReferenceScene
from spatialcore.errors import SettingsError
from spatialcore.index.config import IndexConfig
from spatialcore.index.index import Index, build_index
from spatialcore.io.open import open_source
from spatialcore.sample import SampleConfig, make_sample
from spatialcore.sample.build import make_room
from spatialcore.sample.dice import Dice
from spatialcore.sample.labels import LABELS
from spatialcore.sample.presets import PRESETS
from spatialcore.sample.scan import Scan

FRAMES, ROOMS = 40, 1
SEED = 5
CONFIG = SampleConfig(rooms=ROOMS, clips=0, frames=FRAMES, seed=SEED, layouts=("scannet",))
RECIPE = "walks = 3\nbudgets = [2, 4, 8, 16, 32, 0]\n"
LOST = (10, 25)  # of 40 frames one has no pose and one no depth
TASKS = "scene_layout.*,spatial_relation.*,navigation.*"


def test_sets_of_a_walk_are_spread_and_differ() -> None:
    rng = np.random.default_rng()
    for count in rng.integers(1, 400, 40).tolist():
        valid = np.sort(rng.choice(1000, count, replace=False)).tolist()
        for walks in (1, 2, 3, 7):
            sets = walk_sets(valid, walks)
            assert sets[0] == shown_frames(valid)
            assert len(sets) == len(set(sets)) <= walks
            assert all(set(s) <= set(valid) and list(s) == sorted(s) for s in sets)
            assert all(len(s) == SHOWN_FRAMES for s in sets[1:])
            if count >= 3 * SHOWN_FRAMES:
                assert len(sets) == walks
                assert walks < 3 or (sets[1][0], sets[-1][-1]) == (valid[0], valid[-1])
    assert walk_sets(range(26), 3) == [shown_frames(range(26))]  # a stretch would have 16 of them


def test_budgets_take_frames_of_the_record_and_then_of_its_walk() -> None:
    rng = np.random.default_rng()
    for _ in range(40):
        valid = np.sort(rng.choice(1000, int(rng.integers(3, 200)), replace=False)).tolist()
        shown = shown_frames(valid[len(valid) // 3 :])
        found = budget_frames(shown, valid, (2, 4, 8, 16, 32, 0))
        walk = [f for f in valid if shown[0] <= f <= shown[-1]]
        assert len(set(found.values())) == len(found)
        assert found.get(ALL, max(found.values(), key=len)) == tuple(walk)
        for name, frames in found.items():
            assert name == ALL or len(frames) == int(name)
            assert set(frames) <= set(shown if len(frames) <= len(shown) else walk)


@pytest.mark.parametrize("budgets", ["[4, 2]", "[1]", "[0, 2]", "[2, 2]", "[-1]", '["all"]'])
def test_budgets_must_rise(budgets: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"budgets = {budgets}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="budgets"):
        load_recipe(path)


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A room of 40 frames, and a data set with budgets, of a seed nobody chose."""
    root = tmp_path_factory.mktemp("budgets")
    for _ in make_sample(root / "set", CONFIG):
        pass
    (root / "mine.toml").write_text(RECIPE, encoding="utf-8")
    argv = [str(root / "set/scannet"), "--stride", "1", "-o", str(root / "out"), "--tasks", TASKS]
    assert generate.main([*argv, "--recipe", str(root / "mine.toml")]) == 0
    return root


@pytest.fixture(scope="module")
def records(rooms: Path) -> list[QARecord]:
    return [opened.record for opened in open_records(rooms / "out")]


def test_questions_of_one_room_show_different_frames(records: list[QARecord]) -> None:
    for scene in {record.scene for record in records}:
        sets = {r.frames for r in records if r.scene == scene and len(r.frames) > 1}
        assert 2 <= len(sets) <= 3
        assert {len(frames) for frames in sets} == {SHOWN_FRAMES}
    walks = {r.task for r in records if "budgets" in r.facts}
    assert {"scene_layout.object_count", "spatial_relation.nearer"} <= walks
    assert not any(len(r.frames) == 1 for r in records if "budgets" in r.facts)


def test_what_the_own_frames_answer_is_the_answer(records: list[QARecord]) -> None:
    checked = 0
    for record in (r for r in records if "budgets" in r.facts):
        own = record.facts["budgets"]["16"]
        assert own["frames"] == list(record.frames)
        if record.task.endswith(".choice"):
            index = "ABCD".index(record.answer_text)
            assert float(own["answer"]) == float(record.options[index])
        elif record.options:
            said = record.options["ABCD".index(record.answer_text)]
            if "references" in record.facts and own["answer"] not in record.options:
                assert_shows(own["answer"], said, record)
            else:
                assert own["answer"] == said
        elif record.answer_number:
            assert float(own["answer"]) == record.answer_number[0]
        elif record.answer_type == "word":
            assert own["answer"] == record.answer_text
        checked += 1
    assert checked > 25


def assert_shows(answer: str, said: str, record: QARecord) -> None:
    """What frames answer of objects that are pointed at is an image and the box in it."""
    found = re.fullmatch(r"object in the box (\[ [\d ,]+ \]) of image (\d+)", answer)
    assert found, answer
    number = int(found[2])
    assert said.endswith(f"image {number}")
    size = record.images[number - 1].width, record.images[number - 1].height
    boxes = {}
    for one in record.facts["references"]:
        if one["image"] == number:
            u0, v0, u1, v1 = one["box"]
            shares = [*norm1000(u0, v0, *size), *norm1000(u1, v1, *size)]
            boxes[f"[ {' , '.join(map(str, shares))} ]"] = one
    assert found[1] in boxes
    if not boxes[found[1]]["drawn"] and record.task.endswith("boxed"):
        assert found[1] in said


def test_counts_are_those_of_the_pixels_of_the_frames(records: list[QARecord]) -> None:
    """The renderer says which things the frames of a budget show."""
    category = {raw: name for raw, name, *_ in LABELS}
    truth = {}
    for number in range(ROOMS):
        room = make_room(CONFIG, number)
        scan = Scan(room, PRESETS["default"], FRAMES, Dice(SEED, room.id))
        owner = np.array([*scan.object_ids, -1])
        views = [owner[scan.renderer.cast(scan.preset.color, p)[1]] for p in scan.room_from_cam]
        labels = [category[thing.raw_category] for thing in room.objects]
        pixels = np.array([np.bincount(v[v >= 0], minlength=len(labels)) for v in views])
        truth[room.id] = (np.array(labels), pixels)
    told = changed = 0
    for record in (r for r in records if r.task.startswith("scene_layout.object_count")):
        if "budgets" not in record.facts:
            continue
        labels, pixels = truth[record.scene]
        mine = labels == labels[record.facts["items"][0]]
        for name, one in record.facts["budgets"].items():
            if "answer" not in one:
                continue
            frames = one.get("frames")
            if name == ALL:
                walk = range(record.frames[0], record.frames[-1] + 1)
                frames = [f for f in walk if f not in LOST]
                assert len(frames) == one["count"]
            most = pixels[list(frames)].max(axis=0)[mine]
            assert (most >= 1500).sum() <= int(one["answer"]) <= (most >= 1).sum()
            told += 1
            changed += int(one["answer"]) != mine.sum()
    if not told:
        pytest.skip("nothing is counted in the room of this seed")
    print(f"{told} counts told, {changed} of them not that of the room")


def test_verify_derives_budgets_again_and_finds_a_changed_one(
    rooms: Path, records: list[QARecord]
) -> None:
    assert verify.main([str(rooms / "out"), "--sample", "60"]) == 0
    source = open_source(rooms / "set/scannet", stride=1)
    recipe = load_recipe(rooms / "mine.toml")
    record = next(r for r in records if r.task == "spatial_relation.nearer")
    reference = ReferenceScene(source.open(record.scene), recipe, 0, record.split)
    assert check_records(reference, [record]) == []
    facts = json.loads(record.evidence)
    facts["budgets"]["2"] = {"frames": facts["budgets"]["2"]["frames"], "answer": "over there"}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    found = check_records(reference, [dataclasses.replace(record, evidence=text)])
    assert [one.field for one in found] == ["evidence.budgets.2"]


def test_stats_and_prompts_say_what_budgets_answer(
    rooms: Path, records: list[QARecord], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert stats.main([str(rooms / "out"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["budgets"]
    for task, found in said.items():
        mine = [r.facts["budgets"] for r in records if r.task == task]
        for name, one in found.items():
            told = [b[name] for b in mine if name in b]
            answered = sum("answer" in t for t in told)
            assert (one["rows"], one["answered"]) == (len(told), answered)
            assert sum(one["reasons"].values()) == len(told) - answered
    assert stats.main([str(rooms / "out")]) == 0
    assert "percent of records that so many frames answer" in capsys.readouterr().out
    argv = [str(rooms / "out"), "-o", str(rooms / "prompts"), "--to", "prompts", "--images", "none"]
    assert export.main(argv) == 0
    lines = [p.read_text().splitlines() for p in (rooms / "prompts").rglob("*.jsonl")]
    rows = {row["id"]: row for row in map(json.loads, itertools.chain(*lines))}
    for record in (r for r in records if "budgets" in r.facts):
        for name, one in rows[record.id]["budgets"].items():
            assert one.keys() == {"answerable", "count" if name == ALL else "frames"}
            assert one["answerable"] == ("answer" in record.facts["budgets"][name])


def test_the_reference_knows_the_valid_frames(sample_dir: Path, tmp_path: Path) -> None:
    source = open_source(sample_dir / "scannet")
    recipe = load_recipe()
    build_index([source], tmp_path, IndexConfig(recipe.rules))
    for scene in Index.open(tmp_path):
        reference = ReferenceScene(source.open(scene.scene), recipe, 0, "train")
        assert reference.valid_frames == tuple(scene.valid_frames.tolist())
        assert len(reference.valid_frames) == 10  # of 12, one has no pose and one no depth


@pytest.mark.real
def test_the_reference_knows_the_valid_frames_of_captures(real_path: Path, tmp_path: Path) -> None:
    source = open_source(real_path / "rgbd")
    recipe = load_recipe()
    build_index([source], tmp_path, IndexConfig(recipe.rules))
    for scene in Index.open(tmp_path):
        reference = ReferenceScene(source.open(scene.scene), recipe, 0, "train")
        assert reference.valid_frames == tuple(scene.valid_frames.tolist())


def test_a_shortage_has_a_reason(
    sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no guard refused anything, the plan says that all there is is asked."""
    path = tmp_path / "mine.toml"
    path.write_text("walks = 1\nword_strata = false\n[guards]\nroom_shown_share = 0.0\n")
    source = str(sample_dir / "scannet")
    argv = [source, "-o", str(tmp_path / "plan"), "--tasks", "scene_layout.room_size"]
    assert plan.main([*argv, "--recipe", str(path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "task rows short scene_layout.room_size 2 78 one_per_room; all_asked 2" in said
    path.write_text("walks = 3\n[guards]\nroom_shown_share = 0.0\n")
    argv[2] = str(tmp_path / "other")
    assert plan.main([*argv, "--recipe", str(path)]) == 0
    assert "walk_short 4" in capsys.readouterr().out
