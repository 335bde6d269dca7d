# SPDX-License-Identifier: Apache-2.0
"""How far a data set is: what is done, what is missing, how fast it goes, and what comes next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spatial_engine.dataset.manifest import (
    MANIFEST_NAME,
    Manifest,
    ShardDone,
    done_path,
    read_done,
    read_manifest,
    read_summary,
)
from spatialcore.errors import MissingInput
from spatialcore.locks import is_held

RECENT_S = 3600.0  # how far back finished shards tell the rate
_LEAST_S = 1.0


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a data set's folder.

    Attributes:
        stage: "index", "plan", "generate" or "done": what is being made, or is to be made.
        rows: Records that are made.
        planned: Records that there will be.
        shards: Record files that are made.
        planned_shards: Record files that there will be.
        splits: Split -> records that are made.
        missing: Numbers of the shards that are missing, as ranges.
        running: Whether a process is at work.
        rows_a_minute: Over the shards of the last hour; None where fewer than two tell.
        seconds_left: At that rate.
        scenes: Scenes that are indexed, while the index is not complete.
        counted: Scenes that are counted, while the plan is not made.
        exports: Target -> parts that are made, of those that there will be.
        next: The command that goes on.
    """

    stage: str
    rows: int = 0
    planned: int = 0
    shards: int = 0
    planned_shards: int = 0
    splits: dict[str, int] | None = None
    missing: tuple[str, ...] = ()
    running: bool = False
    rows_a_minute: float | None = None
    seconds_left: float | None = None
    scenes: int | None = None
    counted: int | None = None
    exports: dict[str, tuple[int, int]] | None = None
    next: str = ""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def dataset_status(out: Path) -> Status:
    """Look at the folder of a data set, finished or not; nothing is written.

    Raises:
        MissingInput: There is neither a data set nor the beginning of one.
        RecordError: The manifest, or the mark of a shard, is damaged.
    """
    if (out / MANIFEST_NAME).exists():
        return _of_manifest(out, read_manifest(out))
    if not any((out / name).is_dir() for name in ("index", "plan")):
        raise MissingInput(
            f"no data set at {out}: `spatialcore generate SOURCE -o {out}` makes one"
        )
    again = f"spatialcore generate SOURCE -o {out}    (the same command as before)"
    if not (out / "plan" / "plan.json").exists():
        counted = len(list((out / "plan" / "counted").glob("*/*.counted.json")))
        scenes = len(list((out / "index").glob("*/*/scene.json")))
        running = any(is_held(out, name) for name in ("prepare", "run")) or any(
            is_held(out / name, lock) for name, lock in (("index", "index"), ("plan", "plan"))
        )
        stage = "plan" if counted else "index"
        return Status(stage, running=running, scenes=scenes, counted=counted, next=again)
    return Status("generate", running=is_held(out, "prepare"), next=again)


def _of_manifest(out: Path, manifest: Manifest) -> Status:
    done: list[ShardDone] = []
    missing = []
    for number in range(manifest.shards):
        found = read_done(out, number)
        if found is None:
            missing.append(number)
        else:
            done.append(found)
    rows = sum(shard.rows for shard in done)
    splits: dict[str, int] = {}
    for shard in done:
        splits[shard.split] = splits.get(shard.split, 0) + shard.rows
    rate = _rate(out, done)
    left = manifest.rows - rows
    # What an engine dropped is not to come.
    finished = not missing and read_summary(out) is not None
    return Status(
        stage="done" if finished else "generate",
        rows=rows,
        planned=manifest.rows,
        shards=len(done),
        planned_shards=manifest.shards,
        splits=dict(sorted(splits.items())),
        missing=tuple(ranges(missing)),
        running=is_held(out, "run"),
        rows_a_minute=None if rate is None else round(60 * rate, 1),
        seconds_left=None if rate is None or finished else round(left / rate, 1),
        exports=_exports(out, manifest.shards),
        next=_next(out, finished=finished),
    )


def _next(out: Path, *, finished: bool) -> str:
    if finished:
        return f"spatialcore verify {out} && spatialcore report {out}"
    plan = out / "plan"
    source = plan if (plan / "plan.json").exists() else "PLAN"
    return f"spatialcore generate {source} -o {out}"


def _rate(out: Path, done: Iterable[ShardDone]) -> float | None:
    """Records a second, by when the shards of the last hour of work were marked as done."""
    ends = sorted((done_path(out, shard.shard).stat().st_mtime, shard.rows) for shard in done)
    if len(ends) < 2:
        return None
    last = ends[-1][0]
    recent = [(end, rows) for end, rows in ends if end >= last - RECENT_S]
    span = recent[-1][0] - recent[0][0]
    if len(recent) < 2 or span < _LEAST_S:
        return None
    return sum(rows for _, rows in recent[1:]) / span


def _exports(out: Path, shards: int) -> dict[str, tuple[int, int]]:
    return {
        path.parent.name: (len(list((path.parent / "done").glob("[0-9]*.json"))), shards)
        for path in sorted(out.glob("*/export.json"))
    }


def ranges(numbers: Iterable[int]) -> Iterator[str]:
    """Ascending numbers as ranges.

    Example:
        >>> list(ranges([0, 2, 3, 4, 9]))
        ['0', '2-4', '9']
    """
    start = last = None
    for number in numbers:
        if last is not None and number == last + 1:
            last = number
            continue
        if start is not None:
            yield str(start) if start == last else f"{start}-{last}"
        start = last = number
    if start is not None:
        yield str(start) if start == last else f"{start}-{last}"
