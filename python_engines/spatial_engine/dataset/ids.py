# SPDX-License-Identifier: Apache-2.0
"""The ids of shards, and which occur more than once: 8 bytes a record are held."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_engine.records.partial import read_ids
from spatial_engine.records.record import read_tables


def _ids(path: Path, *, every_column: bool = True) -> Iterator[str]:
    if not every_column:
        yield from read_ids(path)
        return
    for table in read_tables(path):
        yield from table.column("id").to_pylist()


def id_keys(path: Path, *, every_column: bool = True) -> NDArray[Any]:
    """BLAKE2b-8 of the id of each record of a shard, as big-endian integers: (n,) uint64.

    Args:
        path: The record file.
        every_column: Whether the other columns are decoded and checked on the way.
    """
    ids = _ids(path, every_column=every_column)
    digests = b"".join(hashlib.blake2b(i.encode(), digest_size=8).digest() for i in ids)
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64)


def repeated_ids(paths: Sequence[Path], keys: Sequence[NDArray[Any]]) -> list[str]:
    """The ids that occur more than once; only those with an equal key are read a second time.

    Args:
        paths: The shards.
        keys: `id_keys` of each.
    """
    every = np.sort(np.concatenate([np.zeros(0, np.uint64), *keys]))
    twice = np.unique(every[1:][every[1:] == every[:-1]])
    if not len(twice):
        return []
    found: Counter[str] = Counter()
    for path, mine in zip(paths, keys, strict=True):
        suspect = np.isin(mine, twice).tolist()
        found.update(i for i, again in zip(_ids(path), suspect, strict=True) if again)
    return [i for i, count in found.items() if count > 1]
