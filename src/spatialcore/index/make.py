# SPDX-License-Identifier: Apache-2.0
"""Index all scenes of some sources: on one process or many, resumable, one bad scene apart."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

from spatialcore._libraries import Library, open_device
from spatialcore.errors import SceneFormatError, SceneIndexError, UnsafeName
from spatialcore.files import child, write_json
from spatialcore.folders import claim
from spatialcore.index.build import SceneSummary, build_scene
from spatialcore.index.config import (
    IndexConfig,
    IndexEvent,
    IndexReport,
    SkippedScene,
)
from spatialcore.index.depth_cache import is_cache
from spatialcore.index.store import INDEX_VERSION, SceneIndex, read_json
from spatialcore.types import Source


class _Job(NamedTuple):
    source: Source
    scene: str
    config: IndexConfig
    path: Path
    threads: int
    device: str
    depth_cache: Path | None


class _Outcome(NamedTuple):
    job: _Job
    kind: str  # "scene", "reused" or "skipped"
    seconds: float
    summary: SceneSummary | None = None
    reason: str = ""
    message: str = ""


def build_index(
    sources: Sequence[Source],
    out: str | Path,
    config: IndexConfig | None = None,
    *,
    workers: int = 1,
    threads: int | None = None,
    device: str = "cpu",
    depth_cache: str | Path | None = None,
    on_event: Callable[[IndexEvent], None] | None = None,
) -> IndexReport:
    """Index every scene of the sources.

    Scenes that an earlier run finished with the same configuration and unchanged inputs are
    kept, and so are the scenes of sources that are not named now. A scene that cannot be read is
    skipped, counted and named in index.json; the others are not affected. The files are the same
    for any number of workers and threads, and for any device.

    Args:
        sources: What to index; their keys must differ.
        out: Folder of the index; made when missing.
        config: What the index depends on; the default rules when None.
        workers: Processes; 1 runs in this one.
        threads: Threads for each process; None shares the machine among the workers.
        device: "cpu", or "cuda" or "cuda:N" for visibility, guards and overlaps on a GPU, while
            depth is decoded on the CPU. Workers share the GPU.
        depth_cache: Folder that keeps decoded depth for the next index of these scenes; None keeps
            nothing. It may be deleted at any time.
        on_event: Told about each finished scene, in the order they finish.

    Returns:
        IndexReport; `Index.open(out)` reads the index.

    Raises:
        ValueError: Two sources have one key, `workers` is below 1, or there is no such device name.
        BackendUnavailable: The device cannot be used; nothing has been written.
        SceneIndexError: `out` holds something else, or an index of another configuration; the
            message names the field.
    """
    out, config = Path(out), config or IndexConfig()
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    keys = Counter(source.key for source in sources)
    for key, count in keys.items():
        if count > 1:
            raise ValueError(f"{count} sources have the key {key!r}; give each its own")
    _open(device)
    started = time.perf_counter()
    header = _prepare(out, sources, config)
    per_worker = threads or max(1, _available_threads() // workers)
    cache = None if depth_cache is None else Path(depth_cache)
    if cache is not None:
        claim(cache, "index --depth-cache", known=is_cache)
    jobs = [
        _Job(source, scene, config, out / source.key / scene, per_worker, device, cache)
        for source in sorted(sources, key=lambda s: s.key)
        for scene in source.scene_ids()
    ]
    outcomes: list[_Outcome] = []
    for outcome in _run(jobs, workers):
        outcomes.append(outcome)
        if on_event is not None:
            on_event(_event(outcome, len(outcomes), len(jobs)))
    order = {(job.source.key, job.scene): k for k, job in enumerate(jobs)}
    outcomes.sort(key=lambda o: order[o.job.source.key, o.job.scene])
    return _finish(out, header, outcomes, time.perf_counter() - started)


def _open(device: str) -> Library | None:
    return None if device == "cpu" else open_device(device)


def _available_threads() -> int:
    from spatialcore import _cpu

    return _cpu.available_threads()


def _prepare(out: Path, sources: Sequence[Source], config: IndexConfig) -> dict[str, Any]:
    """Check what is in the folder, and mark it as an unfinished index.

    Returns:
        index.json so far: sources, scenes and skipped scenes of other keys are kept.
    """
    described = {s.key: _described(s) for s in sources}
    kept: dict[str, Any] = {"sources": {}, "scenes": [], "skipped": []}
    path = out / "index.json"
    if path.exists():
        old = read_json(path)
        if old.get("version") != INDEX_VERSION:
            raise SceneIndexError(f"{out}: index version {old.get('version')}, not {INDEX_VERSION}")
        difference = IndexConfig.from_json(old["config"], path).rules.difference(config.rules)
        if difference:
            raise SceneIndexError(f"{out}: was made with another configuration: {difference}")
        for key in described.keys() & old["sources"].keys():
            for name, value in described[key].items():
                was = old["sources"][key][name]
                if was != value:
                    raise SceneIndexError(f"{out}: source {key}: {name} is {was!r}, not {value!r}")
        kept["sources"] = old["sources"]
        for name in ("scenes", "skipped"):
            kept[name] = [s for s in old.get(name, []) if s["source"] not in described]
    elif out.exists() and any(out.iterdir()):
        raise SceneIndexError(f"{out}: not empty, and not an index")
    header = {
        "version": INDEX_VERSION,
        "config": config.to_json(),
        **kept,
        "sources": dict(sorted((kept["sources"] | described).items())),
    }
    write_json(path, header | {"complete": False})
    return header


def _described(source: Source) -> dict[str, Any]:
    """Kind, root and the options that differ from the reader's defaults."""
    import dataclasses

    options = getattr(source, "options", None)
    changed = {}
    if options is not None:
        plain = type(options)()
        for field in dataclasses.fields(options):
            value = getattr(options, field.name)
            if value != getattr(plain, field.name):
                changed[field.name] = list(value) if isinstance(value, tuple) else value
    return {"kind": source.kind, "root": str(source.root), "options": changed}


def _finished(job: _Job) -> SceneSummary | None:
    """The summary of a scene that is already there, complete and not stale."""
    if not (job.path / "scene.json").is_file():
        return None
    try:
        index = SceneIndex.open(job.path)
    except SceneIndexError:
        return None
    if index.meta["config_hash"] != job.config.rules.hash():
        return None
    if index.changed_inputs(job.source.root):
        return None
    return SceneSummary(**index.meta["counts"], reasons=index.reasons)


def _work(job: _Job) -> _Outcome:
    """Index one scene; what is wrong with its files is an outcome, not an exception."""
    started = time.perf_counter()
    try:
        child(job.path.parents[1], job.source.key, job.scene)
    except UnsafeName as error:
        return _Outcome(job, "skipped", 0.0, reason="scene_id", message=str(error))
    done = _finished(job)
    if done is not None:
        return _Outcome(job, "reused", time.perf_counter() - started, done)
    try:
        summary = build_scene(
            job.source, job.scene, job.config, job.path,
            threads=job.threads, device=_open(job.device), depth_cache=job.depth_cache,
        )  # fmt: skip
    except SceneFormatError as error:
        taken = time.perf_counter() - started
        return _Outcome(job, "skipped", taken, reason=error.code, message=str(error))
    return _Outcome(job, "scene", time.perf_counter() - started, summary)


def _run(jobs: Sequence[_Job], workers: int) -> Iterator[_Outcome]:
    if workers == 1 or len(jobs) < 2:
        yield from map(_work, jobs)
        return
    left, started = list(jobs), time.time()
    while left:
        lost: list[_Job] = []
        yield from _run_pool(left, workers, lost)
        # A worker died and took the pool with it: its scenes are tried again one by one, so that
        # the one that kills workers is known and the rest go on.
        for job in lost:
            yield _run_alone(job, started)
        left = left[len(left) - _unstarted(left, lost) :] if lost else []


def _unstarted(jobs: Sequence[_Job], lost: Sequence[_Job]) -> int:
    """Jobs after the last one that was handed out when the pool broke."""
    last = max(jobs.index(job) for job in lost)
    return len(jobs) - last - 1


def _run_pool(jobs: Sequence[_Job], workers: int, lost: list[_Job]) -> Iterator[_Outcome]:
    """Outcomes as they come; jobs in flight when a worker dies are put into `lost`."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=spawn) as pool:
        flight: dict[Future[_Outcome], _Job] = {}
        waiting = iter(jobs)
        exhausted = False
        while flight or not exhausted:
            while not exhausted and not lost and len(flight) < 2 * workers:
                job = next(waiting, None)
                if job is None:
                    exhausted = True
                else:
                    try:
                        flight[pool.submit(_work, job)] = job
                    except BrokenProcessPool:  # it died since its last outcome
                        lost.append(job)
            if not flight:
                return
            done, _ = wait(flight, return_when=FIRST_COMPLETED)
            for future in done:
                job = flight.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    lost.append(job)
                else:
                    yield future.result()


def _run_alone(job: _Job, started: float) -> _Outcome:
    """The outcome of a job that may have been finished when its pool was lost, since `started`."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        try:
            outcome = pool.submit(_work, job).result()
            ours = outcome.kind == "reused" and _written_since(job.path, started)
            return outcome._replace(kind="scene") if ours else outcome
        except BrokenProcessPool:
            message = f"{job.scene}: the process that indexed it died; it may lack memory"
            return _Outcome(job, "skipped", 0.0, reason="worker_died", message=message)


def _written_since(folder: Path, started: float) -> bool:
    return (folder / "scene.json").stat().st_mtime >= started


def _event(outcome: _Outcome, done: int, total: int) -> IndexEvent:
    counts = outcome.summary
    return IndexEvent(
        kind=outcome.kind,
        source=outcome.job.source.key,
        scene=outcome.job.scene,
        done=done,
        total=total,
        seconds=outcome.seconds,
        frame_count=counts.frame_count if counts else 0,
        point_count=counts.point_count if counts else 0,
        pair_count=counts.pair_count if counts else 0,
        reason=outcome.reason,
    )


def _finish(
    out: Path, header: dict[str, Any], outcomes: Sequence[_Outcome], seconds: float
) -> IndexReport:
    """Write index.json as complete and sum up."""

    def named(kind: str) -> tuple[tuple[str, str], ...]:
        return tuple((o.job.source.key, o.job.scene) for o in outcomes if o.kind == kind)

    skipped = tuple(
        SkippedScene(o.job.source.key, o.job.scene, o.reason, o.message)
        for o in outcomes
        if o.kind == "skipped"
    )
    reasons: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.summary is not None:
            reasons.update(outcome.summary.reasons)
    scenes = [
        {"source": o.job.source.key, "scene": o.job.scene}
        for o in outcomes
        if o.summary is not None
    ]
    named_skipped = [s._asdict() for s in skipped]
    finished = {
        "complete": True,
        "scenes": sorted(header["scenes"] + scenes, key=_by_name),
        "skipped": sorted(header["skipped"] + named_skipped, key=_by_name),
    }
    write_json(out / "index.json", header | finished)
    return IndexReport(out, named("scene"), named("reused"), skipped, seconds, dict(reasons))


def _by_name(row: dict[str, Any]) -> tuple[str, str]:
    return row["source"], row["scene"]
