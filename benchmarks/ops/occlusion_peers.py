# SPDX-License-Identifier: Apache-2.0
"""The same visibility test written with the usual libraries, as well as each of them allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def numpy_float64(points: Any, poses: Any, depth: Any, K: Any) -> Any:
    """As published: homogeneous coordinates, whole-array masks."""
    H, W = depth[0].shape
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1).T
    out = np.zeros((len(poses), len(points)), bool)
    for f, pose in enumerate(poses):
        camera = (pose @ homogeneous)[:3]
        z = camera[2]
        with np.errstate(all="ignore"):
            u, v, _ = (K @ camera) / z
        inside = (z > 0) & (u >= 0) & (u < W) & (v >= 0) & (v < H)
        column = np.clip(np.round(np.where(inside, u, 0)), 0, W - 1).astype(int)
        row = np.clip(np.round(np.where(inside, v, 0)), 0, H - 1).astype(int)
        d = depth[f][row, column] * 0.001
        out[f] = inside & (d > 0) & (np.abs(z - d) < np.maximum(0.1 * z, 0.05))
    return np.packbits(out, axis=1, bitorder="little")


def numpy_float32(points: Any, poses: Any, depth: Any, K: Any) -> Any:
    """Best effort: float32, points compacted after each test, bits packed."""
    H, W = depth[0].shape
    xyz, one = np.ascontiguousarray(points.T, np.float32), np.float32
    fx, fy, cx, cy = (one(K[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    out = np.zeros((len(poses), (len(points) + 7) // 8), np.uint8)
    for f, pose in enumerate(poses.astype(np.float32)):
        x, y, z = pose[:3, :3] @ xyz + pose[:3, 3:]
        front = np.flatnonzero(z > 0)
        z = z[front]
        inverse = one(1) / z
        u, v = fx * x[front] * inverse + cx, fy * y[front] * inverse + cy
        inside = (u >= 0) & (u < W) & (v >= 0) & (v < H)
        z, row, column = z[inside], np.rint(v[inside]), np.rint(u[inside])
        index = (np.minimum(row, H - 1) * W + np.minimum(column, W - 1)).astype(np.int32)
        d = depth[f].ravel()[index] * one(0.001)
        visible = np.zeros(len(points), bool)
        tolerance = np.maximum(one(0.1) * z, one(0.05))
        visible[front[inside]] = (d > 0) & (np.abs(z - d) < tolerance)
        out[f] = np.packbits(visible, bitorder="little")
    return out


def torch_float32(points: Any, poses: Any, depth: Any, K: Any) -> Any:
    import torch

    H, W = depth[0].shape
    xyz = torch.from_numpy(np.ascontiguousarray(points.T))
    k = torch.from_numpy(K).float()
    out = np.zeros((len(poses), (len(points) + 7) // 8), np.uint8)
    for f, pose in enumerate(torch.from_numpy(poses).float()):
        x, y, z = pose[:3, :3] @ xyz + pose[:3, 3:]
        u, v = k[0, 0] * x / z + k[0, 2], k[1, 1] * y / z + k[1, 2]
        inside = (z > 0) & (u >= 0) & (u < W) & (v >= 0) & (v < H)
        found = inside.nonzero()[:, 0]
        z, column, row = z[found], u[found].round().clamp(max=W - 1), v[found].round()
        index = (row.clamp(max=H - 1) * W + column).long()
        d = torch.from_numpy(depth[f].view(np.int16)).reshape(-1)[index].float() * 0.001
        passed = (d > 0) & ((z - d).abs() < (0.1 * z).clamp(min=0.05))
        visible = torch.zeros(len(points), dtype=torch.bool)
        visible[found[passed]] = True
        out[f] = np.packbits(visible.numpy(), bitorder="little")
    return out


def _numba_loop() -> Callable[..., None]:
    import numba

    @numba.njit(fastmath=True)
    def loop(points, rows, depth, K, out):
        _, H, W = depth.shape
        fx, fy = np.float32(K[0, 0]), np.float32(K[1, 1])
        cx, cy = np.float32(K[0, 2]), np.float32(K[1, 2])
        for f in range(len(rows)):
            m = rows[f]
            for p in range(len(points)):
                x, y, w = points[p, 0], points[p, 1], points[p, 2]
                z = m[2, 0] * x + m[2, 1] * y + m[2, 2] * w + m[2, 3]
                if z <= 0:
                    continue
                inverse = np.float32(1) / z
                u = fx * (m[0, 0] * x + m[0, 1] * y + m[0, 2] * w + m[0, 3]) * inverse + cx
                v = fy * (m[1, 0] * x + m[1, 1] * y + m[1, 2] * w + m[1, 3]) * inverse + cy
                if u < 0 or u >= W or v < 0 or v >= H:
                    continue
                row, column = min(int(np.rint(v)), H - 1), min(int(np.rint(u)), W - 1)
                d = np.float32(depth[f, row, column]) * np.float32(0.001)
                tolerance = max(np.float32(0.1) * z, np.float32(0.05))
                if d > 0 and abs(z - d) < tolerance:
                    out[f, p >> 3] |= np.uint8(1 << (p & 7))

    return loop


_compiled: list[Callable[..., None]] = []


def numba_float32(points: Any, poses: Any, depth: Any, K: Any) -> Any:
    if not _compiled:
        _compiled.append(_numba_loop())
    out = np.zeros((len(poses), (len(points) + 7) // 8), np.uint8)
    _compiled[0](points, poses[:, :3].astype(np.float32), depth, K, out)
    return out


# Name: the package it needs, and the function.
PEERS: dict[str, tuple[str, Callable[..., Any]]] = {
    "numpy float64, as published": ("numpy", numpy_float64),
    "numpy float32, best effort": ("numpy", numpy_float32),
    "torch float32": ("torch", torch_float32),
    "numba float32, fastmath": ("numba", numba_float32),
}
