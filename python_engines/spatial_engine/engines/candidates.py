# SPDX-License-Identifier: Apache-2.0
"""What may be asked of a scene, as columns: the rows of one task that pass every guard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore.draws import fold_table

if TYPE_CHECKING:
    from spatial_engine.records.place import Place

BEYOND_QUOTA = "beyond_quota"
"""The reason of candidates that nobody looked at: the quota of the scene does not need them."""


class Row(NamedTuple):
    """One candidate: frames in the order shown, and point, object or track ids."""

    frames: tuple[int, ...]
    items: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CandidateTable:
    """What may be asked of a scene: only rows that pass every guard (n rows).

    Attributes:
        frames: (n, k) int32 frame indices in the order shown; -1 fills shorter rows.
        items: (n, m) int64 point, object or track ids; -1 fills shorter rows.
        bin: (n,) int16 quota bin.
        stratum: (n,) int8 index into the engine's strata.
        hash: (n,) uint64 draw of the slot `select`.
        content: (n,) uint64 what the answer is about, e.g. a pair of categories, 0 where that tells
            nothing; of each the plan takes no answer more often than others (docs/blind.md).
        rejected: How many possibilities each guard turned away, by reason.
    """

    frames: NDArray[np.int32]
    items: NDArray[np.int64]
    bin: NDArray[np.int16]
    stratum: NDArray[np.int8]
    hash: NDArray[np.uint64]
    content: NDArray[np.uint64]
    rejected: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        frames: ArrayLike,
        items: ArrayLike,
        hash: NDArray[np.uint64],
        *,
        bin: ArrayLike = 0,
        stratum: ArrayLike = 0,
        content: ArrayLike = 0,
        rejected: Mapping[str, int] | None = None,
    ) -> CandidateTable:
        """A table with the column types of the contract; all but `hash` and ids may be scalars."""
        n = len(hash)
        return cls(
            np.asarray(frames, dtype=np.int32).reshape(n, -1 if n else 0),
            np.asarray(items, dtype=np.int64).reshape(n, -1 if n else 0),
            np.array(np.broadcast_to(bin, n), dtype=np.int16),
            np.array(np.broadcast_to(stratum, n), dtype=np.int8),
            hash,
            np.array(np.broadcast_to(np.asarray(content, dtype=np.uint64), n)),
            {reason: int(count) for reason, count in (rejected or {}).items() if count},
        )

    @classmethod
    def empty(cls, rejected: Mapping[str, int] | None = None) -> CandidateTable:
        """A table without rows."""
        return cls.build([], [], np.zeros(0, np.uint64), rejected=rejected)

    def __len__(self) -> int:
        return len(self.hash)

    def take(self, chosen: NDArray[Any]) -> CandidateTable:
        """The rows that a mask or an index array chooses."""
        return CandidateTable(
            self.frames[chosen], self.items[chosen], self.bin[chosen], self.stratum[chosen],
            self.hash[chosen], self.content[chosen], self.rejected,
        )  # fmt: skip

    def between(self, low: int, high: int) -> CandidateTable:
        """The rows whose hash lies in [low, high]."""
        return self.take((self.hash >= np.uint64(low)) & (self.hash <= np.uint64(high)))

    def twins(self) -> tuple[Row, Row] | None:
        """Two rows whose records would have one id: ids do not tell the order of frames."""
        keys = np.concatenate([np.sort(self.frames, axis=1), self.items], axis=1, dtype=np.int64)
        folded = fold_table(0, np.ascontiguousarray(keys))
        ascending = np.sort(folded)
        if not (ascending[1:] == ascending[:-1]).any():
            return None
        order = np.argsort(folded, kind="stable")
        for k in np.flatnonzero(folded[order[1:]] == folded[order[:-1]]).tolist():
            both = order[k : k + 2]
            if (keys[both[0]] == keys[both[1]]).all():
                first, second = self.take(both).rows()
                return first, second
        return None

    def rows(self) -> list[Row]:
        """Every row as plain integers, without the filling."""
        return list(map(Row, _unfilled(self.frames), _unfilled(self.items)))


@dataclass(slots=True)
class Gathered:
    """The candidates of a task that looks at one row after the other, as it finds them.

    Attributes:
        task: Whose draws choose among them.
        place: Of the scene.
        rejected: How many rows each guard turned away, by reason.
        width: Frames and items that a draw is made of at least, where rows differ in length: then
            it does not depend on how long the others are.
    """

    task: str
    place: Place
    rejected: Counter[str] = field(default_factory=Counter)
    width: tuple[int, int] = (0, 0)
    rows: list[Row] = field(default_factory=list)
    _bin: list[int] = field(default_factory=list)
    _stratum: list[int] = field(default_factory=list)
    _content: list[int] = field(default_factory=list)

    def refuse(self, reason: object, count: int = 1) -> None:
        """Count rows that a guard turned away."""
        self.rejected[str(reason)] += count

    def keep(self, row: Row, *, stratum: int = 0, content: int = 0, bin: int = 0) -> None:
        """A row that may be asked; what its answer says counts where the recipe balances it."""
        self.rows.append(row)
        self._stratum.append(stratum)
        self._content.append(content)
        self._bin.append(bin)

    def draws(self, rows: Sequence[Row]) -> NDArray[np.uint64]:
        """The `select` draws of rows."""
        frames = filled([row.frames for row in rows], self.width[0])
        items = filled([row.items for row in rows], self.width[1])
        return self.place.draw_rows(self.task, [*frames.T, *items.T], "select")

    def table(self) -> CandidateTable:
        """All that was kept, with the counts of what was not."""
        if not self.rows:
            return CandidateTable.empty(self.rejected)
        balanced = self.place.recipe.word_strata
        return CandidateTable.build(
            filled([row.frames for row in self.rows]),
            filled([row.items for row in self.rows]),
            self.draws(self.rows),
            bin=self._bin if balanced else 0,
            stratum=self._stratum if balanced else 0,
            content=self._content if balanced else 0,
            rejected=self.rejected,
        )


def filled(lists: Sequence[Sequence[int]], width: int = 0) -> NDArray[np.int64]:
    """(n, w) lists of numbers as rows, filled up by -1 to the longest one and to `width` at least.

    Example:
        >>> filled([(4, 5), (6,)]).tolist()
        [[4, 5], [6, -1]]
    """
    width = max([width, *map(len, lists)])
    rows = [[*row, *[-1] * (width - len(row))] for row in lists]
    return np.array(rows, dtype=np.int64).reshape(len(lists), width)


def joined(tables: Sequence[CandidateTable], rejected: Mapping[str, int]) -> CandidateTable:
    """The tables of all objects or walks as one; rows of fewer frames or items are filled by -1."""
    if not tables:
        return CandidateTable.empty(rejected)
    return CandidateTable.build(
        _stacked([table.frames for table in tables]),
        _stacked([table.items for table in tables]),
        np.concatenate([table.hash for table in tables]),
        bin=np.concatenate([table.bin for table in tables]),
        stratum=np.concatenate([table.stratum for table in tables]),
        content=np.concatenate([table.content for table in tables]),
        rejected=rejected,
    )


def _stacked(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """One below the other; the narrower ones are filled up by -1."""
    width = max(part.shape[1] for part in parts)
    return np.concatenate(
        [np.pad(p, ((0, 0), (0, width - p.shape[1])), constant_values=-1) for p in parts]
    )


def _unfilled(columns: NDArray[Any]) -> list[tuple[int, ...]]:
    """Each row of a table as a tuple, without the -1 that fills it."""
    rows = columns.tolist()
    if not (columns < 0).any():
        return list(map(tuple, rows))
    return [tuple(n for n in row if n >= 0) for row in rows]
