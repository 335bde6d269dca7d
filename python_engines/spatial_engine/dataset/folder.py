# SPDX-License-Identifier: Apache-2.0
"""The folder of a data set: what in it is ours, and what may be cleared to start afresh."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spatial_engine.dataset.manifest import read_manifest
from spatialcore.errors import FolderInUse
from spatialcore.folders import MARK, has_mark, is_passing, remove_files, set_mark

# What `generate SRC` itself puts into OUT before it has a manifest.
_OWN = ("index", "plan", "data", "shards", MARK)
_OUR_NAME = re.compile(
    r"(manifest|summary|stress)\.json|(pruned|bias)\.jsonl|log-\d+of\d+-\d+\.jsonl|shards/\d{5,}\.json"
    r"|data/[^/]+/part-\d{5,}\.parquet"
)
# Keys that a manifest, or the mark of a done shard, of ours holds.
_OUR_KEYS = (
    frozenset({"record_version", "plan_hash", "wording", "shards", "sources"}),
    frozenset({"shard", "split", "rows", "hash", "tasks"}),
)


def check_folder(out: Path, *, overwrite: bool = False) -> None:
    """See that OUT holds no files but those of a data set: to be known before long work.

    Args:
        out: The folder.
        overwrite: Whether a damaged manifest may be replaced, where the folder's mark is ours.

    Raises:
        FolderInUse: It does.
        RecordError: The manifest that it holds is damaged, or of something else.
    """
    if out.exists() and not out.is_dir():
        raise FolderInUse(out, "is a file", "choose another -o")
    if (out / "manifest.json").exists():
        if not (overwrite and has_mark(out, "generate")):
            read_manifest(out)
        return
    if not out.is_dir() or has_mark(out, "generate"):
        return
    names = sorted(path.name for path in out.iterdir())
    foreign = [name for name in names if name not in _OWN and not is_passing(name)]
    if foreign:
        raise FolderInUse(
            out, f"is not empty, and no data set: it holds {foreign[0]}",
            "nothing was removed; choose another -o",
        )  # fmt: skip


def holds_shards(out: Path) -> bool:
    """Whether a shard is marked as done."""
    return any(_done_files(out))


def _done_files(out: Path) -> Iterator[Path]:
    return (p for p in (out / "shards").glob("*.json") if _OUR_NAME.fullmatch(f"shards/{p.name}"))


def _json_object(path: Path) -> dict[str, Any]:
    """The object in a file, {} where there is none: what is no JSON of ours marks nothing."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def clear(out: Path) -> None:
    """Remove what an earlier run wrote; the index stays, since it is checked by itself.

    Only files of our own names go, and only where a manifest or a done file is one of ours.
    """
    marks = [_json_object(path) for path in (out / "manifest.json", *_done_files(out))]
    ours = any(mark.keys() >= own for mark in marks for own in _OUR_KEYS)
    if not ours and not has_mark(out, "generate"):
        raise FolderInUse(
            out, "has a manifest.json that `spatialcore generate` did not write",
            "nothing was removed; choose another -o",
        )  # fmt: skip
    patterns = ("manifest.json", "summary.json", "stress.json", "*.jsonl", "shards/[0-9]*.json",
                "data/*/part-[0-9]*.parquet")  # fmt: skip
    set_mark(out, "generate")  # what else lies here, a gallery say, stays and is no stranger's
    found = [path for name in patterns for path in out.glob(name) if not path.parent.is_symlink()]
    names = [path.relative_to(out).as_posix() for path in found]
    remove_files(out, [name for name in names if _OUR_NAME.fullmatch(name)])
