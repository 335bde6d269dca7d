# SPDX-License-Identifier: Apache-2.0
"""A limit is over what can be given: spread, spread again, and what is short is said."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_engine.commands import generate, plan
from spatial_engine.engines import engine_of
from spatial_engine.engines.base import Engine, candidates_of
from spatial_engine.engines.candidates import CandidateTable
from spatial_engine.engines.context import SceneContext
from spatial_engine.plan import passes
from spatial_engine.plan.limit import shares_of, spread_limit
from spatial_engine.plan.make import make_plan
from spatial_engine.plan.plan import Plan, PlanConfig
from spatialcore.commands.index import main as index_main
from spatialcore.index.index import Index

CELLS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 300)), min_size=1, max_size=12)


@given(CELLS, st.integers(1, 600), st.sampled_from([1, 2, 5]))
def test_all_that_can_be_had_up_to_the_limit(
    cells: list[tuple[int, int]], limit: int, strata: int
) -> None:
    """Each cell's quota is split evenly over strata, of which the first alone holds rows."""
    weights = {(f"t{k}", "s", "train"): weight for k, (weight, _) in enumerate(cells)}
    have = {(f"t{k}", "s", "train"): count for k, (_, count) in enumerate(cells)}

    def rows(cell: tuple[str, str, str], quota: int) -> int:
        return min(-(-quota // strata), have[cell])

    found = spread_limit(limit, weights, rows)
    given_rows = {cell: rows(cell, quota) for cell, quota in found.items()}
    most = sum(count for cell, count in have.items() if weights[cell])
    assert sum(given_rows.values()) == min(limit, most)
    assert not any(quota for cell, quota in found.items() if not weights[cell])


@given(CELLS, st.integers(1, 600))
def test_where_all_can_give_it_is_the_plain_share(cells: list[tuple[int, int]], limit: int) -> None:
    weights = {(f"t{k}", "s", "train"): weight for k, (weight, _) in enumerate(cells)}
    assert spread_limit(limit, weights, lambda _, quota: quota) == shares_of(limit, weights)


@given(CELLS, st.lists(st.integers(1, 3), min_size=12, max_size=12), st.integers(1, 600))
def test_rows_that_come_by_twos_and_threes_do_not_keep_a_limit_from_its_edge(
    cells: list[tuple[int, int]], steps: list[int], limit: int
) -> None:
    """One cell gives row by row; what the others give at once, it makes way for."""
    sized = [*((*cell, step) for cell, step in zip(cells, steps, strict=False)), (1, 9, 1)]
    weights = {(f"t{k}", "s", "train"): weight for k, (weight, _, _) in enumerate(sized)}
    have = {(f"t{k}", "s", "train"): (count, step) for k, (_, count, step) in enumerate(sized)}

    def rows(cell: tuple[str, str, str], quota: int) -> int:
        count, step = have[cell]
        return min(quota, count) // step * step

    found = spread_limit(limit, weights, rows)
    most = sum(rows(cell, 10_000) for cell in have if weights[cell])
    assert sum(rows(cell, quota) for cell, quota in found.items()) == min(limit, most)


@pytest.fixture(scope="module")
def indexed(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("limit") / "idx"
    assert index_main([str(sample_dir / "scannet"), "-o", str(folder)]) == 0
    return folder


def _planned(indexed: Path, out: Path, *options: str) -> Plan:
    assert plan.main([str(indexed), "-o", str(out), *options]) == 0
    return Plan.open(out)


def test_a_limit_is_reached_and_its_edge_is_all_there_is(indexed: Path, tmp_path: Path) -> None:
    """All that there is, asked again as the limit, is had; one more is said to be missing."""
    all_of_it = _planned(indexed, tmp_path / "all", "--limit", "10000000")
    most = all_of_it.rows
    between = random.choice((random.randint(1, 40), random.randint(300, most - 1)))
    for k, limit in enumerate((between, most)):
        assert _planned(indexed, tmp_path / str(k), "--limit", str(limit)).rows == limit
    assert _planned(indexed, tmp_path / "more", "--limit", str(most + 1)).rows == most


def test_a_task_counted_further_gives_the_same_records_from_rows_and_from_thresholds(
    indexed: Path, tmp_path: Path
) -> None:
    """The rows beside the plan are those that its thresholds and its own quotas give again."""
    tasks = "depth_perception.*,visual_correspondence.*,object_movement.*"
    options = ["--tasks", tasks, "--limit", "700"]
    assert _planned(indexed, tmp_path / "plan", *options).rows > 0
    assert generate.main([str(tmp_path / "plan"), "-o", str(tmp_path / "a")]) == 0
    (tmp_path / "plan" / "rows.parquet").unlink()
    assert generate.main([str(tmp_path / "plan"), "-o", str(tmp_path / "b")]) == 0
    files = [sorted((tmp_path / out).glob("data/*/*.parquet")) for out in "ab"]
    assert [p.read_bytes() for p in files[0]] == [p.read_bytes() for p in files[1]]


def test_with_a_limit_no_candidates_are_listed_twice_for_one_quota(
    indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others leave is known before tasks are listed that take it, and only more is listed."""
    listed: list[tuple[str, str, int]] = []

    def counted(engine: Engine, context: SceneContext) -> CandidateTable:
        listed.append((engine.task, context.place.scene, context.scene_quota[engine.task]))
        return candidates_of(engine, context)

    monkeypatch.setattr(passes, "candidates_of", counted)
    tasks = ("depth_perception.*", "camera_movement.yaw_*", "scene_layout.room_size")
    config = PlanConfig(tasks=tasks, limit=random.randint(40, 200))
    made = make_plan(Index.open(indexed), config, rows_file=tmp_path / "rows.parquet", workers=1)
    assert made.rows == config.limit
    assert len(set(listed)) == len(listed)
    waits = [engine_of(task).within_quota for task, _, _ in listed]
    assert any(waits)
    assert waits == sorted(waits)
    last = {scene.scene: made.quotas_of(scene) for scene in made.scenes}
    for task, scene in {row[:2] for row in listed}:
        quotas = [quota for *mine, quota in listed if mine == [task, scene]]
        assert quotas == sorted(quotas)
        assert quotas[-1] == last[scene][task]


def test_a_limit_below_the_number_of_tasks_is_the_reason_that_is_told(
    indexed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = [f"camera_movement.{axis}_direction" for axis in "xyz"]
    made = _planned(indexed, tmp_path / "plan", "--tasks", ",".join(tasks), "--limit", "1")
    text = " ".join(capsys.readouterr().out.split())
    assert made.rows == 1
    assert "1 of 1 records over 1 of the 3 tasks that can be asked" in text
    assert "not asked, the limit has no row for them: camera_movement." in text
    assert text.count("not asked") == 1


def test_an_estimate_writes_nothing_and_promises_what_the_plan_gives(
    indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in indexed.rglob("*")}
    assert plan.main([str(indexed), "--estimate", "--limit", "500", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {p: p.stat().st_mtime_ns for p in indexed.rglob("*")} == before
    assert not list(tmp_path.iterdir())
    made = _planned(indexed, tmp_path / "plan", "--limit", "500")
    capsys.readouterr()
    cost = told["estimate"]
    assert (told["rows"], told["hash"]) == (500, made.hash())
    assert cost["rows"] == 500
    assert cost["shards"] == len(made.shards)
    assert generate.main([str(tmp_path / "plan"), "-o", str(tmp_path / "out")]) == 0
    real = sum(p.stat().st_size for p in (tmp_path / "out").glob("data/*/*.parquet"))
    assert cost["record_bytes"] == real  # one shard, which was made whole
    assert (
        _planned(indexed, tmp_path / "told", "--estimate", "--limit", "500").hash() == made.hash()
    )
    assert plan.main([str(indexed)]) == 2


def test_a_capture_without_labels_gives_what_was_asked(
    real_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = real_path / "rgbd" / "hololens_office_000"
    assert generate.main([str(source), "-o", str(tmp_path / "out"), "--limit", "5000"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"5,000 of 5,000 records over the \d\d of \d+ tasks", text)
    assert "not asked, no object is labelled: object_perception.*" in text
    assert "not asked, there is no clip of tracks: object_movement.*" in text
