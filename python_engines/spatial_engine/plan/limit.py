# SPDX-License-Identifier: Apache-2.0
"""What the tasks can give, and a limit on all rows spread over them until it is reached."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines import engine_of
from spatial_engine.plan.balance import (
    allocate,
    bin_quotas,
    largest_remainder,
    most_of_a_word,
    within_caps,
)
from spatial_engine.plan.contents import Cells, capped, in_bins, take_by_content
from spatial_engine.plan.quotas import Cell
from spatial_engine.recipe import Recipe


class Allocated(NamedTuple):
    """Rows of the cells of a task, source and split: what each was to give, and what it gives.

    `capped` are the rows that a stratum may not give, see `Engine.caps`.
    """

    have: Cells
    quota: NDArray[np.int64]
    taken: NDArray[np.int64]
    capped: int = 0


@dataclass(frozen=True, eq=False)
class Given:
    """The candidates of a task, source and split, and the rows that a quota gets of them.

    Attributes:
        task: The task.
        have: Candidates by content, stratum and bin.
        recipe: Whose shares and balance hold.
        balance: Where a bin's unused quota goes.
        spaces: Rooms that the task's candidates come from, those of other cells among them: who
            learns from a data set learns from all of it.
        room: Rows asked of each of them.
    """

    task: str
    have: Cells
    recipe: Recipe
    balance: Literal["carry", "even"]
    spaces: int = 1
    room: int = 1

    @property
    def available(self) -> int:
        """Candidates in all."""
        return int(self.have.counts.sum())

    def allocate(self, quota: int) -> Allocated:
        """Rows of each cell for a quota."""
        if not self.have.by_content:
            return self._by_strata(quota)
        given = self._by_content(quota)
        rows = self._within_caps(given)
        taken = in_bins(self.have.counts, rows)
        each = np.array(bin_quotas(quota, taken.size)).reshape(taken.shape)
        return Allocated(self.have, each, taken, int((given - rows).sum()))

    def _by_content(self, quota: int) -> NDArray[np.int64]:
        engine = engine_of(self.task)
        return take_by_content(
            self.have, quota, whole=engine.whole_contents, worded=bool(engine.words),
            spaces=self.spaces, room=self.room, paired=engine.paired_contents,
            graded=engine.graded_contents,
        )  # fmt: skip

    def _within_caps(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        caps = engine_of(self.task).caps(self.recipe)
        return capped(rows, within_caps(rows.sum(axis=0).tolist(), caps))

    def _by_strata(self, quota: int) -> Allocated:
        """Shares of the quota for the strata, each spread over its bins."""
        engine, counts = engine_of(self.task), self.have.counts.sum(axis=0)
        strata = engine.strata(self.recipe)
        shares = largest_remainder(
            quota, {f"{s:03d}": share for s, (_, share) in enumerate(strata)}
        )
        parts = [
            allocate(counts[s].tolist(), shares[f"{s:03d}"], self.balance)
            for s in range(len(strata))
        ]
        taken = [part.taken for part in parts]
        given = [sum(part) for part in taken]
        most = within_caps(given, engine.caps(self.recipe))
        over = sum(given) - sum(most)
        if engine.words and self.recipe.word_strata:
            most = most_of_a_word(most)
        taken = [
            allocate(counts[s].tolist(), most[s], self.balance).taken
            if given[s] > most[s] else part
            for s, part in enumerate(taken)
        ]  # fmt: skip
        one = Cells(np.zeros(1, np.uint64), counts[None])
        quotas = np.array([[part.quota for part in parts]])
        return Allocated(one, quotas, np.array([taken]), over)

    def rows(self, quota: int) -> int:
        """Rows that a quota gets."""
        if self.have.by_content:
            return int(self._within_caps(self._by_content(quota)).sum())
        return int(self._by_strata(quota).taken.sum())


def spread_limit(
    limit: int, weights: Mapping[Cell, int], rows: Callable[[Cell, int], int]
) -> dict[Cell, int]:
    """Quotas that together get `limit` rows, or all that can be had.

    Every cell starts with its share. What a cell cannot give goes to the others in proportion to
    their weights, again and again, until the limit is reached or no cell gives more for more.

    Args:
        limit: Rows wanted in all.
        weights: Cell -> its weight; one of weight 0 gets nothing.
        rows: (cell, quota) -> rows that the cell gives, at most the quota; rises with it.

    Example:
        >>> cells = {("a", "", ""): 6, ("b", "", ""): 2, ("c", "", ""): 2}
        >>> have = {"a": 1, "b": 90, "c": 3}
        >>> found = spread_limit(10, cells, lambda cell, quota: min(quota, have[cell[0]]))
        >>> [min(q, have[cell[0]]) for cell, q in found.items()]
        [1, 6, 3]
    """
    rows = lru_cache(maxsize=None)(rows)
    quota = shares_of(limit, weights)
    given = {cell: rows(cell, q) for cell, q in quota.items()}
    rising = {cell for cell, weight in weights.items() if weight > 0}
    before: tuple[int, int] | None = None
    while (left := limit - sum(given.values())) > 0 and rising:
        if before == (now := (sum(quota.values()), len(rising))):
            break
        before = now
        more = largest_remainder(left, {_name(cell): weights[cell] for cell in sorted(rising)})
        for cell in sorted(rising):
            asked = quota[cell] + more[_name(cell)]
            # Words that are balanced may rise by more than was asked: never past the limit.
            room = limit - sum(given.values()) + given[cell]
            while asked > quota[cell] and rows(cell, asked) > room:
                asked -= 1
            if asked > quota[cell]:
                quota[cell], given[cell] = asked, rows(cell, asked)
            # One more row may fall to a word that has none left, and many more to another.
            if rows(cell, 2 * asked + 64) <= given[cell]:
                rising.discard(cell)
    return _settled(limit, quota, {cell for cell in weights if weights[cell] > 0}, rows)


def spread_over_sides(
    limit: int,
    weights: Mapping[Cell, int],
    rows: Callable[[Cell, int], int],
    val_share: float,
) -> dict[Cell, int]:
    """`spread_limit` within val and within train, so that val has its share of the limit.

    What one side cannot give, the other does.

    Args:
        limit: Rows wanted in all.
        weights: See `spread_limit`.
        rows: See `spread_limit`.
        val_share: Share of the limit that is val.
    """
    val, train = (
        {cell: n for cell, n in weights.items() if (cell[2] == "val") == wanted}
        for wanted in (True, False)
    )

    def given(quota: Mapping[Cell, int]) -> int:
        return sum(rows(cell, asked) for cell, asked in quota.items())

    of_val = spread_limit(round(limit * val_share) if train else limit, val, rows)
    of_train = spread_limit(limit - given(of_val), train, rows)
    if (left := limit - given(of_train)) > given(of_val):
        of_val = spread_limit(left, val, rows)
    found = {**of_val, **of_train}
    return {cell: found[cell] for cell in weights}


def _settled(
    limit: int, quota: Mapping[Cell, int], cells: Set[Cell], rows: Callable[[Cell, int], int]
) -> dict[Cell, int]:
    """Quotas that get the last rows of a limit, too, where cells give several rows or none.

    A task whose answers come in twos cannot give one row more; it gives two where another cell
    gives one up.
    """
    out = dict(quota)
    while (left := limit - sum(rows(cell, q) for cell, q in out.items())) > 0:
        if (trade := _trade(left, out, sorted(cells), rows)) is None:
            break
        out |= trade
    return out


def _trade(
    left: int, quota: Mapping[Cell, int], cells: Sequence[Cell], rows: Callable[[Cell, int], int]
) -> dict[Cell, int] | None:
    """The quota of one cell that gives `left` rows more, or of two that do so together."""

    def changes(cell: Cell, step: int) -> dict[int, int]:
        """Rows more or less -> the quota that brings them, of the sixteen at the next change."""
        now, found = rows(cell, quota[cell]), dict[int, int]()
        # Where a quota asks for more than there is, many quotas give the same rows.
        few, many = (0, quota[cell]) if step < 0 else (quota[cell], 2 * quota[cell] + 64)
        first = bisect_left(range(many), now + (step > 0), lo=few, key=partial(rows, cell))
        for asked in range(first, max(-1, first + 17 * step), step):
            found.setdefault(step * (rows(cell, asked) - now), asked)
        return found

    more, less = ({cell: changes(cell, step) for cell in cells} for step in (1, -1))
    for cell in cells:
        if left in more[cell]:
            return {cell: more[cell][left]}
    for cell in cells:
        for gained in sorted(gain for gain in more[cell] if gain > left):
            for other in cells:
                if other != cell and gained - left in less[other]:
                    return {cell: more[cell][gained], other: less[other][gained - left]}
    return None


def shares_of(limit: int, weights: Mapping[Cell, int]) -> dict[Cell, int]:
    """The limit split among tasks by weight, and of each task among sources and splits."""
    totals: dict[str, float] = {}
    for cell, weight in weights.items():
        totals[cell[0]] = totals.get(cell[0], 0) + weight
    out: dict[Cell, int] = {}
    for task, rows in largest_remainder(limit, totals).items():
        mine = {_name(cell): cell for cell in weights if cell[0] == task}
        spread = largest_remainder(rows, {name: weights[cell] for name, cell in mine.items()})
        out |= {cell: spread[name] for name, cell in mine.items()}
    return {cell: out[cell] for cell in weights}


def _name(cell: Cell) -> str:
    return "/".join(cell)
