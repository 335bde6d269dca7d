# SPDX-License-Identifier: Apache-2.0
"""Running a plan: shards that are pure, idempotent, and resumed by their own done files.

`run_shard` writes the Parquet file under a temporary name, syncs and renames it, then writes the
shard's done file the same way. Nothing else is shared, so any worker on any machine may run any
shard in any order, and a crash costs the shards it was in.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from spatial_engine.dataset.folder import check_folder, clear, holds_shards
from spatial_engine.dataset.manifest import (
    MANIFEST_NAME,
    MANIFEST_VERSION,
    SUMMARY_NAME,
    Dropped,
    Manifest,
    ShardDone,
    Skipped,
    SourceEntry,
    Summary,
    done_path,
    dropped_of,
    read_done,
    read_manifest,
    shard_path,
)
from spatial_engine.dataset.shard_table import shard_table
from spatial_engine.plan.open import check_sources, open_index
from spatial_engine.plan.outlook import rejections_by_task, shortfall
from spatial_engine.plan.plan import ROWS_NAME, Plan, PlanConfig
from spatial_engine.plan.shortages import shortages
from spatial_engine.recipe import Recipe
from spatial_engine.records.record import SCHEMA_VERSION, write_table
from spatialcore.errors import PlanError, RecordError
from spatialcore.files import (
    child,
    content_hash,
    explained,
    file_stamp,
    swept,
    whole_file,
    write_json,
)
from spatialcore.folders import set_mark
from spatialcore.locks import claimed, locked
from spatialcore.workers import Lost, Workers, run_pieces


@dataclass(frozen=True, slots=True)
class ShardEvent:
    """One shard is finished.

    Attributes:
        shard: Its number.
        rows: Its records.
        done: Shards finished so far, those of earlier runs included.
        total: Shards of this run.
        seconds: Time it took; 0 when an earlier run had made it.
        reused: Whether an earlier run had made it.
        lost: Why there is no such shard, where its worker died twice; "" when it is there.
        dropped: Which of its records were not made, and why.
    """

    shard: int
    rows: int
    done: int
    total: int
    seconds: float
    reused: bool
    lost: str = ""
    dropped: tuple[str, ...] = ()


def make_manifest(plan: Plan) -> Manifest:
    """What decides the bytes of a data set, and where its sources were; equal for every worker."""
    import pyarrow as pa

    import spatialcore

    scenes: dict[str, dict[str, str]] = {}
    for scene in plan.scenes:
        scenes.setdefault(scene.source, {})[scene.scene] = scene.index_hash
    return Manifest(
        version=MANIFEST_VERSION,
        record_version=SCHEMA_VERSION,
        versions={
            "spatialcore": spatialcore.__version__,
            "numpy": np.__version__,
            "pyarrow": pa.__version__,
        },
        config=plan.config.to_json(),
        seed=plan.config.seed,
        recipe=plan.recipe,
        tasks=plan.tasks,
        index=str(plan.index),
        sources={
            key: SourceEntry(
                str(source["kind"]), str(source["root"]), source["options"], scenes.get(key, {})
            )
            for key, source in plan.sources.items()
        },
        plan_hash=plan.hash(),
        wording=plan.wording,
        shards=len(plan.shards),
        rows=plan.rows,
    )


def difference(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> str:
    """The first field in which two manifests differ, as a sentence; "" when they are equal."""
    for name in sorted(old.keys() | new.keys()):
        a, b = old.get(name), new.get(name)
        if a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            return difference(a, b, f"{prefix}{name}.")
        return f"{prefix}{name} was {a!r}, is now {b!r}"
    return ""


def check_question(out: Path, config: PlanConfig, recipe: Recipe | None) -> None:
    """Refuse a question that is not the one of the data set in OUT, before long work.

    Raises:
        PlanError: Names the first field that differs.
    """
    if not (out / MANIFEST_NAME).exists():
        return
    manifest = read_manifest(out)
    differs = difference(manifest.config, config.to_json())
    if not differs and recipe is not None and recipe != manifest.recipe:
        differs = f"its recipe was {manifest.recipe.name}"
    if differs:
        raise _another(out, differs)


def _another(out: Path, differs: str) -> PlanError:
    return PlanError(f"{out} holds another data set: {differs}; use --overwrite or another -o")


def prepare(plan: Plan, out: Path, *, overwrite: bool = False) -> Manifest:
    """Make OUT ready for a run: its manifest is written once, or compared with the one there.

    Raises:
        PlanError: OUT holds another data set; names the first field that differs. Or it holds
            something that is no data set.
    """
    manifest = make_manifest(plan)
    path = out / MANIFEST_NAME
    if overwrite and (path.exists() or holds_shards(out)):
        clear(out)
    if path.exists():
        differs = difference(_without_places(read_manifest(out)), _without_places(manifest))
        if differs:
            raise _another(out, differs)
        return manifest
    check_folder(out)
    if holds_shards(out):
        # A mark of a finished shard would be believed, though nothing says what it was made of.
        raise PlanError(f"{out} holds shards but no manifest; use --overwrite or another -o")
    with explained(out):
        child(out, "shards").mkdir(parents=True, exist_ok=True)
        for split in {shard.split for shard in plan.shards}:
            child(out, "data", split).mkdir(parents=True, exist_ok=True)
    set_mark(out, "generate")
    write_json(path, manifest.to_json())
    return manifest


def _without_places(manifest: Manifest) -> dict[str, Any]:
    """A manifest without the folders of its index and sources: these may move between runs."""
    plain = manifest.to_json()
    for source in plain["sources"].values():
        del source["root"]
    return {**plain, "index": ""}


@lru_cache(maxsize=2)
def _open_plan(folder: Path, _stamps: tuple[tuple[int, int, int], ...]) -> Plan:
    return Plan.open(folder)


def run_shard(plan: Plan, out: Path, number: int) -> dict[str, Any]:
    """Make one shard, or leave it when it is done. Returns the content of its done file.

    A shard whose file or done file is not what was written is made again, and so is one on which
    an engine failed: it may have been mended.

    A shard that another process is making is waited for, and is then done.

    Raises:
        PlanError: The shard does not have the rows that the plan promises: the index has changed.
    """
    with claimed(out, "shards", number):
        return _run_shard(plan, out, number)


def _run_shard(plan: Plan, out: Path, number: int) -> dict[str, Any]:
    shard = plan.shards[number]
    target = shard_path(out, shard.split, number)
    done = whole_shard(out, number)
    if done is not None and (done.split, done.rows, done.dropped) == (shard.split, shard.rows, ()):
        return {**done.to_json(), "reused": True}
    started = time.perf_counter()
    with collector_paused():
        table, dropped = shard_table(plan, number)
    with whole_file(target) as temporary:
        write_table(temporary, table)
    report = ShardDone(
        shard=number,
        split=shard.split,  # type: ignore[arg-type]  # a plan's splits are train and val
        rows=len(table),
        bytes=target.stat().st_size,
        hash=content_hash(target),
        tasks=dict(sorted(Counter(table.column("task").to_pylist()).items())),
        seconds=round(time.perf_counter() - started, 3),
        process=os.getpid(),
        dropped=dropped,
    ).to_json()
    write_json(done_path(out, number), report)
    return {**report, "reused": False}


def whole_shard(out: Path, number: int) -> ShardDone | None:
    """What the done file of a shard says, if its record file is byte for byte what it says."""
    try:
        done = read_done(out, number)
        if done is None or content_hash(shard_path(out, done.split, number)) != done.hash:
            return None
    except (RecordError, OSError):
        return None  # a damaged done file says nothing, and a lost record file is no shard
    return done


@contextmanager
def collector_paused() -> Iterator[None]:
    """Search for no cycles: records hold none, and many lists set it off again and again."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _run_number(number: int, *, plan_folder: Path, out: Path) -> dict[str, Any]:
    stamps = tuple(file_stamp(plan_folder / name) for name in ("plan.json", ROWS_NAME))
    return run_shard(_open_plan(plan_folder, stamps), out, number)


def generate(
    plan_folder: str | Path | Callable[[], Path],
    out: str | Path,
    *,
    workers: int | Workers | None = None,
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
) -> Iterator[ShardEvent]:
    """Run a plan, or the i-th of n equal parts of it; yields an event for each finished shard.

    Args:
        plan_folder: A saved plan, or what makes one: called while no other process prepares `out`.
        out: The data set's folder; it is resumed when it holds the same data set. Processes that
            run parts of one plan may share it.
        workers: Processes, or who else makes the shards; None is one for each processor.
        shard: (i, n): only shards whose number is i modulo n.
        overwrite: Start afresh when the folder holds another data set.

    Raises:
        PlanError: The folder holds another data set, or the index or a source has changed since
            the plan.
        FolderInUse: `overwrite`, and another process is making the data set.
    """
    i, n = shard
    if not 0 <= i < n:
        raise ValueError(f"shard must be i/n with 0 <= i < n, got {i}/{n}")
    out = Path(out).resolve()
    check_folder(out, overwrite=overwrite)
    with ExitStack() as running:
        with locked(out, "prepare", wait=True):
            made = plan_folder() if callable(plan_folder) else Path(plan_folder)
            plan = Plan.open(made)
            with locked(out, "run") if overwrite else nullcontext():
                prepare(plan, out, overwrite=overwrite)
            numbers = list(range(i, len(plan.shards), n))
            check_sources(plan, numbers)
            running.enter_context(locked(out, "run", shared=True))
        yield from _run(plan, made.resolve(), out, numbers, shard, Workers.of(workers))


def _run(
    plan: Plan,
    plan_folder: Path,
    out: Path,
    numbers: Sequence[int],
    part: tuple[int, int],
    workers: Workers,
) -> Iterator[ShardEvent]:
    """Run shards of a prepared data set."""
    run = partial(_run_number, plan_folder=plan_folder, out=out)
    log = out / f"log-{part[0]}of{part[1]}-{os.getpid()}.jsonl"
    results = run_pieces(run, numbers, workers, "shard {}".format)
    with (
        swept(lambda: (out, out / "shards", *out.glob("data/*"))),
        log.open("a", encoding="utf-8") as lines,
        closing(results),
    ):
        for done, (position, report) in enumerate(results, 1):
            number = numbers[position]
            lost = {"shard": number, "lost": str(report)}
            told = lost if isinstance(report, Lost) else report
            lines.write(json.dumps({"time": time.time(), **told}, sort_keys=True) + "\n")
            lines.flush()
            yield _event(number, report, done, len(numbers))
    summarise(plan, out)


def _event(number: int, report: dict[str, Any] | Lost, done: int, total: int) -> ShardEvent:
    if isinstance(report, Lost):
        return ShardEvent(number, 0, done, total, 0.0, False, str(report))
    seconds = 0.0 if report["reused"] else report["seconds"]
    dropped = tuple(str(Dropped(**one)) for one in report.get("dropped", ()))
    return ShardEvent(
        number, report["rows"], done, total, seconds, report["reused"], dropped=dropped
    )


def summarise(plan: Plan, out: Path) -> Summary | None:
    """Write summary.json when every shard is done; None while some are missing."""
    found = [read_done(out, number) for number in range(len(plan.shards))]
    reports = [report for report in found if report is not None]
    if len(reports) < len(found):
        return None
    skipped = tuple(Skipped(*skip) for skip in open_index(plan.index).skipped)
    summary = dataclasses.replace(
        summary_of(reports), shortfall=shortfall(plan), shortages=shortages(plan),
        rejections=rejections_by_task(plan), skipped_scenes=skipped,
    )  # fmt: skip
    write_json(out / SUMMARY_NAME, summary.to_json())
    return summary


def summary_of(reports: Sequence[ShardDone]) -> Summary:
    """The summary that the finished shards give by themselves."""
    tasks: Counter[str] = Counter()
    splits: Counter[Any] = Counter()
    for report in reports:
        tasks.update(report.tasks)
        splits[report.split] += report.rows
    return Summary(
        rows=sum(report.rows for report in reports),
        bytes=sum(report.bytes for report in reports),
        shards=len(reports),
        splits=dict(splits),
        tasks=dict(tasks),
        dropped=dropped_of(reports),
    )
