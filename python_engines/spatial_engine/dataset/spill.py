# SPDX-License-Identifier: Apache-2.0
"""Arrays of numbers that wait on disk by name: of more rows than memory holds.

Parts come in any order, as workers finish them, and are read in the order of their numbers.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PLACE = 3  # numbers that say where a part lies: its number, offset and bytes


class Spill:
    """One file of parts; 24 bytes a part are held.

    Args:
        path: The file; it is made, and removed with its folder by who owns that.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._end = 0
        self._places: defaultdict[str, array[int]] = defaultdict(lambda: array("q"))
        self._types: dict[str, np.dtype[Any]] = {}

    def add(self, name: str, number: int, values: NDArray[Any]) -> None:
        """Take up part `number` of an array; all parts of a name have one type."""
        self._types.setdefault(name, values.dtype)
        content = np.ascontiguousarray(values, self._types[name]).tobytes()
        self._file.seek(self._end)
        self._file.write(content)
        self._places[name].extend((number, self._end, len(content)))
        self._end += len(content)

    def read(self, name: str) -> NDArray[Any]:
        """The parts of a name, one after the other; empty for a name that has none."""
        parts = np.frombuffer(self._places[name], np.int64).reshape(-1, _PLACE)
        held = bytearray()
        for _, offset, length in parts[np.argsort(parts[:, 0], kind="stable")]:
            self._file.seek(offset)
            held += self._file.read(length)
        return np.frombuffer(held, self._types.get(name, np.dtype(np.float64)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
