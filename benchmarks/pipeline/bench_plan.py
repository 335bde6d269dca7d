# SPDX-License-Identifier: Apache-2.0
"""What planning costs beside making: process seconds of both, or their time and memory as verbs.

    python -m benchmarks.pipeline.bench_plan INDEX --quota 40 3000 --label after
    python -m benchmarks.pipeline.bench_plan INDEX --quota 40 --limit 20000 --label after
    python -m benchmarks.pipeline.bench_plan INDEX --quota 3000 --workers 2 --label "10^6 records"

Without --workers both run in this process by the functions of `plan` and `generate`, after what
either would import once. With it they run as a user runs them: seconds of the clock, and the most
memory of all processes. `--copies SET N` first indexes a sample set N times under other ids, to get
many rooms. The lines of each label are kept in benchmarks/results/plan.json; docs/performance.md
and docs/scale.md explain them.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import json
import os
import tempfile
import time
from importlib import resources
from pathlib import Path
from typing import Any

from benchmarks.pipeline.bench_generate import _WARM, made_with_peaks
from benchmarks.pipeline.measured import run
from benchmarks.pipeline.scale_run import link
from spatial_engine.engines import select_tasks
from spatial_engine.plan.make import make_plan
from spatial_engine.plan.plan import ROWS_NAME, Plan, PlanConfig
from spatial_engine.recipe import recipe_for
from spatialcore.files import write_json
from spatialcore.index.index import Index

LABELS = "scannetv2-labels.combined.tsv"
RESULTS = Path(__file__).parents[1] / "results" / "plan.json"


def measured(index: Index, tasks: tuple[str, ...], quota: int, limit: int | None) -> dict[str, Any]:
    """Records, and the process seconds of planning and of making them once."""
    recipe = dataclasses.replace(recipe_for(index.rules), quota={"*": quota})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin = time.process_time()
        plan = make_plan(
            index, PlanConfig(tasks=tasks, limit=limit), recipe=recipe,
            rows_file=folder / ROWS_NAME, workers=1,
        )  # fmt: skip
        planning = time.process_time() - begin
        plan.save(folder)
        making, _ = made_with_peaks(Plan.open(folder), folder / "out")
    return {
        **_size(index, tasks, quota), **({"limit": limit} if limit else {}),
        "records": plan.rows, "plan_s": round(planning, 2), "make_s": round(making, 2),
    }  # fmt: skip


def as_verbs(index: Index, tasks: tuple[str, ...], quota: int, workers: int) -> dict[str, Any]:
    """Records, and the seconds and memory of `plan` and of `generate` with so many workers."""
    many = ["--workers", str(workers)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recipe, plan, out = folder / "many.toml", folder / "plan", folder / "out"
        text = (resources.files("spatial_engine") / "recipes/default.toml").read_text()
        recipe.write_text(text.replace('"*" = 40', f'"*" = {quota}'), encoding="utf-8")
        asked = ["--recipe", str(recipe), "--tasks", *tasks]
        load = os.getloadavg()[0]
        planning = run(["plan", str(index.path), "-o", str(plan), *asked, *many], plan)
        making = run(["generate", str(plan), "-o", str(out), *many], out)
        records = json.loads((out / "summary.json").read_text(encoding="utf-8"))["rows"]
    return {
        **_size(index, tasks, quota), "records": records, "workers": workers,
        "load": [round(load, 1), round(os.getloadavg()[0], 1)], "plan": planning, "make": making,
    }  # fmt: skip


def _size(index: Index, tasks: tuple[str, ...], quota: int) -> dict[str, Any]:
    scenes = list(index.scenes())
    clips = sum(scene.is_clip for scene in index)
    asked = select_tasks(tasks, recipe_for(index.rules))
    return {"rooms": len(scenes) - clips, "clips": clips, "tasks": len(asked), "quota": quota}


def replicated(source: Path, target: Path, copies: int) -> Path:
    """A sample set's rooms and clips, linked so many times under other ids, and indexed."""
    for room in sorted((source / "posed_images").glob("scene*")):
        for copy in range(copies):
            name = f"scene{int(room.name[5:9]) + 100 * copy:04d}_00"
            for path in room.rglob("*"):
                if path.is_file():
                    place = Path(str(path.relative_to(room)).replace(room.name, name))
                    link_below(target / "rooms" / name / place, path)
    link_below(target / "rooms" / LABELS, source / "posed_images" / LABELS)
    for clip in sorted((source / "tapvid3d").rglob("*.npz")):
        for copy in range(copies):
            folder = target / "clips" / clip.parent.name
            link_below(folder / f"{clip.stem}_{copy}.npz", clip)
    for meta in (source / "tapvid3d").glob("*/*.json"):
        link_below(target / "clips" / meta.parent.name / meta.name, meta)
    index = target / "index"
    sources = [str(target / "rooms"), str(target / "clips")]
    run(["index", *sources, "-o", str(index), "--workers", str(os.cpu_count())], None)
    return index


def link_below(place: Path, path: Path) -> None:
    """Link a file into a folder that may not be there yet."""
    place.parent.mkdir(parents=True, exist_ok=True)
    link(place, path)


def main() -> int:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("--copies", nargs=2, metavar=("SET", "N"))
    parser.add_argument("--quota", type=int, nargs="+", default=[40, 3_000])
    parser.add_argument("--tasks", nargs="+", default=["*"])
    parser.add_argument("--limit", type=int, help="records in all, without --workers")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--label", required=True)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    path = given.index
    if given.copies is not None:
        path = replicated(Path(given.copies[0]), path, int(given.copies[1]))
    if given.workers is None:
        for name in (*_WARM, "pandas"):  # pandas, where it is there, is imported by pyarrow
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    kept: dict[str, Any] = {}
    if given.results.exists():
        kept = json.loads(given.results.read_text(encoding="utf-8"))
    for quota in given.quota:
        index, tasks = Index.open(path), tuple(given.tasks)
        found = (
            measured(index, tasks, quota, given.limit)
            if given.workers is None
            else as_verbs(index, tasks, quota, given.workers)
        )
        print(found, flush=True)
        kept.setdefault(given.label, []).append(found)
        write_json(given.results, kept)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
