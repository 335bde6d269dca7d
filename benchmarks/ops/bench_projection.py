# SPDX-License-Identifier: Apache-2.0
"""Projection of points into frames: `python -m benchmarks.ops.bench_projection`, point-frames/s."""

from __future__ import annotations

import argparse
import importlib.util

import numpy as np

from benchmarks.ops.harness import Table, fastest, write
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

    torch.set_num_threads(1)
    xyz, k = torch.from_numpy(points).double(), torch.from_numpy(K)
    pose = torch.from_numpy(poses)
    camera = xyz @ pose[:, :3, :3].transpose(1, 2) + pose[:, None, :3, 3]
    z = camera[..., 2]
    uv = camera[..., :2] / z[..., None] * k[[0, 1], [0, 1]] + k[:2, 2]
    uv[z <= 0] = torch.nan
    return uv.numpy(), z.numpy()


def bench(point_count: int, frame_count: int) -> Table:
    scene = make(point_count, frame_count)
    points, poses = scene.points_world, scene.cam_from_world
    table = Table(f"{point_count} points, {frame_count} frames", "point-frames/s, one core")
    truth = project_points(points, K, poses, backend="reference")
    peers = {"numpy float64": numpy_float64}
    if importlib.util.find_spec("torch"):
        peers["torch float64"] = torch_float64
    work = point_count * frame_count
    for isa in _cpu.isas():
        _cpu.set_isa(isa)
        uv, z = project_points(points, K, poses, threads=1)
        if not (np.array_equal(uv, truth.uv, equal_nan=True) and np.array_equal(z, truth.depth)):
            raise SystemExit("our numbers differ from the reference")
        seconds = fastest(lambda: project_points(points, K, poses, threads=1))
        table.add(f"spatialcore {isa}", work, seconds, "every bit equal")
    _cpu.set_isa("")
    for name, run in peers.items():
        uv, _ = run(points, poses)
        if not np.allclose(uv, truth.uv, rtol=1e-6, atol=1e-5, equal_nan=True):
            raise SystemExit(f"{name} disagrees with the reference")
        table.add(name, work, fastest(lambda run=run: run(points, poses), 3), "within 1e-6")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", default="50000,200000")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--output", help="write the tables as JSON")
    options = parser.parse_args()
    tables = [bench(int(count), options.frames) for count in options.points.split(",")]
    for table in tables:
        table.show()
    if options.output:
        write(options.output, tables)


if __name__ == "__main__":
    main()
