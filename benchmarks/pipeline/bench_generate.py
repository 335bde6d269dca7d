# SPDX-License-Identifier: Apache-2.0
"""Records a second of one core from a plan, without drawing: by family, by stage, and by memory.

Sample rooms with all of their frames and as many clips are planned and made in one process, in the
order and by the functions of `plan` and `generate`. Some records of every task are made again by
the float64 reference before a time is shown. There is no peer: the published pipeline does not run
end to end. `--index` reads an index that exists; `--real FOLDER` adds captured scenes.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import multiprocessing
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.ops.compare import Comparison, Measured, write
from spatial_engine.check.verify import verify
from spatial_engine.dataset import make as pipeline
from spatial_engine.dataset.compose import Told, compose_table
from spatial_engine.dataset.shard_rows import open_scene, rows_of_shard
from spatial_engine.dataset.shard_table import joined
from spatial_engine.engines import engines
from spatial_engine.engines.budgets import facts_of
from spatial_engine.plan.make import make_plan
from spatial_engine.plan.plan import ROWS_NAME, Plan, PlanConfig
from spatial_engine.recipe import recipe_for
from spatial_engine.records.record import write_table
from spatial_engine.records.task_name import family_of
from spatialcore.errors import PlanError
from spatialcore.index.config import IndexConfig
from spatialcore.index.index import Index
from spatialcore.index.make import build_index
from spatialcore.io.open import open_sources
from spatialcore.io.options import ReadOptions
from spatialcore.sample import SampleConfig, make_sample

CHECKED_ROWS = 20  # of each task, by the reference
# Training rows of MultiSPA (arXiv 2505.17015) in thousands, those of object movement shared by its
# four tasks: the mixture that a user makes by the million.
PUBLISHED = {
    **dict.fromkeys((f"camera_movement.{axis}_direction" for axis in "xyz"), 1_000),
    **dict.fromkeys((f"camera_movement.{a}_{b}" for a in ("yaw", "pitch")
                     for b in ("direction", "angle")), 1_000),
    "camera_movement.distance": 3_000,
    "camera_movement.vector": 3_000,
    "depth_perception.value.marked": 338,
    "depth_perception.value.coordinate": 331,
    "depth_perception.comparison.marked": 500,
    "depth_perception.comparison.coordinate": 500,
    "visual_correspondence.match.choice": 500,
    "visual_correspondence.match.coordinate": 1_000,
    "object_perception.height": 457,
    "object_perception.length": 667,
    "object_perception.width": 425,
    **dict.fromkeys((f"object_movement.{a}.{b}" for a in ("distance", "vector")
                     for b in ("coordinate", "marked")), 3_250),
}  # fmt: skip
PUBLISHED_LIMIT = 60_000  # at 3,000 a scene and task; four clips hold the 25,000 that move
STAGES = ("rows", "facts", "compose", "write")
# Read on first use by the library; a process that makes records for minutes does not notice.
_WARM = (
    "pyarrow.parquet", "pyarrow.compute", "scipy.spatial", "scipy.ndimage", "scipy.sparse.csgraph",
)  # fmt: skip
REPEATS = 3


class Made(NamedTuple):
    """One run of `plan` and `generate` in a process of its own.

    Attributes:
        rows: Records.
        plan_s, make_s: Process seconds of planning, and the least of making every shard.
        peaks: Peak bytes of the process after planning, and at 1/4, 1/2 and all of the records.
        stages: Process seconds by stage of one more run over the same plan.
        verified: Records that the reference made again.
    """

    rows: int
    plan_s: float
    make_s: float
    peaks: tuple[int, ...]
    stages: dict[str, float]
    verified: int


@contextmanager
def counted(stages: Counter[str], name: str) -> Iterator[None]:
    """Add the process seconds of a stage."""
    begin = time.process_time()
    yield
    stages[name] += time.process_time() - begin  # type: ignore[assignment]  # seconds


def index_of(sources: list[str], folder: Path, *, stride: int | None) -> Path:
    """The index of the frames of the sources."""
    read = ReadOptions(stride=stride)
    opened = [source for spec in sources for source in open_sources(spec, read)]
    build_index(opened, folder, IndexConfig(), workers=1)
    return folder


def sample_index(folder: Path, rooms: int) -> Path:
    """Rooms of 200 frames and as many clips, indexed."""
    for _ in make_sample(folder / "set", SampleConfig(rooms=rooms, clips=rooms)):
        pass
    sources = [str(folder / "set" / name) for name in ("scannet", "tapvid3d")]
    return index_of(sources, folder / "index", stride=1)


def planned(
    index: Path, folder: Path, tasks: tuple[str, ...], quota: int, limit: int | None
) -> tuple[Plan, float]:
    """A saved plan of `quota` rows a scene and task, or of `limit` in the published proportions.

    The second value is the process seconds it took.
    """
    opened = Index.open(index)
    rows = {"*": quota} if limit is None else PUBLISHED
    recipe = dataclasses.replace(recipe_for(opened.rules), quota=rows)
    begin = time.process_time()
    plan = make_plan(
        opened, PlanConfig(tasks=tasks, limit=limit), recipe=recipe, rows_file=folder / ROWS_NAME,
        workers=1,
    )  # fmt: skip
    seconds = time.process_time() - begin
    plan.save(folder)
    return Plan.open(folder), seconds


def peak_bytes() -> int:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def made_with_peaks(plan: Plan, out: Path) -> tuple[float, list[int]]:
    """Process seconds of making every shard, and peak memory at 1/4, 1/2 and all records."""
    open_scene.cache_clear()
    pipeline.prepare(plan, out, overwrite=True)
    marks, done, spent = [0.25, 0.5, 1.0], 0, 0.0
    peaks: list[int] = []
    for number, shard in enumerate(plan.shards):
        begin = time.process_time()
        pipeline.run_shard(plan, out, number)
        spent += time.process_time() - begin
        done += shard.rows
        while len(peaks) < len(marks) and done >= marks[len(peaks)] * plan.rows:
            peaks.append(peak_bytes())
    return spent, peaks


def stages_of(plan: Plan, folder: Path) -> dict[str, float]:
    """The work of `run_shard` once more, from scenes that are not open yet, by stage."""
    open_scene.cache_clear()
    stages: Counter[str] = Counter()
    for number in range(len(plan.shards)):
        tables = []
        with pipeline.collector_paused():
            parts = rows_of_shard(plan, number, [])
            while True:
                with counted(stages, "rows"):
                    part = next(parts, None)
                if part is None:
                    break
                with counted(stages, "facts"):
                    facts = [facts_of(e, part.context, rows) for e, rows in part.tasks]
                    told = [Told(*one, f) for one, f in zip(part.tasks, facts, strict=True)]
                with counted(stages, "compose"):
                    tables.append(compose_table(part.context.place, told))
        with counted(stages, "write"):
            write_table(folder / "part.parquet", joined(tables))
    return {name: stages[name] for name in STAGES}


def run(index: Path, tasks: tuple[str, ...], quota: int, limit: int | None) -> Made | None:
    """Plan, make, take apart and check; None where nothing can be asked. Needs a fresh process."""
    for name in _WARM:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            plan, plan_s = planned(index, folder / "plan", tasks, quota, limit)
        except PlanError:
            return None
        planning_peak = peak_bytes()
        runs = [made_with_peaks(plan, folder / "out") for _ in range(REPEATS)]
        make_s, peaks = min(seconds for seconds, _ in runs), runs[0][1]
        stages = stages_of(plan, folder)
        report = verify(folder / "out", sample=CHECKED_ROWS * len(tasks), workers=1)
        if not report.ok:
            raise SystemExit(f"{tasks}: {report.problems or report.mismatches[0]}")
        return Made(plan.rows, plan_s, make_s, (planning_peak, *peaks), stages, report.checked)


def run_apart(*arguments: Any) -> Made | None:
    """`run` in a process that does nothing else, so that its memory is its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(run, *arguments).result()


def measured(
    title: str, index: Path, tasks: tuple[str, ...], quota: int, limit: int | None = None
) -> Comparison | None:
    """One line and one table: the whole of `generate`, its stages, planning."""
    found = run_apart(index, tasks, quota, limit)
    if found is None:
        print(f"  {title:<24} no candidates")
        return None
    rows = found.rows
    unit = "records/s of one core"
    asked = f"{quota} a scene" if limit is None else f"{limit} in all"
    table = Comparison(f"record generation, {title}; {asked}", unit, rows, np.zeros(0))
    for name, spent in {"generate": found.make_s, "plan": found.plan_s, **found.stages}.items():
        rate, ratio = rows / max(spent, 1e-9), spent / found.make_s
        table.rows.append(Measured(f"ours, {name}", spent * 1e3, rate, ratio, None, 0.0))
    names = ("planning", "1/4", "1/2", "all")
    table.note = {
        "records": rows, "verified": found.verified,
        "peak_bytes": dict(zip(names, found.peaks, strict=True)),
    }  # fmt: skip
    micro = ", ".join(f"{name} {1e6 * s / rows:.1f}" for name, s in found.stages.items())
    peaks = " ".join(f"{peak / 2**20:.0f}" for peak in found.peaks)
    print(
        f"  {title:<24}{rows:>8,} records{found.make_s:>7.2f} s{rows / found.make_s:>9,.0f}/s"
        f"  plan{found.plan_s:>6.1f} s  peak MiB {peaks}  us: {micro}",
        flush=True,
    )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="one room, 200 rows a scene and task")
    parser.add_argument("--rooms", type=int, default=4, help="and as many clips")
    parser.add_argument("--quota", type=int, help="rows of each task a scene; default 3,000")
    parser.add_argument("--tasks", nargs="*", help="these alone; default: by family, then all")
    parser.add_argument("--index", type=Path, help="read this index; nothing is sampled")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--real", type=Path, help="folder of captured scenes")
    given = parser.parse_args()
    quota = given.quota or (200 if given.short else 3_000)
    families = dict.fromkeys(family_of(engine.task) for engine in engines())
    every = tuple(engine.task for engine in engines())
    tables: list[Comparison | None] = []
    with tempfile.TemporaryDirectory() as folder:
        index = given.index or sample_index(Path(folder), 1 if given.short else given.rooms)
        print(f"\n{quota} records a scene and task; peaks after planning, 1/4, 1/2, all")
        for name in given.tasks or families:
            tasks = tuple(t for t in every if t == name or family_of(t) == name)
            tables.append(measured(name, index, tasks, quota))
        if not given.tasks:
            tables.append(measured("all", index, every, quota))
            limit = PUBLISHED_LIMIT * quota // 3_000
            tables.append(measured("published mixture", index, tuple(PUBLISHED), quota, limit))
        if given.real:
            real = index_of([str(given.real)], Path(folder) / "real", stride=None)
            tables.append(measured("all, captured scenes", real, every, quota))
    write("generate", [table for table in tables if table is not None], output=given.output)


if __name__ == "__main__":
    main()
