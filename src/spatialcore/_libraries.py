# SPDX-License-Identifier: Apache-2.0
"""The array libraries of GPU backends: torch and cupy, on one device, on the current stream.

Pointers come through `__cuda_array_interface__`, so nothing here links to either library. Outputs
are allocated by the caller's library and nothing waits, but `download` and `nonzero`, which say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spatialcore._check import library_of
from spatialcore.errors import BackendUnavailable

NOT_BUILT = "this installation was built without CUDA; rebuild with SPATIALCORE_CUDA=ON"


class Marker(Protocol):
    """A point in a stream."""

    def synchronize(self) -> None:
        """Wait until the stream has passed it."""


class Library(Protocol):
    """What is needed of an array library on one device; names of dtypes are numpy's."""

    @property
    def number(self) -> int:
        """Number of the device."""

    def stream(self) -> int:
        """Handle of the library's current stream there."""

    def address(self, array: Any) -> int:
        """Address of the first element; ValueError unless the array is contiguous."""

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """An uninitialised array."""

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Any:
        """An array of zeros."""

    def arange(self, count: int, dtype: str) -> Any:
        """0 .. count - 1."""

    def convert(self, array: Any, dtype: str | None = None) -> Any:
        """The array as a contiguous one of that dtype, itself where it is one already."""

    def view(self, array: Any, dtype: str) -> Any:
        """The same bytes as another dtype; the last axis grows or shrinks with its size."""

    def broadcast(self, array: Any, shape: tuple[int, ...]) -> Any:
        """The array repeated to a shape, contiguous."""

    def concatenate(self, arrays: Sequence[Any]) -> Any:
        """Arrays one after another along the first axis."""

    def upload(self, parts: Sequence[NDArray[Any]]) -> Any:
        """Host arrays of one shape, stacked; through page-locked memory, ordered on the stream."""

    def download(self, array: Any) -> NDArray[Any]:
        """A copy on the host; waits for it."""

    def nonzero(self, flags: Any) -> tuple[Any, ...]:
        """Indices of the true elements, one array an axis, in row order; waits for their number."""

    def mark(self) -> Marker:
        """The stream's present end."""


def interface_address(array: Any) -> int:
    """Address of a contiguous array on a GPU by its `__cuda_array_interface__` (version 3).

    Raises:
        ValueError: The array is strided.
    """
    interface = array.__cuda_array_interface__
    if interface.get("strides") is not None:
        raise ValueError("arrays on a GPU must be contiguous")
    return int(interface["data"][0])


class Torch:
    """torch tensors. Unsigned words and counts are held in signed dtypes, the same bits."""

    _SIGNED = {"uint64": "int64", "uint32": "int32"}  # noqa: RUF012 - a constant

    def __init__(self, device: Any) -> None:
        self._torch = import_module("torch")
        self.device = self._torch.device(device)

    @property
    def number(self) -> int:
        return int(self.device.index)

    def stream(self) -> int:
        return int(self._torch.cuda.current_stream(self.device).cuda_stream)

    def address(self, array: Any) -> int:
        plain, name = array.detach(), str(array.dtype).removeprefix("torch.")
        if name.startswith("uint") and name != "uint8":  # older torch has no interface for these
            plain = plain.view(getattr(self._torch, name[1:]))
        return interface_address(plain)

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        return self._torch.empty(shape, dtype=self._dtype(dtype), device=self.device)

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Any:
        return self._torch.zeros(shape, dtype=self._dtype(dtype), device=self.device)

    def arange(self, count: int, dtype: str) -> Any:
        return self._torch.arange(count, dtype=self._dtype(dtype), device=self.device)

    def convert(self, array: Any, dtype: str | None = None) -> Any:
        kind = array.dtype if dtype is None else self._dtype(dtype)
        return array.detach().to(kind).contiguous()

    def view(self, array: Any, dtype: str) -> Any:
        kind = self._dtype(dtype)
        if not array.numel():  # torch asks for the strides of an empty array too
            last = array.shape[-1] * array.dtype.itemsize // kind.itemsize
            return self.zeros((*array.shape[:-1], last), dtype)
        return array.contiguous().view(kind)

    def broadcast(self, array: Any, shape: tuple[int, ...]) -> Any:
        return array.detach().expand(shape).contiguous()

    def concatenate(self, arrays: Sequence[Any]) -> Any:
        return self._torch.cat(list(arrays))

    def upload(self, parts: Sequence[NDArray[Any]]) -> Any:
        shape, dtype = (len(parts), *parts[0].shape), self._dtype(str(parts[0].dtype))
        locked = self.device.type == "cuda"
        host = self._torch.empty(shape, dtype=dtype, pin_memory=locked)
        np.stack(parts, out=host.numpy().view(parts[0].dtype))
        # Page-locked memory that is freed here is used again only after the copy.
        return host.to(self.device, non_blocking=True)

    def download(self, array: Any) -> NDArray[Any]:
        copied: NDArray[Any] = array.cpu().numpy()
        return copied

    def nonzero(self, flags: Any) -> tuple[Any, ...]:
        return tuple(flags.nonzero(as_tuple=True))

    def mark(self) -> Marker:
        marker: Marker = self._torch.cuda.current_stream(self.device).record_event()
        return marker

    def _dtype(self, name: str) -> Any:
        return getattr(self._torch, self._SIGNED.get(name, name))


class Cupy:
    """cupy arrays."""

    def __init__(self, number: int) -> None:
        self._cupy = import_module("cupy")
        self._number = number

    @property
    def number(self) -> int:
        return self._number

    def stream(self) -> int:
        with self._here():
            return int(self._cupy.cuda.get_current_stream().ptr)

    def address(self, array: Any) -> int:
        return interface_address(array)

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        with self._here():
            return self._cupy.empty(shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Any:
        with self._here():
            return self._cupy.zeros(shape, dtype)

    def arange(self, count: int, dtype: str) -> Any:
        with self._here():
            return self._cupy.arange(count, dtype=dtype)

    def convert(self, array: Any, dtype: str | None = None) -> Any:
        with self._here():
            return self._cupy.ascontiguousarray(array, dtype=dtype)

    def view(self, array: Any, dtype: str) -> Any:
        with self._here():
            return self._cupy.ascontiguousarray(array).view(dtype)

    def broadcast(self, array: Any, shape: tuple[int, ...]) -> Any:
        with self._here():
            return self._cupy.ascontiguousarray(self._cupy.broadcast_to(array, shape))

    def concatenate(self, arrays: Sequence[Any]) -> Any:
        with self._here():
            return self._cupy.concatenate(list(arrays))

    def upload(self, parts: Sequence[NDArray[Any]]) -> Any:
        with self._here():  # cupy stages the copy in page-locked memory by itself
            return self._cupy.asarray(np.stack(parts))

    def download(self, array: Any) -> NDArray[Any]:
        with self._here():
            copied: NDArray[Any] = self._cupy.asnumpy(array)
            return copied

    def nonzero(self, flags: Any) -> tuple[Any, ...]:
        with self._here():
            return tuple(self._cupy.nonzero(flags))

    def mark(self) -> Marker:
        with self._here():
            marker: Marker = self._cupy.cuda.get_current_stream().record()
            return marker

    def _here(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = self._cupy.cuda.Device(self._number)
        return context


def library_at(array: Any) -> Library:
    """The adapter of a torch or cupy array's library, on the array's device."""
    if library_of(array) == "torch":
        return Torch(array.device)
    return Cupy(int(array.device.id))


def on_host(array: Any) -> NDArray[Any]:
    """The array in numpy: itself on the host, an explicit copy from a GPU."""
    if library_of(array) == "numpy":
        host: NDArray[Any] = array
        return host
    return library_at(array).download(array)


def open_device(name: str) -> Library:
    """The library that allocates on a device when no array says which: torch, else cupy.

    Args:
        name: "cuda" (device 0) or "cuda:N".

    Raises:
        ValueError: Another name.
        BackendUnavailable: The CUDA kernels are not built, there is no such device, or neither
            library can use one; the message says which.
    """
    kind, _, digits = name.partition(":")
    if kind != "cuda" or not (digits.isdecimal() or name == "cuda"):
        raise ValueError(f"device must be 'cpu', 'cuda' or 'cuda:N', got {name!r}")
    number = int(digits or 0)
    if find_spec("spatialcore._cuda_ext") is None:
        raise BackendUnavailable("cuda", NOT_BUILT)
    extension = import_module("spatialcore._cuda_ext")
    reason = extension.unavailable_reason()
    if reason:
        raise BackendUnavailable("cuda", reason)
    count = len(extension.devices())
    if number >= count:
        raise BackendUnavailable("cuda", f"there is no device {number}; this machine has {count}")
    if find_spec("torch") and import_module("torch").cuda.is_available():
        return Torch(f"cuda:{number}")
    if find_spec("cupy") and import_module("cupy").cuda.is_available():
        return Cupy(number)
    raise BackendUnavailable(
        "cuda", "neither torch nor cupy can use the device; install the extra `gpu` or `triton`"
    )
