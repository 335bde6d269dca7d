# SPDX-License-Identifier: Apache-2.0
"""Why a task gives fewer rows than were asked of it: every missing row has a reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from spatial_engine.engines import engine_of
from spatial_engine.engines.contents import ANY
from spatial_engine.plan.outlook import rejections_by_task, shortfall
from spatial_engine.plan.plan import Plan, Threshold
from spatial_engine.plan.quotas import scene_count

CONSTANT, UNBALANCED = "constant_content", "unbalanced"
DUPLICATE, CAPPED = "near_duplicate", "room_cap"
ONE_PER_ROOM, GUARDED, FEW = "one_per_room", "guards", "few_candidates"


def shortages(plan: Plan) -> dict[str, dict[str, int]]:
    """Task -> reason -> rows that are missing of its quota for it; they add up to `shortfall`.

    In this order, each as far as it reaches: `constant_content` (there, but its answer never
    varies), `unbalanced` (there, but more frequent than what it is balanced with),
    `near_duplicate`, `room_cap`, and for the rest `one_per_room` (one for each set of frames of a
    room that is shown, at most), `guards` (others were refused),
    or `few_candidates`.
    """
    rows: dict[str, list[Threshold]] = defaultdict(list)
    for row in plan.thresholds:
        rows[row.task].append(row)
    rejected = rejections_by_task(plan)
    rooms = Counter[str]()
    for cell in plan.scene_quota:
        rooms[cell[0]] += scene_count(plan.scenes, cell)
    return {
        task: _reasons(missing, held_back(task, rows[task]), rejected.get(task, {}),
                       rooms[task] * (plan.recipe.walks if engine_of(task).of_walk else 1),
                       sum(row.available for row in rows[task]))
        for task, missing in shortfall(plan).items()
    }  # fmt: skip


def held_back(task: str, rows: Iterable[Threshold]) -> Counter[str]:
    """Candidates of a task that are not taken, by `CONSTANT` and `UNBALANCED`."""
    strata: dict[tuple[str, str, int], set[int]] = defaultdict(set)
    spare: Counter[tuple[str, str, int]] = Counter()
    most = 0
    for row in rows:
        key = row.source, row.split, row.content
        spare[key] += row.available - row.taken
        most = max(most, row.stratum + 1)
        if row.available:
            strata[key].add(row.stratum)
    whole = engine_of(task).whole_contents
    out: Counter[str] = Counter()
    for key, count in spare.items():
        varied = key[2] <= ANY or len(strata[key]) >= (most if whole else 2)
        out[UNBALANCED if varied else CONSTANT] += count
    return out


def _reasons(
    missing: int, held: Mapping[str, int], rejected: Mapping[str, int], rooms: int, available: int
) -> dict[str, int]:
    found = {
        CONSTANT: held.get(CONSTANT, 0), UNBALANCED: held.get(UNBALANCED, 0),
        DUPLICATE: rejected.get(DUPLICATE, 0), CAPPED: rejected.get(CAPPED, 0),
    }  # fmt: skip
    out: dict[str, int] = {}
    for reason, count in found.items():
        if taken := min(missing - sum(out.values()), count):
            out[reason] = taken
    if rest := missing - sum(out.values()):
        others = set(rejected) - {DUPLICATE, CAPPED}
        alone = 0 < available + found[DUPLICATE] <= rooms
        out[ONE_PER_ROOM if alone else GUARDED if others else FEW] = rest
    return out
