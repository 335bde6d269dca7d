# SPDX-License-Identifier: Apache-2.0
"""A disk that is full or read-only, a limit on file sizes, sources that are gone or other ones.

Each ends a verb in one sentence, without a traceback; once the cause is removed the same command
gives the bytes of a run that nothing disturbed.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from spatialcore.files import save_array
from tests.engines.test_dying_workers import index_bytes, leftovers
from tests.engines.test_pipeline import data_bytes

TASKS = ["--tasks", "camera_movement.*,object_perception.*", "--limit", "60"]
LIMIT = 20_000  # bytes of a file


def verb(argv: list[str], limit: int | None = None) -> tuple[int, str]:
    """Exit code and what a verb says on stderr, with a limit on file sizes where one is given."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-m", "spatialcore", *argv, "--workers", "2"], preexec_fn=limited,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def told(end: tuple[int, str], *words: str) -> None:
    """One sentence that holds the words, and no success."""
    code, said = end
    assert code in (1, 2, 3), said
    assert said.count("\n") <= 1, said
    assert not {"Traceback", "Errno"} & set(said.replace(":", " ").split())
    assert all(word in said for word in words), said


@pytest.fixture(scope="module")
def whole(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans, and the records of an undisturbed run."""
    root = tmp_path_factory.mktemp("whole")
    shutil.copytree(sample_dir / "posed_images", root / "scans")
    assert verb(["generate", str(root / "scans"), "-o", str(root / "out"), *TASKS])[0] == 0
    return root


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own with 300 kB, where one can be mounted."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(path)]
    if shutil.which("mount") is None or subprocess.run(mounted, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def same(out: Path, whole: Path) -> None:
    assert data_bytes(out) == data_bytes(whole / "out")
    assert index_bytes(out / "index") == index_bytes(whole / "out/index")
    assert not leftovers(out)


def test_a_full_disk_and_one_that_can_only_be_read(whole: Path, disk: Path) -> None:
    out = disk / "out"
    argv = ["generate", str(whole / "scans"), "-o", str(out), *TASKS]
    told(verb(argv), "the disk is full; free some space and run the same command again")
    remount(disk, "size=64m,ro")
    told(verb(argv), "can only be read; choose a folder elsewhere")
    remount(disk, "rw")
    assert verb(argv)[0] == 0
    same(out, whole)


@pytest.mark.parametrize("name", ["index", "plan", "generate", "export"])
def test_a_limit_on_file_sizes(whole: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    made = whole / "out"
    argv = {
        "index": ["index", str(whole / "scans"), "-o", str(out)],
        "plan": ["plan", str(made / "index"), "-o", str(out), *TASKS],
        "generate": ["generate", str(made / "plan"), "-o", str(out)],
        "export": ["export", str(made), "-o", str(out), "--to", "llava", "--images", "copy"],
    }[name]
    told(verb(argv, limit=300 if name == "plan" else LIMIT), "larger than is allowed")
    assert verb(argv)[0] == 0
    assert not leftovers(tmp_path)


def test_sources_that_are_gone_or_other_ones(whole: Path, tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    shutil.copytree(whole / "scans", scans)
    argv = ["generate", str(scans), "-o", str(out), *TASKS]
    assert verb(argv)[0] == 0
    shutil.rmtree(out / "data")
    scans.rename(tmp_path / "away")
    code, said = verb(["generate", str(out / "plan"), "-o", str(out)])
    assert code == 0  # records are made of the index
    assert said == f"{scans} is not there: no change of source posed_images can be seen\n"
    assert data_bytes(out) == data_bytes(whole / "out")
    shutil.rmtree(out / "data")
    (tmp_path / "away").rename(scans)
    cloud = next(scans.rglob("*.ply"))
    kept = cloud.read_bytes()
    cloud.write_bytes(kept[:-8] + bytes(8))
    told(verb(["generate", str(out / "plan"), "-o", str(out)]), "changed")
    cloud.write_bytes(kept)
    assert verb(["generate", str(out / "plan"), "-o", str(out)])[0] == 0
    assert data_bytes(out) == data_bytes(whole / "out")


def test_arrays_are_saved_as_numpy_saves_them(tmp_path: Path) -> None:
    words = np.random.default_rng().integers(0, 1 << 60, (7, 5)).astype(np.uint64)
    for array in (words, words.T, words[::2], words[:, 1:3], words[:0], words.astype(">f4")):
        save_array(tmp_path / "ours.npy", array)
        np.save(tmp_path / "numpy.npy", array)
        assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
