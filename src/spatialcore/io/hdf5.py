# SPDX-License-Identifier: Apache-2.0
"""Arrays of HDF5 files, read under caps: an array is a data set of the file itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.depth_png import MAX_PIXELS
from spatialcore.io.paths import file_size

T = TypeVar("T")


def _bad(path: Path, what: str, hint: str, code: str) -> SceneFormatError:
    return SceneFormatError(path, what, hint, code=code)


def with_hdf5(path: Path, part: str, take: Callable[[Any], T], code: str) -> T:
    """`take` of a data set; whatever the library raises on damage becomes a typed error.

    Args:
        path: The file.
        part: Name of the data set; "" where there is one only.
        take: From the open data set to the result.
        code: Of the errors.

    Raises:
        SceneFormatError: The file is damaged, has no such data set of numbers of its own, or the
            library is not installed (code "extra").
    """
    try:
        import h5py
    except ImportError as error:
        raise SceneFormatError(
            path, "is an HDF5 file", "reading it needs h5py: pip install '.[captures]'", "extra"
        ) from error
    file_size(path)
    try:
        with h5py.File(path, "r") as file:
            return take(_dataset(file, part, path, code))
    except SceneFormatError:
        raise
    except Exception as error:  # KeyError, OSError, RuntimeError, TypeError, ValueError ...
        raise _bad(path, "is not a readable HDF5 file", "", code) from error


def _dataset(file: Any, part: str, path: Path, code: str) -> Any:
    import h5py

    names = [part] if part else list(file)[:9]
    if len(names) != 1:
        raise _bad(path, f"holds {', '.join(names[:8])[:80]}", "name one: #name", code)
    # A link of the file may lead to another file: only what lies in this one is read.
    if not isinstance(file.get(names[0], getlink=True), h5py.HardLink):
        raise _bad(path, f"has no data set {names[0][:80]!r} of its own", "", code)
    dataset = file[names[0]]
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise _bad(path, f"{names[0][:80]!r} is no data set of numbers", "", code)
    if dataset.dtype.kind not in "fui":
        raise _bad(path, f"holds {dataset.dtype}, not numbers", "", code)
    return dataset


def read_hdf5(path: Path, shape: tuple[int | None, ...], code: str = "hdf5_bad") -> NDArray[Any]:
    """The only array of a file.

    Args:
        path: The file.
        shape: Its shape; None for any length.
        code: Of the errors.

    Raises:
        SceneFormatError: As `with_hdf5`, or another shape, or more numbers than
            a depth map may have.
    """

    def taken(dataset: Any) -> NDArray[Any]:
        found = dataset.shape or ()
        fits = len(found) == len(shape) and all(
            wanted in (None, n) for wanted, n in zip(shape, found, strict=True)
        )
        if not fits or dataset.size > MAX_PIXELS:
            wanted = " x ".join("n" if n is None else str(n) for n in shape)
            raise _bad(path, f"holds an array of shape {found}, not {wanted}", "", code)
        return np.asarray(dataset[()])

    return with_hdf5(path, "", taken, code)
