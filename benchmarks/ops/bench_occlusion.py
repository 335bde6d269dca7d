# SPDX-License-Identifier: Apache-2.0
"""Visibility of a ray-cast room: `python -m benchmarks.ops.bench_occlusion`, point-frames a second.

One thread. "hot": four depth maps in turn, as a reader hands them over right after decoding;
"cold": every map streams from memory. Ours and the numba loop also run on unsorted points.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.ops import occlusion_peers
from benchmarks.ops.captured import captured
from benchmarks.ops.harness import Table, fastest, fastest_wall, write
from benchmarks.ops.room import Scene, make
from spatialcore import BitMask, _cpu, visible_points
from spatialcore.io.open import open_source

PEER_FRAMES = 8


def ours(points, scene: Scene, depth, threads=1, backend=None) -> BitMask:
    return visible_points(
        points, scene.K, scene.cam_from_world[: len(depth)], depth,
        image_size=scene.size, depth_scale=0.001, threads=threads, backend=backend,
    )  # fmt: skip


def bench_peers(table: Table, scene: Scene, points, suffix: str) -> None:
    poses, depth = scene.cam_from_world[:PEER_FRAMES], scene.depth[:PEER_FRAMES]
    truth = ours(points, scene, depth, backend="reference").to_bool()
    for name, run in occlusion_peers.installed().items():
        if suffix == "unsorted" and "numba" not in name:
            continue
        bits = np.unpackbits(run(points, poses, depth, scene.K), axis=1, bitorder="little")
        wrong = int((bits[:, : len(points)] != truth).sum())
        # A float32 peer rounds captured points, which lie on pixels, to the other side more often.
        if wrong > 1e-4 * truth.size:
            raise SystemExit(f"{name} disagrees with the reference on {wrong} of {truth.size}")
        seconds = fastest(lambda run=run: run(points, poses, depth, scene.K), 3)
        table.add(f"{name}, {suffix}", truth.size, seconds, f"{wrong} bits differ")


def bench(name: str, scene: Scene) -> Table:
    order = _cpu.morton_order(scene.points_world)
    layouts = {"sorted": scene.points_world[order], "unsorted": scene.points_world}
    hot = [scene.depth[f % 4] for f in range(len(scene.depth))]
    point_count, frame_count = len(scene.points_world), len(scene.depth)
    work = point_count * frame_count
    table = Table(f"{name}{point_count} points, {frame_count} frames", "point-frames/s, one core")
    for layout, points in layouts.items():
        if ours(points, scene, scene.depth[:8]) != ours(
            points, scene, scene.depth[:8], 1, "reference"
        ):
            raise SystemExit("our bits differ from the reference")
        for isa in _cpu.isas():
            _cpu.set_isa(isa)
            for place, depth in (("hot", hot), ("cold", scene.depth)):
                seconds = fastest(lambda d=depth, p=points: ours(p, scene, d))
                table.add(f"spatialcore {isa}, {layout}, {place}", work, seconds, "0 bits differ")
        _cpu.set_isa("")
        bench_peers(table, scene, points, layout)
    one, two = (
        fastest_wall(lambda t=t: ours(layouts["sorted"], scene, scene.depth, t)) for t in (1, 2)
    )
    table.title += f"; two threads {one / two:.2f}x one (wall, cold)"
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", default="50000,200000,1000000")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--output", help="write the tables as JSON")
    parser.add_argument("--real", type=Path, help="folder of scenes in the exported layout")
    options = parser.parse_args()
    tables = []
    for count in options.points.split(","):
        tables.append(bench("", make(int(count), options.frames)))
        tables[-1].show()
    for scene_id in sorted(open_source(options.real).scene_ids()) if options.real else ():
        tables.append(bench(f"{scene_id}: ", captured(options.real, scene_id, 200_000)))
        tables[-1].show()
    if options.output:
        write(options.output, tables)


if __name__ == "__main__":
    main()
