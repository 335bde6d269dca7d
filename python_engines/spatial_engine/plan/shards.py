# SPDX-License-Identifier: Apache-2.0
"""How a plan becomes files: scenes in order, large ones in pieces of their range of hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from spatial_engine.plan.plan import SHARD_ROWS, TOP_HASH, PlannedScene, ScenePart, Shard


def shards_of(
    scenes: tuple[PlannedScene, ...], hashes_of: Callable[[int], NDArray[np.uint64]]
) -> tuple[Shard, ...]:
    """Scenes in order, cut so that a shard has at most `SHARD_ROWS` rows.

    Args:
        scenes: All of them.
        hashes_of: The hashes taken of a scene by its number, ascending; asked for once each.
    """
    shards = []
    for split in sorted({scene.split for scene in scenes}):
        parts: list[ScenePart] = []
        rows = 0
        for number, scene in enumerate(scenes):
            if scene.split != split or not len(hashes := hashes_of(number)):
                continue
            for part, count in _cut(scene, hashes):
                if rows + count > SHARD_ROWS:
                    shards.append(Shard(split, tuple(parts), rows))
                    parts, rows = [], 0
                parts.append(part)
                rows += count
        if parts:
            shards.append(Shard(split, tuple(parts), rows))
    return tuple(shards)


def _cut(scene: PlannedScene, hashes: NDArray[np.uint64]) -> Iterator[tuple[ScenePart, int]]:
    """The scene whole, or in ranges of the hash with at most `SHARD_ROWS` rows each."""
    piece_count = -(-len(hashes) // SHARD_ROWS)
    ends = [len(hashes) * (k + 1) // piece_count for k in range(piece_count)]
    low, start = 0, 0
    for k, end in enumerate(ends):
        # Equal hashes of two tasks must not be torn apart.
        while 0 < end < len(hashes) and hashes[end] == hashes[end - 1]:
            end -= 1
        high = TOP_HASH if k == piece_count - 1 else int(hashes[end]) - 1
        yield ScenePart(scene.source, scene.scene, low, high), end - start
        low, start = high + 1, end
