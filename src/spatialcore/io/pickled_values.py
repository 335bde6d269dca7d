# SPDX-License-Identifier: Apache-2.0
"""Plain values out of a pickle file, without running anything from it.

EmbodiedScan ships its annotation pickled: dictionaries, lists, texts, numbers and numpy arrays. The
handful of globals that such a file names are replaced by inert stand-ins, made anew for each file
so that nothing a file does to them outlives it; any other global is refused before it is found.
Arrays are kept as their bytes and become arrays only by `as_array`, which checks type and length.
"""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.paths import file_size

MAX_FILE_BYTES = 4 << 30
_MULTIARRAY = ("numpy._core.multiarray", "numpy.core.multiarray")
_NUMERIC = ("numpy._core.numeric", "numpy.core.numeric")
_MAX_NESTED = 4  # lists of lists that stand for an array
_DAMAGE = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError,
    OverflowError, MemoryError, RecursionError, ImportError,
)  # fmt: skip


class _MoreThanValues(pickle.UnpicklingError):
    """The file asks for something that is no plain value."""


class Packed:
    """An array of the file as its parts, which are whatever the file says.

    Attributes:
        shape: Meant as a tuple of lengths.
        dtype: Meant as text such as "<f8".
        fortran: Meant as whether the first axis runs fastest.
        content: Meant as the bytes.
    """

    shape: Any = None
    dtype: Any = None
    fortran: Any = False
    content: Any = None


def _text(value: Any) -> str:
    """Text, of which nothing else becomes one: lists within lists are written out without end."""
    if not isinstance(value, str):
        raise _MoreThanValues("a text is of another type")
    return value


def _stand_ins() -> dict[tuple[str, str], Any]:
    """What the known globals become: new classes and functions each time."""

    class Dtype:
        def __init__(self, text: Any = None, *_: Any) -> None:
            self.text, self.order = _text(text), "<"

        def __setstate__(self, state: Any) -> None:
            if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
                self.order = state[1]

        def name(self) -> str:
            return self.text if self.text[:1] in "<>|=" else f"{self.order}{self.text}"

    class Array(Packed):
        def __setstate__(self, state: Any) -> None:
            if isinstance(state, tuple) and len(state) == 5:
                _, self.shape, dtype, self.fortran, self.content = state
                self.dtype = dtype.name() if isinstance(dtype, Dtype) else None

    def reconstruct(*_: Any) -> Packed:
        return Array()

    def from_buffer(content: Any, dtype: Any, shape: Any, order: Any = "C", *_: Any) -> Packed:
        array = Array()
        array.shape, array.content, array.fortran = shape, content, order == "F"
        array.dtype = dtype.name() if isinstance(dtype, Dtype) else None
        return array

    def scalar(dtype: Any, content: Any = None) -> Packed:
        return from_buffer(content, dtype, ())

    encoded: dict[str, bytes] = {}  # a text that is named often is not made often

    def encode(text: Any, *_: Any) -> bytes:
        return encoded.setdefault(text, _text(text).encode("latin-1"))

    class Kind:
        """Stands in for `numpy.ndarray`, which is only named."""

        def __new__(cls, *_: Any) -> Kind:
            raise _MoreThanValues("numpy.ndarray is called")

    found: dict[tuple[str, str], Any] = {("numpy", "ndarray"): Kind, ("numpy", "dtype"): Dtype}
    found |= {(module, "_reconstruct"): reconstruct for module in _MULTIARRAY}
    found |= {(module, "scalar"): scalar for module in _MULTIARRAY}
    found |= {(module, "_frombuffer"): from_buffer for module in _NUMERIC}
    found["_codecs", "encode"] = encode
    return found


class _PlainUnpickler(pickle.Unpickler):
    """Finds stand-ins and nothing else."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._globals = _stand_ins()

    def find_class(self, module: str, name: str) -> Any:
        found = self._globals.get((module, name))
        if found is None:
            raise _MoreThanValues(f"global {module}.{name}"[:120])
        return found

    def persistent_load(self, _pid: Any) -> Any:
        raise _MoreThanValues("persistent id")


def read_pickled(path: Path) -> Any:
    """The value of a pickle file; arrays in it are `Packed`.

    Raises:
        SceneFormatError: Missing or too large; naming anything but numpy's arrays (code
            "archive_unsafe"); or damaged (code "archive_bad").
    """
    size = file_size(path)
    if size > MAX_FILE_BYTES:
        raise SceneFormatError(path, f"{size} bytes are too many", code="file_too_large")
    try:
        with path.open("rb") as stream:
            return _PlainUnpickler(stream).load()
    except _MoreThanValues as error:
        raise SceneFormatError(
            path,
            f"holds more than plain values: {str(error)[:120]}",
            "nothing in it was run; do not load this file with pickle",
            code="archive_unsafe",
        ) from error
    except OSError as error:
        raise SceneFormatError(path, "cannot be read", code="unreadable") from error
    except _DAMAGE as error:
        raise SceneFormatError(path, f"is damaged: {error}"[:200], code="archive_bad") from error


def as_array(value: Any, *shapes: tuple[int, ...]) -> NDArray[np.float64] | None:
    """A value as float64 of one of `shapes`: an array of the file, or nested lists of numbers.

    Returns:
        None where it is no such array.
    """
    found = _from_packed(value) if isinstance(value, Packed) else _from_lists(value)
    return found if found is not None and found.shape in shapes else None


def _from_packed(value: Packed) -> NDArray[np.float64] | None:
    shape, content = value.shape, value.content
    if not isinstance(shape, tuple) or not all(type(n) is int and 0 <= n < 1 << 32 for n in shape):
        return None
    if isinstance(content, str):  # written by Python 2
        content = content.encode("latin-1", "replace")
    if not isinstance(content, bytes | bytearray) or not isinstance(value.dtype, str):
        return None
    try:
        dtype = np.dtype(value.dtype)
    except (TypeError, ValueError, SyntaxError):
        return None
    count = math.prod(shape)
    if dtype.kind not in "fiub" or dtype.subdtype is not None:
        return None
    if len(content) != count * dtype.itemsize:
        return None
    flat = np.frombuffer(content, dtype, count)
    return flat.reshape(shape, order="F" if value.fortran else "C").astype(np.float64)


def _from_lists(value: Any) -> NDArray[np.float64] | None:
    rows, depth = value, 0
    shape: list[int] = []
    while isinstance(rows, list | tuple) and depth < _MAX_NESTED:
        shape.append(len(rows))
        rows, depth = (rows[0] if rows else None), depth + 1
    if not shape or 0 in shape or math.prod(shape) > 1 << 16:
        return None
    flat: list[Any] = [value]
    for length in shape:
        if not all(isinstance(row, list | tuple) and len(row) == length for row in flat):
            return None
        flat = [item for row in flat for item in row]
    if not all(type(x) in (int, float) and abs(x) < 1e300 for x in flat):
        return None
    return np.array(flat, dtype=np.float64).reshape(shape)
