# SPDX-License-Identifier: Apache-2.0
"""The CPU kernels in every instruction set of this machine: commit against commit.

    python -m pytest benchmarks/commits --benchmark-autosave
    python -m pytest benchmarks/commits --benchmark-compare

Runs are stored in `.benchmarks`. Peers and ceilings are in the suites of `python -m benchmarks`;
here an operation is held against itself, and no time is asserted. Results are compared with the
baseline's first.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

from benchmarks.ops import room
from benchmarks.ops.bench_overlap import coherent_mask, random_mask
from benchmarks.ops.bench_rigidity import FLOOR, clip
from spatialcore import _cpu
from spatialcore.occlusion import visible_points

Run = Callable[[], Any]


@cache
def scene() -> room.Scene:
    return room.make(100_000, 10)


def seen(sort: bool) -> Run:
    views = scene()
    points = views.points_world
    if sort:
        points = points[_cpu.morton_order(points)]
    return lambda: visible_points(
        points, views.K, views.cam_from_world, views.depth,
        image_size=views.size, depth_scale=0.001, threads=1,
    ).words  # fmt: skip


def overlaps(path: str) -> Run:
    mask = (random_mask if path == "dense" else coherent_mask)(200, 50_000)
    return lambda: _cpu.pairwise_overlap(mask, 1, path)


def changes(precision: str) -> Run:
    tracks = clip(100, 500)
    return lambda: _cpu.accumulate_distance_change(tracks, FLOOR, precision, 1)


def depth_map() -> Run:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(scene().depth[0]).save(stream, "PNG")
    png = stream.getvalue()
    return lambda: _cpu.decode_depth_png(png, 1 << 20)


def greedy() -> Run:
    sets = random_mask(100, 20_000)
    return lambda: _cpu.max_coverage(sets, 16)[0]


OPERATIONS: dict[str, Callable[[], Run]] = {
    "visibility, sorted": lambda: seen(True),
    "visibility, unsorted": lambda: seen(False),
    "overlap, dense": lambda: overlaps("dense"),
    "overlap, sparse": lambda: overlaps("sparse"),
    **{f"distances, {p}": lambda p=p: changes(p) for p in ("float64", "exact", "float32")},
    "16-bit PNG": depth_map,
    "greedy coverage": greedy,
}


@cache
def prepared(operation: str) -> tuple[Run, Any]:
    """The operation on its input, and what the baseline makes of it."""
    run = OPERATIONS[operation]()
    _cpu.set_isa("baseline")
    return run, run()


@pytest.fixture
def best_set() -> Iterator[None]:
    yield
    _cpu.set_isa("")


@pytest.mark.parametrize("isa", _cpu.isas())
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.benchmark(timer=time.process_time, max_time=0.5)
@pytest.mark.usefixtures("best_set")
def test_kernel(benchmark: Any, operation: str, isa: str) -> None:
    run, expected = prepared(operation)
    benchmark.group = operation
    _cpu.set_isa(isa)
    np.testing.assert_array_equal(run(), expected)
    benchmark(run)
