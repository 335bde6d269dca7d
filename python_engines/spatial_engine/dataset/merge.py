# SPDX-License-Identifier: Apache-2.0
"""Two data sets as one: ids checked, shards copied and renumbered, manifests merged."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from spatial_engine.check.files import id_keys, repeated_ids
from spatial_engine.check.verify import load_manifest
from spatial_engine.dataset.make import done_path, shard_path, write_json
from spatialcore.errors import RecordError

_EQUAL = ("version", "record_version", "recipe")


def merge(folders: Sequence[str | Path], out: str | Path) -> dict[str, Any]:
    """Merge finished data sets into a new one; the files of the shards are copied as they are.

    Ids are compared as 8-byte hashes, and as text where two of these are equal.

    Args:
        folders: At least two data sets, all shards done.
        out: Folder of the result; it must not exist, or be empty. It appears when all is written.

    Returns:
        The summary of the merged data set.

    Raises:
        ValueError: Fewer than two folders, a folder in use, or another recipe, schema or wording.
        RecordError: A shard is missing, or two records have one id.
    """
    inputs, final = [Path(folder).resolve() for folder in folders], Path(out).resolve()
    if len(inputs) < 2:
        raise ValueError(f"merge needs at least two data sets, got {len(inputs)}")
    if final.exists() and (not final.is_dir() or any(final.iterdir())):
        raise ValueError(f"{final} is not empty; choose another folder")
    manifests = [load_manifest(folder) for folder in inputs]
    manifest = _merged_manifest(manifests)
    final.parent.mkdir(parents=True, exist_ok=True)
    work = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    work.mkdir()
    try:
        summary = _copy(inputs, manifests, work)
        write_json(work / "manifest.json", manifest)
        write_json(work / "summary.json", summary)
        if final.exists():
            final.rmdir()
        work.rename(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return summary


def _merged_manifest(manifests: Sequence[dict[str, Any]]) -> dict[str, Any]:
    first = manifests[0]
    sources = {key: {**entry} for key, entry in first["sources"].items()}
    for other in manifests[1:]:
        for name in _EQUAL:
            if other[name] != first[name]:
                raise ValueError(f"the data sets differ in {name}; only equal ones can be merged")
        if other["tasks"] == first["tasks"] and other["wording"] != first["wording"]:
            raise ValueError("the data sets differ in wording; only equal ones can be merged")
        for key, entry in other["sources"].items():
            known = sources.setdefault(key, {**entry})
            if any(known[n] != entry[n] for n in ("kind", "root", "options")):
                raise ValueError(f"source {key!r} is another one in the data sets")
            known["scenes"] = {**known["scenes"], **entry["scenes"]}
    tasks = dict.fromkeys(task for manifest in manifests for task in manifest["tasks"])
    return {
        **first,
        "sources": sources,
        "wording": _joined(manifest["wording"] for manifest in manifests),
        "tasks": list(tasks),
        "plan_hash": _joined(manifest["plan_hash"] for manifest in manifests),
        "shards": sum(manifest["shards"] for manifest in manifests),
        "rows": sum(manifest["rows"] for manifest in manifests),
        "merged": [part for one in manifests for part in one.get("merged", [one])],
    }


def _joined(hashes: Iterable[str]) -> str:
    """One hash that stands for several: the hash itself when they are equal."""
    found = list(dict.fromkeys(hashes))
    if len(found) == 1:
        return found[0]
    return hashlib.blake2b(",".join(found).encode(), digest_size=16).hexdigest()


def _copy(
    inputs: Sequence[Path], manifests: Sequence[dict[str, Any]], work: Path
) -> dict[str, Any]:
    paths: list[Path] = []
    tasks: Counter[str] = Counter()
    splits: Counter[str] = Counter()
    number = size = 0
    for folder, manifest in zip(inputs, manifests, strict=True):
        for old in range(manifest["shards"]):
            report = _done(folder, old)
            path = shard_path(folder, report["split"], old)
            paths.append(path)
            target = shard_path(work, report["split"], number)
            for parent in (target.parent, done_path(work, number).parent):
                parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            write_json(done_path(work, number), {**report, "shard": number})
            tasks.update(report["tasks"])
            splits[report["split"]] += report["rows"]
            size += report["bytes"]
            number += 1
    repeated = repeated_ids(paths, [id_keys(path) for path in paths])
    if repeated:
        raise RecordError(f"id {repeated[0]} is in two records")
    return {"rows": sum(splits.values()), "bytes": size, "shards": number,
            "splits": dict(splits), "tasks": dict(tasks)}  # fmt: skip


def _done(folder: Path, number: int) -> dict[str, Any]:
    path = done_path(folder, number)
    if not path.exists():
        raise RecordError(f"{folder}: shard {number} is not finished; run generate again")
    return dict(json.loads(path.read_text(encoding="utf-8")))
