# SPDX-License-Identifier: Apache-2.0
"""What may be asked of a scene, as columns: the rows of one task that pass every guard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

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

    def rows(self) -> list[Row]:
        """Every row as plain integers, without the filling."""
        return list(map(Row, _unfilled(self.frames), _unfilled(self.items)))


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
