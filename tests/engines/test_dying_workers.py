# SPDX-License-Identifier: Apache-2.0
"""A worker that is killed costs a try of its piece, in every verb that has workers.

The pieces below kill their process, by SIGKILL, as often as the folder of marks allows, and then
do what the verb does. They stand in for it by being found under its name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spatial_engine.check import verify as checking
from spatial_engine.commands import export as export_verb
from spatial_engine.commands import generate, plan, verify
from spatial_engine.dataset import make
from spatial_engine.export import part as exporting_part
from spatial_engine.export import run as exporting
from spatial_engine.plan import make as planning
from spatial_engine.plan import passes
from spatial_engine.plan import shards as sharding
from spatialcore.commands import index, sample
from spatialcore.index import make as indexing
from spatialcore.sample import build
from tests.engines.test_pipeline import data_bytes
from tests.processes import kill_on_the_first_tries

TASKS = ["--tasks", "camera_movement.*", "--limit", "60"]
TWO = ["--workers", "2"]
ONCE, TWICE = 1, 2


def _dies(folder: Path, name: str) -> None:
    """Die if the folder of marks, which a test makes beside the output, says how often."""
    for marks in (
        folder / "once",
        folder.parent / "once",
        folder / "twice",
        folder.parent / "twice",
    ):
        if marks.is_dir():
            kill_on_the_first_tries(marks / name, ONCE if marks.name == "once" else TWICE)


def dying_scene(job: Any) -> Any:
    if job.scene.endswith("0000_00"):
        _dies(job.path.parents[1], job.scene)
    return indexing._work(job)


def dying_count(job: Any) -> Any:
    if job.scene.scene.endswith("0000_00"):
        _dies(job.index, "count")
    return passes.count_candidates(job)


def dying_pick(job: Any, *, takes: Any) -> Any:
    picked = passes.pick_hashes(job, takes=takes)
    if job.scene.scene.endswith("0000_00"):
        _dies(job.index, "pick")  # after its work, which is then made again
    return picked


def dying_shard(number: int, *, plan_folder: Path, out: Path) -> Any:
    if number == 1:
        _dies(out, "shard")
    return make._run_number(number, plan_folder=plan_folder, out=out)


def dying_check(job: Any) -> Any:
    if job.path.name == "part-00001.parquet":
        _dies(job.path.parents[2], "check")
    return checking._check_shard(job)


def dying_part(part: Any, *, folder: Path, **more: Any) -> Any:
    made = exporting_part.export_part(part, folder=folder, **more)
    if part.number == 1:
        _dies(folder.parent, "part")  # after its work, which is found done
    return made


def dying_item(root: Path, config: Any, job: tuple[str, int]) -> Any:
    if job == ("room", 0):
        _dies(root, "item")
    return build._run(root, config, job)


@pytest.fixture(scope="module")
def quiet(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index, a plan of many shards, and the data set, made with nobody dying."""
    root = tmp_path_factory.mktemp("quiet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharding, "SHARD_ROWS", 12)
        assert index.main([str(sample_dir / "scannet"), "-o", str(root / "idx")]) == 0
        assert plan.main([str(root / "idx"), "-o", str(root / "plan"), *TASKS]) == 0
    assert generate.main([str(root / "plan"), "-o", str(root / "out")]) == 0
    return root


def index_bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".npy", ".parquet")
    }


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.name.endswith(".tmp")]


def report(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_index(
    quiet: Path, sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(indexing, "_work", dying_scene)
    argv = [str(sample_dir / "scannet"), "-o", str(tmp_path / "idx"), *TWO]
    (tmp_path / "twice").mkdir()
    assert index.main([*argv, "--json"]) == 3
    (skipped,) = report(capsys)["skipped"]
    assert (skipped["scene"], skipped["reason"]) == ("scene0000_00", "worker_died")
    assert index.main(argv) == 0  # it may die no more
    assert index_bytes(tmp_path / "idx") == index_bytes(quiet / "idx")
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("stage", ["count_candidates", "pick_hashes"])
def test_plan(
    quiet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    piece = {"count_candidates": dying_count, "pick_hashes": dying_pick}[stage]
    monkeypatch.setattr(planning, stage, piece)
    monkeypatch.setattr(sharding, "SHARD_ROWS", 12)
    (tmp_path / "idx").symlink_to(quiet / "idx")
    where = (quiet / "idx").resolve()
    for marks, code in (("once", 0), ("twice", 3)):
        (where / marks).mkdir()
        try:
            out = tmp_path / marks
            assert plan.main([str(where), "-o", str(out), *TASKS, *TWO, "--json"]) == code
        finally:
            for mark in (where / marks).iterdir():
                mark.unlink()
            (where / marks).rmdir()
    same = [(tmp_path / "once" / name).read_bytes() for name in ("plan.json", "rows.parquet")]
    assert same == [(quiet / "plan" / name).read_bytes() for name in ("plan.json", "rows.parquet")]
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["skipped"] == ["scannet/scene0000_00: worker_died"]
    assert told["rows"] > 0


def test_generate(
    quiet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(make, "_run_number", dying_shard)
    argv = [str(quiet / "plan"), "-o", str(tmp_path / "out"), *TWO]
    (tmp_path / "twice").mkdir()
    assert generate.main([*argv, "--json"]) == 3
    (lost,) = report(capsys)["lost"]
    assert lost.startswith("shard 1: worker_died: its worker died twice (SIGKILL)")
    made, whole = data_bytes(tmp_path / "out"), data_bytes(quiet / "out")
    assert {k: v for k, v in whole.items() if k in made} == made
    assert len(made) == len(whole) - 1
    assert generate.main(argv) == 0
    assert data_bytes(tmp_path / "out") == whole
    assert not leftovers(tmp_path)


def test_generate_after_one_death_has_all_bytes(
    quiet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "_run_number", dying_shard)
    (tmp_path / "once").mkdir()
    assert generate.main([str(quiet / "plan"), "-o", str(tmp_path / "out"), *TWO]) == 0
    assert list((tmp_path / "once").iterdir())
    assert data_bytes(tmp_path / "out") == data_bytes(quiet / "out")


def test_verify(
    quiet: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checking, "_check_shard", dying_check)
    (quiet / "twice").mkdir()
    try:
        assert verify.main([str(quiet / "out"), *TWO]) == 3
        told = capsys.readouterr().out
        assert "not checked: part-00001.parquet: worker_died" in told
        assert "NOT verified" in told
        assert verify.main([str(quiet / "out"), *TWO]) == 0
    finally:
        (quiet / "twice" / "check").unlink(missing_ok=True)
        (quiet / "twice").rmdir()


def test_export(
    quiet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    argv = [str(quiet / "out"), "--to", "llava", "trl", "webdataset", "--images", "copy"]
    argv += ["--paths", "relative", "-o"]
    assert export_verb.main([*argv, str(tmp_path / "one"), "--json"]) == 0
    told = report(capsys)
    images, records = told["images"], told["records"]
    monkeypatch.setattr(exporting, "export_part", dying_part)
    (tmp_path / "once").mkdir()
    assert export_verb.main([*argv, str(tmp_path / "two"), *TWO, "--json"]) == 0
    assert report(capsys)["images"] == images > 0
    assert list((tmp_path / "once").iterdir())
    one, two = (
        {str(p.relative_to(tmp_path / k)): p.read_bytes()
         for p in (tmp_path / k).rglob("*") if p.is_file() and not p.name.endswith(".lock")}
        for k in ("one", "two")
    )  # fmt: skip
    assert one == two
    (tmp_path / "once").rename(tmp_path / "twice")
    (tmp_path / "twice" / "part").unlink()
    assert export_verb.main([*argv, str(tmp_path / "three"), *TWO, "--json"]) == 3
    told = report(capsys)
    assert "worker_died" in told["lost"][0]
    assert told["records"] <= records


def test_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--preset", "tiny", "--rooms", "3", "--json"]
    assert sample.main([str(tmp_path / "quiet"), *argv]) == 0
    wanted = report(capsys)["sha256"]
    monkeypatch.setattr(build, "_run", dying_item)
    (tmp_path / "twice").mkdir()
    assert sample.main([str(tmp_path / "set"), *argv, *TWO]) == 3
    assert report(capsys)["lost"][0].startswith("room 0: worker_died")
    assert sample.main([str(tmp_path / "set"), *argv, *TWO]) == 0
    assert report(capsys)["sha256"] == wanted
    assert not leftovers(tmp_path)
