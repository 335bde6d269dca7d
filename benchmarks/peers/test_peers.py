# SPDX-License-Identifier: Apache-2.0
"""Ours and the peers as rows of one group: `python -m pytest benchmarks/peers -k overlap`.

The inputs are small, each output is compared before it is timed, and a peer that is not installed
is skipped with its name. `python -m benchmarks` has the sizes and the alternating rounds.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ops import (
    bench_coverage,
    bench_covisibility,
    bench_decode,
    bench_occlusion,
    bench_overlap,
    bench_projection,
    bench_rigidity,
)
from benchmarks.ops.compare import Comparison, Variant, loads
from benchmarks.ops.harness import instruction_set, one_thread
from benchmarks.ops.room import make

Prepared = tuple[Comparison, list[Variant]]


def overlap() -> Prepared:
    mask = bench_overlap.coherent_mask(100, 50_000)
    table = bench_overlap.table_of("coherent", mask)
    return table, [bench_overlap.ours(mask)[0], *bench_overlap.peers(mask, every=True)]


def occlusion() -> Prepared:
    scene = make(50_000, bench_occlusion.PEER_FRAMES)
    points = bench_occlusion.layouts(scene)[0]
    table = bench_occlusion.table_of("", scene, points.points, scene.depth)
    ours = bench_occlusion.our_variants(points, scene, "hot", scene.depth)[0]
    return table, [ours, *bench_occlusion.peers(points, scene, scene.depth)]


def distances() -> Prepared:
    tracks = bench_rigidity.clip(40, 300)
    table = bench_rigidity.table_of(40, 300, tracks)
    return table, [*bench_rigidity.ours(tracks)[:3], *bench_rigidity.peers(tracks, every=True)]


def png() -> Prepared:
    images = bench_decode.encoded(make(100, 1).depth)
    return bench_decode.png_table("room", images["room, written by Pillow"])


def inflate() -> Prepared:
    images = bench_decode.encoded(make(100, 1).depth)
    return bench_decode.inflate_table("room", images["room, written by Pillow"])


def ply() -> Prepared:
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return bench_decode.ply_tables(folder / "mesh.ply", 20_000)[0]


# Group: how its variants are made, and their names, which no test may lose.
GROUPS: dict[str, tuple[Callable[[], Prepared], tuple[str, ...]]] = {
    "overlap": (overlap, (
        "ours (path by density)", "numkong jaccards_symmetric",
        "simsimd cdist jaccard (both triangles)", "faiss hammings (both triangles)",
        "scipy.sparse A @ A.T", "numpy float32 matmul", "torch float32 matmul",
        "numpy bitwise_count, row by row",
    )),
    "occlusion": (occlusion, ("ours", *bench_occlusion.occlusion_peers.PEERS)),
    "covisibility": (
        lambda: bench_covisibility.prepared(8, 40), tuple(bench_covisibility.NAMES),
    ),
    "projection": (
        lambda: bench_projection.prepared(20_000, 5), ("ours", "numpy float64", "torch float64"),
    ),
    "distances": (distances, (
        "ours, exact", "ours, float32", "ours, float64", "numba float32",
        "scipy pdist, one a step", "torch.cdist float32", "published loop",
    )),
    "view sets": (
        lambda: bench_coverage.view_sets(25, search=True),
        ("ours", "numpy reference", "search of sets up to 3"),
    ),
    "greedy coverage": (
        lambda: bench_coverage.greedy(60, 10_000), ("ours, lazy", "numpy greedy"),
    ),
    "16-bit PNG": (png, ("ours", *bench_decode.PNG_PEERS)),
    "inflate": (inflate, ("ours", "zlib", "libdeflate (imagecodecs)")),
    "PLY": (ply, ("ours", "plyfile", "open3d", "open3d, as tensors")),
    "JPEG size": (bench_decode.jpeg_size_table, ("ours, from the header", "OpenCV, decoded")),
}  # fmt: skip


@cache
def variants(group: str) -> tuple[Comparison, dict[str, Variant]]:
    """By the names of GROUPS: ours may add its instruction set, peers the order of the points."""
    one_thread()
    table, made = GROUPS[group][0]()
    named = {next((n for n in GROUPS[group][1] if v.name.startswith(n)), v.name): v for v in made}
    assert set(named) == set(GROUPS[group][1])
    return table, named


@pytest.mark.parametrize(
    ("group", "name"), [(g, n) for g, (_, names) in GROUPS.items() for n in names]
)
@pytest.mark.benchmark(timer=time.process_time, max_time=0.5, min_rounds=5)
def test_peer(benchmark: Any, group: str, name: str) -> None:
    if group in ("16-bit PNG", "inflate", "JPEG size") and not loads("cv2"):
        pytest.skip("opencv-python-headless, which writes the inputs, is not installed")
    table, named = variants(group)
    variant = named[name]
    if not loads(variant.needs):
        pytest.skip(f"{variant.needs} is not installed")
    benchmark.group = group
    benchmark.extra_info["error"] = table.check(variant)
    with instruction_set(variant.isa):
        benchmark(variant.run)
