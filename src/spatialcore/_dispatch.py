# SPDX-License-Identifier: Apache-2.0
"""Which backend runs a call, and why not.

A backend is a module that holds a function of the operation's name:

| name | module | arrays |
|---|---|---|
| reference | `spatialcore._reference.<op>` | numpy |
| cpu | `spatialcore._cpu` | numpy |
| cuda | `spatialcore._cuda` | torch or cupy on one GPU |
| triton | `spatialcore._triton.<op>` | torch on one GPU (on the host where Triton interprets) |

An explicit name gives that backend or BackendUnavailable with the reason; None chooses by where the
arrays live: on a GPU "cuda", or "triton" where this installation was built without the CUDA kernels
and Triton has one. Nothing is ever copied between devices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from spatialcore._check import check_choice, device_of, library_of
from spatialcore._libraries import NOT_BUILT
from spatialcore.errors import BackendUnavailable

BACKENDS = ("reference", "cpu", "cuda", "triton")

_MODULES = {
    "reference": "spatialcore._reference.{op}",
    "cpu": "spatialcore._cpu",
    "cuda": "spatialcore._cuda",
    "triton": "spatialcore._triton.{op}",
}
_NOT_BUILT = {
    "_cpu": "this installation has no compiled CPU kernels; install it with a C++ compiler at hand",
    "_cuda_ext": NOT_BUILT,
    "torch": "torch is not installed; install the extra `triton`",
    "triton": "triton is not installed; install the extra `triton`",
    "cupy": "neither torch nor cupy is installed; install the extra `gpu` or `triton`",
}


def choose(backend: str | None, arrays: Sequence[object]) -> str:
    """The name of the backend for these arrays.

    Args:
        backend: One of BACKENDS, or None for the first backend of the arrays' place.
        arrays: Every array of the call.

    Raises:
        ValueError: Unknown name, or the arrays live in more than one place.
        TypeError: No backend takes such arrays on the host.
        BackendUnavailable: The named backend cannot run arrays that live there.
    """
    libraries = {library_of(a) for a in arrays}
    devices = {device_of(a) for a in arrays}
    if len(devices) > 1:
        raise ValueError(f"all arrays must live in one place, got {', '.join(sorted(devices))}")
    device = next(iter(devices), "cpu")
    if backend is None:
        if device != "cpu":
            return "cuda"
        if libraries - {"numpy"}:
            raise TypeError("torch tensors on the host are not taken; pass tensor.numpy()")
        return "cpu"
    check_choice("backend", backend, BACKENDS)
    if backend in ("reference", "cpu") and libraries - {"numpy"}:
        raise BackendUnavailable(
            backend, f"it takes numpy arrays, these are {_describe(libraries, device)}"
        )
    if backend == "cuda" and device == "cpu":
        raise BackendUnavailable(
            backend, f"it takes arrays on a GPU, these are {_describe(libraries, device)}"
        )
    if backend == "triton" and libraries - {"torch"}:
        raise BackendUnavailable(
            backend, f"it takes torch tensors, these are {_describe(libraries, device)}"
        )
    return backend


def kernel(
    op: str, function: str, backend: str | None, arrays: Sequence[object]
) -> Callable[..., Any]:
    """The function that runs a call.

    Args:
        op: Basename of the operation, such as "overlap".
        function: Name of the function in the backend's module.
        backend: One of BACKENDS, or None.
        arrays: Every array of the call; they decide where it runs.

    Raises:
        ValueError: Unknown name, or the arrays live in more than one place.
        BackendUnavailable: The backend is missing, or cannot run these arrays.
    """
    return load(op, function, _resolve(op, function, backend, arrays))


def batch_kernel(
    op: str, function: str, backend: str | None, arrays: Sequence[object]
) -> Callable[..., Any] | None:
    """The function that runs many items in one launch, or None where they run one by one.

    Args and errors are those of `kernel`; `arrays` are those of all items.
    """
    name = _resolve(op, function, backend, arrays)
    if name == "cuda":
        return load(op, f"{function}_batch", name)
    load(op, function, name)  # what cannot run is said before the first item
    return None


def _resolve(op: str, function: str, backend: str | None, arrays: Sequence[object]) -> str:
    name = choose(backend, arrays)
    torch_alone = {library_of(a) for a in arrays} == {"torch"}
    if backend is not None or name != "cuda" or not torch_alone or cuda_is_built():
        return name
    return name if unavailable_reason(op, function, "triton") else "triton"


def cuda_is_built() -> bool:
    """Whether this installation has the CUDA kernels; whether a device can run them is another."""
    return find_spec("spatialcore._cuda_ext") is not None


def load(op: str, function: str, backend: str) -> Callable[..., Any]:
    """Import a backend's function; BackendUnavailable says what is missing."""
    module_name = _MODULES[backend].format(op=op)
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise BackendUnavailable(backend, _why_not(error, module_name, function)) from error
    found: Callable[..., Any] | None = getattr(module, function, None)
    if found is None:
        raise BackendUnavailable(backend, f"{function} has no kernel there")
    return found


def unavailable_reason(op: str, function: str, backend: str) -> str:
    """Why a backend cannot run a function on this machine, or "" when it can be imported."""
    try:
        load(op, function, backend)
    except BackendUnavailable as error:
        return error.reason
    return ""


def _why_not(error: ImportError, module_name: str, function: str) -> str:
    if error.name == module_name and not module_name.endswith("._cpu"):
        return f"{function} has no kernel there"
    missing = (error.name or "").rpartition(".")[2]
    return _NOT_BUILT.get(missing, str(error))


def _describe(libraries: set[str], device: str) -> str:
    return f"{' and '.join(sorted(libraries))} arrays on {device}"
