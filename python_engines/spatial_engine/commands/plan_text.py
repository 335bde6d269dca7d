# SPDX-License-Identifier: Apache-2.0
"""A plan for people and for programs: what it gives, what is short of what was asked, and why."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spatialcore.commands.text import text_width, wrapped

if TYPE_CHECKING:
    from spatial_engine.dataset.estimate import Estimate
    from spatial_engine.plan.plan import Plan


def as_json(plan: Plan) -> dict[str, Any]:
    """What the plan promises."""
    from spatial_engine.plan.outlook import (
        not_asked,
        reasons,
        rejections_by_task,
        rows_by_split,
        rows_by_task,
        shortfall,
    )
    from spatial_engine.plan.shortages import shortages

    return {
        "rows": plan.rows,
        "asked": plan.config.limit,
        "shards": len(plan.shards),
        "splits": rows_by_split(plan),
        "tasks": rows_by_task(plan),
        "shortfall": shortfall(plan),
        "shortages": shortages(plan),
        "reasons": reasons(plan),
        "not_asked": not_asked(plan),
        "rejections": rejections_by_task(plan),
        "skipped": plan.left_out,
        "hash": plan.hash(),
    }


def total_line(plan: Plan, what: str = "records") -> str:
    """Rows of what was asked, and over how many tasks; a limit that is not reached is said."""
    from spatial_engine.plan.outlook import beyond_limit, rows_by_task

    rows = rows_by_task(plan)
    limit, asked = plan.config.limit, sum(count > 0 for count in rows.values())
    of = "" if limit is None else f" of {limit:,}"
    over = f"{asked} of {len(rows)} tasks that can be asked"
    if more := len(beyond_limit(plan)):
        return (
            f"{plan.rows:,}{of} {what} over {asked} of the {asked + more} tasks that can be asked"
        )
    if limit is not None and plan.rows < limit:
        return f"{plan.rows:,}{of} {what}: {limit - plan.rows:,} short, the {over} give no more"
    return f"{plan.rows:,}{of} {what} over the {over}"


def as_text(plan: Plan, head: str) -> str:
    """The plan as a table: rows, what is missing, and why candidates were refused."""
    from spatial_engine.plan.outlook import reasons, rows_by_task, shortfall
    from spatial_engine.plan.shortages import shortages

    causes = shortages(plan)
    missing, why, rows = shortfall(plan), reasons(plan), rows_by_task(plan)
    width = max(map(len, plan.tasks))
    lines = [wrapped(f"{head}: {total_line(plan)}, in {shards_of(len(plan.shards))}")]
    short = "short" if plan.config.limit is None else "below its share"
    lines.append(f"  {'task':<{width}} {'rows':>9}" + (f"  {short}" if missing else ""))
    for task, count in rows.items():
        if not count:
            continue
        less = f"  {missing[task]:>{len(short)},}" if task in missing else ""
        lines.append(f"  {task:<{width}} {count:>9,}{less}")
        told = [_causes(causes[task])] if less else []
        told += [_why(why[task])] if why[task] else []
        lines += textwrap.wrap(
            "; ".join(told), text_width(), initial_indent="    ", subsequent_indent="    ",
            break_on_hyphens=False,
        )  # fmt: skip
    lines += side_lines(plan)
    lines += not_asked_lines(plan)
    lines += [wrapped(f"  skipped {line}") for line in plan.left_out]
    return "\n".join(lines)


def _causes(rows: Mapping[str, int]) -> str:
    """Why rows are missing: the numbers only where there are several causes."""
    return ", ".join(rows if len(rows) == 1 else [f"{code} {n:,}" for code, n in rows.items()])


def shards_of(count: int) -> str:
    """So many shards, in words."""
    return f"{count:,} shard" + ("s" if count != 1 else "")


def _why(reason: str) -> str:
    from spatial_engine.plan.outlook import ALL_ASKED, UNBALANCED

    return reason if reason.startswith((ALL_ASKED, UNBALANCED)) else f"refused: {reason}"


def side_lines(plan: Plan) -> list[str]:
    """The frames and rows of train and val, where the end of a walk is held out."""
    from spatial_engine.plan.outlook import rows_by_split

    rows = rows_by_split(plan)
    sides = [
        f"{rows.get(scene.split, 0):,} {scene.split} of frames {scene.frames[0]} to "
        f"{scene.frames[1]}"
        for scene in plan.scenes if scene.frames is not None
    ]  # fmt: skip
    if not sides:
        return []
    return [wrapped(f"  {', '.join(sides)} of the walk; no question shows frames of both")]


def not_asked_lines(plan: Plan, most: int | None = None) -> list[str]:
    """The tasks that give nothing, by reason; of a reason's names so many, the rest is counted."""
    from spatial_engine.plan.outlook import not_asked

    lines = []
    for reason, names in not_asked(plan).items():
        shown = names[:most]
        more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
        lines += textwrap.wrap(
            f"not asked, {reason}: {', '.join(shown)}{more}", text_width(), initial_indent="  ",
            subsequent_indent="    ", break_on_hyphens=False,
        )  # fmt: skip
    return lines


def estimate_lines(found: Estimate, *, written: bool) -> list[str]:
    """The cost of a plan in words, and whether the plan is kept."""
    plural = "es" if found.workers > 1 else ""
    return [
        f"  time     {duration(found.seconds)} by {found.workers} process{plural}",
        f"  records  {size(found.record_bytes)} in {shards_of(found.shards)}",
        f"  images   {found.images:,} shown; an export has {found.image_files:,} files, "
        f"{size(found.image_bytes)} as copies",
        f"  (measured on {found.sampled_rows:,} records"
        + (")" if written else "; nothing was written)"),
    ]


def duration(seconds: float) -> str:
    """Seconds in the unit that a person would use.

    Example:
        >>> duration(8), duration(150), duration(9000), duration(400000)
        ('8 s', '2.5 min', '2.5 h', '4.6 days')
    """
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def size(count: float) -> str:
    """Bytes in the unit that a person would use.

    Example:
        >>> size(700), size(25_000), size(3.2e9)
        ('700 B', '25.0 kB', '3.2 GB')
    """
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count:.0f} B"
