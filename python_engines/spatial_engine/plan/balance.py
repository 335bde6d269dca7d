# SPDX-License-Identifier: Apache-2.0
"""How many rows each bin gives, and which: the quota rule, and the k smallest hashes of a bin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_OF_A_WORD = 0.55  # of a task's rows


class Allocation(NamedTuple):
    """Rows of each bin, in the order of the bins.

    Attributes:
        quota: What each bin was to give.
        taken: What it gives.
    """

    quota: tuple[int, ...]
    taken: tuple[int, ...]

    @property
    def shortfall(self) -> int:
        """Rows that no bin could give."""
        return sum(self.quota) - sum(self.taken)


def bin_quotas(total: int, bin_count: int) -> tuple[int, ...]:
    """`total` spread over the bins, one more for the first ones; empty bins have quotas too."""
    if bin_count < 1:
        raise ValueError(f"bin_count must be positive, got {bin_count}")
    each, rest = divmod(total, bin_count)
    return tuple(each + (b < rest) for b in range(bin_count))


def allocate(
    sizes: Sequence[int], total: int, balance: Literal["carry", "even"] = "carry"
) -> Allocation:
    """Rows to take of each bin: the published quota rule, or an even spread of what is left over.

    Bins are visited by size, the smaller first, ties in order. A bin that holds no more than it is
    allowed gives all and passes the rest on: to the next bin visited ("carry", as published), or in
    equal parts to all that follow ("even"). What is left at the end is the shortfall.

    Args:
        sizes: Rows that each bin has.
        total: Rows wanted.
        balance: Where an unused quota goes.

    Source: MultiSPA (arXiv 2505.17015); docs/contracts.md, section 4.

    Example:
        >>> allocate((0, 2, 10, 10), 12)
        Allocation(quota=(3, 3, 3, 3), taken=(0, 2, 7, 3))
    """
    quota = bin_quotas(total, len(sizes))
    order = sorted(range(len(sizes)), key=lambda b: sizes[b])
    taken, carry = [0] * len(sizes), 0
    extra = [0] * len(sizes)
    for visit, b in enumerate(order):
        allowed = quota[b] + carry + extra[b]
        carry = 0
        taken[b] = min(sizes[b], allowed)
        left = allowed - taken[b]
        following = order[visit + 1 :]
        if balance == "carry" or not following:
            carry = left
        else:
            for share, other in zip(bin_quotas(left, len(following)), following, strict=True):
                extra[other] += share
    return Allocation(quota, tuple(taken))


def most_of_a_word(taken: Sequence[int]) -> list[int]:
    """Rows that each word may give, so that none is more than 55 % of them all.

    Where candidates of one word run short, its commoner opposite gives up rows, too. A word that
    stands alone is left as it is: there is nothing to balance it with.

    Example:
        >>> most_of_a_word([40, 80]), most_of_a_word([10, 0])
        ([40, 48], [10, 0])
    """
    out = list(taken)
    if sum(count > 0 for count in taken) > 1:
        top = max(range(len(out)), key=lambda s: out[s])
        others = sum(out) - out[top]
        out[top] = min(out[top], max(1, int(others * MOST_OF_A_WORD / (1 - MOST_OF_A_WORD) + 1e-9)))
    return out


def within_caps(taken: Sequence[int], caps: Sequence[float]) -> list[int]:
    """Rows that each stratum may give, so that none is more than its cap of them all.

    What a capped stratum cannot give is short: another one has been asked for its own share.

    Example:
        >>> within_caps([8, 32], [1.0, 0.2]), within_caps([0, 40], [1.0, 0.2])
        ([8, 2], [0, 0])
    """
    out = list(taken)
    for s, cap in enumerate(caps):
        if cap < 1:
            others = sum(taken) - taken[s]
            out[s] = min(taken[s], int(others * cap / (1 - cap) + 1e-9))
    return out


def largest_remainder(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """`total` split in proportion to weights, whole numbers, ties by name.

    Example:
        >>> largest_remainder(10, {"b": 1, "a": 1, "c": 1})
        {'b': 3, 'a': 4, 'c': 3}
    """
    whole = sum(weights.values())
    if whole <= 0:
        return dict.fromkeys(weights, 0)
    exact = {name: total * weight / whole for name, weight in weights.items()}
    out = {name: int(value) for name, value in exact.items()}
    left = total - sum(out.values())
    for name in sorted(exact, key=lambda n: (out[n] - exact[n], n))[:left]:
        out[name] += 1
    return out


class SmallestHashes:
    """The k smallest hashes of a bin and the scene each came from, in memory of O(k)."""

    def __init__(self, k: int) -> None:
        self.k = k
        self._hashes: list[NDArray[np.uint64]] = []
        self._owners: list[NDArray[np.int32]] = []
        self._held = 0

    def add(self, hashes: NDArray[np.uint64], owner: int) -> None:
        """Offer the hashes of one scene."""
        if self.k == 0 or not len(hashes):
            return
        self._hashes.append(smallest(hashes, self.k + 1))
        self._owners.append(np.full(len(self._hashes[-1]), owner, dtype=np.int32))
        self._held += len(self._hashes[-1])
        if self._held > 4 * self.k + 4_096:
            self._reduce()

    def _reduce(self) -> None:
        hashes, owners = np.concatenate(self._hashes), np.concatenate(self._owners)
        # One more than k is kept, to see whether the k-th has an equal.
        order = np.argsort(hashes, kind="stable")[: self.k + 1]
        self._hashes, self._owners = [hashes[order]], [owners[order]]
        self._held = len(order)

    def chosen(self) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        """The chosen hashes, ascending, and their scenes.

        Should the k-th and the next hash be equal, both are left out, so that `hash <= threshold`
        chooses exactly these rows.
        """
        if not self._hashes:
            return np.zeros(0, np.uint64), np.zeros(0, np.int32)
        self._reduce()
        hashes, owners = self._hashes[0], self._owners[0]
        count = min(self.k, len(hashes))
        while 0 < count < len(hashes) and hashes[count - 1] == hashes[count]:
            count -= 1
        return hashes[:count], owners[:count]


def smallest(hashes: NDArray[np.uint64], k: int) -> NDArray[np.uint64]:
    """The k smallest values, in no order; all of them when there are no more."""
    return hashes if len(hashes) <= k else np.partition(hashes, k - 1)[:k]
