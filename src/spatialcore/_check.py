# SPDX-License-Identifier: Apache-2.0
"""Checks of what a caller passed, with one wording for shape, dtype, device and range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

Shape = tuple[int | str, ...]


def library_of(array: object) -> str:
    """Who owns an array: "numpy", "torch" or "cupy", and "" for anything else. Imports nothing."""
    if isinstance(array, np.ndarray):
        return "numpy"
    root = type(array).__module__.partition(".")[0]
    return root if root in ("torch", "cupy") and hasattr(array, "dtype") else ""


def on_host(array: Any) -> Any:
    """A torch tensor that lives on the CPU as a numpy array of the same memory; others as they are.

    Examples:
        >>> on_host(np.zeros(2)).tolist()
        [0.0, 0.0]
    """
    if library_of(array) == "torch" and device_of(array) == "cpu":
        try:
            return array.detach().numpy()
        except TypeError:
            what = f"a torch tensor of dtype {dtype_of(array)} has no numpy counterpart"
            raise TypeError(f"{what}; pass tensor.float()") from None
    return array


def device_of(array: object) -> str:
    """Where an array lives: "cpu", or "cuda:N" for torch and cupy arrays on a GPU."""
    library = library_of(array)
    if library == "cupy":
        return f"cuda:{array.device.id}"  # type: ignore[attr-defined]
    if library == "torch":
        return str(array.device)  # type: ignore[attr-defined]
    return "cpu"


def dtype_of(array: Any) -> str:
    """Name of an array's dtype without the library's prefix, such as "float32"."""
    return str(array.dtype).removeprefix("torch.")


def check_array(name: str, array: object) -> None:
    """Raise TypeError unless `array` is a numpy, torch or cupy array."""
    if not library_of(array):
        raise TypeError(f"{name} must be a numpy, torch or cupy array, got {type(array).__name__}")


def check_dtype(name: str, array: Any, *allowed: str) -> None:
    """Raise TypeError unless the array's dtype is one of `allowed`."""
    if dtype_of(array) not in allowed:
        raise TypeError(f"{name} must have dtype {_either(allowed)}, got {dtype_of(array)}")


def check_shape(
    name: str, array: Any, *allowed: Shape, sizes: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Raise ValueError unless the array has one of the allowed shapes.

    Args:
        name: The argument's name.
        array: Anything with a `shape`.
        allowed: Shapes of numbers and axis letters, such as ("F", 4, 4).
        sizes: Letters that earlier arguments fixed; the same letter must have the same size.

    Returns:
        The sizes of all letters, those of `sizes` included.

    Raises:
        ValueError: "K must have shape (3, 3) or (F, 3, 3), got (4, 4)".

    Examples:
        >>> check_shape("points_world", np.zeros((5, 3)), ("P", 3))
        {'P': 5}
    """
    known = dict(sizes or {})
    got = tuple(int(n) for n in array.shape)
    for shape in allowed:
        bound = _match(shape, got, known)
        if bound is not None:
            return bound
    letters = {a for shape in allowed for a in shape if a in known}
    fixed = ", ".join(f"{a} = {known[str(a)]}" for a in sorted(map(str, letters)))
    wanted = _either(_shape_text(shape) for shape in allowed)
    where = f" with {fixed}" if fixed else ""
    raise ValueError(f"{name} must have shape {wanted}{where}, got {_shape_text(got)}")


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    options = tuple(choices)
    if value not in options:
        raise ValueError(f"{name} must be {_either(map(repr, options))}, got {value!r}")


def check_count(name: str, value: object, *, least: int = 0) -> int:
    """`value` as int; TypeError unless it is an integer, ValueError when it is below `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def check_number(
    name: str, value: object, *, least: float = -np.inf, most: float = np.inf
) -> float:
    """`value` as float; TypeError unless it is a real number, ValueError outside the range."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    if not least <= value <= most:
        raise ValueError(f"{name} must lie in [{least:g}, {most:g}], got {value}")
    return float(value)


def check_threads(threads: object) -> int:
    """The thread count that kernels take: 0 for None (the affinity mask), else at least 1."""
    return 0 if threads is None else check_count("threads", threads, least=1)


def _match(shape: Shape, got: tuple[int, ...], known: Mapping[str, int]) -> dict[str, int] | None:
    if len(shape) != len(got):
        return None
    bound = dict(known)
    for want, size in zip(shape, got, strict=True):
        expected = bound.setdefault(want, size) if isinstance(want, str) else want
        if expected != size:
            return None
    return bound


def _shape_text(shape: Iterable[object]) -> str:
    parts = [str(n) for n in shape]
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"


def _either(options: Iterable[str]) -> str:
    *head, last = options
    return f"{', '.join(head)} or {last}" if head else last
