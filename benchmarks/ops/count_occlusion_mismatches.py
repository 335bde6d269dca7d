# SPDX-License-Identifier: Apache-2.0
"""Bits that differ from the float64 reference, for each rule, pixel map and instruction set.

`python -m benchmarks.ops.count_occlusion_mismatches --real FOLDER` compares at least 100 million
point-frames of each combination: random points in random cameras, points within a few units in the
last place of a decision edge, and, where the folder is given, the captured scenes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from spatialcore import PixelMap, _cpu, visible_points
from tests.ops.scenes import IMAGE_SIZE, MAPS, RULES, random_view
from tests.ops.test_occlusion import edge_view, real_views


def batches(pixel_map: PixelMap, rule, random_count: int, real: Path | None):
    """(arrays, options) of visible_points."""
    for seed in range(random_count // 10_000_000):
        dtype, reading = (np.float32, np.float64)[seed % 2], (np.uint16, np.float32)[seed // 2 % 2]
        view = random_view(seed, 100_000, 100, dtype=dtype, depth_dtype=reading, origin=seed * 10)
        yield view, IMAGE_SIZE, 0.001 if reading == np.uint16 else 1.0, pixel_map
    for seed in range(100):
        view = edge_view(seed, pixel_map, rule, (np.float32, np.float64)[seed % 2])
        yield view, IMAGE_SIZE, 0.001, pixel_map
    if real is None:
        return
    for points, view in real_views(real).values():
        arrays = (points, view["K"], view["cam_from_world"], view["depth"])
        sizes = PixelMap.from_sizes(view["image_size"], view["depth_size"])
        yield arrays, view["image_size"], 0.001, sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=100_000_000, help="random point-frames")
    parser.add_argument("--real", type=Path, help="the folder that holds rgbd/")
    options = parser.parse_args()
    for rule_name, rule in RULES.items():
        for map_name, pixel_map in MAPS.items():
            total, visible, wrong = 0, 0, dict.fromkeys(_cpu.isas(), 0)
            for arrays, size, scale, used in batches(pixel_map, rule, options.random, options.real):
                if not isinstance(arrays, tuple):
                    arrays = (arrays.points_world, arrays.K, arrays.cam_from_world, arrays.depth)
                keywords = {
                    "image_size": size,
                    "depth_scale": scale,
                    "depth_from_image": used,
                    "rule": rule,
                }
                truth = visible_points(*arrays, backend="reference", **keywords)
                total += truth.frame_count * truth.point_count
                visible += int(truth.counts().sum())
                for isa in wrong:
                    _cpu.set_isa(isa)
                    bits = visible_points(*arrays, **keywords)
                    wrong[isa] += int(np.bitwise_count(bits.words ^ truth.words).sum())
            print(
                f"{rule_name:<10} {map_name:<11} {total:>12} bits, {visible} set; differ: {wrong}"
            )


if __name__ == "__main__":
    main()
