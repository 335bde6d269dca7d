# SPDX-License-Identifier: Apache-2.0
"""Records a second and core from a plan, without drawing: by task, by stage, and by memory.

A sample of the records of every task is made again by the float64 reference before a time is
shown. There is no peer: the published pipeline does not run end to end. Every frame of the sample
rooms is kept, so that the tasks have candidates enough; `--real FOLDER` adds captured scenes.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.ops.compare import Comparison, Measured, write
from spatial_engine import pipeline
from spatial_engine.compose import compose_table
from spatial_engine.engine import candidates_of
from spatial_engine.engines import ENGINES, engine_of
from spatial_engine.plan import Plan, PlanConfig
from spatial_engine.planning import make_plan
from spatial_engine.record import write_table
from spatial_engine.verify import verify
from spatialcore.errors import PlanError
from spatialcore.io.open import open_sources
from spatialcore.io.options import ReadOptions
from spatialcore.relations.config import IndexConfig
from spatialcore.relations.index import Index
from spatialcore.relations.pool import build_index
from spatialcore.relations.recipe import load_recipe
from spatialcore.sample import SampleConfig, make_sample

CHECKED_ROWS = 60  # of each task, by the reference
REPEATS = 3
MEMORY_ROWS = (10_000, 50_000, 200_000)


class Stages(Counter[str]):
    """Process seconds by stage."""

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        begin = time.process_time()
        yield
        self[name] += time.process_time() - begin


def index_of(sources: list[str], folder: Path, *, stride: int | None) -> Path:
    """The index of all frames of the sources."""
    read = ReadOptions(stride=stride)
    opened = [source for spec in sources for source in open_sources(spec, read)]
    build_index(opened, folder, IndexConfig(load_recipe("default")), workers=1)
    return folder


def sample_index(folder: Path, rooms: int) -> Path:
    """Rooms of 200 frames and as many clips, indexed."""
    for _ in make_sample(folder / "set", SampleConfig(rooms=rooms, clips=rooms)):
        pass
    sources = [str(folder / "set" / name) for name in ("scannet", "tapvid3d")]
    return index_of(sources, folder / "index", stride=1)


def planned(index: Path, folder: Path, tasks: tuple[str, ...], quota: int) -> tuple[Plan, float]:
    """A saved plan of so many rows a scene and task, and the seconds it took."""
    opened = Index.open(index)
    recipe = dataclasses.replace(opened.recipe, quota={"*": quota})
    begin = time.process_time()
    plan = make_plan(opened, PlanConfig(tasks=tasks), recipe=recipe, workers=1)
    seconds = time.process_time() - begin
    plan.save(folder)
    return Plan.open(folder), seconds


def generated(plan: Plan, out: Path) -> float:
    """Process seconds of making every shard, from scenes that are not open yet."""
    pipeline._open_scene.cache_clear()
    pipeline.prepare(plan, out, overwrite=True)
    begin = time.process_time()
    for number in range(len(plan.shards)):
        pipeline.run_shard(plan, out, number)
    return time.process_time() - begin


def stages_of(plan: Plan, folder: Path) -> Stages:
    """The same work, stage by stage."""
    pipeline._open_scene.cache_clear()
    stages = Stages()
    for shard in plan.shards:
        for part in shard.parts:
            scene = plan.scene_of[part.source, part.scene]
            context = pipeline._open_scene(plan, scene)
            for engine in map(engine_of, plan.tasks):
                if (engine.kind == "clip") != scene.is_clip:
                    continue
                with stages.of("candidates"):
                    key = ("candidates", engine.task)
                    table = context.cached(key, lambda e=engine, c=context: candidates_of(e, c))
                    rows = plan.choose(table, engine.task, scene, part.low, part.high).rows()
                if not rows:
                    continue
                with stages.of("facts"):
                    facts = engine.facts(context, rows)
                with stages.of("compose"):
                    composed = compose_table(engine, context.place, rows, facts)
                with stages.of("write"):
                    write_table(folder / "part.parquet", composed)
    return stages


def checked(title: str, out: Path, rows: int) -> float:
    """Records a second of `verify`; ends the run where a record cannot be made again."""
    begin = time.process_time()
    report = verify(out, sample=rows, workers=1)
    if not report.ok:
        raise SystemExit(f"{title}: {report.problems or report.mismatches[0]}")
    return report.checked / (time.process_time() - begin)


def measured(title: str, index: Path, tasks: tuple[str, ...], quota: int) -> Comparison | None:
    """One table: the whole of `generate`, its stages, planning and verifying."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            plan, planning = planned(index, folder / "plan", tasks, quota)
        except PlanError:
            print(f"  {title:<44} no candidates")
            return None
        out = folder / "out"
        seconds = min(generated(plan, out) for _ in range(REPEATS))
        stages = stages_of(plan, folder)
        verifying = checked(title, out, CHECKED_ROWS * len(tasks))
    table = Comparison(f"{title}; {quota} a scene", "records/s", plan.rows, np.zeros(0))
    ways = {"generate": seconds, "plan": planning, "verify": plan.rows / verifying, **stages}
    for name, spent in ways.items():
        rate = plan.rows / max(spent, 1e-9)
        table.rows.append(Measured(f"ours, {name}", spent * 1e3, rate, spent / seconds, None, 0.0))
    micro = ", ".join(f"{name} {1e6 * spent / plan.rows:.0f}" for name, spent in stages.items())
    print(
        f"  {title:<44}{plan.rows:>8,} rows{plan.rows / seconds:>9,.0f}/s  plan"
        f"{plan.rows / planning:>9,.0f}/s  verify{verifying:>7,.0f}/s  us: {micro}"
    )
    return table


def _peak(index: Path, rows: int) -> tuple[int, int]:
    """Rows made and peak bytes of this process, which does nothing else."""
    opened = Index.open(index)
    recipe = dataclasses.replace(opened.recipe, quota={"*": 1_000_000})
    with tempfile.TemporaryDirectory() as name:
        config = PlanConfig(tasks=("camera_movement.*",), limit=rows)
        plan = make_plan(opened, config, recipe=recipe, workers=1)
        plan.save(Path(name) / "plan")
        for _ in pipeline.generate(Path(name) / "plan", Path(name) / "out", workers=1):
            pass
        verify(Path(name) / "out", sample=500, workers=1)
    return plan.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def memory(index: Path) -> Comparison:
    """Peak memory of planning, generating and verifying more and more records."""
    table = Comparison("peak memory of one process", "bytes", 1.0, np.zeros(0))
    for rows in MEMORY_ROWS:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            made, peak = pool.submit(_peak, index, rows).result()
        table.note[f"{made} records"] = peak
        print(f"  {made:>9,} records{peak / 2**20:>8,.0f} MiB")
    first, last = min(table.note.values()), max(table.note.values())
    table.rows.append(Measured("ours, most over least", 0.0, 0.0, last / first, None, 0.0))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="one room, 200 rows a scene and task")
    parser.add_argument("--tasks", nargs="*", help="these alone; default: all, then together")
    parser.add_argument("--quota", type=int, help="rows of each task a scene")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--real", type=Path, help="folder of captured scenes")
    given = parser.parse_args()
    quota = given.quota or (200 if given.short else 2_000)
    every = tuple(engine.task for engine in ENGINES)
    tables: list[Comparison | None] = []
    with tempfile.TemporaryDirectory() as folder:
        index = sample_index(Path(folder), 1 if given.short else 4)
        print(f"\nsample rooms, {quota} rows a scene and task")
        tables += [measured(task, index, (task,), quota) for task in given.tasks or every]
        if not given.tasks:
            tables.append(measured("all tasks", index, every, quota))
            tables.append(None if given.short else memory(index))
        if given.real:
            print("\ncaptured scenes")
            real = index_of([str(given.real)], Path(folder) / "real", stride=None)
            tables.append(measured("all tasks, captured scenes", real, every, quota))
    write("generate", [table for table in tables if table is not None], {}, given.output)


if __name__ == "__main__":
    main()
