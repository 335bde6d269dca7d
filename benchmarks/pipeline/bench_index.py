# SPDX-License-Identifier: Apache-2.0
"""Files to visibility and overlaps: ours against the published pipeline's structure, one thread.

Bits and IoUs are compared first. The room is ray-cast (its colour files are one textured JPEG
under many names); `--real FOLDER` adds captured scenes in the exported layout.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from benchmarks.ops.captured import reading_points
from benchmarks.ops.compare import Comparison, write
from benchmarks.ops.harness import fastest_wall
from benchmarks.ops.room import SIZE, K, make
from benchmarks.pipeline import published
from spatialcore import DepthRule, PixelMap, pairwise_overlap, visible_points
from spatialcore.index.depths import decode_ahead
from spatialcore.io.depth_png import decode_depth_png
from spatialcore.io.images import image_size
from spatialcore.io.open import open_source
from spatialcore.types import invert_pose

COLOUR = (1296, 968)


class Files(NamedTuple):
    points: Any
    K: Any
    poses: Any
    jpegs: list[Path]
    pngs: list[Path]


class Result(NamedTuple):
    visible: Any
    iou: Any


def room_files(folder: Path, point_count: int, frame_count: int) -> Files:
    scene = make(point_count, frame_count)
    noise = np.random.default_rng(0).normal(128, 40, (COLOUR[1] // 2, COLOUR[0] // 2, 3))
    texture = cv2.resize(np.clip(noise, 0, 255).astype(np.uint8), COLOUR)
    jpegs, pngs = [], []
    for k, depth in enumerate(scene.depth):
        jpegs.append(folder / f"{k:05d}.jpg")
        pngs.append(folder / f"{k:05d}.png")
        cv2.imwrite(str(jpegs[-1]), texture)
        cv2.imwrite(str(pngs[-1]), depth)
    scale = np.array([[COLOUR[0] / SIZE[0]], [COLOUR[1] / SIZE[1]], [1.0]])
    return Files(scene.points_world, K * scale, scene.cam_from_world, jpegs, pngs)


def real_files(root: Path, scene_id: str, point_count: int = 168_000) -> Files:
    """A captured scene; its cloud is a draw of its own depth readings."""
    scene = open_source(root).open(scene_id)
    frames = [f for f in scene.frames if f.valid]
    points = reading_points(scene, frames, point_count)
    poses = np.stack([invert_pose(f.world_from_cam) for f in frames])
    folder = root / scene_id / "posed_images"
    if not folder.exists():
        folder = root / scene_id
    stems = [f.name for f in frames]
    return Files(points, scene.color.K, poses, [folder / f"{s}.jpg" for s in stems],
                 [folder / f"{s}.png" for s in stems])  # fmt: skip


def ours(files: Files, depth: Any = None, passed: dict[str, float] | None = None) -> Result:
    """Sizes from headers, each map tested right after it was decoded, overlaps from bits."""
    sizes = {image_size(path) for path in files.jpegs}
    (size,) = sizes
    if depth is None:
        depth = (decode_depth_png(path.read_bytes(), path) for path in files.pngs)
    depth = iter(depth)
    first = next(depth)

    def maps():
        yield first
        yield from depth

    begin = time.process_time()
    visible = visible_points(
        files.points, files.K, files.poses, maps(), image_size=size, depth_scale=0.001,
        depth_from_image=PixelMap.from_sizes(size, first.shape[::-1]), rule=DepthRule.strict(),
        threads=1,
    )  # fmt: skip
    middle = time.process_time()
    iou = pairwise_overlap(visible, threads=1).iou
    if passed is not None:
        passed["visibility with decoding"] = middle - begin
        passed["overlap"] = time.process_time() - middle
    return Result(visible, iou)


def ahead(files: Files, threads: int) -> Result:
    """As `index` does it: maps decoded ahead on threads while those before them are tested."""

    def read(path: Any) -> Any:
        return decode_depth_png(path.read_bytes(), path)

    w, h = read(files.pngs[0]).shape[::-1]
    rows: Any = list(enumerate(files.pngs))
    decoded = decode_ahead(read, rows, lambda _: (w, h), threads)
    return ours(files, (one.depth for one in decoded))


def two_threads_over_one(files: Files, expected: Result) -> float:
    """Wall time of the stage on one thread, in turn, over decoding ahead on two."""
    if not np.array_equal(ahead(files, 2).visible.words, expected.visible.words):
        raise SystemExit("decoding ahead gives other bits")
    return fastest_wall(lambda: ours(files), 3) / fastest_wall(lambda: ahead(files, 2), 3)


def theirs(files: Files) -> Result:
    seen = published.visible(*files)
    return Result(seen, published.overlaps(seen))


def timed(run: Callable[[], Any], repeats: int) -> tuple[Any, float]:
    best = np.inf
    for _ in range(repeats):
        begin = time.process_time()
        result = run()
        best = min(best, time.process_time() - begin)
    return result, best


def compare(title: str, files: Files) -> Comparison:
    stages: dict[str, float] = {}
    got, from_png = timed(lambda: ours(files, passed=stages), 3)
    _, decode = timed(lambda: [decode_depth_png(p.read_bytes(), p) for p in files.pngs], 3)
    maps = [decode_depth_png(p.read_bytes(), p) for p in files.pngs]
    _, from_memory = timed(lambda: ours(files, maps), 3)
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "maps.npy")  # as spatialcore.index.depth_cache keeps them
        np.save(cache, np.stack(maps))
        _, from_cache = timed(lambda: ours(files, np.load(cache, mmap_mode="r")), 3)
    expected, peer = timed(lambda: theirs(files), 1)
    _check(title, got, expected)
    digest = hashlib.blake2b(digest_size=16)
    for path in files.pngs:
        digest.update(path.read_bytes())
    table = Comparison(
        f"{title}: {len(files.pngs)} frames x {len(files.points)} points", "frames/s",
        len(files.pngs), np.zeros(0),
    )  # fmt: skip
    print(f"\n{table.title}  [inputs {digest.hexdigest()}]")
    for name, seconds in (
        ("ours, from PNG", from_png), ("ours, from the depth cache", from_cache),
        ("published structure", peer),
        ("ours, maps in memory", from_memory), ("ours, PNG decoding alone", decode),
    ):  # fmt: skip
        table.record(name, seconds)
    two = two_threads_over_one(files, got)
    print(f"  decoding ahead on two threads, wall: {two:.2f}x one; load {os.getloadavg()[0]:.1f}")
    table.note = {
        "inputs_blake2b": digest.hexdigest(), "stages_seconds": stages,
        "two_threads_over_one_wall": two, "load": os.getloadavg()[0],
    }  # fmt: skip
    return table


def _check(title: str, got: Result, expected: Result) -> None:
    if not np.array_equal(got.visible.to_bool(), expected.visible):
        wrong = int((got.visible.to_bool() != expected.visible).sum())
        # The peer adds in the order of BLAS; only points on a decision's edge may differ.
        if wrong > 1e-6 * expected.visible.size:
            raise SystemExit(f"{title}: {wrong} bits differ from the published structure")
        print(f"  {wrong} of {expected.visible.size} bits differ")
    upper = got.iou[np.triu_indices(len(got.iou), 1)]
    if not np.allclose(upper, expected.iou, rtol=0, atol=1e-3):
        raise SystemExit(f"{title}: overlaps differ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="60 frames of the room")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--real", type=Path, help="folder of scenes in the exported layout")
    given = parser.parse_args()
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        files = room_files(Path(folder), 200_000, 60 if given.short else 300)
        tables.append(compare("index of a ray-cast room", files))
    if given.real:
        for scene_id in sorted(open_source(given.real).scene_ids()):
            tables.append(compare(f"index of {scene_id}", real_files(given.real, scene_id)))
    write("index", tables, output=given.output)


if __name__ == "__main__":
    main()
