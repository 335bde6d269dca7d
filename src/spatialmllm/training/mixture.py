# SPDX-License-Identifier: Apache-2.0
"""What an epoch draws of several sets: weights above and below 1, and temperature.

A set with n sequences and weight w counts as w n. With temperature T the sets share the epoch by
(w n)^(1/T): 1 keeps the sizes, higher ones draw small sets more often. The length of an epoch stays
the sum of w n. Of a set that is drawn c times, every sequence is seen floor(c / n) times, and the
rest of c are taken from a keyed order that goes on where the last epoch stopped: nothing is left
out for good, and every epoch is a function of the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spatialcore.draws import permutation


@dataclass(frozen=True, slots=True)
class Drawn:
    """One set of a mixture.

    Attributes:
        name: Its folder.
        weight: As it was asked.
        records: Records that are used.
        sequences: Sequences that they make.
        per_epoch: Sequences that an epoch draws.
    """

    name: str
    weight: float
    records: int
    sequences: int
    per_epoch: int

    @property
    def times(self) -> float:
        """How often an epoch shows a sequence, in the mean."""
        return self.per_epoch / self.sequences if self.sequences else 0.0


def epoch_counts(
    sizes: Sequence[int], weights: Sequence[float], temperature: float = 1.0
) -> list[int]:
    """Sequences that an epoch draws of each set; at least one of a set that is not empty.

    Args:
        sizes: Sequences of each set.
        weights: Their weights.
        temperature: At least 1.

    Example:
        >>> epoch_counts([900, 100], [1, 1]), epoch_counts([900, 100], [1, 1], 2.0)
        ([900, 100], [750, 250])
        >>> epoch_counts([900, 100], [0.5, 3])
        [450, 300]
    """
    counts = [size * weight for size, weight in zip(sizes, weights, strict=True)]
    if temperature != 1.0:
        shares = [count ** (1.0 / temperature) if count else 0.0 for count in counts]
        counts = [sum(counts) * share / sum(shares) for share in shares]
    return [max(1, round(count)) if size else 0 for count, size in zip(counts, sizes, strict=True)]


def drawn(size: int, count: int, *, seed: int, epoch: int, part: int) -> list[int]:
    """Positions of the sequences that an epoch draws of a set of `size`, `count` of them.

    Example:
        >>> sorted(drawn(3, 4, seed=0, epoch=0, part=0))[:3] != [0, 0, 0]
        True
        >>> sorted(drawn(4, 2, seed=0, epoch=0, part=0) + drawn(4, 2, seed=0, epoch=1, part=0))
        [0, 1, 2, 3]
    """
    if not size:
        return []
    whole, rest = divmod(count, size)
    order = permutation(seed, "train", "", "", [part], "mixture", size)
    start = epoch * rest
    return [*list(range(size)) * whole, *(order[(start + k) % size] for k in range(rest))]


def described(parts: Sequence[Drawn], epochs: float) -> list[str]:
    """A line for each set: what an epoch draws of it, and how often a run shows it."""
    total = sum(part.per_epoch for part in parts)
    width = max((len(part.name) for part in parts), default=0)
    return [
        f"{part.name:<{width}}  weight {part.weight:g}: {part.records:,} records, "
        f"{part.sequences:,} sequences, {part.per_epoch:,} an epoch "
        f"({100 * part.per_epoch / total:.1f} %), each {epochs * part.times:.2f} times in the run"
        for part in parts
    ]
