# SPDX-License-Identifier: Apache-2.0
"""Verification: every record is made a second time from its source, and compared field by field.

Files first (hash, schema, every column), then inputs, then answers. The second making goes through
the float64 reference: from the source and the recipe of the manifest, without the files of the
index, whose hashes alone are compared. docs/contracts.md, section 8, says what both share.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from spatial_engine.check.chains import Chains, chain_files
from spatial_engine.check.files import SHOWN, check_files, sampled
from spatial_engine.check.scenes import keep_scenes, kept_scene
from spatial_engine.dataset.compose import compose_all
from spatial_engine.dataset.dataset import Dataset
from spatial_engine.dataset.manifest import Manifest
from spatial_engine.engines import engine_of
from spatial_engine.engines.base import Facts, Named
from spatial_engine.engines.budgets import with_budgets
from spatial_engine.engines.candidates import Row
from spatial_engine.plan.open import index_hash, open_index
from spatial_engine.records.partial import read_ids, read_rows
from spatial_engine.records.place import Place
from spatial_engine.records.record import COLUMNS, QARecord, check_record, read_records
from spatial_engine.records.wording import wording_hash
from spatial_engine.reference.scene import ReferenceScene
from spatialcore.errors import BackendUnavailable
from spatialcore.workers import Lost, Workers, run_pieces

SAMPLE_ROWS = 100_000
LEAST_OPEN = 0.01
"""Share of an object's points in an image below which other surfaces hide it. In rooms that the
margin was set on a hidden object has 0 and one that a record may name 0.023 at least."""
_RELATIVE, _ABSOLUTE = 1e-7, 1e-7  # evidence is compared as numbers: micrometres, 1e-7 degrees
_TEXT_FIELDS = ("question", "answer", "messages", "templates")


class Mismatch(NamedTuple):
    """One field that does not follow from the source."""

    id: str
    field: str
    stored: str
    recomputed: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was checked.

    Attributes:
        total: Records of the data set.
        checked: Records that were made again.
        mismatch_count: Fields that differ.
        mismatches: The first ones.
        problems: Damaged files, changed inputs, repeated ids: found before any row is checked.
        wording_changed: Whether the templates differ from those of the data set; texts were then
            parsed, not compared.
        unchecked: Shards that were not checked, since their workers died twice.
        dropped: Records of the plan that were never made, and why.
        imported: Records that were imported: nothing of their answers can be derived.
        chains: Chains of an export that were held against their records.
    """

    total: int
    checked: int
    mismatch_count: int
    mismatches: tuple[Mismatch, ...]
    problems: tuple[str, ...] = ()
    wording_changed: bool = False
    unchecked: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    imported: int = 0
    chains: int = 0

    @property
    def ok(self) -> bool:
        """Whether everything was checked, and agreed."""
        return not self.failed and not self.unchecked and not self.imported

    @property
    def failed(self) -> bool:
        """Whether anything was found that is not as it was made."""
        return bool(self.problems or self.mismatch_count)


@dataclass(frozen=True, slots=True)
class _Job:
    """One shard and the numbers of its rows to check; None is all."""

    manifest: Manifest
    path: Path
    rows: frozenset[int] | None
    roots: Mapping[str, Path]
    compare_text: bool
    chains: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Part:
    """One run of `generate`: the whole data set, or what a merge took from one of several."""

    manifest: Manifest
    roots: Mapping[str, Path]
    index: Path
    compare_text: bool


def _parts(dataset: Dataset) -> list[_Part]:
    """The part of each shard: merged data sets keep their own seeds, indexes and wordings."""
    found: list[_Part] = []
    for one in dataset.manifest.parts:
        part = _Part(
            one, dataset.roots_of(one), dataset.index_of(one),
            one.imported is not None
            or wording_hash(engine_of(task).templates for task in one.tasks) == one.wording,
        )  # fmt: skip
        found += [part] * one.shards
    return found


def verify(
    out: str | Path,
    *,
    sample: int | None = None,
    everything: bool = False,
    workers: int | Workers | None = None,
    shard: tuple[int, int] = (0, 1),
    fail_fast: bool = False,
    roots: Mapping[str, Path] | None = None,
    chains: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> VerifyReport:
    """Check a data set against its sources.

    Args:
        out: The data set.
        sample: Check this many rows, the same ones every time; None is all up to 100,000 rows.
        everything: Check all rows, however many.
        workers: Processes, or who else checks the shards; None is one for each processor.
        shard: (i, n): only shards whose number is i modulo n.
        fail_fast: Stop at the first shard with a mismatch.
        roots: Source key -> folder, where sources have moved.
        chains: An export with chains of these records: every number of them is made again.
        on_progress: Called with (shards done, shards in all).

    Raises:
        MissingInput: There is no data set, or no export with rows.
        RecordError: Its manifest is damaged.
    """
    keep_scenes(0)  # a source may have changed since an earlier call
    workers = Workers.of(workers)
    dataset = Dataset.open(out, roots=roots)
    numbers = list(range(shard[0], dataset.manifest.shards, shard[1]))
    limit = None if everything else sample or SAMPLE_ROWS
    paths, problems, keys = check_files(
        dataset.path, numbers, every_column=limit is None or dataset.manifest.rows <= limit
    )
    total = sum(map(len, keys))
    parts = _parts(dataset)
    for part in {id(part): part for part in parts if part.manifest.imported is None}.values():
        problems += _check_inputs(part.manifest, part.index, part.roots)
    foreign = [parts[number].manifest.imported is not None for number in numbers]
    if problems:
        return VerifyReport(total, 0, 0, (), tuple(problems))
    imported = sum(len(ids) for ids, alien in zip(keys, foreign, strict=True) if alien)
    mine = [n for n, alien in enumerate(foreign) if not alien]
    numbers, paths, keys = (
        [numbers[n] for n in mine],
        [paths[n] for n in mine],
        [keys[n] for n in mine],
    )
    chosen = sampled(keys, limit)
    told = chain_files(chains, numbers) if chains else {}
    jobs = [
        _Job(parts[n].manifest, path, rows, parts[n].roots, parts[n].compare_text,
             tuple(told.get(n, ())))
        for n, path, rows in zip(numbers, paths, chosen, strict=True)
        if rows is None or rows
    ]  # fmt: skip
    checked = count = thoughts = 0
    mismatches: list[Mismatch] = []
    lost: list[str] = []
    with closing(run_pieces(_check_shard, jobs, workers, lambda job: job.path.name)) as results:
        for done, (_, result) in enumerate(results, 1):
            if on_progress is not None:
                on_progress(done, len(jobs))
            if isinstance(result, Lost):
                lost.append(str(result))
                continue
            rows, bad, chained = result
            checked += rows
            thoughts += chained
            count += len(bad)
            mismatches += bad[: SHOWN - len(mismatches)]
            if bad and fail_fast:
                break
    changed = not all(part.compare_text for part in parts)
    return VerifyReport(
        total, checked, count, tuple(mismatches), (), changed, tuple(sorted(lost)),
        tuple(map(str, dataset.dropped)), imported, thoughts,
    )  # fmt: skip


def _check_inputs(manifest: Manifest, index_path: Path, roots: Mapping[str, Path]) -> list[str]:
    """What has changed since the data set was made."""
    problems = []
    index = open_index(index_path)
    for key, source in manifest.sources.items():
        for scene_id, mark in source.scenes.items():
            scene = index.open_scene(key, scene_id)
            if index_hash(scene) != mark:
                problems.append(f"index_changed: {key}/{scene_id} was indexed again")
            problems += [
                f"source_changed: {key}/{scene_id}: {name}"
                for name in scene.changed_inputs(roots[key])
            ]
    return problems


def _check_shard(job: _Job) -> tuple[int, list[Mismatch], int]:
    if job.rows is None:
        records = list(read_records(job.path, columns_only=True))
    else:
        records = list(read_rows(job.path, job.rows))
    records.sort(key=lambda r: (r.source, r.scene, sorted(r.frames)))
    chains = Chains(job.chains)
    strangers = chains.strangers(read_ids(job.path)) if job.chains else []
    out = [Mismatch(k, "chain", "told", f"no record of {job.path.name}") for k in strangers]
    for (source, scene), rows in groupby(records, key=lambda r: (r.source, r.scene)):
        out += _check_scene(job, source, scene, list(rows), chains)
    return len(records), out, chains.checked


def _check_scene(
    job: _Job, source: str, scene: str, records: list[QARecord], chains: Chains
) -> list[Mismatch]:
    entry = job.manifest.sources.get(source)
    if entry is None or scene not in entry.scenes:
        return [
            Mismatch(r.id, "scene", f"{source}/{scene}", "not in the manifest") for r in records
        ]
    out: list[Mismatch] = []
    for split in sorted({record.split for record in records}):
        mine = [record for record in records if record.split == split]
        try:
            reference = kept_scene(job.manifest, job.roots, source, scene, split)
        except Exception as error:
            out += [_refused(record, error) for record in mine]
            continue
        out += check_records(reference, mine, compare_text=job.compare_text, chains=chains)
    return out


def check_against(
    reference: ReferenceScene, record: QARecord, *, compare_text: bool = True
) -> list[Mismatch]:
    """`check_records` of one record."""
    return check_records(reference, [record], compare_text=compare_text)


def check_records(
    reference: ReferenceScene,
    records: Sequence[QARecord],
    *,
    compare_text: bool = True,
    chains: Chains | None = None,
) -> list[Mismatch]:
    """Make records of one scene again from their source and compare every field.

    Args:
        reference: The records' scene.
        records: What is stored.
        compare_text: Whether the templates are those of the data set.
        chains: What an export tells of them.

    Returns:
        The fields that differ; a guard that a record breaks is the field "guard", and a record
        that cannot be made again is the field "record".
    """
    out: list[Mismatch] = []
    made: dict[str, list[_Made]] = {}
    for record in records:
        try:
            check_record(record)
            row = Row(record.frames, tuple(int(i) for i in record.facts["items"]))
            engine = engine_of(record.task)
            facts, broken = engine.recompute(reference, row)
            facts = with_budgets(engine, reference, [row], [facts])[0]
            broken = broken or hidden_object(reference, engine.named(reference, row))
        except Exception as error:
            out.append(_refused(record, error))
            continue
        made.setdefault(record.task, []).append(_Made(record, row, facts))
        out += [Mismatch(record.id, "guard", "asked", broken)] if broken else []
    for same_task in made.values():
        out += _compare(reference.place, same_task, compare_text, chains or Chains())
    return out


def hidden_object(reference: ReferenceScene, named: Sequence[Named]) -> str:
    """The guard that an object which other surfaces hide in all its frames breaks, or "".

    Where the rules take objects by their visible vertices, as published, nothing is asked.
    """
    if reference.rules.objects == "visible":
        return ""
    for object_id, frames in named:
        if all(reference.open_share(frame, object_id) < LEAST_OPEN for frame in frames):
            return f"object_hidden: {object_id}"
    return ""


class _Made(NamedTuple):
    """A stored record, and its facts made again."""

    record: QARecord
    row: Row
    facts: Facts


def _refused(record: QARecord, error: Exception) -> Mismatch:
    """A record that cannot be made again; raises what is no fault of the record's."""
    if isinstance(error, OSError | MemoryError | BackendUnavailable):
        raise error
    return Mismatch(record.id, "record", record.answer, f"{type(error).__name__}: {error}")


def _compare(
    place: Place, made: Sequence[_Made], compare_text: bool, chains: Chains
) -> list[Mismatch]:
    """Compose the facts of one task's records, all at once, and compare."""
    engine = engine_of(made[0].record.task)
    try:
        again = compose_all(engine, place, [m.row for m in made], [m.facts for m in made])
    except Exception as error:
        if len(made) == 1:
            return [_refused(made[0].record, error)]
        # One that cannot be composed must not hide the others.
        return [found for one in made for found in _compare(place, [one], compare_text, chains)]
    out: list[Mismatch] = []
    for one, recomputed in zip(made, again, strict=True):
        out += _fields_that_differ(one.record, recomputed, compare_text)
        out += [Mismatch(one.record.id, "chain", *both) for both in chains.faults(recomputed)]
    return out


def _fields_that_differ(
    record: QARecord, again: QARecord, compare_text: bool
) -> Iterator[Mismatch]:
    for name in COLUMNS:
        stored, recomputed = getattr(record, name), getattr(again, name)
        if stored == recomputed or (name in _TEXT_FIELDS and not compare_text):
            continue
        if name != "evidence":
            yield Mismatch(record.id, name, str(stored), str(recomputed))
            continue
        for path, a, b in _differences(record.facts, json.loads(recomputed)):
            yield Mismatch(record.id, f"evidence.{path}", str(a), str(b))


def _differences(a: Any, b: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Places where two JSON values differ by more than rounding."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        for name in a:
            yield from _differences(a[name], b[name], f"{path}.{name}" if path else name)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for k, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _differences(x, y, f"{path}[{k}]")
    elif isinstance(a, float) and isinstance(b, (int, float)) and not isinstance(b, bool):
        if not math.isclose(a, b, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE):
            yield path, a, b
    elif a != b or type(a) is not type(b):
        yield path, a, b
