# SPDX-License-Identifier: Apache-2.0
"""What an export was asked for, and its parts: one for each record file of the data set."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from spatial_engine.export.images import ImageMode
from spatial_engine.export.limit import Shares, limited

if TYPE_CHECKING:
    from spatial_engine.dataset.dataset import Dataset

Paths = Literal["absolute", "relative"]


@dataclass(frozen=True)
class Request:
    """What is exported, and how; the same request resumes an export that was cut short.

    Attributes:
        targets: Names of `TARGETS`.
        split: Only this split; None is all, each in files of its own.
        tasks: Globs of task names; () is all.
        images: Whether those without marks are linked, copied, or only named.
        paths: Of images in rows: from the root, for any working folder, or from the export.
        render_marks: Whether marks may be drawn; without it a marked record is an error.
        embed: Whether the images are in the rows of every target.
        limit: Records at most, spread evenly over the tasks; None is all.
        stretch: (source, scene, first, last) frames whose questions are val, of a data set of one
            scene; None is the data set's own splits.
        chains: Whether the assistant thinks first: the record's chain, then its answer.
        circular: Whether choices are asked in all rotations of their options.
    """

    targets: tuple[str, ...]
    split: str | None = None
    tasks: tuple[str, ...] = ()
    images: ImageMode = "link"
    paths: Paths = "absolute"
    render_marks: bool = True
    embed: bool = False
    limit: int | None = None
    stretch: tuple[str, str, int, int] | None = None
    chains: bool = False
    circular: bool = False

    def matches(self, task: str) -> bool:
        """Whether a task is exported."""
        return not self.tasks or any(fnmatchcase(task, glob) for glob in self.tasks)

    def asked(self, dataset: Dataset) -> dict[str, Any]:
        """What decides the rows of every target: it is compared when an export is resumed."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        del plain["targets"]
        for name in ("chains", "circular"):  # as exports of earlier releases were asked for
            if not plain[name]:
                del plain[name]
        if self.limit is not None:  # those of earlier releases took the first records
            plain["limit_over"] = "tasks"
        made = json.dumps(dataset.manifest.to_json(), sort_keys=True)
        return {**plain, "data_set": hashlib.blake2b(made.encode(), digest_size=8).hexdigest()}


class Part(NamedTuple):
    """The records of one file of the data set.

    Attributes:
        number: Number of its shard.
        split: Its split.
        rows: Records that are exported.
        shares: Task -> (records that are exported, records that there are); None is all.
    """

    number: int
    split: str
    rows: int
    shares: Shares | None = None


def parts_of(dataset: Dataset, request: Request) -> list[Part]:
    """The parts that hold something, in order."""
    files = [file.done for file in dataset.shards if request.split in (None, file.done.split)]
    held = [{t: n for t, n in done.tasks.items() if request.matches(t)} for done in files]
    if request.limit is None:
        parts = [
            Part(done.shard, done.split, sum(tasks.values()))
            for done, tasks in zip(files, held, strict=True)
        ]
    else:
        parts = [
            Part(done.shard, done.split, sum(n for n, _ in shares.values()), shares)
            for done, shares in zip(files, limited(held, request.limit), strict=True)
        ]
    return [part for part in parts if part.rows]


class Finished(NamedTuple):
    """What a target is registered by, once all its parts are done.

    Attributes:
        folder: Of the export.
        files: (split, file), in order.
        counts: Records of each file, by its path relative to the target.
        dataset: Folder of the data set.
        request: What was asked for.
    """

    folder: Path
    files: list[tuple[str, Path]]
    counts: Mapping[str, int]
    dataset: Path
    request: Request


@dataclass
class Exported:
    """What an export holds so far.

    Attributes:
        records: Records.
        images: Image files, links aside; known at the end.
        tasks: Records by task.
        sources: Records by source.
        splits: Records by split.
        left_out: Records that show frames on both sides of a held-out stretch.
        unchained: Records whose engine tells no chain, where chains were asked for.
        lost: Parts that are not there, since their workers died twice.
        waiting: Parts that other processes have not finished.
        chains: Whether chains were asked for.
        limit: Records at most, spread evenly over the tasks; None is all.
    """

    records: int = 0
    images: int = 0
    tasks: dict[str, int] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)
    left_out: int = 0
    unchained: int = 0
    lost: list[str] = field(default_factory=list)
    waiting: int = 0
    chains: bool = False
    limit: int | None = None

    def add(self, report: Mapping[str, Any]) -> None:
        """Count a finished part."""
        self.records += report["records"]
        self.left_out += report["left_out"]
        self.unchained += report.get("unchained", 0)
        for name in ("tasks", "sources", "splits"):
            counts = getattr(self, name)
            for key, count in report[name].items():
                counts[key] = counts.get(key, 0) + count


def part_files(folder: Path, target: str) -> Iterator[tuple[str, Path]]:
    """(split, file) of every finished file of a target, in order of split and name."""
    for split in sorted(path for path in (folder / target).iterdir() if path.is_dir()):
        if split.name in ("done", "tasks"):
            continue
        for path in sorted(split.iterdir()):
            if not path.name.startswith("."):
                yield split.name, path
