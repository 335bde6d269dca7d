# SPDX-License-Identifier: Apache-2.0
"""What records say about frame budgets: how many are answered, and how many otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class BudgetStats:
    """Records of one task under one budget of frames.

    Attributes:
        rows: Records that say what so many frames answer.
        answered: Those that they answer.
        changed: Those with another answer than by the frames that the record shows.
        reasons: Why the others are not answered.
    """

    rows: int = 0
    answered: int = 0
    changed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


Budgets = dict[str, dict[str, BudgetStats]]  # by task, then budget


def count_budgets(
    found: Budgets, tasks: Iterable[str], frames: Iterable[Sequence[int]], evidence: Iterable[str]
) -> None:
    """Add records to the counts.

    Args:
        found: The counts.
        tasks: Task of each record.
        frames: The frames that each shows.
        evidence: The evidence of each, as stored.
    """
    for task, shown, text in zip(tasks, frames, evidence, strict=True):
        if '"budgets"' not in text:
            continue
        told = json.loads(text)["budgets"]
        own = {
            one["answer"] for one in told.values() if "answer" in one and _count(one) == len(shown)
        }
        for name, one in told.items():
            stats = found.setdefault(task, {}).setdefault(name, BudgetStats())
            stats.rows += 1
            if "answer" in one:
                stats.answered += 1
                stats.changed += bool(own) and one["answer"] not in own
            else:
                stats.reasons[one["reason"]] = stats.reasons.get(one["reason"], 0) + 1


def merge_budgets(found: Budgets, more: Budgets) -> None:
    """Add the counts of other records to the counts."""
    for task, budgets in more.items():
        for name, one in budgets.items():
            stats = found.setdefault(task, {}).setdefault(name, BudgetStats())
            stats.rows += one.rows
            stats.answered += one.answered
            stats.changed += one.changed
            for reason, count in one.reasons.items():
                stats.reasons[reason] = stats.reasons.get(reason, 0) + count


def sorted_budgets(found: Budgets) -> Budgets:
    """The counts in one order, in whatever order they were added: budgets by their number."""
    for budgets in found.values():
        for one in budgets.values():
            one.reasons = dict(sorted(one.reasons.items()))
    return {
        task: dict(sorted(budgets.items(), key=lambda item: (len(item[0]), item[0])))
        for task, budgets in sorted(found.items())
    }


def _count(one: dict[str, object]) -> object:
    frames = one.get("frames")
    return len(frames) if isinstance(frames, list) else one.get("count")
