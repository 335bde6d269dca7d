# SPDX-License-Identifier: Apache-2.0
"""Which frames a layout question shows, and what fewer or more of them would answer.

A record is true for the frames it shows. A scene's frames are shown as several sets: spread over
the whole walk, and over stretches of it, so that questions about one room differ. For each budget
of the recipe a record says whether so many frames of its walk answer it, and with what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from spatial_engine.engines.base import Engine, Facts
    from spatial_engine.engines.candidates import Row
    from spatial_engine.engines.context import SceneContext
    from spatial_engine.reference.scene import ReferenceScene

SHOWN_FRAMES = 16
"""Frames of a layout question, spread evenly over the valid ones."""
STRETCH = 6
"""Tenths of the valid frames that a stretch of the walk holds."""
ALL = "all"
"""The budget of every valid frame of a walk; 0 in a recipe."""


class FrameAnswer(NamedTuple):
    """What frames answer: an answer in the words of the record, or the reason why there is none."""

    answer: str
    reason: str = ""


def shown_frames(valid: Sequence[int], count: int = SHOWN_FRAMES) -> tuple[int, ...]:
    """Frames spread evenly over the valid ones, first and last included; all when there are few."""
    if len(valid) <= count:
        return tuple(int(f) for f in valid)
    last = len(valid) - 1
    return tuple(int(valid[(2 * k * last + count - 1) // (2 * (count - 1))]) for k in range(count))


def walk_sets(valid: Sequence[int], walks: int) -> list[tuple[int, ...]]:
    """The sets of shown frames of a scene: of the whole walk, then of stretches in their order.

    Stretches begin evenly spread from the first frame to where the last one ends with the walk.
    There are none where a stretch would not have `SHOWN_FRAMES` frames and more.

    Example:
        >>> [(s[0], s[-1], len(s)) for s in walk_sets(range(40), 3)]
        [(0, 39, 16), (0, 23, 16), (16, 39, 16)]
    """
    found = [shown_frames(valid)]
    length = -(-STRETCH * len(valid) // 10)
    if walks > 1 and length > SHOWN_FRAMES:
        rest, steps = len(valid) - length, max(walks - 2, 1)
        begins = [(2 * k * rest + steps) // (2 * steps) for k in range(walks - 1)]
        found += [shown_frames(valid[begin : begin + length]) for begin in begins]
    return list(dict.fromkeys(found))


def budget_frames(
    shown: Sequence[int], valid: Sequence[int], budgets: Sequence[int]
) -> dict[str, tuple[int, ...]]:
    """The frames of each budget, by its name.

    Up to as many as a record shows they are spread over those; beyond, over the valid frames from
    its first to its last. A budget that has no more frames than a smaller one is left out.

    Args:
        shown: The frames of a record.
        valid: The valid frames of its scene, ascending.
        budgets: Numbers of frames, ascending; 0 means all.

    Example:
        >>> budget_frames([0, 4, 8], range(20), [2, 4, 0])
        {'2': (0, 8), '4': (0, 3, 5, 8), 'all': (0, 1, 2, 3, 4, 5, 6, 7, 8)}
    """
    walk = [frame for frame in valid if shown[0] <= frame <= shown[-1]]
    found: dict[str, tuple[int, ...]] = {}
    for budget in sorted(budgets, key=lambda n: n or len(walk) + 1):
        count = budget or len(walk)
        frames = shown_frames(shown if count <= len(shown) else walk, count)
        if len(frames) == count and frames not in found.values():
            found[str(budget) if budget else ALL] = frames
    return found


def with_budgets(
    engine: Engine,
    scene: SceneContext | ReferenceScene,
    rows: Sequence[Row],
    facts: Sequence[Facts],
) -> list[Facts]:
    """Facts whose evidence says for each budget what its frames answer.

    Engines see an index and `verify` a source here: the same questions, from other layouts.
    """
    budgets = scene.recipe.budgets
    if not budgets or not engine.of_walk:
        return list(facts)
    valid = list(map(int, scene.valid_frames))
    found = []
    for row, one in zip(rows, facts, strict=True):
        by_name = budget_frames(row.frames, valid, budgets)
        told: Mapping[str, Any] = {
            name: _as_evidence(name, frames, engine.told(scene, row._replace(frames=frames)))
            for name, frames in by_name.items()
        }
        found.append(one._replace(evidence={**one.evidence, "budgets": told}))
    return found


def _as_evidence(name: str, frames: tuple[int, ...], told: FrameAnswer) -> dict[str, Any]:
    held = {"answer": told.answer} if told.answer else {"reason": told.reason}
    return {"count": len(frames)} | held if name == ALL else {"frames": list(frames)} | held


def facts_of(engine: Engine, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
    """The facts of rows that may show different frames of a scene, with what budgets answer."""
    recipe = context.recipe
    if not engine.of_walk or (recipe.walks < 2 and not recipe.budgets):
        return engine.facts(context, rows)
    places: dict[tuple[int, ...], list[int]] = {}
    for k, row in enumerate(rows):
        places.setdefault(row.frames, []).append(k)
    found: dict[int, Facts] = {}
    for frames, mine in places.items():
        told = engine.facts(context.on(frames), [rows[k] for k in mine])
        found |= dict(zip(mine, told, strict=True))
    return with_budgets(engine, context, rows, [found[k] for k in range(len(rows))])
