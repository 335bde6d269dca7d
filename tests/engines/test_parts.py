# SPDX-License-Identifier: Apache-2.0
"""Index, plan and data set made by parts, in any order or at once, are those of one process."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from spatial_engine.commands import generate, plan
from spatial_engine.plan import thresholds
from spatialcore.commands import index

TASKS = ["--tasks", "camera_movement.*,depth_perception.*,spatial_relation.*", "--limit", "900"]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file by name, without locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    }


@pytest.fixture(scope="module")
def whole(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index and a plan, each by one process."""
    folder = tmp_path_factory.mktemp("parts")
    assert index.main([str(sample_dir / "scannet"), "-o", str(folder / "idx")]) == 0
    assert plan.main([str(folder / "idx"), "-o", str(folder / "plan"), *TASKS]) == 0
    return folder


def test_an_index_by_parts(
    sample_dir: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With more parts than scenes, in any order; nothing opens it before the last one."""
    count = random.randint(2, 6)
    order = random.sample(range(count), count)
    capsys.readouterr()
    for done, number in enumerate(order, 1):
        argv = [str(sample_dir / "scannet"), "-o", str(tmp_path / "idx"), "--json"]
        assert index.main([*argv, "--shard", f"{number}/{count}"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["waiting"] == count - done
        if done < count:
            assert plan.main([str(tmp_path / "idx"), "-o", str(tmp_path / "no")]) != 0
    assert tree(tmp_path / "idx") == tree(whole / "idx")


def test_a_plan_by_parts_and_with_little_memory(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(thresholds, "HELD_HASHES", 50)  # one task at a time
    count = random.randint(2, 4)
    capsys.readouterr()
    for done, number in enumerate(random.sample(range(count), count), 1):
        argv = [str(whole / "idx"), "-o", str(tmp_path / "plan"), *TASKS, "--json"]
        assert plan.main([*argv, "--shard", f"{number}/{count}"]) == 0
        told = json.loads(capsys.readouterr().out)
        # With more parts than scenes some are enough; a first one never is.
        assert ("rows" in told) or done < count
        assert ("rows" not in told) or done > 1
    assert tree(tmp_path / "plan") == tree(whole / "plan")
    # Another question does not take up what was counted for this one.
    assert plan.main([*argv, "--seed", "5", "--shard", "0/2"]) == 0
    assert "rows" not in json.loads(capsys.readouterr().out)


def test_processes_start_from_a_source_together(
    sample_dir: Path, whole: Path, tmp_path: Path
) -> None:
    out, source = tmp_path / "out", str(sample_dir / "scannet")
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "spatialcore", "generate", source, "-o", str(out), *TASKS,
             "--shard", f"{k}/3"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for k in range(3)
    ]  # fmt: skip
    ends = [(run.communicate(timeout=300), run.returncode) for run in runs]
    assert [code for _, code in ends] == [0, 0, 0], ends
    assert generate.main([str(whole / "plan"), "-o", str(tmp_path / "one")]) == 0
    assert tree(out / "data") == tree(tmp_path / "one" / "data")
    assert json.loads((out / "summary.json").read_text())["rows"] > 500
    assert not (out / "plan" / "counted").exists()
    assert not (out / "index" / ".parts").exists()
