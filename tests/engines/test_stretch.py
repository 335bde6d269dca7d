# SPDX-License-Identifier: Apache-2.0
"""The end of one walk as val: the wanted share arrives, and no picture is on both sides."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from spatial_engine.commands import generate, plan, verify
from spatial_engine.dataset.dataset import Dataset
from spatial_engine.plan.limit import spread_over_sides
from spatial_engine.plan.plan import Plan
from spatial_engine.plan.stretch import held_frames

TASKS = "camera_movement.*,depth_perception.*,visual_correspondence.*,scene_layout.*"


@pytest.fixture(scope="module")
def scan(sample_dir: Path) -> str:
    return f"scannet:{sorted((sample_dir / 'scannet' / 'scans').iterdir())[0]}"


@pytest.fixture(scope="module")
def made(scan: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred questions of one room, exported."""
    out = tmp_path_factory.mktemp("stretch") / "out"
    argv = [scan, "-o", str(out), "--limit", "200", "--tasks", TASKS, "--to", "jsonl"]
    assert generate.main(argv) == 0
    return out


def frames_of(out: Path) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for record in Dataset.open(out).records():
        found.setdefault(record.split, set()).update(record.frames)
    return found


def rows(path: Path) -> Iterator[dict[str, object]]:
    for file in sorted(path.glob("*/part-*.jsonl")):
        yield from map(json.loads, file.read_text().splitlines())


def test_the_wanted_share_arrives_and_no_frame_is_on_both_sides(made: Path) -> None:
    dataset = Dataset.open(made)
    summary = dataset.summary()
    assert summary is not None
    assert summary.splits == {"train": 180, "val": 20}
    frames = frames_of(made)
    assert max(frames["train"]) < min(frames["val"])
    exported = [str(row["split"]) for row in rows(made / "jsonl")]
    assert (len(exported), exported.count("val")) == (200, 20)
    assert "no question shows frames of both splits" in " ".join(
        (made / "README.md").read_text().split()
    )


def test_every_answer_of_both_sides_is_derived_again(made: Path) -> None:
    assert verify.main([str(made), "--workers", "1"]) == 0


def test_rows_are_the_same_when_the_plan_is_listed_again(made: Path, tmp_path: Path) -> None:
    """Without rows.parquet candidates are listed from the index: of each side its own."""
    folder = tmp_path / "plan"
    folder.mkdir()
    for path in (made / "plan").iterdir():
        if path.is_file() and path.name != "rows.parquet":
            (folder / path.name).write_bytes(path.read_bytes())
    assert generate.main([str(folder), "-o", str(tmp_path / "again")]) == 0
    files = [path.relative_to(made) for path in sorted(made.glob("data/*/*.parquet"))]
    assert files
    for name in files:
        assert (tmp_path / "again" / name).read_bytes() == (made / name).read_bytes()


def test_the_same_command_resumes_with_and_without_an_export(made: Path, scan: str) -> None:
    asked = [scan, "-o", str(made), "--limit", "200", "--tasks", TASKS]
    assert generate.main(asked) == 0
    assert generate.main([*asked, "--to", "jsonl"]) == 0


def test_a_set_made_whole_is_exported_with_what_lies_on_one_side(
    scan: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    asked = [scan, "-o", str(out), "--limit", "60", "--tasks", TASKS]
    assert generate.main(asked) == 0
    capsys.readouterr()
    assert generate.main([*asked, "--to", "jsonl"]) == 0
    told = capsys.readouterr().out
    found = [str(row["split"]) for row in rows(out / "jsonl")]
    assert {"train", "val"} == set(found)
    assert ("left out" in told) == (len(found) < 60)


def test_a_stretch_is_of_one_walk(
    sample_dir: Path, scan: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    several = str(sample_dir / "scannet")
    for argv, said in (
        ([several, "--val-stretch", "0.1"], "--val-share sends some of the rooms"),
        ([scan, "--val-stretch", "0.9"], "up to 0.5"),
        ([scan, "--val-stretch", "0.1", "--val-share", "0.1"], "held-out stretch is for one scene"),
        ([scan, "--val-stretch", "0.0001"], "too few for a held-out stretch"),
    ):
        assert plan.main([*argv, "-o", str(tmp_path / "plan")]) != 0
        assert said in " ".join(capsys.readouterr().err.split())


def test_a_stored_plan_is_read_as_it_was_made(made: Path) -> None:
    stored = Plan.open(made / "plan")
    sides = {scene.split: scene.frames for scene in stored.scenes}
    assert set(sides) == {"train", "val"}
    assert all(sides.values())
    assert {shard.split for shard in stored.shards} == {"train", "val"}


def test_of_the_pairs_on_one_side_the_share_is_in_the_end() -> None:
    chance = random.Random()
    for _ in range(50):
        count, share = chance.randint(200, 2000), chance.uniform(0.02, 0.5)
        held = held_frames(count, share)
        val, train = held * (held - 1), (count - held) * (count - held - 1)
        assert abs(val / (val + train) - share) < 0.02


def test_what_one_side_cannot_give_the_other_does() -> None:
    chance = random.Random()
    for _ in range(50):
        have = {(task, "", split): chance.randint(0, 300) for task in "abc"
                for split in ("train", "val")}  # fmt: skip
        limit = chance.randint(1, 800)

        def rows(cell: tuple[str, str, str], quota: int, have=have) -> int:
            return min(quota, have[cell])

        found = spread_over_sides(limit, dict.fromkeys(have, 5), rows, 0.1)
        given = {cell: min(found[cell], have[cell]) for cell in have}
        assert sum(given.values()) == min(limit, sum(have.values())), (have, limit)
        val = sum(n for cell, n in given.items() if cell[2] == "val")
        there = {split: sum(n for cell, n in have.items() if cell[2] == split)
                 for split in ("train", "val")}  # fmt: skip
        if there["val"] >= round(0.1 * limit) and there["train"] >= limit - round(0.1 * limit):
            assert val == round(0.1 * limit)


@pytest.mark.real
def test_five_hundred_of_a_captured_office(real_path: Path, tmp_path: Path) -> None:
    office, out = real_path / "rgbd" / "hololens_office_000", tmp_path / "out"
    argv = [str(office), "-o", str(out), "--limit", "500", "--to", "jsonl"]
    assert generate.main(argv) in (0, 3)
    found = [str(row["split"]) for row in rows(out / "jsonl")]
    assert (found.count("train"), found.count("val")) == (450, 50)
