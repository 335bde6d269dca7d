# SPDX-License-Identifier: Apache-2.0
"""A run that is killed without warning loses the shards it was in, and nothing else."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spatial_engine.commands import generate, plan, verify
from spatial_engine.plan import shards as sharding
from spatialcore.commands import index
from tests.engines.test_pipeline import FAMILIES, data_bytes

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")


@pytest.fixture(scope="module")
def planned(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of many shards, so that a kill falls between and into them."""
    root = tmp_path_factory.mktemp("kill")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharding, "SHARD_ROWS", 12)
        assert index.main([str(sample_dir / "scannet"), "-o", str(root / "idx")]) == 0
        argv = [str(root / "idx"), "-o", str(root / "plan"), "--tasks", FAMILIES, "--limit", "300"]
        assert plan.main(argv) == 0
    return root / "plan"


def start(planned: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "spatialcore", "generate", str(planned), "-o", str(out)]
    return subprocess.Popen(
        [*command, "--workers", "2"], start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def kill_after(process: subprocess.Popen[bytes], out: Path, shards: int, delay: float) -> None:
    """SIGKILL to the run and its workers once `shards` shards are done, a moment later."""
    while process.poll() is None and len(list((out / "shards").glob("*.json"))) < shards:
        time.sleep(0.002)
    time.sleep(delay)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_run_killed_again_and_again_ends_with_the_same_bytes(
    planned: Path, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert generate.main([str(planned), "-o", str(whole)]) == 0
    total = len(data_bytes(whole))
    assert total > 10
    chance = random.Random(11)
    for shards in (1, total // 3, total // 2):
        kill_after(start(planned, out), out, shards, chance.uniform(0, 0.02))
        assert not (out / "summary.json").exists()
    done = {path.name: path.stat().st_mtime_ns for path in (out / "shards").glob("*.json")}
    assert 0 < len(done) < total
    assert generate.main([str(planned), "-o", str(out)]) == 0
    assert data_bytes(out) == data_bytes(whole)
    kept = {name: (out / "shards" / name).stat().st_mtime_ns for name in done}
    assert kept == done  # what was done is not made again
    assert not list(out.glob("data/*/.*.tmp"))
    assert verify.main([str(out)]) == 0
