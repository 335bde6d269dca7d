# SPDX-License-Identifier: Apache-2.0
"""The records of a shard; what an engine fails on costs its own rows, and is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from spatial_engine.dataset.compose import Told, compose_table
from spatial_engine.dataset.manifest import Dropped
from spatial_engine.dataset.shard_rows import PartRows, dropped_rows, rows_of_shard
from spatial_engine.engines.budgets import facts_of
from spatial_engine.plan.plan import Plan
from spatial_engine.records.record import record_schema
from spatialcore.errors import PlanError

if TYPE_CHECKING:
    import pyarrow as pa


class ShardTable(NamedTuple):
    """The records of a shard, and those of the plan that are not among them."""

    table: pa.Table
    dropped: tuple[Dropped, ...]


def shard_table(plan: Plan, number: int) -> ShardTable:
    """The records of a shard, in their order: scene, task, then the order of candidates.

    Raises:
        PlanError: Records are missing though nothing failed: the index has changed.
    """
    dropped: list[Dropped] = []
    tables = [part_table(part, dropped) for part in rows_of_shard(plan, number, dropped)]
    table = joined(tables)
    promised = plan.shards[number].rows
    rest = promised - len(table) - sum(one.rows or 0 for one in dropped)
    unknown = [k for k, one in enumerate(dropped) if one.rows is None]
    if rest < 0 or (rest and not unknown):
        raise PlanError(
            f"shard {number} has {len(table)} records, the plan promises {promised}: "
            "the index is not the one that was planned on"
        )
    if len(unknown) == 1:
        dropped[unknown[0]] = replace(dropped[unknown[0]], rows=rest)
    return ShardTable(table, tuple(dropped))


def part_table(part: PartRows, dropped: list[Dropped]) -> pa.Table:
    """The records of one part of a shard; those of an engine that fails go to `dropped`."""
    told = []
    for engine, rows in part.tasks:
        try:
            told.append(Told(engine, rows, facts_of(engine, part.context, rows)))
        except Exception as error:
            dropped.append(dropped_rows(part.context.scene, engine.task, error, len(rows)))
    try:
        return compose_table(part.context.place, told)
    except Exception:
        return joined([_composed(part, one, dropped) for one in told])


def _composed(part: PartRows, told: Told, dropped: list[Dropped]) -> pa.Table:
    """The records of one task, or none if they cannot be composed."""
    try:
        return compose_table(part.context.place, [told])
    except Exception as error:
        lost = dropped_rows(part.context.scene, told.engine.task, error, len(told.rows))
        dropped.append(lost)
        return joined([])


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables of records one after the other."""
    import pyarrow as pa

    return pa.concat_tables(tables) if tables else record_schema().empty_table()
