# SPDX-License-Identifier: Apache-2.0
"""Named arrays that wait in a file between the passes of a plan.

A plan writes and reads some four hundred small arrays a scene, in files that nobody else reads. As
members of an archive each would cost 0.1 ms for a header of its own: here the arrays follow each
other as they are in memory, and one directory at the end says where each lies.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore.files import whole_file

_LENGTH = np.dtype("<u8")  # of the directory: the last bytes of the file


def write_arrays(path: Path, arrays: Iterable[tuple[str, NDArray[Any]]]) -> None:
    """Write arrays one after the other, none held longer; under a temporary name, then renamed."""
    places: dict[str, tuple[str, list[int], int]] = {}
    with whole_file(path, durable=False) as temporary, temporary.open("wb") as file:
        for name, array in arrays:
            places[name] = array.dtype.str, list(array.shape), file.tell()
            file.write(np.ascontiguousarray(array).data)
        directory = json.dumps(places).encode()
        file.write(directory)
        file.write(np.array(len(directory), _LENGTH).tobytes())


class WaitingArrays:
    """The arrays of a file that `write_arrays` wrote; each is read when it is asked for."""

    def __init__(self, path: Path) -> None:
        """Read the directory."""
        self._bytes = np.memmap(path, np.uint8, mode="r").view(np.ndarray)
        end = len(self._bytes) - _LENGTH.itemsize
        length = int(self._bytes[end:].view(_LENGTH)[0])
        directory = self._bytes[end - length : end].tobytes()
        self._places: dict[str, tuple[str, list[int], int]] = json.loads(directory)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __getitem__(self, name: str) -> NDArray[Any]:
        dtype, shape, offset = self._places[name]
        end = offset + math.prod(shape) * np.dtype(dtype).itemsize
        # Of other pages nothing is read; a copy, so that nothing holds the file.
        return np.array(self._bytes[offset:end]).view(dtype).reshape(shape)
