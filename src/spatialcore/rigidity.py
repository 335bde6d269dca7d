# SPDX-License-Identifier: Apache-2.0
"""Rigid parts of a clip: how pairs of 3-D tracks change their distance, and clusters of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore import _dispatch
from spatialcore._check import (
    check_array,
    check_choice,
    check_count,
    check_dtype,
    check_number,
    check_shape,
    check_threads,
    library_of,
)

Float64 = NDArray[np.float64]

PRECISIONS = ("float64", "exact", "float32")
METHODS = ("published", "robust")
MIN_PRESENT = 0.8  # share of readings below which a track belongs to no segment
PUBLISHED_CUT = 0.1  # metres over the whole clip
ROBUST_CUT = 8.0  # times the clip's noise
LONG_STEP = 6  # steps over which slow motion is looked for
_MOST_CHANGE = 1e150  # metres: squares stay finite
NEVER_TOGETHER = 1e6  # metres: what kernels give as the RMS change of tracks without a common step
_LEAST_NOISE = 0.01  # share of noise_floor: a clip without noise still has a cut above zero


def accumulate_distance_change(
    tracks: Any,
    *,
    noise_floor: float = 0.01,
    precision: str = "float64",
    backend: str | None = None,
    threads: int | None = None,
) -> Any:
    """How much the distance of every pair of tracks changes over a clip.

    For each pair, the sum over steps of |d(t) - d(t - 1)| where that exceeds the noise floor. A
    step counts only when both points are present at t - 1 and at t. Distances do not depend on the
    camera, so tracks may be given in each frame's camera.

    Args:
        tracks: (T, N, 3) float32 or float64, metres. A point with any non-finite coordinate is
            missing.
        noise_floor: Metres; smaller changes of a step are not counted.
        precision: "float64" sums t ascending without fused operations: the same bits on every
            backend, thread count and instruction set. "float32" is faster. "exact" is float32 in
            which every decision "above the floor" is the float64 one; its error is at most
            T (7.2 u M + 9 u D) + T u L with u = 2^-24, M the largest coordinate that float32 rounds
            (0 for float32 input), D the largest distance and L the sum; where a decision is near,
            the value is the float64 one.
        backend: "reference", "cpu", "cuda", "triton"; None chooses by where the tracks live.
        threads: CPU threads; None uses the process's affinity mask.

    Returns:
        (N (N - 1) / 2,) float64 metres, pairs i < j in row order (scipy's condensed form).

    Raises:
        TypeError: `tracks` is no float array.
        ValueError: Wrong shape, a negative floor, or an unknown precision.
        BackendUnavailable: The backend is not installed, or cannot run these arrays.

    Source: MultiSPA (arXiv 2505.17015), rigid segmentation. Cost: T N^2 / 2 square roots; see
    docs/ops/rigidity.md.

    Examples:
        >>> tracks = np.zeros((3, 3, 3))
        >>> tracks[:, 1, 0] = 1.0
        >>> tracks[:, 2, 0] = [2.0, 2.5, 2.505]
        >>> accumulate_distance_change(tracks).tolist()
        [0.0, 0.5, 0.5]
    """
    _check_tracks(tracks)
    floor = check_number("noise_floor", noise_floor, least=0.0, most=1e300)
    check_choice("precision", precision, PRECISIONS)
    run = _dispatch.kernel("rigidity", "accumulate_distance_change", backend, [tracks])
    if library_of(tracks) == "numpy":
        tracks = np.ascontiguousarray(tracks, dtype=np.float64)
    return run(tracks, floor, precision, check_threads(threads))


def accumulate_distance_change_batch(
    clips: Sequence[Any],
    *,
    noise_floor: float = 0.01,
    precision: str = "float64",
    backend: str | None = None,
    threads: int | None = None,
) -> list[Any]:
    """`accumulate_distance_change` of many clips.

    With "cuda" all clips are one launch, since one clip does not fill a GPU; the other backends
    take them one after another. The sums are those of `accumulate_distance_change`.

    Args:
        clips: (T, N, 3) float32 or float64 tracks of any lengths and numbers, all in one place.
        noise_floor: Metres; smaller changes of a step are not counted.
        precision: As for `accumulate_distance_change`.
        backend: As for `accumulate_distance_change`.
        threads: CPU threads; None uses the process's affinity mask.

    Returns:
        (N (N - 1) / 2,) float64 metres for each clip, in order.

    Raises:
        TypeError: One is no float array.
        ValueError: As `accumulate_distance_change`, or the clips live in more than one place.
        BackendUnavailable: The backend is not installed, or cannot run these arrays.

    Examples:
        >>> still, moved = np.zeros((2, 2, 3)), np.zeros((2, 2, 3))
        >>> moved[1, 1, 0] = 0.5
        >>> [sums.tolist() for sums in accumulate_distance_change_batch([still, moved])]
        [[0.0], [0.5]]
    """
    for tracks in clips:
        _check_tracks(tracks)
    floor = check_number("noise_floor", noise_floor, least=0.0, most=1e300)
    check_choice("precision", precision, PRECISIONS)
    workers = check_threads(threads)
    if not clips:
        return []
    run = _dispatch.batch_kernel("rigidity", "accumulate_distance_change", backend, clips)
    if run is None:
        return [
            accumulate_distance_change(
                tracks, noise_floor=floor, precision=precision, backend=backend, threads=threads
            )
            for tracks in clips
        ]
    sums: list[Any] = run(clips, floor, precision, workers)
    return sums


def _check_tracks(tracks: Any) -> None:
    check_array("tracks", tracks)
    check_dtype("tracks", tracks, "float32", "float64")
    check_shape("tracks", tracks, ("T", "N", 3))


def rigid_segments(
    tracks: ArrayLike,
    *,
    method: str = "published",
    noise_floor: float = 0.01,
    cut: float | None = None,
    min_size: int = 6,
    backend: str | None = None,
    threads: int | None = None,
) -> NDArray[np.int32]:
    """Which tracks move together as rigid bodies.

    "published" clusters the sums of `accumulate_distance_change` by average linkage. The sums grow
    with the clip, so a cut of 0.1 m means 0.1 m over the whole clip, whatever its length.

    "robust" clusters the root mean square of all distance changes over one step and over six, which
    does not grow with the clip, by Ward linkage (Ward 1963). Noise is the median over tracks of the
    least such value of a track, since the nearest track of most tracks is on the same body. The
    changes over six steps, in which slow motion stands out, are scaled to the noise of one step,
    the larger of the two counts, and the cut is 8 times the noise of the result. Distances between
    tracked points as a measure of common rigid motion follow Kirk, O'Brien and Forsyth, "Skeletal
    parameter estimation from optical motion capture data", CVPR 2005, who use their deviation.

    Args:
        tracks: (T, N, 3) float32 or float64 metres, numpy; non-finite points are missing. A track
            with less than 80 % of its readings gets the label -1.
        method: "published" or "robust".
        noise_floor: Metres. "published": smaller changes of a step are not counted. "robust": the
            clip's noise is taken as at least a hundredth of it.
        cut: Metres. None means 0.1 ("published"), or 8 times the clip's noise ("robust").
        min_size: Least number of tracks of a segment.
        backend: "reference" or "cpu" (default).
        threads: CPU threads; None uses the process's affinity mask.

    Returns:
        (N,) int32 labels 0..k-1 in the order of their first track; -1 for tracks in no segment.

    Raises:
        ValueError: Wrong shape, an unknown method, or coordinates beyond what can be measured.
        BackendUnavailable: Another backend was named.

    Examples:
        >>> tracks = np.zeros((20, 12, 3)) + np.arange(12)[:, None]
        >>> tracks[:, 6:, 0] += 0.05 * np.arange(20)[:, None]
        >>> rigid_segments(tracks).tolist()
        [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    """
    clip = np.asarray(tracks)
    check_dtype("tracks", clip, "float32", "float64")
    check_shape("tracks", clip, ("T", "N", 3))
    check_choice("method", method, METHODS)
    check_number("noise_floor", noise_floor, least=0.0, most=1e300)
    least_size = check_count("min_size", min_size, least=1)
    workers = check_threads(threads)
    change = _dispatch.kernel("rigidity", "accumulate_distance_change", backend, [clip])
    cluster = _cluster_labels if backend != "reference" else _reference_labels

    labels = np.full(clip.shape[1], -1, np.int32)
    kept = _present_share(clip) >= MIN_PRESENT
    if not kept.any():
        return labels
    clip = np.ascontiguousarray(clip[:, kept], dtype=np.float64)
    if method == "published":
        condensed = change(clip, float(noise_floor), "float64", workers)
        height = PUBLISHED_CUT if cut is None else check_number("cut", cut, least=0.0)
        labels[kept] = cluster(condensed, "average", height, least_size)
    else:
        least = _LEAST_NOISE * noise_floor
        condensed = change(clip, 0.0, "rms", workers)
        slow = change(_by_long_steps(clip), 0.0, "rms", workers)
        _take_larger(condensed, slow, clip.shape[1], least)
        noise = max(_clip_noise(condensed, clip.shape[1]), least)
        height = ROBUST_CUT * noise if cut is None else check_number("cut", cut, least=0.0)
        labels[kept] = cluster(condensed, "ward", height, least_size)
    return labels


def _cluster_labels(
    condensed: Float64, method: str, cut: float, min_size: int
) -> NDArray[np.int32]:
    """Labels of clusters joined at or below the cut: 0..k-1 by first member, else -1.

    The tree is scipy's, by the nearest-neighbour chain. Merges of equal height join in the chain's
    order: it starts at the lowest cluster left, and goes to the nearest one, of equals to the one
    that it came from, else to the lowest.

    Args:
        condensed: (n (n - 1) / 2,) metres, pairs i < j in row order.
        method: "average" or "ward".
        cut: Metres.
        min_size: Least number of members of a label.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    if not len(condensed):  # one track
        return np.full(1, 0 if min_size <= 1 else -1, np.int32)
    if not (condensed <= _MOST_CHANGE).all():
        raise ValueError("tracks move too far for their distances to be compared")
    found = fcluster(linkage(condensed, method), cut, "distance")
    _, first, group, size = np.unique(
        found, return_index=True, return_inverse=True, return_counts=True
    )
    label = np.full(len(first), -1, np.int32)
    kept = np.flatnonzero(size >= min_size)
    label[kept[np.argsort(first[kept])]] = np.arange(len(kept))
    return label[group]


def _reference_labels(
    condensed: Float64, method: str, cut: float, min_size: int
) -> NDArray[np.int32]:
    from spatialcore._reference.rigidity import cluster_labels

    return cluster_labels(condensed, method, cut, min_size)


def _present_share(clip: NDArray[Any]) -> Float64:
    """(N,) share of present readings; 0 for a clip without steps."""
    present = np.isfinite(clip).all(axis=2)
    return np.asarray(present.sum(axis=0) / max(len(present), 1))


def _by_long_steps(clip: Float64) -> Float64:
    """The clip's steps 0, 6, 12, ..., 1, 7, ...: neighbours are six steps apart.

    A step without readings stands between the six runs, so that no change crosses them.
    """
    gap = np.full((1, *clip.shape[1:]), np.nan)
    runs = [part for k in range(LONG_STEP) for part in (clip[k::LONG_STEP], gap)]
    return np.ascontiguousarray(np.concatenate(runs[:-1]))


def _take_larger(change: Float64, slow: Float64, track_count: int, least: float) -> None:
    """Raise `change` in place to `slow`, scaled by the ratio of their noises.

    A pair without a common long step keeps its change over one step.
    """
    met = slow < NEVER_TOGETHER
    noise = [max(_clip_noise(values, track_count), least) for values in (change, slow)]
    slow *= noise[0] / noise[1] if noise[1] > 0 else 1.0
    np.maximum(change, slow, out=change, where=met)


def _clip_noise(condensed: Float64, track_count: int) -> float:
    """Median over tracks of the least RMS change to any other track, metres."""
    if track_count < 2:
        return 0.0
    least = np.full(track_count, np.inf)
    begin = 0
    for i in range(track_count - 1):
        row = condensed[begin : begin + track_count - 1 - i]
        begin += len(row)
        least[i] = min(least[i], row.min())
        np.minimum(least[i + 1 :], row, out=least[i + 1 :])
    return float(np.median(least))
