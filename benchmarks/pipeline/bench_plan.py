# SPDX-License-Identifier: Apache-2.0
"""What planning costs beside making: process seconds of both, over an index that exists.

    python -m benchmarks.pipeline.bench_plan INDEX --quota 40 3000 --label after

Both run in this process by the functions of `plan` and `generate`. The lines of each label are kept
in benchmarks/results/plan.json; docs/performance.md explains them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.pipeline.bench_generate import _WARM, made_with_peaks
from spatial_engine.engines import select_tasks
from spatial_engine.plan.make import make_plan
from spatial_engine.plan.plan import ROWS_NAME, Plan, PlanConfig
from spatial_engine.recipe import recipe_for
from spatialcore.files import write_json
from spatialcore.index.index import Index

RESULTS = Path(__file__).parents[1] / "results" / "plan.json"


def measured(index: Index, tasks: tuple[str, ...], quota: int) -> dict[str, Any]:
    """Records, and the process seconds of planning and of making them once."""
    recipe = dataclasses.replace(recipe_for(index.rules), quota={"*": quota})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin = time.process_time()
        plan = make_plan(
            index, PlanConfig(tasks=tasks), recipe=recipe, rows_file=folder / ROWS_NAME, workers=1
        )
        planning = time.process_time() - begin
        plan.save(folder)
        making, _ = made_with_peaks(Plan.open(folder), folder / "out")
    scenes = list(index.scenes())
    clips = sum(scene.is_clip for scene in index)
    return {
        "rooms": len(scenes) - clips, "clips": clips, "tasks": len(select_tasks(tasks, recipe)),
        "quota": quota, "records": plan.rows, "plan_s": round(planning, 2),
        "make_s": round(making, 2),
    }  # fmt: skip


def main() -> int:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("--quota", type=int, nargs="+", default=[40, 3_000])
    parser.add_argument("--tasks", nargs="+", default=["*"])
    parser.add_argument("--label", required=True)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    for name in _WARM:
        __import__(name)
    kept: dict[str, Any] = {}
    if given.results.exists():
        kept = json.loads(given.results.read_text(encoding="utf-8"))
    for quota in given.quota:
        found = measured(Index.open(given.index), tuple(given.tasks), quota)
        print(found, flush=True)
        kept.setdefault(given.label, []).append(found)
        write_json(given.results, kept)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
