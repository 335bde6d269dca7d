# SPDX-License-Identifier: Apache-2.0
"""Two data sets as one: ids checked, shards copied and renumbered, manifests merged."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from spatial_engine.dataset.dataset import Dataset
from spatial_engine.dataset.ids import id_keys, repeated_ids
from spatial_engine.dataset.make import summary_of
from spatial_engine.dataset.manifest import (
    MANIFEST_NAME,
    SUMMARY_NAME,
    Manifest,
    ShardDone,
    Summary,
    done_path,
    shard_path,
)
from spatialcore.errors import RecordError
from spatialcore.files import content_hash, write_json
from spatialcore.folders import check_free, whole_folder

_EQUAL = ("version", "record_version", "recipe")


def merge(folders: Sequence[str | Path], out: str | Path) -> Summary:
    """Merge finished data sets into a new one; the files of the shards are copied as they are.

    Ids are compared as 8-byte hashes, and as text where two of these are equal.

    Args:
        folders: At least two data sets, all shards done.
        out: Folder of the result; it must not exist, or be empty. It appears when all is written.

    Returns:
        The summary of the merged data set.

    Raises:
        MissingInput: A folder is no data set.
        ValueError: Fewer than two folders, or another recipe, schema or wording.
        FolderInUse: `out` holds something.
        RecordError: A shard is missing, or two records have one id.
    """
    final = Path(out).resolve()
    if len(folders) < 2:
        raise ValueError(f"merge needs at least two data sets, got {len(folders)}")
    check_free(final)
    inputs = [Dataset.open(folder) for folder in folders]
    manifest = _merged_manifest([one.manifest for one in inputs])
    with whole_folder(final) as work:
        summary = _copy(inputs, work)
        write_json(work / MANIFEST_NAME, manifest.to_json())
        write_json(work / SUMMARY_NAME, summary.to_json())
    return summary


def _merged_manifest(manifests: Sequence[Manifest]) -> Manifest:
    first = manifests[0]
    sources = dict(first.sources)
    for other in manifests[1:]:
        for name in _EQUAL:
            if getattr(other, name) != getattr(first, name):
                raise ValueError(f"the data sets differ in {name}; only equal ones can be merged")
        if other.tasks == first.tasks and other.wording != first.wording:
            raise ValueError("the data sets differ in wording; only equal ones can be merged")
        for key, entry in other.sources.items():
            known = sources.setdefault(key, entry)
            if any(getattr(known, n) != getattr(entry, n) for n in ("kind", "root", "options")):
                raise ValueError(f"source {key!r} is another one in the data sets")
            scenes = {**known.scenes, **entry.scenes}
            sources[key] = dataclasses.replace(known, scenes=scenes)
    return dataclasses.replace(
        first,
        sources=sources,
        wording=_joined(manifest.wording for manifest in manifests),
        tasks=tuple(dict.fromkeys(task for manifest in manifests for task in manifest.tasks)),
        plan_hash=_joined(manifest.plan_hash for manifest in manifests),
        shards=sum(manifest.shards for manifest in manifests),
        rows=sum(manifest.rows for manifest in manifests),
        imported=None,  # the parts say it of themselves
        merged=tuple(part for manifest in manifests for part in manifest.parts),
    )


def _joined(hashes: Iterable[str]) -> str:
    """One hash that stands for several: the hash itself when they are equal."""
    found = list(dict.fromkeys(hashes))
    if len(found) == 1:
        return found[0]
    return hashlib.blake2b(",".join(found).encode(), digest_size=16).hexdigest()


def _copy(inputs: Sequence[Dataset], work: Path) -> Summary:
    """Copy every shard under its new number; a copy that is not what was written is an error."""
    paths: list[Path] = []
    reports: list[ShardDone] = []
    for one in inputs:
        missing = one.manifest.shards - len(one.shards)
        if missing:
            raise RecordError(
                f"{one.path}: {missing} of {one.manifest.shards} shards are not finished; "
                "run the same generate again"
            )
        for path, done in one.shards:
            report = dataclasses.replace(done, shard=len(reports))
            target = shard_path(work, report.split, report.shard)
            for parent in (target.parent, done_path(work, report.shard).parent):
                parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            if content_hash(target) != done.hash:
                raise RecordError(f"{path}: not the file that was written; run generate again")
            write_json(done_path(work, report.shard), report.to_json())
            paths.append(path)
            reports.append(report)
    repeated = repeated_ids(paths, [id_keys(path) for path in paths])
    if repeated:
        folders = " and ".join(str(one.path) for one in inputs)
        raise RecordError(f"{folders}: id {repeated[0]} is in two records")
    return summary_of(reports)
