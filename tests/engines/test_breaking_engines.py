# SPDX-License-Identifier: Apache-2.0
"""An engine that fails on a scene, in the plan, while records are made, or in verify, ends none."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spatial_engine.commands import generate, plan, stats, verify
from spatial_engine.dataset.dataset import Dataset, open_records
from spatial_engine.dataset.shard_rows import open_scene
from spatial_engine.engines import engine_of
from spatial_engine.engines.candidates import joined
from spatial_engine.records.record import QARecord, record_id
from spatialcore.commands import index
from tests.engines.test_poisoned_scenes import Room, depth_files

__all__ = ["depth_files"]  # the fixture
TASK, OTHER = "depth_perception.comparison.marked", "depth_perception.value.marked"


def test_a_scene_that_breaks_an_engine_is_left_out_by_name(
    tmp_path: Path,
    depth_files: list[bytes],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from spatial_engine.plan import passes

    for name in ("bad", "good", "other"):
        Room(tmp_path / "scenes" / name, depth_files).write()
    assert index.main([str(tmp_path / "scenes"), "-o", str(tmp_path / "index")]) == 0
    capsys.readouterr()
    sound, task = passes.candidates_of, "depth_perception.comparison.marked"

    def breaks(engine: Any, context: Any) -> Any:
        if (context.scene.scene, engine.task) == ("bad", task):
            raise ZeroDivisionError("float division by\x1b zero")
        return sound(engine, context)

    monkeypatch.setattr(passes, "candidates_of", breaks)
    command = [str(tmp_path / "index"), "--tasks", "depth_perception.*"]
    assert plan.main([*command, "-o", str(tmp_path / "plan"), "--json"]) == 3
    (skipped,) = json.loads(capsys.readouterr().out)["skipped"]
    error = r"ZeroDivisionError: float division by\x1b zero"
    assert skipped == f"posed_images/bad: {task}: engine_failed: {error}"
    monkeypatch.undo()
    assert generate.main([str(tmp_path / "plan"), "-o", str(tmp_path / "set")]) == 3
    assert verify.main([str(tmp_path / "set"), "--all"]) == 0
    made = {one.record.scene for one in open_records(tmp_path / "set")}
    assert made == {"good", "other"}


def test_candidates_of_one_id_end_the_plan_by_the_name_of_the_engine(
    tmp_path: Path,
    depth_files: list[bytes],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from spatial_engine.plan import passes

    Room(tmp_path / "scenes" / "room", depth_files).write()
    assert index.main([str(tmp_path / "scenes"), "-o", str(tmp_path / "index")]) == 0
    capsys.readouterr()
    sound, task = passes.candidates_of, "camera_movement.distance"

    def both_ways(engine: Any, context: Any) -> Any:
        table = sound(engine, context)
        if not len(table):
            return table
        turned = replace(table, frames=table.frames[:, ::-1], hash=table.hash + np.uint64(1))
        return joined([table, turned], table.rejected)

    monkeypatch.setattr(passes, "candidates_of", both_ways)
    command = [str(tmp_path / "index"), "-o", str(tmp_path / "plan"), "--tasks", task]
    assert plan.main(command) == 1
    told = " ".join(capsys.readouterr().err.split())
    named = re.search(
        r"\(package 'spatial_engine'\) .* (\S+): frames (\d+), (\d+) and (\d+), (\d+)", told
    )
    assert named is not None
    assert f"the engine of {task}" in told
    first, *frames = named.groups()
    assert frames[:2] == frames[:1:-1]
    assert first == record_id("default", task, "posed_images", "room", map(int, frames[:2]), ())
    assert not (tmp_path / "plan" / "plan.json").exists()


def _breaks_facts(patch: pytest.MonkeyPatch) -> int:
    """Engines that fail on a scene while records are made; how many tasks they cost it."""
    engine = engine_of(TASK)
    sound = type(engine).facts

    def facts(self: Any, context: Any, rows: Any) -> Any:
        if (context.scene.scene, self.task) == ("bad", TASK):
            raise ZeroDivisionError("float division by\x1b zero")
        return sound(self, context, rows)

    patch.setattr(type(engine), "facts", facts)
    return 1


def _breaks_texts(patch: pytest.MonkeyPatch) -> int:
    from spatial_engine.dataset import shard_table

    sound = shard_table.compose_table

    def compose(place: Any, told: Any) -> Any:
        if place.scene == "bad" and any(one.engine.task == TASK for one in told):
            raise KeyError("far")
        return sound(place, told)

    patch.setattr(shard_table, "compose_table", compose)
    return 1


def _breaks_opening(patch: pytest.MonkeyPatch) -> int:
    from spatial_engine.dataset import shard_rows

    sound = shard_rows.open_context

    def opened(index: Any, scene: Any, *rest: Any) -> Any:
        if scene.scene == "bad":
            raise OverflowError("too large")
        return sound(index, scene, *rest)

    patch.setattr(shard_rows, "open_context", opened)
    return 2


ONE = ["--workers", "1"]


@pytest.fixture(scope="module")
def quiet(depth_files: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of two scenes, `plan`, and what it makes while nothing breaks, `set`."""
    root = tmp_path_factory.mktemp("quiet")
    for name in ("bad", "good"):
        Room(root / "scenes" / name, depth_files).write()
    tasks = ["--tasks", f"{TASK},{OTHER}", "--limit", "40"]
    assert index.main([str(root / "scenes"), "-o", str(root / "index"), *ONE]) == 0
    assert plan.main([str(root / "index"), "-o", str(root / "plan"), *tasks, *ONE]) == 0
    assert generate.main([str(root / "plan"), "-o", str(root / "set"), *ONE]) == 0
    return root


def records(out: Path) -> list[QARecord]:
    return [one.record for one in open_records(out)]


@pytest.mark.parametrize("fault", [_breaks_facts, _breaks_texts, _breaks_opening])
@pytest.mark.parametrize("listed", [False, True])
def test_an_engine_that_breaks_while_records_are_made_costs_its_scene_alone(
    quiet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], int], listed: bool,
) -> None:  # fmt: skip
    asked, out, whole = tmp_path / "plan", tmp_path / "set", records(quiet / "set")
    shutil.copytree(quiet / "plan", asked)
    if listed:  # as a plan made on Ray
        (asked / "rows.parquet").unlink()
    open_scene.cache_clear()
    with monkeypatch.context() as patch:
        cost = [TASK, OTHER][: fault(patch)]
        capsys.readouterr()
        assert generate.main([str(asked), "-o", str(out), *ONE, "--json"]) == 3
        told = json.loads(capsys.readouterr().out)
    lost = [r for r in whole if r.scene == "bad" and r.task in cost]
    kept = [record for record in whole if record not in lost]
    assert lost
    assert records(out) == kept
    assert (told["rows"], told["planned"]) == (len(kept), len(whole))
    summary = Dataset.open(out).summary()
    assert summary is not None
    assert sum(one.rows or 0 for one in summary.dropped) == len(lost)
    assert told["dropped"] == [str(one) for one in summary.dropped]
    assert all("engine_failed: " in line and "\x1b" not in line for line in told["dropped"])
    for verb, options in ((verify, ONE), (stats, [])):
        assert verb.main([str(out), *options]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert f"made: {told['dropped'][0]}" in said
    open_scene.cache_clear()
    assert generate.main([str(asked), "-o", str(out), *ONE]) == 0  # the engine is mended
    assert records(out) == whole
    again = Dataset.open(out).summary()
    assert again is not None
    assert not again.dropped


def test_an_engine_that_breaks_in_verify_refuses_its_records(
    quiet: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> Any:
        raise ZeroDivisionError("float division by zero")

    monkeypatch.setattr(type(engine_of(TASK)), "recompute", breaks)
    capsys.readouterr()
    assert verify.main([str(quiet / "set"), *ONE]) == 1
    assert "ZeroDivisionError: float division by zero" in capsys.readouterr().out
