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


def linkage(condensed: Float64, method: str) -> list[tuple[int, int, float]]:
    """Merges (one, other, height) by the nearest-neighbour chain; the union goes on as `other`.

    The chain starts at the lowest cluster left and goes to the nearest one, of equals to the one
    that it came from, else to the lowest; two clusters that are each other's nearest merge, and the
    union keeps the higher number. Equal heights are common, since changes below the floor sum to 0,
    and which of them merge first decides what else they join.
    """
    n = _track_count(len(condensed))
    square = np.full((n, n), np.inf)
    i, j = np.triu_indices(n, 1)
    square[i, j] = square[j, i] = condensed
    size, left = np.ones(n), np.ones(n, np.bool_)
    merges: list[tuple[int, int, float]] = []
    chain: list[int] = []
    while len(merges) < n - 1:
        if not chain:
            chain = [int(np.argmax(left))]
        x = chain[-1]
        y = int(np.argmin(square[x]))
        if len(chain) < 2 or square[x, y] < square[x, chain[-2]]:
            chain.append(y)
            continue
        x, y = sorted(chain[-2:])
        del chain[-2:]
        height = float(square[x, y])
        merges.append((x, y, height))
        row = _united(square[x], square[y], size, (size[x], size[y]), height, method)
        left[x] = False
        row[~left] = row[y] = np.inf
        square[y] = square[:, y] = row
        square[x] = square[:, x] = np.inf
        size[y] += size[x]
    return merges


def _united(
    one: Float64, other: Float64, size: Float64, sizes: tuple[float, float], height: float,
    method: str,
) -> Float64:  # fmt: skip
    """Distances of the union of two clusters (Lance and Williams 1967)."""
    a, b = sizes
    both = a + b
    if method == "average":
        return np.asarray((a * one + b * other) / both)
    share = 1.0 / (both + size)
    with np.errstate(invalid="ignore"):
        square = (size + a) * share * one * one + (size + b) * share * other * other
        return np.sqrt(np.maximum(square - size * share * height * height, 0.0))


def cluster_labels(condensed: Float64, method: str, cut: float, min_size: int) -> NDArray[np.int32]:
    """Labels of clusters joined at or below the cut: 0..k-1 by first member, else -1."""
    n = _track_count(len(condensed))
    members: dict[int, list[int]] = {k: [k] for k in range(n)}
    for one, other, height in linkage(condensed, method):
        if height <= cut:
            members[other] += members.pop(one)
    labels = np.full(n, -1, np.int32)
    kept = [sorted(group) for group in members.values() if len(group) >= min_size]
    for label, group in enumerate(sorted(kept)):
        labels[group] = label
    return labels


def _track_count(pair_count: int) -> int:
    return int((1 + np.sqrt(1 + 8 * pair_count)) / 2 + 0.5)
