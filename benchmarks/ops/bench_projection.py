# SPDX-License-Identifier: Apache-2.0
"""Projection of points into frames: `python -m benchmarks.ops.bench_projection`, point-frames/s."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ops.compare import Comparison, Variant, write
from benchmarks.ops.harness import one_thread
from benchmarks.ops.room import K, make
from spatialcore import _cpu, project_points


def numpy_float64(points, poses):
    """Vectorised over all frames at once."""
    camera = points.astype(np.float64) @ poses[:, :3, :3].transpose(0, 2, 1) + poses[:, None, :3, 3]
    z = camera[..., 2]
    with np.errstate(all="ignore"):
        uv = camera[..., :2] / z[..., None] * K[[0, 1], [0, 1]] + K[:2, 2]
    uv[z <= 0] = np.nan
    return uv, z


def torch_float64(points, poses):
    import torch

    xyz, k = torch.from_numpy(points).double(), torch.from_numpy(K)
    pose = torch.from_numpy(poses)
    camera = xyz @ pose[:, :3, :3].transpose(1, 2) + pose[:, None, :3, 3]
    z = camera[..., 2]
    uv = camera[..., :2] / z[..., None] * k[[0, 1], [0, 1]] + k[:2, 2]
    uv[z <= 0] = torch.nan
    return uv.numpy(), z.numpy()


def prepared(point_count: int, frame_count: int) -> tuple[Comparison, list[Variant]]:
    scene = make(point_count, frame_count)
    points, poses = scene.points_world, scene.cam_from_world

    def stacked(found: Any) -> np.ndarray:
        return np.nan_to_num(np.concatenate([found[0], found[1][..., None]], axis=-1), nan=-1.0)

    truth = project_points(points, K, poses, backend="reference")
    table = Comparison(
        f"{point_count} points, {frame_count} frames", "point-frames/s, one core",
        point_count * frame_count, stacked(truth), relative_error,
    )  # fmt: skip
    ours = [
        Variant(
            f"ours {isa}", lambda: project_points(points, K, poses, threads=1), stacked, isa=isa
        )
        for isa in reversed(_cpu.isas())
    ]
    return table, [
        *ours,
        Variant("numpy float64", lambda: numpy_float64(points, poses), stacked, 1e-6),
        Variant("torch float64", lambda: torch_float64(points, poses), stacked, 1e-6, "torch"),
    ]


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest error against the size of the number, in parts; pixels near 0 against ten."""
    return float((np.abs(found - expected) / (np.abs(expected) + 10)).max(initial=0.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", default="50000,200000")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--output", type=Path, help="write the tables as JSON")
    given = parser.parse_args()
    one_thread()
    inputs = [prepared(int(count), given.frames) for count in given.points.split(",")]
    tables = [table.measure(variants) for table, variants in inputs]
    write("projection", tables, output=given.output)


if __name__ == "__main__":
    main()
