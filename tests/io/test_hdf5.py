# SPDX-License-Identifier: Apache-2.0
"""HDF5 files are read in a process of their own, whatever they have its library do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io import hdf5
from spatialcore.io.hdf5 import read_hdf5

h5py = pytest.importorskip("h5py", reason="h5py is not installed")


def write(path: Path, array: np.ndarray, **options: object) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("depth", data=array, **options)
    return path


def reader_pid() -> int:
    assert hdf5._READER._process is not None
    return hdf5._READER._process.pid


def peak_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


@pytest.mark.parametrize("dtype", ["f2", "<f4", ">f4", "u2", "i8"])
def test_numbers_are_those_of_the_file(tmp_path: Path, dtype: str) -> None:
    array = (np.arange(35).reshape(5, 7) * 1.5).astype(dtype)
    found = read_hdf5(write(tmp_path / "a.hdf5", array, compression="gzip"), (5, None))
    assert found.flags.writeable
    np.testing.assert_array_equal(found, array)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is bounded on Linux")
def test_a_small_file_takes_no_memory(tmp_path: Path) -> None:
    zeros = np.zeros((5000, 6000), np.float32)  # 120 MB in one chunk, which is held twice
    bomb = write(tmp_path / "bomb.hdf5", zeros, compression="gzip", chunks=zeros.shape)
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(SceneFormatError, match="is not a readable HDF5 file"):
        read_hdf5(bomb, (None, None))
    assert peak_mib(reader_pid()) < 256
    good = write(tmp_path / "good.hdf5", np.eye(4))
    np.testing.assert_array_equal(read_hdf5(good, (4, 4)), np.eye(4))


def test_a_reader_that_dies_is_a_typed_error_and_started_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", np.eye(3))
    read_hdf5(path, (3, 3))
    first = reader_pid()
    os.kill(first, signal.SIGSTOP)  # so that it dies while it is asked
    killer = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.3; kill -9 {first}"])
    with pytest.raises(SceneFormatError, match=r"a\.hdf5: is not a readable HDF5 file: it takes"):
        read_hdf5(path, (3, 3))
    assert killer.wait() == 0
    np.testing.assert_array_equal(read_hdf5(path, (3, 3)), np.eye(3))
    assert reader_pid() != first


def test_a_reader_ends_with_the_process_that_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", np.eye(3))
    program = (
        "import sys, os, signal; from pathlib import Path; from spatialcore.io import hdf5\n"
        f"hdf5.read_hdf5(Path({str(path)!r}), (3, 3))\n"
        "print(hdf5._READER._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ran = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False)
    assert ran.returncode == -signal.SIGKILL
    pid = int(ran.stdout)
    until = time.monotonic() + 20
    while _lives(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _lives(pid)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_what_is_no_array_of_the_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file["one"] = h5py.ExternalLink("other.hdf5", "depth")
    with pytest.raises(SceneFormatError, match="no data set 'one' of its own"):
        read_hdf5(path, (None,))
    with h5py.File(path, "w") as file:
        file["one"] = file["two"] = [1.0]
    with pytest.raises(SceneFormatError, match="holds one, two"):
        read_hdf5(path, (None,))
    with pytest.raises(SceneFormatError, match=r"holds an array of shape \(2, 3\), not n x 4"):
        read_hdf5(write(path, np.zeros((2, 3))), (None, 4))
    with pytest.raises(SceneFormatError, match="not numbers"):
        read_hdf5(write(path, np.array([b"text"])), (None,))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(SceneFormatError, match="is not a readable HDF5 file"):
        read_hdf5(path, (None,))
    monkeypatch.setattr(hdf5, "find_spec", lambda name: None)
    with pytest.raises(SceneFormatError, match="reading it needs h5py"):
        read_hdf5(path, (None,))
