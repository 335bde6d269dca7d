# SPDX-License-Identifier: Apache-2.0
"""How well `rigid_segments` finds known parts: `python -m benchmarks.ops.segment_quality`.

Adjusted Rand index (min_size = 1, tracks with 80 % of their readings) of both methods on
made clips: the mean over seeds, and the lowest. Prints the table of docs/ops/rigidity.md.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.ops.segment_clips import KINDS, labelled_clip
from spatialcore.rigidity import rigid_segments

METHODS = ("published", "robust")
NOISES = (0.0, 0.001, 0.003, 0.006)
SEEDS = 20
# Name, steps, share missing, metres of skin motion; the noise is 1 mm.
CHANGES = (
    ("40 steps", 40, 0.0, 0.0),
    ("400 steps", 400, 0.0, 0.0),
    ("15 % missing", 150, 0.15, 0.0),
    ("skin 4 mm", 150, 0.0, 0.004),
)


def adjusted_rand(a: ArrayLike, b: ArrayLike) -> float:
    """Adjusted Rand index of two labellings (Hubert and Arabie 1985): 1 = the same, 0 = chance."""
    _, rows = np.unique(a, return_inverse=True)
    _, columns = np.unique(b, return_inverse=True)
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)

    def pairs(counts: ArrayLike) -> float:
        x = np.asarray(counts)
        return float((x * (x - 1) / 2).sum())

    both, one, two = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    expected = one * two / pairs(len(rows))
    most = (one + two) / 2
    return 1.0 if most == expected else (both - expected) / (most - expected)


def scores(
    kind: str, steps: int, noise: float, missing: float, skin: float, seeds: int
) -> dict[str, np.ndarray]:
    """Index of each method for each seed."""
    found: dict[str, list[float]] = {method: [] for method in METHODS}
    for seed in range(seeds):
        tracks, group = labelled_clip(kind, steps, noise, missing, seed, skin)
        kept = np.isfinite(tracks).all(axis=2).mean(axis=0) >= 0.8
        for method in METHODS:
            labels = rigid_segments(tracks, method=method, min_size=1)
            found[method].append(adjusted_rand(labels[kept], group[kept]))
    return {method: np.array(values) for method, values in found.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    seeds = parser.parse_args().seeds
    cases = [(f"noise {1000 * noise:g} mm", 150, noise, 0.0, 0.0) for noise in NOISES]
    cases += [(name, steps, 0.001, missing, skin) for name, steps, missing, skin in CHANGES]
    print("| clip | " + " | ".join(f"{k}: published | robust" for k in KINDS) + " |")
    print("|---" * (1 + len(KINDS) * len(METHODS)) + "|")
    for name, *case in cases:
        cells = []
        for kind in KINDS:
            found = scores(kind, *case, seeds)
            cells += [f"{found[m].mean():.2f} ({found[m].min():.2f})" for m in METHODS]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
