# SPDX-License-Identifier: Apache-2.0
"""Distance changes and linkage in plain numpy float64; see `spatialcore.rigidity`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_NEVER_TOGETHER = 1e6  # metres: the RMS change of tracks without a common step

Float64 = NDArray[np.float64]


def accumulate_distance_change(
    tracks: Float64, noise_floor: float, precision: str, threads: int
) -> Float64:
    """Sum of |d(t) - d(t - 1)| above the floor, t ascending; "rms" is the RMS of all of them.

    Every precision is computed in float64 here: it is what the others approach.
    """
    present = np.isfinite(tracks).all(axis=2, keepdims=True)
    points = np.where(present, tracks, np.nan)
    i, j = np.triu_indices(tracks.shape[1], 1)
    total, count = np.zeros(len(i)), np.zeros(len(i))
    previous = np.full(len(i), np.nan)
    for x, y, z in points.transpose(0, 2, 1):
        dx, dy, dz = x[j] - x[i], y[j] - y[i], z[j] - z[i]
        distance = np.sqrt((dx * dx + dy * dy) + dz * dz)
        change = np.abs(distance - previous)
        previous = distance
        if precision == "rms":
            total += np.where(change >= 0, change * change, 0.0)
            count += change >= 0
        else:
            total += np.where(change > noise_floor, change, 0.0)
    if precision != "rms":
        return total
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return np.where(count > 0, np.sqrt(mean), _NEVER_TOGETHER)


def linkage(condensed: Float64, method: str) -> Float64:
    """Merges in scipy's form by looking for the nearest pair every time, O(N^3)."""
    n = _track_count(len(condensed))
    square = np.full((n, n), np.inf)
    i, j = np.triu_indices(n, 1)
    square[i, j] = square[j, i] = condensed
    size = np.ones(n)
    cluster = np.arange(n)
    merges = np.zeros((n - 1, 4))
    for step in range(n - 1):
        a, b = np.unravel_index(np.argmin(square), square.shape)
        height, both = square[a, b], size[a] + size[b]
        merges[step] = min(cluster[a], cluster[b]), max(cluster[a], cluster[b]), height, both
        if method == "average":
            row = (size[a] * square[a] + size[b] * square[b]) / both
        else:
            gain = (size[a] + size) * square[a] ** 2 + (size[b] + size) * square[b] ** 2
            with np.errstate(invalid="ignore"):
                row = np.sqrt(np.maximum(gain - size * height**2, 0.0) / (both + size))
        gone = np.isinf(square[a]) & np.isinf(square[b])
        row[gone] = row[[a, b]] = np.inf
        square[b] = square[:, b] = row
        square[a] = square[:, a] = np.inf
        size[b], cluster[b] = both, n + step
    return merges


def cluster_labels(condensed: Float64, method: str, cut: float, min_size: int) -> NDArray[np.int32]:
    """Labels of clusters joined at or below the cut: 0..k-1 by first member, else -1."""
    merges = linkage(condensed, method)
    n = len(merges) + 1
    members: dict[int, list[int]] = {k: [k] for k in range(n)}
    for step, (a, b, height, _) in enumerate(merges):
        if height <= cut:
            members[n + step] = members.pop(int(a)) + members.pop(int(b))
    labels = np.full(n, -1, np.int32)
    kept = [sorted(group) for group in members.values() if len(group) >= min_size]
    for label, group in enumerate(sorted(kept)):
        labels[group] = label
    return labels


def _track_count(pair_count: int) -> int:
    return int((1 + np.sqrt(1 + 8 * pair_count)) / 2 + 0.5)
