# SPDX-License-Identifier: Apache-2.0
"""One writer at a time: processes that would write one folder wait for or refuse each other."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spatialcore.errors import FolderInUse
from spatialcore.locks import is_held, locked

RUN = "import sys; from spatialcore.cli import main; sys.exit(main(sys.argv[1:]))"


def start(*argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def ends(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    out = []
    for process in processes:
        error = process.communicate(timeout=120)[1]
        assert "Traceback" not in error
        out.append((process.returncode, error))
    return out


def data(out: Path) -> dict[str, str]:
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((out / "data").rglob("*.parquet"))
    }


def test_a_held_lock_refuses_and_says_who(tmp_path: Path) -> None:
    with locked(tmp_path, "plan"):
        assert is_held(tmp_path, "plan")
        with (
            pytest.raises(FolderInUse, match=f"process {os.getpid()} on"),
            locked(tmp_path, "plan"),
        ):
            pytest.fail("two hold it")
    assert not is_held(tmp_path, "plan")
    with locked(tmp_path, "run", shared=True), locked(tmp_path, "run", shared=True):
        assert is_held(tmp_path, "run")


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from spatialcore.locks import locked\n"
        "with locked(Path(sys.argv[1]), 'index'): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    with locked(tmp_path, "index"):
        pass


def test_writers_of_one_data_set_wait_and_share_its_shards(
    sample_dir: Path, tmp_path: Path
) -> None:
    source, tasks = str(sample_dir / "scannet"), ["--tasks", "camera_movement.*", "--limit", "60"]
    alone, out = tmp_path / "alone", tmp_path / "out"
    assert ends([start("generate", source, "-o", str(alone), *tasks)])[0][0] == 0
    again = ["generate", source, "-o", str(out), *tasks]
    parts = [start(*again), start(*again), start(*again, "--shard", "0/2")]
    assert [code for code, _ in ends(parts)] == [0, 0, 0]
    assert data(out) == data(alone)
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (alone, out)]
    assert summaries[0] == summaries[1]


def test_a_run_is_not_cleared_or_planned_anew_under_it(sample_dir: Path, tmp_path: Path) -> None:
    source, out = str(sample_dir / "scannet"), tmp_path / "out"
    base = ["generate", source, "-o", str(out), "--tasks", "camera_movement.*"]
    assert ends([start(*base, "--limit", "40")])[0][0] == 0
    before = data(out), (out / "plan" / "plan.json").read_bytes()
    with locked(out, "run", shared=True):
        code, error = ends([start(*base, "--limit", "40", "--overwrite")])[0]
        assert code == 2, error
        assert "another process" in error or f"process {os.getpid()}" in error
        # What asks for another set is refused for that, before it would wait.
        code, error = ends([start(*base, "--limit", "50")])[0]
        assert (code, "limit was 40, is now 50" in error) == (1, True), error
        assert ends([start(*base, "--limit", "40")])[0][0] == 0
    assert (data(out), (out / "plan" / "plan.json").read_bytes()) == before


def test_two_writers_of_an_index_or_a_plan_do_not_meet(sample_dir: Path, tmp_path: Path) -> None:
    source, out = str(sample_dir / "scannet"), tmp_path / "idx"
    with locked(out, "index"):
        code, error = ends([start("index", source, "-o", str(out))])[0]
        assert (code, "is being written by process" in error) == (2, True)
    assert ends([start("index", source, "-o", str(out))])[0][0] == 0
    with locked(tmp_path / "plan", "plan"):
        code, error = ends([start("plan", str(out), "-o", str(tmp_path / "plan"))])[0]
        assert (code, "is being written by process" in error) == (2, True)
