# SPDX-License-Identifier: Apache-2.0
"""Index all scenes of some sources: on one process or many, resumable, one bad scene apart."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from spatialcore._libraries import Library, open_device
from spatialcore.errors import FolderInUse, SceneFormatError, SceneIndexError, UnsafeName
from spatialcore.files import child, json_text, remove_leftovers, sealed, write_json
from spatialcore.folders import claim, is_passing
from spatialcore.index.build import SceneSummary, build_scene
from spatialcore.index.config import (
    IndexConfig,
    IndexEvent,
    IndexReport,
    SkippedScene,
)
from spatialcore.index.depth_cache import is_cache
from spatialcore.index.parts import PARTS, keep_part, remove_parts
from spatialcore.index.store import INDEX_VERSION, SceneIndex, read_sealed
from spatialcore.locks import locked
from spatialcore.types import Source
from spatialcore.workers import Lost, Workers, run_pieces


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
    workers: int | Workers | None = 1,
    threads: int | None = None,
    device: str = "cpu",
    depth_cache: str | Path | None = None,
    part: tuple[int, int] = (0, 1),
    wait: bool = False,
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
        workers: Processes, or who else does the scenes; 1 is this process.
        threads: Threads for each process; None shares the machine among the workers.
        device: "cpu", or "cuda" or "cuda:N" for visibility, guards and overlaps on a GPU, while
            depth is decoded on the CPU. Workers share the GPU.
        depth_cache: Folder that keeps decoded depth for the next index of these scenes; None keeps
            nothing. It may be deleted at any time.
        part: (i, n): only scenes whose position is i modulo n, side by side with other parts in
            any order; the one that finds all of them done completes the index.
        wait: Wait for whoever writes the index instead of refusing.
        on_event: Told about each finished scene, in the order they finish.

    Returns:
        IndexReport; `Index.open(out)` reads the index, once no part is `waiting`.

    Raises:
        ValueError: Two sources have one key, `workers` is below 1, or there is no such device name.
        BackendUnavailable: The device or Ray cannot be used; nothing has been indexed.
        SceneIndexError: `out` holds an index of another configuration; the message names the field.
        FolderInUse: `out` holds something else, or another process writes the index.
    """
    out, config = Path(out), config or IndexConfig()
    workers = Workers.of(workers)
    keys = Counter(source.key for source in sources)
    for key, count in keys.items():
        if count > 1:
            raise ValueError(f"{count} sources have the key {key!r}; give each its own")
    _open(device)
    if (out / "index.json").exists():
        read_sealed(out / "index.json")  # another's file is refused before anything is written
    else:
        _check_vacant(out)
    run = partial(_index, out, sources, config, workers, threads, device, depth_cache, part)
    with locked(out, "index", shared=part[1] > 1, wait=wait):
        return run(on_event)


def remove_index(out: Path) -> None:
    """Remove an index, to make it afresh.

    Raises:
        SceneIndexError: The folder holds no index of ours; nothing was removed.
        FolderInUse: It holds something else, too; nothing was removed.
    """
    header = read_sealed(out / "index.json")
    if out.is_symlink():
        raise SceneIndexError(f"{out}: is a link; remove it, or choose another -o")
    ours = {"index.json", PARTS, *header["sources"]}
    for name in sorted(path.name for path in out.iterdir()):
        if name not in ours and not is_passing(name):
            raise FolderInUse(out, f"holds {name!r}, which is not of an index", "move it away")
    with locked(out, "index"):
        shutil.rmtree(out)


def _index(
    out: Path,
    sources: Sequence[Source],
    config: IndexConfig,
    workers: Workers,
    threads: int | None,
    device: str,
    depth_cache: str | Path | None,
    part: tuple[int, int],
    on_event: Callable[[IndexEvent], None] | None,
) -> IndexReport:
    """`build_index` in a folder that is locked."""
    started = time.perf_counter()
    with locked(out, "header", wait=True):
        header = _prepare(out, sources, config)
    per_worker = threads or max(1, _available_threads() // workers.workers)
    cache = None if depth_cache is None else Path(depth_cache)
    if cache is not None:
        claim(cache, "index --depth-cache", known=is_cache)
    every = [
        _Job(source, scene, config, out / source.key / scene, per_worker, device, cache)
        for source in sorted(sources, key=lambda s: s.key)
        for scene in source.scene_ids()
    ]
    jobs = every[part[0] :: part[1]]
    outcomes: dict[int, _Outcome] = {}
    results = run_pieces(_work, jobs, workers, lambda job: job.scene)
    with _swept(jobs, cache), closing(results):
        for position, result in results:
            job = jobs[position]
            outcomes[position] = outcome = (
                _Outcome(job, "skipped", 0.0, reason=result.reason, message=str(result))
                if isinstance(result, Lost)
                else result
            )
            if on_event is not None:
                on_event(_event(outcome, len(outcomes), len(jobs)))
    in_order = [outcomes[position] for position in range(len(jobs))]
    seconds = time.perf_counter() - started
    if part[1] == 1:
        remove_parts(out)
        return _finish(out, header, in_order, seconds)
    with locked(out, "header", wait=True):
        mine = [_told(outcome) for outcome in in_order]
        parts = keep_part(out, part, _asked(header, every), mine)
        report = _report(out, in_order, seconds)
        if len(parts) < part[1]:
            return replace(report, waiting=part[1] - len(parts))
        _complete(out, header, [row for rows in parts for row in rows])
        remove_parts(out)
    return report


@contextmanager
def _swept(jobs: Sequence[_Job], cache: Path | None) -> Iterator[None]:
    """Afterwards, what killed workers and runs left half written is removed."""
    try:
        yield
    finally:
        folders = {folder for job in jobs for folder in (job.path, job.path.parent)}
        for folder in sorted(folders if cache is None else folders | {cache}):
            remove_leftovers(folder)


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
    path, complete = out / "index.json", False
    if path.exists():
        old = read_sealed(path)
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
        kept["sources"], complete = old["sources"], bool(old.get("complete"))
        for name in ("scenes", "skipped"):
            kept[name] = [s for s in old.get(name, []) if s["source"] not in described]
    else:
        _check_vacant(out)
    header = {
        "version": INDEX_VERSION,
        "config": config.to_json(),
        **kept,
        "sources": dict(sorted((kept["sources"] | described).items())),
    }
    # One that is complete stays so: each scene is replaced whole, and others may be reading it.
    if not complete:
        write_json(path, sealed(header | {"complete": False}))
    return header


def _check_vacant(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise FolderInUse(out, "is a file", "choose another folder")
    names = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    foreign = [name for name in names if not is_passing(name)]
    # What another process has begun meanwhile is compared under the lock.
    if foreign and "index.json" not in names:
        raise FolderInUse(
            out, f"is not empty, and no index: it holds {foreign[0]!r}",
            "nothing was removed; choose another folder",
        )  # fmt: skip


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
        index.check()
    except SceneIndexError:
        return None
    if index.meta["config_hash"] != job.config.rules.hash():
        return None
    if index.changed_inputs(job.source.root):
        return None
    notes = tuple(index.meta["notes"])
    return SceneSummary(**index.meta["counts"], reasons=index.reasons, notes=notes)


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
    _complete(out, header, [_told(outcome) for outcome in outcomes])
    return _report(out, outcomes, seconds)


def _told(outcome: _Outcome) -> dict[str, str]:
    """A scene's row of index.json: without a reason it is there."""
    row = {"source": outcome.job.source.key, "scene": outcome.job.scene}
    if outcome.kind != "skipped":
        return row
    return row | {"reason": outcome.reason, "message": outcome.message}


def _asked(header: Mapping[str, Any], jobs: Sequence[_Job]) -> str:
    """What parts of one index have in common, as a hash."""
    names = [f"{job.source.key}/{job.scene}" for job in jobs]
    text = json_text({"config": header["config"], "sources": header["sources"], "scenes": names})
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _complete(out: Path, header: Mapping[str, Any], rows: Sequence[Mapping[str, str]]) -> None:
    """Write index.json as complete."""
    finished = {
        "complete": True,
        "scenes": sorted(header["scenes"] + [r for r in rows if "reason" not in r], key=_by_name),
        "skipped": sorted(header["skipped"] + [r for r in rows if "reason" in r], key=_by_name),
    }
    write_json(out / "index.json", sealed({**header, **finished}))


def _report(out: Path, outcomes: Sequence[_Outcome], seconds: float) -> IndexReport:
    """What this run did."""

    def named(kind: str) -> tuple[tuple[str, str], ...]:
        return tuple((o.job.source.key, o.job.scene) for o in outcomes if o.kind == kind)

    skipped = tuple(
        SkippedScene(o.job.source.key, o.job.scene, o.reason, o.message)
        for o in outcomes
        if o.kind == "skipped"
    )
    reasons: Counter[str] = Counter()
    notes: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.summary is not None:
            reasons.update(outcome.summary.reasons)
            for note in outcome.summary.notes:
                notes.setdefault(note, []).append(f"{outcome.job.source.key}/{outcome.job.scene}")
    return IndexReport(out, named("scene"), named("reused"), skipped, seconds, dict(reasons), notes)


def _by_name(row: dict[str, Any]) -> tuple[str, str]:
    return row["source"], row["scene"]
