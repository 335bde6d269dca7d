# SPDX-License-Identifier: Apache-2.0
"""How the kernels scale: frames, points, tracks, one thread and two, beside the fastest peer.

Writes `benchmarks/results/scaling.json` and the table of docs/performance.md that is made from it.
One thread of ours and the peers are process time; one thread against two is wall time. The peer of
visibility does four frames and its time is scaled up; numkong is left out where it would run for
long. Outputs are compared first.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ops import occlusion_peers
from benchmarks.ops.bench_overlap import coherent_mask, from_jaccard, numkong_jaccards, octets_of
from benchmarks.ops.bench_rigidity import FLOOR, clip, numba_sum
from benchmarks.ops.compare import RESULTS
from benchmarks.ops.harness import fastest, fastest_wall, machine, one_thread
from benchmarks.ops.room import SIZE, K, make
from benchmarks.table import PERFORMANCE, SCALING, scaling_line, scaling_table, with_table
from spatialcore import _cpu, visible_points
from spatialcore.files import write_text

FRAMES = (100, 300, 1000, 3000)
POINTS = (50_000, 200_000, 1_000_000)
TRACKS = (300, 1000, 2000, 5000)
MAPS = 100  # distinct depth maps; more frames go around again
PEER_FRAMES = 4
MOST_BIT_PAIRS = 1.1e11  # of the peer of overlap


@dataclass(frozen=True)
class Scaled:
    """One operation at one size; milliseconds, None where there is no such run."""

    op: str
    size: str
    one: float
    one_wall: float
    two_wall: float | None
    peer: float | None
    peer_name: str


def timed(
    op: str,
    size: str,
    run: Callable[[int], Any],
    peer: tuple[str, float | None],
) -> Scaled:
    """Ours by process time, then by wall time on one thread and on two."""
    walls = [fastest_wall(lambda t=t: run(t), 3) * 1e3 for t in (1, 2)]
    name, seconds = peer
    row = Scaled(
        op, size, fastest(lambda: run(1), 3) * 1e3, walls[0], walls[1],
        None if seconds is None else seconds * 1e3, name,
    )  # fmt: skip
    print(scaling_line(asdict(row)), flush=True)
    return row


def must_equal(op: str, found: Any, expected: Any, tolerance: float = 0.0) -> None:
    error = float(np.abs(np.asarray(found, float) - np.asarray(expected, float)).max(initial=0.0))
    if not error <= tolerance:
        raise SystemExit(f"{op}: outputs differ by {error}")


def visibility(frames: Sequence[int], points: Sequence[int]) -> Iterator[Scaled]:
    def ours(cloud: Any, poses: Any, depth: Any, threads: int) -> Any:
        return visible_points(
            cloud, K, poses, depth, image_size=SIZE, depth_scale=0.001, threads=threads
        )

    peer = occlusion_peers.numba_float32
    for point_count in points:
        scene = make(point_count, MAPS)
        cloud = scene.points_world[_cpu.morton_order(scene.points_world)]
        few = (cloud, scene.cam_from_world[:PEER_FRAMES], scene.depth[:PEER_FRAMES])
        bits = np.unpackbits(peer(*few, K), axis=1, bitorder="little", count=point_count)
        mine = ours(*few, 1).to_bool()
        if (bits != mine).sum() > 1e-5 * mine.size:  # the peer decides in float32
            raise SystemExit("visibility: outputs differ")
        a_frame = fastest(lambda few=few: peer(*few, K), 3) / PEER_FRAMES
        for frame_count in frames:
            around = np.arange(frame_count) % MAPS
            given = (cloud, scene.cam_from_world[around], [scene.depth[i] for i in around])
            yield timed(
                "visibility", f"{frame_count} x {point_count}",
                lambda threads, given=given: ours(*given, threads),
                ("numba", a_frame * frame_count),
            )  # fmt: skip


def overlap(frames: Sequence[int], points: Sequence[int]) -> Iterator[Scaled]:
    for point_count in points:
        for frame_count in frames:
            mask = coherent_mask(frame_count, point_count)
            counts = _cpu.pairwise_overlap(mask, 1)
            some = np.random.default_rng(0).choice(frame_count, 40, replace=False)
            part = mask[some].to_bool().astype(np.float32)
            must_equal("overlap", counts[np.ix_(some, some)], part @ part.T)
            seconds = None
            if frame_count**2 / 2 * point_count <= MOST_BIT_PAIRS:
                octets, seen = octets_of(mask), mask.counts().astype(float)
                must_equal("overlap", from_jaccard(numkong_jaccards(octets), seen), counts, 1.0)
                seconds = fastest(lambda octets=octets: numkong_jaccards(octets), 2)
            yield timed(
                "overlap", f"{frame_count} x {point_count}",
                lambda threads, mask=mask: _cpu.pairwise_overlap(mask, threads),
                ("numkong", seconds),
            )  # fmt: skip


def distances(tracks: Sequence[int]) -> Iterator[Scaled]:
    accumulate = _cpu.accumulate_distance_change
    for track_count in tracks:
        points = clip(150, track_count)
        peer = numba_sum(points)
        must_equal("distances", peer(), accumulate(points, FLOOR, "float64", 1), 0.2)
        seconds = fastest(peer, 2)
        for precision in ("float64", "exact", "float32"):
            yield timed(
                f"distances, {precision}", f"{track_count}",
                lambda threads, given=(points, FLOOR, precision): accumulate(*given, threads),
                ("numba", seconds),
            )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="the smaller two sizes of each")
    parser.add_argument("--output", type=Path, default=RESULTS / "scaling.json")
    given = parser.parse_args()
    one_thread()
    count = 2 if given.short else None
    load = os.getloadavg()[0]
    rows = [
        *visibility(FRAMES[:count], POINTS[:count]),
        *overlap(FRAMES[:count], POINTS[:count]),
        *distances(TRACKS[:count]),
    ]
    content = {
        "machine": machine(),
        "load": [load, os.getloadavg()[0]],
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "rows": [asdict(row) for row in rows],
    }
    write_text(given.output, json.dumps(content, indent=1) + "\n")
    if given.output.parent == RESULTS and not given.short:
        page = with_table(PERFORMANCE.read_text(encoding="utf-8"), scaling_table(content), SCALING)
        write_text(PERFORMANCE, page)


if __name__ == "__main__":
    main()
