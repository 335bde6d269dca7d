# SPDX-License-Identifier: Apache-2.0
"""Keyed draws of the procedural rooms: a draw is a function of (seed, item, slot, integers)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spatialcore.draws import draw, fold_array, permutation, text_hash, uniform_below

TASK = "sample"
_UNIT = 2.0**-53
Choice = TypeVar("Choice")


@dataclass(frozen=True, slots=True)
class Dice:
    """The draws of one room or clip; no state, so the order of calls does not matter.

    Attributes:
        seed: Seed of the sample set.
        item: Id of the room or clip.
    """

    seed: int
    item: str

    def bits(self, slot: str, *ints: int) -> int:
        """A uniform integer in [0, 2**64)."""
        return draw(self.seed, TASK, TASK, self.item, ints, slot)

    def between(self, lo: float, hi: float, slot: str, *ints: int) -> float:
        """A uniform float64 in [lo, hi)."""
        return lo + (hi - lo) * ((self.bits(slot, *ints) >> 11) * _UNIT)

    def below(self, n: int, slot: str, *ints: int) -> int:
        """A uniform integer in [0, n)."""
        return uniform_below(self.bits(slot, *ints), n)

    def chance(self, share: float, slot: str, *ints: int) -> bool:
        """True with probability `share`."""
        return self.between(0.0, 1.0, slot, *ints) < share

    def pick(self, options: Sequence[Choice], slot: str, *ints: int) -> Choice:
        """One of the options."""
        return options[self.below(len(options), slot, *ints)]

    def order(self, n: int, slot: str, *ints: int) -> list[int]:
        """A permutation of range(n)."""
        return permutation(self.seed, TASK, TASK, self.item, ints, slot, n)

    def normal(self, n: int, slot: str) -> NDArray[np.float64]:
        """(n,) nearly normal numbers of variance 1: a sum of four uniforms, without libm."""
        state = np.full(n, text_hash(self.seed, TASK, TASK, self.item, slot), dtype=np.uint64)
        bits = fold_array(state, np.arange(n))
        total = np.zeros(n)
        for part in range(4):
            total += ((bits >> np.uint64(16 * part)) & np.uint64(0xFFFF)).astype(np.float64)
        return (total / 65536.0 - 2.0) * 1.7320508075688772
