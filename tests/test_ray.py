# SPDX-License-Identifier: Apache-2.0
"""Pieces of work on a real Ray: the same results and bytes, deaths, who listens, and silence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from spatial_engine.commands import generate, plan
from spatial_engine.plan import shards as sharding
from spatialcore.commands import index
from spatialcore.errors import BackendUnavailable, PlanError, WorkerError
from spatialcore.workers import Lost, Workers, held, run_pieces
from tests.engines.test_pipeline import data_bytes
from tests.engines.test_signals import start
from tests.processes import alive, command, descendants, listening, until, without_minutes
from tests.test_workers import dies, fails, square

ray = pytest.importorskip("ray", reason="needs ray: pip install '.[dist]'")

ROOT = Path(__file__).resolve().parents[1]
ON_RAY = Workers(2, "ray")
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
TASKS = ["--tasks", "camera_movement.*", "--limit", "60"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a Ray that is started as a verb starts it; it is gone afterwards."""
    with held(ON_RAY):
        yield ray.get_runtime_context().gcs_address
        ours = [pid for pid in descendants(os.getpid()) if "ray" in command(pid)]
    assert ours
    assert not ray.is_initialized()
    assert until(lambda: not any(alive(pid) for pid in ours))


@pytest.fixture(scope="module")
def planned(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharding, "SHARD_ROWS", 12)
        assert index.main([str(sample_dir / "scannet"), "-o", str(root / "idx")]) == 0
        assert plan.main([str(root / "idx"), "-o", str(root / "plan"), *TASKS]) == 0
    assert generate.main([str(root / "plan"), "-o", str(root / "out")]) == 0
    return root


def test_every_piece_has_its_result_and_errors_are_carried(cluster: str) -> None:
    assert dict(run_pieces(square, range(9), ON_RAY)) == {k: k * k for k in range(9)}
    with pytest.raises(PlanError, match="no plan"):
        list(run_pieces(fails, [1], ON_RAY))
    with pytest.raises(WorkerError, match="shard 5: KeyError: 5"):
        list(run_pieces(fails, [5], ON_RAY, "shard {}".format))


def test_a_killed_worker_costs_a_try_and_nothing_is_printed(
    cluster: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    once = partial(dies, folder=tmp_path, tries=1, which=(1,))
    assert dict(run_pieces(once, range(4), ON_RAY)) == {k: k * k for k in range(4)}
    twice = partial(dies, folder=tmp_path, tries=2, which=(2,))
    found = dict(run_pieces(twice, range(4), ON_RAY))
    assert isinstance(found.pop(2), Lost)
    assert found == {k: k * k for k in (0, 1, 3)}
    assert capfd.readouterr() == ("", "")


def test_a_ray_of_our_own_listens_on_the_loopback_interface_alone(cluster: str) -> None:
    assert cluster.startswith("127.0.0.1:")
    pids = [os.getpid(), *descendants(os.getpid())]
    found = set().union(*map(listening, pids))
    assert found
    assert found <= LOOPBACK


def test_shards_have_the_same_bytes(cluster: str, planned: Path, tmp_path: Path) -> None:
    argv = [str(planned / "plan"), "-o", str(tmp_path / "out"), "--executor", "ray"]
    assert generate.main([*argv, "--workers", "2"]) == 0
    assert data_bytes(tmp_path / "out") == data_bytes(planned / "out")


def test_indexes_plans_and_checks_run_on_ray(
    cluster: str, planned: Path, sample_dir: Path, tmp_path: Path
) -> None:
    from spatial_engine.commands import verify

    ray_too = ["--executor", "ray", "--workers", "2"]
    idx, asked = tmp_path / "idx", tmp_path / "plan"
    assert index.main([str(sample_dir / "scannet"), "-o", str(idx), *ray_too]) == 0
    for mask in (planned / "idx").rglob("visible.npy"):
        assert (idx / mask.relative_to(planned / "idx")).read_bytes() == mask.read_bytes()
    assert plan.main([str(planned / "idx"), "-o", str(asked), *TASKS, *ray_too]) == 0
    name = "thresholds.parquet"
    assert (asked / name).read_bytes() == (planned / "plan" / name).read_bytes()
    assert verify.main([str(planned / "out"), *ray_too]) == 0


@pytest.mark.slow
def test_parts_of_an_index_and_of_a_plan_run_on_ray(
    cluster: str, planned: Path, sample_dir: Path, tmp_path: Path
) -> None:
    """A part on Ray leaves counts, one on processes candidates too: either may be the last."""
    ray_too = ["--executor", "ray", "--workers", "2"]
    idx, asked = tmp_path / "idx", tmp_path / "plan"
    for part in ("0/2", "1/2"):
        argv = [str(sample_dir / "scannet"), "-o", str(idx), *ray_too, "--shard", part]
        assert index.main(argv) == 0
    for mask in (planned / "idx").rglob("visible.npy"):
        assert (idx / mask.relative_to(planned / "idx")).read_bytes() == mask.read_bytes()
    for part, executor in (("0/2", []), ("1/2", ray_too)):
        argv = [str(planned / "idx"), "-o", str(asked), *TASKS, *executor, "--shard", part]
        assert plan.main(argv) == 0
    name = "thresholds.parquet"
    assert (asked / name).read_bytes() == (planned / "plan" / name).read_bytes()


def test_an_address_reaches_a_running_cluster(cluster: str, planned: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = ["generate", str(planned / "plan"), "-o", str(out), "--executor", "ray"]
    done = subprocess.run(
        [sys.executable, "-m", "spatialcore", *argv, "--address", cluster],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert (done.returncode, without_minutes(done.stderr)) == (0, "")
    assert done.stdout.startswith(f"{out}: ")
    assert " records in " in done.stdout
    assert data_bytes(out) == data_bytes(planned / "out")


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGTERM, "out/shards/*.json"),
        pytest.param(signal.SIGHUP, "tmp/.ray.*/*", marks=pytest.mark.slow),
    ],
)
def test_a_signal_to_the_whole_group_ends_ray_too(
    planned: Path, number: signal.Signals, moment: str
) -> None:
    with tempfile.TemporaryDirectory(prefix="sc-") as short:  # for names of Ray's sockets
        root = Path(short)
        argv = ["generate", str(planned / "plan"), "-o", str(root / "out"), "--executor", "ray"]
        with start(argv, root) as run:
            assert until(lambda: any(root.glob(moment)) or run.poll() is not None, 240.0)
            assert run.poll() is None, run.communicate()[1]
            below = descendants(run.pid)
            os.killpg(run.pid, number)
            _, told = run.communicate(timeout=60)
        assert run.returncode == 128 + number
        assert without_minutes(told) == (
            "spatialcore generate: interrupted; the same command continues where it can\n"
        )
        assert until(lambda: not any(alive(pid) for pid in below))
        assert not list((root / "tmp").iterdir())


def test_a_ray_without_room_for_its_sockets_says_so(planned: Path, tmp_path: Path) -> None:
    root = tmp_path / ("long" * 20)
    root.mkdir()
    argv = ["generate", str(planned / "plan"), "-o", str(root / "out"), "--executor", "ray"]
    with start(argv, root) as run:
        _, told = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "is too long a path; set TMPDIR to a shorter one" in told
    assert not list((root / "tmp").iterdir())


def test_without_ray_there_is_one_sentence(
    planned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, "ray", None)
    argv = [str(planned / "plan"), "-o", str(tmp_path / "out"), "--executor", "ray"]
    assert generate.main(argv) == 1
    assert capsys.readouterr().err == (
        "spatialcore generate: backend 'ray' is not available: it is not installed: "
        "pip install ray\n"
    )
    with pytest.raises(BackendUnavailable), held(ON_RAY):
        pass
