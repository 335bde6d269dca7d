# SPDX-License-Identifier: Apache-2.0
"""The data of a page as scripts beside it, so that it also opens from a disk, without a server.

A browser lets a page on disk load scripts, and nothing else. Each file calls one function of the
page with a kind, a number and plain JSON: `spatialcoreData("page",3,{...})`.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike

_DTYPES = (np.uint8, np.uint16, np.uint32)


def data_file(folder: Path, kind: str, number: int, value: Any) -> Path:
    """Write one data file; returns its path.

    Texts are plain ASCII with `<` escaped, so nothing in them ends a script, whoever wrote them.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    path = folder / f"{number}.js"
    path.write_text(f'spatialcoreData("{kind}",{number},{text});\n', encoding="ascii")
    return path


def column(values: ArrayLike) -> dict[str, Any]:
    """Whole numbers as the page reads them: bytes in base64, little-endian, as narrow as fits."""
    array = np.asarray(values, dtype=np.int64)
    most = int(array.max(initial=0))
    dtype = next(d for d in _DTYPES if most <= np.iinfo(d).max)
    packed = array.astype(np.dtype(dtype).newbyteorder("<")).tobytes()
    return {"bytes": np.dtype(dtype).itemsize, "base64": base64.b64encode(packed).decode()}


class Spool:
    """Texts that are written as they come and read back in another order."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def add(self, text: str) -> tuple[int, int]:
        """Keep a text; returns where it lies."""
        packed = text.encode("utf-8", "surrogatepass")
        start = self._file.seek(0, 2)
        self._file.write(packed)
        return start, len(packed)

    def get(self, place: tuple[int, int]) -> str:
        """The text at a place."""
        self._file.seek(place[0])
        return self._file.read(place[1]).decode("utf-8", "surrogatepass")
