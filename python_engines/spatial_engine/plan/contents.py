# SPDX-License-Identifier: Apache-2.0
"""Balance by what answers say: of each content no answer stands out, so that text tells little.

A content is what a question is about as far as its text tells, e.g. a pair of categories; a
stratum is what the answer says of it, e.g. which of the two is higher. Of a content each stratum
gives as many rows as the others. One that has one stratum only is constant: its answer could be
learnt by heart, so it is asked once in 200 rows, and where there are many rooms to learn from all
such rows together are at most a fifth. See docs/blind.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.contents import ANY, names_of
from spatial_engine.plan.balance import allocate, most_of_a_word

Counts = NDArray[np.int64]

CONSTANT_ROWS = 200  # of its task in which a constant content is asked once
MOST_CONSTANT = 0.20  # of the rows, where there are rooms enough
FEW_SPACES = 8  # with fewer, an order that never varies may still be chance


class Cells(NamedTuple):
    """Candidates, or rows, of a task by what is balanced.

    Attributes:
        contents: (G,) uint64, ascending.
        counts: (G, S, B) of each content, stratum and bin.
    """

    contents: NDArray[np.uint64]
    counts: Counts

    @classmethod
    def none(cls, strata: int, bins: int) -> Cells:
        """Without any content."""
        return cls(np.zeros(0, np.uint64), np.zeros((0, strata, bins), np.int64))

    @property
    def by_content(self) -> bool:
        """Whether there is a content beside 0, which stands for nothing to balance."""
        return bool(self.contents.any())

    def group(
        self, content: NDArray[np.uint64], stratum: NDArray[Any], bin: NDArray[Any]
    ) -> Counts:
        """(n,) number of the cell of each row; its content has to be known."""
        _, S, B = self.counts.shape
        found = np.searchsorted(self.contents, content).astype(np.int64)
        groups: Counts = (found * S + stratum.astype(np.int64)) * B + bin.astype(np.int64)
        return groups


def summed(cells: Iterable[Cells], strata: int, bins: int) -> Cells:
    """The cells of several scenes together."""
    every = list(cells)
    if not every:
        return Cells.none(strata, bins)
    contents = np.unique(np.concatenate([one.contents for one in every]))
    counts = np.zeros((len(contents), strata, bins), np.int64)
    for one in every:
        counts[np.searchsorted(contents, one.contents)] += one.counts
    return Cells(contents, counts)


def constant(counts: Counts, *, whole: bool) -> NDArray[np.bool_]:
    """(G,) whether the answers to a content do not vary, or lack one of a whole."""
    occupied = (counts.sum(axis=2) > 0).sum(axis=1)
    lacking = occupied < counts.shape[1] if whole else occupied == 1
    return np.asarray(lacking & (occupied > 0))


def take_by_content(
    cells: Cells,
    total: int,
    *,
    whole: bool,
    worded: bool,
    spaces: int,
    room: int,
    paired: bool = False,
    graded: bool = False,
) -> Counts:
    """(G, S) rows to take of each content and stratum, at most `total`.

    Args:
        cells: What there is.
        total: Rows wanted.
        whole: Whether a content is asked with all strata alike or counts as constant.
        worded: Whether no stratum may be more than 55 % of the rows.
        spaces: Rooms that the cells come from.
        room: Rows asked of each of them: so many constant ones where nothing else is.
        paired: Whether contents are pairs of names, as `Engine.paired_contents`.
        graded: Whether contents are sizes, as `Engine.graded_contents`.
    """
    there: Counts = cells.counts.sum(axis=2)
    free = cells.contents == ANY
    never = constant(cells.counts, whole=whole) & ~free
    level = there.min(axis=1) if whole else np.sort(there, axis=1)[:, -2:].min(axis=1)
    limit = np.minimum(there, np.where(never, 0, level)[:, None])
    limit[free] = there[free]
    varied = int(limit.sum())
    once = np.where(never[:, None], there, 0)
    rows = min(total, varied + int(np.minimum(once, 1).sum()))
    once = _at_most(once, max(1, rows // CONSTANT_ROWS))
    if spaces >= FEW_SPACES:
        if paired:
            limit = _as_often(cells.contents, limit, total)
            varied = int(limit.sum())
        share = MOST_CONSTANT / (1 - MOST_CONSTANT)
        most = int(min(varied, total) * share) if varied else room
        if graded:
            most = 0
        if paired:
            once = _as_often(cells.contents, once, most)
        once = _first(once, most)
    if worded:
        once = _evened(limit, once)
    return _filled(limit + once, total)


def _at_most(once: Counts, each: int) -> Counts:
    """At most so many rows of a content, of its most frequent strata first."""
    out = np.zeros_like(once)
    for s in np.argsort(-once.sum(axis=0), kind="stable"):
        out[:, s] = np.minimum(once[:, s], each - out.sum(axis=1))
    return out


def _first(once: Counts, most: int) -> Counts:
    """The first contents that together have no more than `most` rows."""
    out = once.copy()
    out[np.cumsum(once.sum(axis=1)) > most] = 0
    return out


def _as_often(contents: NDArray[np.uint64], rows: Counts, most: int) -> Counts:
    """The rows of pairs of which one name is always more, as far as none is it more often than not.

    Where a pair is asked once, its answer is not learnt by heart, but that of its names is: a bed
    is larger than most things. No name is therefore more in two rows more than it is less. Rows of
    pairs that vary, and of no more than one stratum, are left.
    """
    out, net = rows.copy(), Counter[int]()
    sided = (rows[:, 0] > 0) != (rows[:, 1] > 0)
    waiting = np.flatnonzero(sided & (contents > ANY)).tolist()
    out[waiting, :2] = 0
    before = -1
    while before != len(waiting):  # one that found no room may find it later
        before, left = len(waiting), []
        for g in waiting:
            s = int(rows[g, 1] > 0)
            more, less = names_of(int(contents[g]))[:: 1 - 2 * s]
            if most <= 0 or net[more] > 0 or net[less] < 0:
                left.append(g)
                continue
            out[g, s] = 1
            net[more] += 1
            net[less] -= 1
            most -= 1
        waiting = left
    return out


def _evened(limit: Counts, once: Counts) -> Counts:
    """Constant rows without those that make one stratum more than 55 % of all rows."""
    totals = (limit + once).sum(axis=0)
    allowed = np.array(most_of_a_word(totals.tolist()))
    out = once.copy()
    for s in np.flatnonzero(totals > allowed):
        left = max(0, int(once[:, s].sum() - (totals[s] - allowed[s])))
        out[np.cumsum(once[:, s]) > left, s] = 0
    return out


def _filled(limit: Counts, total: int) -> Counts:
    """Rows of each content and stratum: as even as the limits let them be, strata alike."""
    if limit.sum() <= total:
        return limit
    low, high = 0, int(limit.max(initial=0))
    while low < high:
        middle = (low + high + 1) // 2
        if np.minimum(limit, middle).sum() <= total:
            low = middle
        else:
            high = middle - 1
    out = np.minimum(limit, low)
    more = limit > low
    fits = np.cumsum(more.sum(axis=1)) <= total - out.sum()
    return np.asarray(out + (more & fits[:, None]))


def capped(rows: Counts, most: Sequence[int]) -> Counts:
    """Rows of each content and stratum: no stratum has more than it may, contents alike."""
    return np.concatenate([_filled(rows[:, s : s + 1], n) for s, n in enumerate(most)], axis=1)


def in_bins(counts: Counts, rows: Counts) -> Counts:
    """The rows of each content and stratum spread over its bins."""
    if counts.shape[2] == 1:
        return rows[:, :, None]
    out = np.zeros_like(counts)
    for g, s in np.argwhere(rows > 0).tolist():
        out[g, s] = allocate(counts[g, s].tolist(), int(rows[g, s]), "even").taken
    return out
