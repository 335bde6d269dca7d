# SPDX-License-Identifier: Apache-2.0
"""Frame samplers: uniform, random, space-aware (voxel coverage) and by a score of each frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spatialcore.coverage import max_coverage
from spatialcore.draws import permutation
from spatialmllm.data.preprocessing import uniform_indices
from spatialmllm.geometry import GeometryProvider, PointMaps
from spatialmllm.voxels import DIVISIONS, VoxelSets, voxel_sets

Method = Literal["uniform", "random", "space_aware", "score"]
Fill = Literal["uniform", "none"]
METHODS: tuple[str, ...] = get_args(Method)
# Frame index -> grey image (H, W) float in [0, 1].
ImageProvider = Callable[[int], NDArray[np.float64]]
Float64 = NDArray[np.float64]
SCORE_WEIGHTS = {"depth": 0.35, "normal": 0.25, "edge": 0.20, "motion": 0.20}
MAX_CANDIDATES = 128
# Mean change of grey from one candidate to the next that counts as full motion.
FULL_MOTION = 0.2
_BASE_FRAMES, _MORE_FRAMES, _MOST_FRAMES = 8, 4, 16
_LONG_S, _MUCH_MOTION = 60.0, 0.7
_EDGE_LEVEL = 0.1
_NEARNESS = 0.8


@dataclass(frozen=True, slots=True)
class FrameSelection:
    """Chosen frames of a clip.

    Attributes:
        indices: Frame indices, ascending.
        order: The same in the order they were chosen.
        gains: What each added, in that order: new voxels, or its score; empty for the others.
        covered: Share of the candidates' voxels that the chosen frames see; None without geometry.
    """

    indices: tuple[int, ...]
    order: tuple[int, ...]
    gains: tuple[float, ...] = ()
    covered: float | None = None


def select_frames(
    count: int,
    k: int,
    method: Method = "uniform",
    *,
    geometry: GeometryProvider | None = None,
    images: ImageProvider | None = None,
    max_candidates: int = MAX_CANDIDATES,
    divisions: int = DIVISIONS,
    fill: Fill = "uniform",
    seed: int = 0,
    key: str = "",
) -> FrameSelection:
    """Choose k of `count` frames.

    A clip of at most k frames is returned whole, except by `space_aware` with `fill="none"`, which
    leaves frames out that show nothing new, as the published sampler does.

    Args:
        count: Frames of the clip.
        k: Frames to choose.
        method: "uniform": spread over time. "random": a keyed draw. "space_aware": greedy maximum
            coverage of voxels. "score": depth, normals, edges and motion, far from each other in
            time.
        geometry: Point maps of candidates; needed by "space_aware", used by "score".
        images: Grey images of candidates; used by "score".
        max_candidates: Only so many frames, spread over time, are looked at.
        divisions: Voxels along the shortest side of the scene.
        fill: Whether `space_aware` completes to k frames with those farthest in time.
        seed: Seed of "random".
        key: Name of the clip, for "random".

    Returns:
        FrameSelection.

    Raises:
        ValueError: Unknown method, counts below 1, or a provider that the method needs is missing.

    Example:
        >>> select_frames(10, 4).indices
        (0, 3, 6, 9)
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if fill not in ("uniform", "none"):
        raise ValueError(f"fill must be 'uniform' or 'none', got {fill!r}")
    if method == "uniform":
        chosen = tuple(uniform_indices(count, k))
        return FrameSelection(chosen, chosen)
    if count < 1 or k < 1:
        raise ValueError(f"need count and k of at least 1, got {count} and {k}")
    if method == "random":
        order = tuple(permutation(seed, "frames", "", key, [], "random", count)[:k])
        return FrameSelection(tuple(sorted(order)), order)
    candidates = uniform_indices(count, max_candidates)
    if method == "score":
        return _by_score(candidates, k, geometry, images)
    if geometry is None:
        raise ValueError("space_aware needs geometry: depth and poses, or point maps")
    voxels = voxel_sets(geometry(candidates), divisions=divisions)
    return _by_coverage(candidates, k, voxels, fill)


def adaptive_budget(
    seconds: float,
    motion: float,
    tokens_per_pair: int,
    available_tokens: int,
    *,
    most: int = _MOST_FRAMES,
) -> int:
    """Frames that a clip is worth: 8; up to 16 when it is long; 4 more when much moves.

    Args:
        seconds: Length of the clip; over 60 s it is long.
        motion: As `motion_of` gives it; over 0.7 much moves.
        tokens_per_pair: Visual tokens of two frames.
        available_tokens: Tokens that the sequence has left.
        most: Frames at most; the result is even where that is.

    Returns:
        At least 2 where the tokens allow a pair, and never more frames than they pay for.

    Raises:
        ValueError: Not even one pair fits.

    Source: the adaptive budget of the second article on the model; its 1,000 tokens a frame are
    replaced by what a pair costs. Example:
        >>> adaptive_budget(20, 0.2, 391, 8000), adaptive_budget(90, 0.2, 391, 8000)
        (8, 16)
        >>> adaptive_budget(20, 0.9, 391, 8000), adaptive_budget(90, 0.9, 391, 3000)
        (12, 14)
    """
    pairs = available_tokens // tokens_per_pair
    if pairs < 1:
        raise ValueError(
            f"a pair of frames takes {tokens_per_pair} tokens, {available_tokens} are left"
        )
    frames = _BASE_FRAMES
    if seconds > _LONG_S:
        frames = min(_MOST_FRAMES, 2 * pairs)
    if motion > _MUCH_MOTION:
        frames += _MORE_FRAMES
    frames = min(frames, _MOST_FRAMES, most, 2 * pairs)
    return max(1, frames - frames % 2) if frames > 1 else frames


def motion_of(grey: Sequence[Float64]) -> float:
    """How much moves in a clip, in [0, 1]: mean change of grey between candidates over 0.2.

    Args:
        grey: Images (H, W) in [0, 1], in time order.
    """
    return min(1.0, float(_motion(grey).mean()) / FULL_MOTION)


def coverage_of(voxels: VoxelSets, rows: Sequence[int]) -> float:
    """Share of all seen voxels that the given candidates see; 0 when there is none."""
    seen = voxels.seen.to_bool()
    every = int(seen.any(axis=0).sum())
    return float(seen[list(rows)].any(axis=0).sum() / every) if every else 0.0


def _by_coverage(
    candidates: Sequence[int], k: int, voxels: VoxelSets, fill: Fill
) -> FrameSelection:
    greedy = max_coverage(voxels.seen, min(k, len(candidates)))
    rows = [int(row) for row in greedy.order]
    gains = [float(gain) for gain in greedy.gain]
    if fill == "uniform":
        while len(rows) < min(k, len(candidates)):
            rows.append(_farthest(len(candidates), rows))
            gains.append(0.0)
    order = tuple(candidates[row] for row in rows)
    covered = coverage_of(voxels, rows)
    return FrameSelection(tuple(sorted(order)), order, tuple(gains), covered)


def _farthest(count: int, rows: Sequence[int]) -> int:
    """The candidate farthest in time from those chosen; the first on ties and with none chosen."""
    free = [i for i in range(count) if i not in rows]
    return max(free, key=lambda i: (min((abs(i - j) for j in rows), default=0), -i))


def _by_score(
    candidates: Sequence[int],
    k: int,
    geometry: GeometryProvider | None,
    images: ImageProvider | None,
) -> FrameSelection:
    if geometry is None and images is None:
        raise ValueError("score needs geometry or images")
    scores = frame_scores(
        None if geometry is None else geometry(candidates),
        None if images is None else [images(i) for i in candidates],
    )
    rows, gains = spread_by_score(scores, k)
    order = tuple(candidates[row] for row in rows)
    return FrameSelection(tuple(sorted(order)), order, tuple(gains))


def spread_by_score(scores: Float64, k: int) -> tuple[list[int], list[float]]:
    """Rows with high scores that are not close in time, and what each was worth when chosen.

    effective(j) = score_j * prod over chosen i of (1 - 0.8^(|i - j| / g)), g = max(1, n / (4 k)).

    Args:
        scores: (n,) in time order.
        k: Rows to choose, at most n.
    """
    n = len(scores)
    # Frames within a few positions of a chosen one lose most of their worth.
    reach = max(1.0, n / (4 * k))
    worth = scores.copy()
    rows: list[int] = []
    gains: list[float] = []
    for _ in range(min(k, n)):
        free = [i for i in range(n) if i not in rows]
        best = max(free, key=lambda i: (worth[i], -i))
        rows.append(best)
        gains.append(float(worth[best]))
        worth = worth * (1 - _NEARNESS ** (np.abs(np.arange(n) - best) / reach))
    return rows, gains


def frame_scores(maps: PointMaps | None, grey: Sequence[Float64] | None) -> Float64:
    """Score of each candidate in [0, 1].

    score = .35 depth + .25 normal + .20 edge + .20 motion, each scaled to [0, 1] over the clip (a
    constant becomes 0.5); the weights of what is missing are shared out.

    Args:
        maps: Point maps with depth, or None: no depth and normals.
        grey: Images (H, W) in [0, 1], or None: no edges and motion.

    Returns:
        (M,) float64.
    """
    found: dict[str, Float64] = {}
    if maps is not None and np.isfinite(maps.depth).any():
        found["depth"] = np.array([_depth_variety(depth) for depth in maps.depth])
    if maps is not None:
        found["normal"] = np.array([_normal_variety(points) for points in maps.points_world])
    if grey is not None:
        found["edge"] = np.array([_edge_share(image) for image in grey])
        found["motion"] = _motion(grey)
    total = sum(SCORE_WEIGHTS[name] for name in found)
    parts = [SCORE_WEIGHTS[name] / total * _unit(values) for name, values in found.items()]
    return np.asarray(sum(parts), dtype=np.float64)


def _depth_variety(depth: NDArray[np.float32]) -> float:
    """0.5 variance + 0.5 mean gradient of the logarithm of depth, over valid pixels."""
    logarithm = np.log(depth.astype(np.float64))
    valid = logarithm[np.isfinite(logarithm)]
    if not len(valid):
        return 0.0
    steps = [np.abs(np.diff(logarithm, axis=axis)) for axis in (0, 1)]
    inner = np.concatenate([s[np.isfinite(s)] for s in steps])
    return float(0.5 * valid.var() + 0.5 * (inner.mean() if len(inner) else 0.0))


def _normal_variety(points: NDArray[np.float32]) -> float:
    """1 - length of the mean unit normal: 0 for a plane."""
    p = points.astype(np.float64)
    normal = np.cross(p[:-1, 1:] - p[:-1, :-1], p[1:, :-1] - p[:-1, :-1])
    length = np.linalg.norm(normal, axis=-1)
    valid = np.isfinite(length) & (length > 0)
    if not valid.any():
        return 0.0
    return float(1 - np.linalg.norm((normal[valid] / length[valid][:, None]).mean(axis=0)))


def _edge_share(image: Float64) -> float:
    """Share of inner pixels whose Sobel magnitude, scaled to a unit step, is over 0.1."""
    x = image[:, 2:] - image[:, :-2]
    y = image[2:] - image[:-2]
    across = (x[:-2] + 2 * x[1:-1] + x[2:]) / 4
    down = (y[:, :-2] + 2 * y[:, 1:-1] + y[:, 2:]) / 4
    magnitude = np.hypot(across, down)
    return float((magnitude > _EDGE_LEVEL).mean()) if magnitude.size else 0.0


def _motion(grey: Sequence[Float64]) -> Float64:
    """Mean absolute difference to the frame before; the first takes the second's."""
    if len(grey) == 1:
        return np.zeros(1)
    steps = [float(np.abs(b - a).mean()) for a, b in pairwise(grey)]
    return np.array([steps[0], *steps])


def _unit(values: Float64) -> Float64:
    low, high = values.min(), values.max()
    return np.full(len(values), 0.5) if high <= low else (values - low) / (high - low)
