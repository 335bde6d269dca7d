# SPDX-License-Identifier: Apache-2.0
"""The files of a data set as `verify` finds them: hashes, schema, ids, and which rows to check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_engine.dataset.ids import id_keys, repeated_ids
from spatial_engine.dataset.manifest import read_done, shard_path
from spatialcore.errors import RecordError
from spatialcore.files import content_hash

SHOWN = 20  # of what is wrong; the rest is counted


SAMPLED_SHARDS = 256  # that a sample is taken from: each opens its scenes again


def check_files(
    out: Path, numbers: Sequence[int], *, every_column: bool = True
) -> tuple[list[Path], list[str], list[NDArray[Any]]]:
    """Paths, problems, and the keys of the ids of each shard: 8 bytes a record are held.

    Args:
        out: The data set.
        numbers: Its shards.
        every_column: Whether all columns are decoded, or those of ids alone: a file whose hash is
            the one that was noted holds what was written.
    """
    paths: list[Path] = []
    problems, keys = [], []
    for number in numbers:
        try:
            path, key = _check_shard(out, number, every_column)
        except RecordError as error:
            problems.append(str(error))
            continue
        paths.append(path)
        keys.append(key)
    twice = repeated_ids(paths, keys)[:SHOWN]
    return paths, problems + [f"id {i} occurs more than once" for i in twice], keys


def _check_shard(out: Path, number: int, every_column: bool) -> tuple[Path, NDArray[Any]]:
    """Path of a shard and the keys of its ids; RecordError when it is not what was written."""
    done = read_done(out, number)
    if done is None:
        raise RecordError(f"shard {number} is missing; run the same generate again")
    path = shard_path(out, done.split, number)
    if not path.is_file():
        raise RecordError(f"{path}: missing, though its shard is done")
    if content_hash(path) != done.hash:
        raise RecordError(f"{path}: the file is not the one that was written")
    keys = id_keys(path, every_column=every_column)
    if len(keys) != done.rows:
        raise RecordError(f"{path}: {len(keys)} records, its done file says {done.rows}")
    return path, keys


def sampled(keys: Sequence[NDArray[Any]], limit: int | None) -> list[frozenset[int] | None]:
    """Rows to check of each shard: all, or those with the smallest hash of their id.

    A sample of many shards is taken from some of them, those with the smallest hashes of their own.
    """
    if limit is None or sum(map(len, keys)) <= limit:
        return [None] * len(keys)
    if len(keys) > SAMPLED_SHARDS:
        marks = [int(mine.min()) if len(mine) else 1 << 64 for mine in keys]
        some = set(sorted(range(len(keys)), key=marks.__getitem__)[:SAMPLED_SHARDS])
        keys = [mine if k in some else mine[:0] for k, mine in enumerate(keys)]
    if sum(map(len, keys)) <= limit:
        return [frozenset(range(len(mine))) for mine in keys]
    taken = np.sort(np.argsort(np.concatenate(keys), kind="stable")[:limit])
    ends = np.cumsum([len(mine) for mine in keys])
    parts = np.split(taken, np.searchsorted(taken, ends[:-1]))
    starts = ends - [len(mine) for mine in keys]
    return [frozenset((p - start).tolist()) for p, start in zip(parts, starts, strict=True)]
