# SPDX-License-Identifier: Apache-2.0
"""Arrays of HDF5 files, read under caps: an array is a data set of the file itself.

libhdf5 runs in a process of its own (hdf5_reader.py), one for each process that asks, whose memory
and time for a file are bounded by the system.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.depth_png import MAX_PIXELS
from spatialcore.io.paths import file_size

_PROGRAM = Path(__file__).with_name("hdf5_reader.py")
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # less to count as idle


class _Found(NamedTuple):
    shape: tuple[int, ...]
    numbers: NDArray[Any] | None


class _Reader:
    """The process that reads, started when first asked and again where a file ended it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0  # a forked process asks a reader of its own

    def ask(self, path: Path, part: str, code: str, *, read: bool) -> _Found:
        request = {"path": str(path.resolve()), "part": part, "read": read}
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline())
                if "fault" in answer:
                    raise SceneFormatError(path, answer["fault"], answer["hint"], code)
                shape = tuple(answer["shape"])
                if not read:
                    return _Found(shape, None)
                numbers = np.empty(shape, answer["dtype"])
                into = numbers.reshape(-1).view(np.uint8).data
                if process.stdout.readinto(into) != len(into):  # type: ignore[attr-defined]
                    raise EOFError
                return _Found(shape, numbers)
            except (OSError, ValueError, EOFError) as error:
                self.end()
                raise SceneFormatError(
                    path, "is not a readable HDF5 file: it takes too much time or memory", "", code
                ) from error

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self.end()
            self._owner = os.getpid()
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **_ONE_THREAD},
                start_new_session=True,  # signals are for those who ask; it ends with its input
            )
        return self._process

    def end(self) -> None:
        """End the process, if it is ours; the next question starts another."""
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.communicate()
        self._process = None


_READER = _Reader()
atexit.register(_READER.end)


def _ask(path: Path, part: str, code: str, *, read: bool) -> _Found:
    if find_spec("h5py") is None:
        raise SceneFormatError(
            path, "is an HDF5 file", "reading it needs h5py: pip install '.[captures]'", "extra"
        )
    file_size(path)
    return _READER.ask(path, part, code, read=read)


def hdf5_shape(path: Path, part: str, code: str) -> tuple[int, ...]:
    """The shape of a data set.

    Args:
        path: The file.
        part: Name of the data set; "" where there is one only.
        code: Of the errors.

    Raises:
        SceneFormatError: The file is damaged, asks for more memory than 192 MiB beside twice its
            size or for more than 5 s, has no such data set of numbers of its own, or the library is
            not installed (code "extra").
    """
    return _ask(path, part, code, read=False).shape


def hdf5_numbers(path: Path, part: str, code: str) -> NDArray[Any]:
    """The numbers of a data set whose `hdf5_shape` was looked at; args and errors are its own."""
    numbers = _ask(path, part, code, read=True).numbers
    assert numbers is not None
    return numbers


def read_hdf5(path: Path, shape: tuple[int | None, ...], code: str = "hdf5_bad") -> NDArray[Any]:
    """The only array of a file.

    Args:
        path: The file.
        shape: Its shape; None for any length.
        code: Of the errors.

    Raises:
        SceneFormatError: As `hdf5_shape`, or another shape, or more numbers than a depth map may
            have.
    """
    found = hdf5_shape(path, "", code)
    fits = len(found) == len(shape) and all(
        wanted in (None, n) for wanted, n in zip(shape, found, strict=True)
    )
    if not fits or np.prod(found, dtype=np.float64) > MAX_PIXELS:
        wanted = " x ".join("n" if n is None else str(n) for n in shape)
        raise SceneFormatError(path, f"holds an array of shape {found}, not {wanted}", "", code)
    return hdf5_numbers(path, "", code)
