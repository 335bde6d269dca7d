# SPDX-License-Identifier: Apache-2.0
"""The same bytes from every machine: workers, shards, place, hash seed, locale, zone, umask, loops.

Each row of the matrix changes many of these at once, from sources to records; `test_ray.py` adds
Ray, and `test_index_device.py` the code that a GPU runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from spatialcore import _cpu
from tests.engines.test_dying_workers import index_bytes
from tests.engines.test_pipeline import data_bytes

# Workers import this as their main module, too.
_RUN = """
import os, sys
from spatial_engine.plan import shards
from spatialcore import _cpu, cli
_cpu.set_isa(os.environ["ISA"])
shards.SHARD_ROWS = 12
if __name__ == "__main__":
    sys.exit(cli.main())
"""
TASKS = "camera_movement.*,depth_perception.comparison.marked,object_*"


class Row(NamedTuple):
    """One row of the matrix."""

    workers: int
    parts: int
    isa: str
    umask: int
    moved: bool
    environment: dict[str, str]


PLAIN = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONUTF8": "1"}
HOME = Row(1, 1, _cpu.isas()[-1], 0o022, False, PLAIN)
ROWS = [
    Row(2, 1, _cpu.isas()[0], 0o077, True, PLAIN | {"PYTHONHASHSEED": "7", "TZ": "Asia/Kathmandu"}),
    Row(4, 1, _cpu.isas()[-1], 0o002, False, PLAIN | {"PYTHONHASHSEED": "random", "LC_ALL": "C"}),
    Row(1, 3, _cpu.isas()[0], 0o022, True, {"LC_ALL": "POSIX", "TZ": "America/St_Johns",
        "PYTHONUTF8": "0", "OMP_NUM_THREADS": "1"}),
]  # fmt: skip


def made(root: Path, sample: Path, row: Row) -> tuple[dict[str, bytes], dict[str, str]]:
    """Index and records of a run of a row."""
    root.mkdir()
    (root / "run.py").write_text(_RUN)
    scenes = sample
    if row.moved:
        scenes = root / "another place"
        shutil.copytree(sample, scenes)
    sources = [str(scenes / "posed_images"), str(scenes / "tapvid3d")]
    argv = [sys.executable, str(root / "run.py"), "generate", *sources, "-o", str(root / "out")]
    argv += ["--tasks", TASKS, "--limit", "100", "--workers", str(row.workers)]
    kept = {k: v for k, v in os.environ.items() if k not in PLAIN}
    runs = [
        subprocess.Popen(
            [*argv, "--shard", f"{part}/{row.parts}"], umask=row.umask, text=True,
            env=kept | row.environment | {"ISA": row.isa}, stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for part in range(row.parts)
    ]  # fmt: skip
    for run in runs:
        told = run.communicate(timeout=300)
        assert run.returncode == 0, told
    return index_bytes(root / "out/index"), data_bytes(root / "out")


@pytest.fixture(scope="module")
def home(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> object:
    found = made(tmp_path_factory.mktemp("home") / "run", sample_dir, HOME)
    assert len(found[1]) > 5
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.workers} workers, {row.parts} parts")
def test_a_run_elsewhere_gives_the_same_bytes(
    home: object, sample_dir: Path, tmp_path: Path, row: Row
) -> None:
    assert made(tmp_path / "run", sample_dir, row) == home
