# SPDX-License-Identifier: Apache-2.0
"""What `spatialcore doctor` runs: every kernel against the float64 reference, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from spatialcore._libraries import Library


@dataclass(frozen=True)
class Check:
    """One kernel in one place against the float64 reference.

    Attributes:
        operation: Name of the operation, with its variant.
        place: Instruction set of the CPU, or "cuda" or "triton" on the GPU.
        passed: Whether every bit is equal.
    """

    operation: str
    place: str
    passed: bool


def _inputs() -> dict[str, Any]:
    """A small scene with points on every kind of edge: sides, depth limits, behind the camera."""
    rng = np.random.default_rng(20)
    K = np.array([[300.0, 0, 160], [0, 300.0, 120], [0, 0, 1]])
    poses = np.tile(np.eye(4), (5, 1, 1))
    poses[:, :3, 3] = rng.uniform(-0.5, 0.5, (5, 3))
    points = rng.uniform([-3, -3, -1], [3, 3, 7], (5000, 3)).astype(np.float32)
    depth = rng.integers(0, 6000, (5, 240, 320)).astype(np.uint16)
    tracks = rng.normal(size=(12, 70, 3))
    tracks[rng.random((12, 70)) < 0.05] = np.nan
    return {"K": K, "poses": poses, "points": points, "depth": depth, "tracks": tracks}


def _operations(put: Callable[[Any], Any] = lambda x: x) -> dict[str, Callable[[str], Any]]:
    """Name -> a call of the operation on a backend, returning arrays to compare in every bit.

    `put` takes a host array to where the backend wants it.
    """
    from spatialcore import BitMask, DepthRule
    from spatialcore.coverage import max_coverage
    from spatialcore.occlusion import visible_points
    from spatialcore.overlap import pairwise_overlap
    from spatialcore.projection import project_points
    from spatialcore.rigidity import accumulate_distance_change

    host = _inputs()
    x = {name: put(array) for name, array in host.items()}

    def visible(given: dict[str, Any], backend: str, rule: DepthRule) -> BitMask:
        return visible_points(
            given["points"],
            given["K"],
            given["poses"],
            given["depth"],
            image_size=(320, 240),
            depth_scale=0.001,
            rule=rule,
            backend=backend,
        )

    seen = visible(host, "reference", DepthRule.tolerance())
    mask = BitMask(put(seen.words), seen.point_count)
    return {
        "projection": lambda b: project_points(x["points"], x["K"], x["poses"], backend=b),
        "occlusion (tolerance)": lambda b: visible(x, b, DepthRule.tolerance()).words,
        "occlusion (strict)": lambda b: visible(x, b, DepthRule.strict()).words,
        "overlap": lambda b: pairwise_overlap(mask, backend=b).intersection,
        "rigidity": lambda b: accumulate_distance_change(x["tracks"], backend=b),
        "coverage": lambda b: max_coverage(seen, 3, backend=b),
    }


def _same(got: Any, expected: Any) -> bool:
    """Whether every bit is equal; NaN equals NaN, and torch's signed words are unsigned bits."""
    from spatialcore._libraries import on_host

    if isinstance(expected, tuple):
        return all(_same(a, b) for a, b in zip(got, expected, strict=True))
    values = on_host(got)
    if values.dtype != expected.dtype and values.dtype.kind == "i":
        values = values.view(expected.dtype)
    return np.array_equal(values, expected, equal_nan=values.dtype.kind == "f")


def run_checks(isas: list[str]) -> Iterator[Check]:
    """Compare every CPU kernel with the reference on every named instruction set."""
    from spatialcore import _cpu

    operations = _operations()
    expected = {name: call("reference") for name, call in operations.items()}
    try:
        for isa in isas:
            _cpu.set_isa(isa)
            for name, call in operations.items():
                yield Check(name, isa, _same(call("cpu"), expected[name]))
    finally:
        _cpu.set_isa("")


_DEVICE_FUNCTIONS = {
    "projection": ("projection", "project_points"),
    "occlusion (tolerance)": ("occlusion", "visible_points"),
    "occlusion (strict)": ("occlusion", "visible_points"),
    "overlap": ("overlap", "pairwise_overlap"),
    "rigidity": ("rigidity", "accumulate_distance_change"),
}


def run_device_checks() -> Iterator[Check]:
    """Compare every kernel of a GPU with the reference; nothing where there is no GPU."""
    from spatialcore._dispatch import unavailable_reason

    device, backends = _device()
    if device is None:
        return
    expected = {name: call("reference") for name, call in _operations().items()}
    operations = _operations(lambda array: device.upload([array])[0])
    for backend in backends:
        for name, (op, function) in _DEVICE_FUNCTIONS.items():
            if not unavailable_reason(op, function, backend):
                yield Check(name, backend, _same(operations[name](backend), expected[name]))


def _device() -> tuple[Library | None, tuple[str, ...]]:
    """The first GPU and the backends that can use it; Triton can where CUDA was not built."""
    from importlib.util import find_spec

    from spatialcore._dispatch import cuda_is_built
    from spatialcore._libraries import Torch, open_device
    from spatialcore.errors import BackendUnavailable

    if cuda_is_built():
        try:
            device = open_device("cuda")
        except BackendUnavailable:
            return None, ()  # the table of the machine gives the reason
        return device, ("cuda", "triton") if isinstance(device, Torch) else ("cuda",)
    if find_spec("torch") is None or find_spec("triton") is None:
        return None, ()
    from torch.cuda import is_available

    return (Torch("cuda:0"), ("triton",)) if is_available() else (None, ())
