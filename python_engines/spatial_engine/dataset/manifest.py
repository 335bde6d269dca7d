# SPDX-License-Identifier: Apache-2.0
"""What the JSON files of a data set hold, and where its files lie; each is decoded strictly.

`manifest.json` says what decides the bytes, `shards/<n>.json` that a shard is done and what its
file is, `summary.json` what the whole holds.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from msgspec import Meta

from spatial_engine.recipe import Recipe
from spatial_engine.records.record import SCHEMA_VERSION
from spatialcore.errors import MissingInput, RecordError, SettingsError
from spatialcore.files import plain_name
from spatialcore.settings import Name, decode, read_json

T = TypeVar("T")

MANIFEST_VERSION = 1
MANIFEST_NAME, SUMMARY_NAME = "manifest.json", "summary.json"
IMPORTED_KIND = "imported"
"""Kind of a source that no reader opens: the pictures of imported records."""
Split = Literal["train", "val"]
Whole = Annotated[int, Meta(ge=0)]
Seed = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """A source as it was read.

    Attributes:
        kind: Name of its reader.
        root: Its folder.
        options: How it was read, fields of `ReadOptions`.
        scenes: Scene id -> hash of its index.
    """

    kind: Name
    root: Annotated[str, Meta(min_length=1)]
    options: Mapping[str, Any]
    scenes: Mapping[Name, Hash]


@dataclass(frozen=True, slots=True)
class Imported:
    """Where records without geometry come from.

    Attributes:
        kind: The form of the files.
        files: File name -> BLAKE2b-16 of its bytes.
        rows: Rows that they hold.
        left_out: Reason -> rows that could not be taken.
        notes: What was mended -> rows.
    """

    kind: Name
    files: Mapping[Name, Hash]
    rows: Whole
    left_out: Mapping[str, Whole] = field(default_factory=dict)
    notes: Mapping[str, Whole] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What decides the bytes of a data set, and where its sources were.

    Attributes:
        version: Version of this layout.
        record_version: Version of the records.
        versions: Library -> version that made them.
        config: What was asked of the plan.
        seed: Seed of every choice.
        recipe: The recipe, whole.
        tasks: Tasks of the plan.
        index: Folder of the index.
        sources: Source key -> its entry.
        plan_hash: Hash of the plan.
        wording: Hash of the template files.
        shards: Files that the data set has when it is finished.
        rows: Records that it then has, but for those that are dropped.
        merged: The manifests of the data sets that it was merged from, in order of their shards.
        imported: Of records that nothing was computed for; None: every answer was.
    """

    version: int
    record_version: int
    versions: Mapping[Name, str]
    config: Mapping[str, Any]
    seed: Seed
    recipe: Recipe
    tasks: tuple[Name, ...]
    index: Annotated[str, Meta(min_length=1)]
    sources: Mapping[Name, SourceEntry]
    plan_hash: Hash
    wording: Hash
    shards: Annotated[int, Meta(ge=0, le=100_000)]
    rows: Whole
    merged: tuple[Manifest, ...] = ()
    imported: Imported | None = None

    def __post_init__(self) -> None:
        for name, known in (("version", MANIFEST_VERSION), ("record_version", SCHEMA_VERSION)):
            if getattr(self, name) != known:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, this release reads {known}; "
                    "make the data set again"
                )
        if self.merged and sum(part.shards for part in self.merged) != self.shards:
            raise ValueError("the shards of the merged parts are not those of the whole")

    @property
    def parts(self) -> tuple[Manifest, ...]:
        """The runs of `generate` that the data set consists of: itself, or what was merged."""
        return self.merged or (self,)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return _plain(self)


@dataclass(frozen=True, slots=True)
class Dropped:
    """Records of a plan that were not made, since an engine failed on their scene.

    Attributes:
        source: Key of the source.
        scene: The scene.
        task: The task; "" where the scene could not be opened.
        error: Kind and message of what was raised.
        rows: The records; None where the plan does not say how many they are.
    """

    source: str
    scene: str
    task: str
    error: str
    rows: Whole | None

    def __str__(self) -> str:
        count = "some" if self.rows is None else f"{self.rows:,}"
        what = f"{self.source}/{self.scene}: {self.task or 'opening it'}"
        return f"{what}: {count} records: engine_failed: {self.error}"


@dataclass(frozen=True, slots=True)
class ShardDone:
    """A finished shard: where it lies, and what its file is.

    Attributes:
        shard: Its number.
        split: Its split.
        rows: Its records.
        bytes: Size of its file.
        hash: BLAKE2b-16 of its file.
        tasks: Task -> records.
        seconds: Time that it took.
        process: The process that made it.
        dropped: What of the plan is not in it.
    """

    shard: Whole
    split: Split
    rows: Whole
    bytes: Whole
    hash: Hash
    tasks: Mapping[Name, Whole]
    seconds: float
    process: int
    dropped: tuple[Dropped, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return _plain(self)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A scene that is not in the data set, and why."""

    source: str
    scene: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What a finished data set holds.

    Attributes:
        rows: Records.
        bytes: Size of its record files.
        shards: Record files.
        splits: Split -> records.
        tasks: Task -> records.
        shortfall: Task -> rows of its quota that no candidate could give.
        shortages: Task -> reason -> those of them that are missing for it.
        rejections: Task -> reason -> refused candidates.
        skipped_scenes: Scenes that could not be indexed.
        dropped: What of the plan was not made, by scene and task.
    """

    rows: Whole
    bytes: Whole
    shards: Whole
    splits: Mapping[Split, Whole]
    tasks: Mapping[Name, Whole]
    shortfall: Mapping[Name, Whole] = field(default_factory=dict)
    shortages: Mapping[Name, Mapping[Name, Whole]] = field(default_factory=dict)
    rejections: Mapping[Name, Mapping[Name, Whole]] = field(default_factory=dict)
    skipped_scenes: tuple[Skipped, ...] = ()
    dropped: tuple[Dropped, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return _plain(self)


def dropped_of(reports: Iterable[ShardDone]) -> tuple[Dropped, ...]:
    """What the shards did not make, one entry for each scene, task and error."""
    found: dict[Dropped, list[int | None]] = {}
    for report in reports:
        for one in report.dropped:
            found.setdefault(dataclasses.replace(one, rows=0), []).append(one.rows)
    return tuple(
        dataclasses.replace(one, rows=None if None in rows else sum(filter(None, rows)))
        for one, rows in found.items()
    )


def _plain(value: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(value)))
    for name in ("merged", "dropped", "imported"):  # most have none
        if not made.get(name, True):
            del made[name]
    return made


def shard_path(out: Path, split: str, shard: int) -> Path:
    """`OUT/data/<split>/part-00042.parquet`; UnsafeName when the split is no plain name."""
    return out / "data" / plain_name(split, out) / f"part-{shard:05d}.parquet"


def done_path(out: Path, shard: int) -> Path:
    """`OUT/shards/00042.json`, whose presence means that the shard is done."""
    return out / "shards" / f"{shard:05d}.json"


def read_manifest(out: Path) -> Manifest:
    """OUT/manifest.json.

    Raises:
        MissingInput: OUT is no data set.
        RecordError: The manifest is damaged.
    """
    path = out / MANIFEST_NAME
    if not path.is_file():
        why = "it holds no manifest.json" if out.is_dir() else "there is no such folder"
        raise MissingInput(f"no data set at {out}: {why}; `spatialcore generate` makes one")
    return _read(Manifest, path)


def read_done(out: Path, number: int) -> ShardDone | None:
    """What the done file of a shard says; None when the shard is not done.

    Raises:
        RecordError: The file is damaged.
    """
    path = done_path(out, number)
    if not path.exists():
        return None
    done = _read(ShardDone, path)
    if done.shard != number:
        raise RecordError(f"{path}: $.shard: {done.shard} is not the shard of this file")
    return done


def read_summary(out: Path) -> Summary | None:
    """OUT/summary.json; None while the data set is not finished; RecordError when damaged."""
    path = out / SUMMARY_NAME
    return _read(Summary, path) if path.exists() else None


def _read(kind: type[T], path: Path) -> T:
    try:
        made: T = decode(kind, read_json(path), str(path))
    except SettingsError as error:
        raise RecordError(str(error)) from error
    return made
