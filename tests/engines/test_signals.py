# SPDX-License-Identifier: Apache-2.0
"""Signals end a run with workers: its exit code, no process, no traceback, nothing half written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spatial_engine.commands import generate
from tests.engines.test_dying_workers import leftovers, quiet
from tests.engines.test_pipeline import data_bytes
from tests.processes import alive, descendants, until

__all__ = ["quiet"]  # the fixture
Moment = Callable[[subprocess.Popen[str], Path], object]
INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


def workers_are_born(run: subprocess.Popen[str], out: Path) -> object:
    return len(descendants(run.pid)) >= 2


def a_shard_is_made(run: subprocess.Popen[str], out: Path) -> object:
    return list((out / "shards").glob("*.json"))


def a_plan_is_on_disk(run: subprocess.Popen[str], out: Path) -> object:
    return list(out.parent.glob("tmp/.spatialcore-plan.*/*"))


def a_file_is_half_written(run: subprocess.Popen[str], out: Path) -> object:
    return leftovers(out)


def start(argv: list[str], root: Path) -> subprocess.Popen[str]:
    """A run as a terminal starts it: a group of its own, in which SIGINT is heard."""
    (root / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "spatialcore", *argv, "--workers", "2"], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env={**os.environ, "TMPDIR": str(root / "tmp")},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def planning(quiet: Path, scans: Path, out: Path) -> list[str]:
    return ["plan", str(quiet / "idx"), "-o", str(out)]


def indexing(quiet: Path, scans: Path, out: Path) -> list[str]:
    return ["index", str(scans), "-o", str(out)]


def making(quiet: Path, scans: Path, out: Path) -> list[str]:
    return ["generate", str(quiet / "plan"), "-o", str(out)]


def sampling(quiet: Path, scans: Path, out: Path) -> list[str]:
    return ["sample", str(out), "--clips", "0", "--rooms", "2", "--frames", "60"]


@pytest.mark.parametrize(
    ("verb", "moment", "signals", "to_all"),
    [
        (making, workers_are_born, [INT], True),
        (making, a_shard_is_made, [INT, INT], True),
        (making, a_shard_is_made, [TERM], False),
        (making, workers_are_born, [HUP, TERM], True),
        (planning, a_plan_is_on_disk, [TERM], True),
        (planning, workers_are_born, [INT, INT], False),
        (indexing, workers_are_born, [INT], True),
        (indexing, workers_are_born, [HUP], False),
        (sampling, a_file_is_half_written, [TERM], True),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_signal_ends_everything(
    quiet: Path, sample_dir: Path, tmp_path: Path, verb: Callable[..., list[str]],
    moment: Moment, signals: list[signal.Signals], to_all: bool,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    with start(verb(quiet, sample_dir / "scannet", out), tmp_path) as run:
        assert until(lambda: moment(run, out) or run.poll() is not None)
        assert run.poll() is None, "the run was over before its moment came"
        below = descendants(run.pid)
        for number in signals:
            (os.killpg if to_all else os.kill)(run.pid, number)
        _, told = run.communicate(timeout=30)
    assert run.returncode in {128 + number for number in signals}
    assert (
        told == f"spatialcore {run.args[3]}: interrupted; the same command continues where it can\n"
    )  # type: ignore[index]
    assert until(lambda: not any(alive(pid) for pid in below))
    assert not list((tmp_path / "tmp").iterdir())
    assert not leftovers(tmp_path)


def test_what_was_made_before_a_signal_is_kept_and_the_rest_is_the_same(
    quiet: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with start(making(quiet, tmp_path, out), tmp_path) as run:
        assert until(lambda: a_shard_is_made(run, out))
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=30)
    kept = data_bytes(out)
    assert kept
    assert generate.main([str(quiet / "plan"), "-o", str(out)]) == 0
    assert data_bytes(out) == data_bytes(quiet / "out")


def test_workers_of_a_verb_end_with_a_parent_that_is_killed(quiet: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with start(making(quiet, tmp_path, out), tmp_path) as run:
        assert until(lambda: workers_are_born(run, out))
        below = descendants(run.pid)
        run.kill()
        run.communicate(timeout=30)
    assert until(lambda: not any(alive(pid) for pid in below))
