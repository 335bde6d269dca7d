# SPDX-License-Identifier: Apache-2.0
"""What a question's text tells of its answer: contents, and candidates that say the same.

An engine gives each row a content and a stratum; `plan.contents` balances the strata of a content.
docs/blind.md says what they are in each task.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.candidates import CandidateTable
from spatialcore.draws import smallest_of_groups

if TYPE_CHECKING:
    from spatial_engine.engines.context import SceneContext

ANY = 1
"""The content of rows whose text tells nothing, but which are spread over the strata."""
NUMBER_BINS = 28
_EDGES = (*(1.25**k for k in range(1, NUMBER_BINS)), math.inf)
ROOM_SHARE = 4  # of its equal share of a task, the most that a room may give to a cell ...
LEAST_QUOTA = 40  # ... which counts as so many rows at least


@lru_cache(maxsize=4_096)
def content_of(*names: str) -> int:
    """The content of names in any order: 64 bits, neither 0 nor 1.

    Example:
        >>> content_of("bed", "lamp") == content_of("lamp", "bed") != content_of("bed")
        True
    """
    text = "\n".join(sorted(names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") | 2


def pair_content(first: str, second: str) -> int:
    """The content of two names in any order, of which `names_of` tells either again.

    Example:
        >>> pair_content("bed", "lamp") == pair_content("lamp", "bed")
        True
        >>> names_of(pair_content("bed", "lamp"))[1] == names_of(pair_content("lamp", "desk"))[1]
        True
    """
    low, high = (content_of(name) & 0xFFFF_FFFF for name in sorted((first, second)))
    return low << 32 | high


def names_of(content: int) -> tuple[int, int]:
    """Numbers that stand for the two names of a `pair_content`, the first in the alphabet first."""
    return content >> 32, content & 0xFFFF_FFFF


def in_order(word: str, names: Sequence[str], opposite: Mapping[str, str]) -> str:
    """What a word about the first of two names says when they are asked in alphabetical order.

    Example:
        >>> in_order("above", ("lamp", "bed"), {"above": "below", "below": "above"})
        'below'
    """
    return opposite.get(word, word) if names[0] > names[1] else word


def number_strata(unit: str, scale: float = 1.0) -> tuple[tuple[str, float], ...]:
    """A stratum for each bin of a number: up to 1.25, 1.56, 1.95 ... times `scale`."""
    return tuple((f"up to {edge * scale:.3g} {unit}", 1 / NUMBER_BINS) for edge in _EDGES)


def number_stratum(value: float, scale: float = 1.0) -> int:
    """The stratum of `number_strata` that a number lies in."""
    return int(np.searchsorted(_EDGES[:-1], value / scale, side="left"))


def number_stratums(values: NDArray[np.float64]) -> NDArray[np.int8]:
    """`number_stratum` of each of (n,) numbers.

    Example:
        >>> number_stratums(np.array([1.0, 6.2])).tolist() == [number_stratum(1.0), 8]
        True
    """
    return np.searchsorted(_EDGES[:-1], values, side="left").astype(np.int8)


COLUMNS, ROWS = 6, 2
"""Fields of an image in which places of points tell the same."""
_FIELDS = np.array([content_of("field", str(k)) for k in range(COLUMNS * ROWS)], dtype=np.uint64)


def place_contents(uv: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.uint64]:
    """The contents of (n, 2) pixels of an image (W, H): in which of its fields they lie.

    A thing at the left rim has more way before it to the right, and one that rests where its way
    begins or ends has moved by all of it: where a point lies tells how it moves.

    Example:
        >>> fields = place_contents(np.array([[0.0, 0.0], [50.0, 9.0], [319.0, 239.0]]), (320, 240))
        >>> bool(fields[0] == fields[1] != fields[2])
        True
    """
    cells = [
        np.clip(uv[:, axis] * count / side, 0, count - 1).astype(np.int64)
        for axis, (count, side) in enumerate(zip((COLUMNS, ROWS), size, strict=True))
    ]
    return np.asarray(_FIELDS[cells[1] * COLUMNS + cells[0]])


def of_form(
    table: CandidateTable, context: SceneContext, task: str, *, choice: bool
) -> CandidateTable:
    """The rows of an open task, or of its choice, where a plan asks both.

    The same frames and objects are asked about in one form only, by a draw. Rows that the other
    form has are counted as `near_duplicate`.

    Args:
        table: Rows of the open task.
        context: The scene.
        task: The open task.
        choice: Whether the rows of the choice are meant.
    """
    asked = [context.scene_quota.get(name, 0) for name in (task, f"{task}.choice")]
    if min(asked) < 2 or not len(table):  # the quota of a scene is rounded up
        return table
    draws = context.place.draw_rows(task, [*table.frames.T, *table.items.T], "form")
    return _kept(table, np.flatnonzero((draws >= np.uint64(1 << 63)) == choice), "near_duplicate")


def distinct(table: CandidateTable) -> CandidateTable:
    """Of rows about the same frames and items in another order the one of the smallest draw.

    Rows that are left out are counted as `near_duplicate`.
    """
    if table.items.shape[1] < 2 or len(table) < 2:
        return table
    key = np.concatenate([np.sort(table.frames, axis=1), np.sort(table.items, axis=1)], axis=1)
    order = np.lexsort((table.hash, *key.T))
    first = np.ones(len(table), dtype=bool)
    first[1:] = (key[order[1:]] != key[order[:-1]]).any(axis=1)
    return _kept(table, np.sort(order[first]), "near_duplicate")


def room_capped(table: CandidateTable, scene_quota: int) -> CandidateTable:
    """The rows of the smallest draws of each cell, so that no room gives most of a task.

    Rows that are left out are counted as `room_cap`.
    """
    most = ROOM_SHARE * max(scene_quota, LEAST_QUOTA)
    if len(table) <= most:
        return table
    groups = np.unique(table.content, return_inverse=True)[1].reshape(-1).astype(np.int64)
    for column in (table.stratum, table.bin):
        groups = groups * (int(column.max()) + 1) + column
    rows = smallest_of_groups(table.hash, groups, np.full(groups.max() + 1, most))
    return _kept(table, np.sort(rows), "room_cap")


def _kept(table: CandidateTable, rows: NDArray[np.intp], reason: str) -> CandidateTable:
    left_out = len(table) - len(rows)
    if not left_out:
        return table
    counts = dict(table.rejected)
    counts[reason] = counts.get(reason, 0) + left_out
    return dataclasses.replace(table.take(rows), rejected=counts)
