# SPDX-License-Identifier: Apache-2.0
"""Byte strings out of a pickled numpy object array, without running anything from the pickle.

TAPVid-3D keeps its JPEG frames in an object array, which numpy reads only by unpickling. Here
the opcodes are checked against an allow-list before the unpickler starts, and the three globals
that such an array names are replaced by inert stand-ins that only keep what they are given, so
neither numpy's reconstruction nor any other code runs on the file's behalf.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import warnings
from pathlib import Path
from typing import Any

from spatialcore.errors import SceneFormatError

MAX_IMAGES = 1 << 20
# What an array of bytes needs, over pickle protocols 3 to 5; anything else is refused.
_OPCODES = frozenset(
    {
        *("PROTO", "FRAME", "STOP", "MARK", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
        *("MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
        *("SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
        *("BININT", "BININT1", "BININT2", "NONE", "NEWTRUE", "NEWFALSE"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("EMPTY_LIST", "APPEND", "APPENDS"),
    }
)
_MEMO_OPCODES = frozenset({"BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"})
_OPCODES_PER_IMAGE = 8
_OPCODES_APART = 256


class _Array:
    """Stands in for the array: keeps the state that `BUILD` hands over."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Dtype:
    """Stands in for `numpy.dtype`: keeps its text."""

    def __init__(self, text: Any = None, *_: Any) -> None:
        self.text = text

    def __setstate__(self, state: Any) -> None:
        """Byte order and flags; of no use for an array of objects."""


class _Ndarray:
    """Stands in for the class `numpy.ndarray`, which is only named."""

    def __new__(cls, *_: Any) -> _Ndarray:
        raise pickle.UnpicklingError("numpy.ndarray is called")


def _reconstruct(kind: Any, shape: Any, typecode: Any) -> _Array:
    if kind is not _Ndarray or shape != (0,) or typecode not in (b"b", "b"):
        raise pickle.UnpicklingError("array reconstruction with other arguments")
    return _Array()


_GLOBALS: dict[tuple[str, str], Any] = {
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Ndarray,
    ("numpy", "dtype"): _Dtype,
}


class _BytesUnpickler(pickle.Unpickler):
    """Finds the globals of `_GLOBALS`, as stand-ins, and no others."""

    def find_class(self, module: str, name: str) -> Any:
        found = _GLOBALS.get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"global {module}.{name}"[:120])
        return found

    def persistent_load(self, _pid: Any) -> Any:
        raise pickle.UnpicklingError("persistent id")


def _unsafe(path: Path, what: str) -> SceneFormatError:
    return SceneFormatError(
        path,
        f"its object array holds more than byte strings: {what}",
        "nothing in it was run; do not load this file with allow_pickle",
        code="archive_unsafe",
    )


def _check_opcodes(pickled: bytes, count: int, path: Path) -> None:
    """Refuse any opcode, global or memo number that an array of `count` byte strings lacks."""
    limit = _OPCODES_PER_IMAGE * count + _OPCODES_APART
    seen, end = 0, 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes in what should be a global's name
            for opcode, argument, position in pickletools.genops(pickled):
                seen += 1
                end = (position or 0) + 1
                if opcode.name not in _OPCODES:
                    raise _unsafe(path, f"opcode {opcode.name}")
                if opcode.name == "GLOBAL" and tuple(str(argument).split(" ", 1)) not in _GLOBALS:
                    raise _unsafe(path, f"global {str(argument)[:80]}")
                if opcode.name in _MEMO_OPCODES and int(argument or 0) > limit:
                    raise _unsafe(path, f"memo number {argument}")
                if seen > limit:
                    raise _unsafe(path, f"over {limit} opcodes for {count} images")
    except (ValueError, IndexError, KeyError) as error:
        raise SceneFormatError(
            path, f"its object array is damaged: {error}"[:200], code="archive_bad"
        ) from error
    if end != len(pickled):
        raise SceneFormatError(
            path, "its object array is followed by other bytes", code="archive_bad"
        )


def unpickle_bytes_array(pickled: bytes, count: int, path: Path) -> list[bytes]:
    """The byte strings of a pickled one-dimensional numpy object array.

    Args:
        pickled: Everything after the `.npy` header.
        count: Length that the header declares.
        path: Named in errors.

    Raises:
        SceneFormatError: code "archive_unsafe" when the pickle names any other global or holds
            anything but bytes, before anything of it runs; code "format" when it is damaged.
    """
    if count > MAX_IMAGES:
        raise SceneFormatError(
            path, f"declares {count} images, at most {MAX_IMAGES} are allowed", code="archive_bad"
        )
    _check_opcodes(pickled, count, path)
    try:
        array = _BytesUnpickler(io.BytesIO(pickled)).load()
    except pickle.UnpicklingError as error:
        raise _unsafe(path, str(error)[:120]) from error
    except (
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        KeyError,
        OverflowError,
        MemoryError,
        RecursionError,
    ) as error:
        raise SceneFormatError(
            path, f"its object array is damaged: {error}"[:200], code="archive_bad"
        ) from error
    state = array.state if isinstance(array, _Array) else None
    if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[4], list):
        raise _unsafe(path, "no array of objects")
    _, shape, dtype, _, items = state
    images: list[bytes] = items
    if not isinstance(dtype, _Dtype) or dtype.text not in ("O", "O8", "O4", "|O"):
        raise _unsafe(path, "an array of another type")
    if any(type(item) is not bytes for item in items):
        raise _unsafe(path, "an element that is no byte string")
    if shape != (count,) or len(items) != count:
        raise SceneFormatError(
            path, f"declares {count} images and holds {len(items)}", code="archive_bad"
        )
    return images
