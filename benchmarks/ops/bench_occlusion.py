# SPDX-License-Identifier: Apache-2.0
"""Visibility of a ray-cast room: `python -m benchmarks.ops.bench_occlusion`, point-frames a second.

One thread. "hot": four depth maps in turn, as a reader hands them over right after decoding;
"cold": every map streams from memory, and its share is of the rate at which memory is read: the
lines of 64 bytes that hold a reading of some point, since maps are not read whole. Ours and the
numba loop also run on unsorted points.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ops import occlusion_peers
from benchmarks.ops.captured import captured
from benchmarks.ops.ceilings import Ceilings
from benchmarks.ops.compare import Comparison, Variant, write
from benchmarks.ops.harness import fastest_wall, instruction_set, one_thread
from benchmarks.ops.room import Scene, make
from spatialcore import BitMask, _cpu, visible_points
from spatialcore.io.open import open_source

PEER_FRAMES = 8
HOT_MAPS = 4
LINE_PIXELS = 32  # 64 bytes


def ours(points: Any, scene: Scene, depth: Any, threads: int = 1, backend: Any = None) -> BitMask:
    return visible_points(
        points, scene.K, scene.cam_from_world[: len(depth)], depth,
        image_size=scene.size, depth_scale=0.001, threads=threads, backend=backend,
    )  # fmt: skip


def packed_words(octets: np.ndarray, word_count: int) -> np.ndarray:
    """A peer's packed octets as words of 64 bits."""
    padded = np.zeros((len(octets), 8 * word_count), np.uint8)
    padded[:, : octets.shape[1]] = octets
    return padded.view(np.uint64)


@dataclass(frozen=True)
class Layout:
    """Points in one order, and how to bring words of their bits into the sorted one."""

    name: str
    points: np.ndarray
    order: np.ndarray | None = None

    def sorted_words(self, words: np.ndarray) -> np.ndarray:
        if self.order is None:
            return words
        bits = BitMask(words, len(self.points)).to_bool()
        return BitMask.from_bool(bits[:, self.order]).words


def differing_share(found: np.ndarray, expected: np.ndarray) -> float:
    """Bits that differ over all bits."""
    return float(np.bitwise_count(found ^ expected).sum()) / (64 * expected.size)


def touched_bytes(points: np.ndarray, scene: Scene) -> int:
    """Bytes of the lines of depth maps in which some point in front of the camera has a reading."""
    (W, H), total = scene.size, 0
    for pose in scene.cam_from_world:
        camera = points @ pose[:3, :3].T.astype(np.float32) + pose[:3, 3].astype(np.float32)
        front = camera[camera[:, 2] > 0]
        u, v = (front[:, :2] / front[:, 2:] * scene.K[[0, 1], [0, 1]] + scene.K[:2, 2]).T
        inside = (u >= 0) & (u < W) & (v >= 0) & (v < H)
        row = np.minimum(np.rint(v[inside]).astype(np.int64), H - 1)
        column = np.minimum(np.rint(u[inside]).astype(np.int64), W - 1)
        lines = np.zeros(H * W // LINE_PIXELS + 1, bool)
        lines[(row * W + column) // LINE_PIXELS] = True
        total += 2 * LINE_PIXELS * int(lines.sum())
    return total


def layouts(scene: Scene) -> list[Layout]:
    order = _cpu.morton_order(scene.points_world)
    unsorted = Layout("unsorted", scene.points_world, order)
    return [Layout("sorted", scene.points_world[order]), unsorted]


def table_of(name: str, scene: Scene, points: np.ndarray, depth: Any) -> Comparison:
    """Expected are our baseline's bits, of which the first frames are held to the reference."""
    with instruction_set("baseline"):
        expected = ours(points, scene, depth).words
    few = ours(points, scene, depth[:PEER_FRAMES], backend="reference").words
    if (few != expected[:PEER_FRAMES]).any():
        raise SystemExit("our bits differ from the reference")
    title = f"{name}{len(points)} points, {len(depth)} frames"
    work = len(points) * len(depth)
    return Comparison(title, "point-frames/s, one core", work, expected, differing_share)


def our_variants(layout: Layout, scene: Scene, place: str, depth: Any) -> list[Variant]:
    """Every set on one layout; cold maps have the ceiling of memory."""
    bounded = place == "cold" and layout.order is None
    return [
        Variant(
            f"ours {isa}, {layout.name}, {place}",
            lambda: ours(layout.points, scene, depth).words,
            layout.sorted_words,
            isa=isa,
            ceiling="read_bytes" if bounded else "",
            work=touched_bytes(layout.points, scene) if bounded else None,
        )
        for isa in reversed(_cpu.isas())
    ]


def peers(layout: Layout, scene: Scene, depth: Any) -> list[Variant]:
    """On the first frames, whose maps are in a cache; numba's loop on unsorted points too."""
    poses, maps = scene.cam_from_world[:PEER_FRAMES], np.stack(depth[:PEER_FRAMES])
    word_count = -(-len(layout.points) // 64)
    return [
        # A float32 peer rounds captured points, which lie on pixels, to the other side more often.
        Variant(f"{name}, {layout.name}", lambda run=run: run(layout.points, poses, maps, scene.K),
                lambda octets: layout.sorted_words(packed_words(octets, word_count)),
                1e-4, needs, part=len(maps) / len(depth))
        for name, (needs, run) in occlusion_peers.PEERS.items()
        if layout.order is None or needs == "numba"
    ]  # fmt: skip


def bench(name: str, scene: Scene, ceilings: Ceilings) -> list[Comparison]:
    """Hot maps beside the peers, then cold maps: four of them in turn see other things."""
    tables, both = [], layouts(scene)
    for place in ("hot", "cold"):
        cycle = HOT_MAPS if place == "hot" else len(scene.depth)
        depth = [scene.depth[f % cycle] for f in range(len(scene.depth))]
        variants = [v for one in both for v in our_variants(one, scene, place, depth)]
        if place == "hot":
            variants += [v for one in both for v in peers(one, scene, depth)]
        table = table_of(f"{name}{place} maps: ", scene, both[0].points, depth)
        tables.append(table.measure(variants, ceilings))
    two = threads_ratio(scene, both[0].points)
    tables[-1].note = {"two_threads_over_one_wall": two}
    print(f"  two threads, wall, cold maps: {two:.2f}x one")
    return tables


def threads_ratio(scene: Scene, points: np.ndarray) -> float:
    """Wall time of one thread over that of two."""
    one, two = (fastest_wall(lambda t=t: ours(points, scene, scene.depth, t)) for t in (1, 2))
    return one / two


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", default="50000,200000,1000000")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--output", type=Path, help="write the tables as JSON")
    parser.add_argument("--real", type=Path, help="folder of scenes in the exported layout")
    given = parser.parse_args()
    one_thread()
    ceilings, tables = Ceilings(), []
    for count in given.points.split(","):
        tables += bench("", make(int(count), given.frames), ceilings)
    for scene_id in sorted(open_source(given.real).scene_ids()) if given.real else ():
        tables += bench(f"{scene_id}: ", captured(given.real, scene_id, 200_000), ceilings)
    write("occlusion", tables, ceilings, given.output)


if __name__ == "__main__":
    main()
