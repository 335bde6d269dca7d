# SPDX-License-Identifier: Apache-2.0
"""The plan: which candidates become records, decided before any text is made.

Two passes over the candidates of every scene: histograms give the quotas, then the k smallest
hashes of each bin are found. A plan is one threshold for each bin, not a list of rows: a candidate
is taken iff its hash is at most the threshold of its bin. So a plan of millions of rows is
kilobytes, and exact. What it takes is written beside it (plan_rows.py), to save listing it again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from msgspec import Meta
from numpy.typing import ArrayLike, NDArray

from spatial_engine.engines.candidates import CandidateTable
from spatial_engine.recipe import Recipe
from spatialcore.errors import PlanError
from spatialcore.files import content_hash, is_sealed, sealed, whole_file, write_json
from spatialcore.folders import check_ours, claim
from spatialcore.io.parquet import read_parquet
from spatialcore.io.parquet_footer import ParquetError
from spatialcore.settings import Name, Positive, Share, check_fields
from spatialcore.workers import Lost

PLAN_VERSION = 2
ROWS_NAME = "rows.parquet"
_FILES = ("thresholds.parquet", "rejections.parquet", ROWS_NAME)
SHARD_ROWS = 4_500
TOP_HASH = (1 << 64) - 1
ENGINE_FAILED = "engine_failed"


@dataclass(frozen=True, slots=True)
class PlanConfig:
    """What is asked of an index.

    Attributes:
        seed: Seed of every draw.
        tasks: Globs of task names; () is every task of the recipe.
        limit: Rows in all; None uses the recipe's quota table.
        split: Only scenes of this split.
        scenes: Only these scene ids; () is all.
        val_share: Share of the spaces, of sources without their own list, that go to val.
        val_stretch: Of one scene: share of its questions that are val, of the end of its walk.
        balance: Where a bin's unused quota goes; None is the recipe's choice.
        benchmark: "multispa": the shape of its benchmark instead of the recipe's quotas, 300 rows
            of each of the 26 subtasks: a task, of object movement a task and a source.
    """

    seed: Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)] = 0
    tasks: tuple[Name, ...] = ()
    limit: Positive | None = None
    split: Literal["train", "val"] | None = None
    scenes: tuple[Name, ...] = ()
    val_share: Share = 0.0
    balance: Literal["carry", "even"] | None = None
    benchmark: Literal["multispa"] | None = None
    val_stretch: Share = 0.0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.limit is not None and self.benchmark is not None:
            raise ValueError("a benchmark says how many rows there are; limit cannot be given")
        if self.val_stretch and (self.benchmark is not None or self.val_share):
            raise ValueError("a held-out stretch is for one scene: no benchmark, no share of rooms")
        if self.val_stretch > 0.5:
            raise ValueError(f"val_stretch is a share up to 0.5, not {self.val_stretch:g}")

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values; without the stretch where none is held out, as before there was."""
        made: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        if not self.val_stretch:
            del made["val_stretch"]
        return made


class PlannedScene(NamedTuple):
    """One scene of the plan, or one side of its walk.

    Attributes:
        index_hash: Hash of its index.
        frames: The first and the last frame that may be shown; None is all.
    """

    source: str
    scene: str
    space: str
    split: str
    kind: str
    index_hash: str
    frames: tuple[int, int] | None = None

    def to_json(self) -> list[Any]:
        """As plain JSON values; without frames where all may be shown."""
        return list(self if self.frames is not None else self[:-1])


class ScenePart(NamedTuple):
    """The candidates of a scene whose hash lies in [low, high]."""

    source: str
    scene: str
    low: int
    high: int


class Shard(NamedTuple):
    """One output file: its split, its scenes, and how many rows it will have."""

    split: str
    parts: tuple[ScenePart, ...]
    rows: int


class Threshold(NamedTuple):
    """One cell of a task: what it had, was to give and gives, and up to which hash."""

    task: str
    source: str
    split: str
    bin: int
    stratum: int
    content: int
    available: int
    quota: int
    taken: int
    threshold: int


class Rejected(NamedTuple):
    """How many possibilities of a scene a guard turned away."""

    task: str
    source: str
    scene: str
    reason: str
    count: int  # type: ignore[assignment]  # the column's name; tuple.count is not used


class _Limits(NamedTuple):
    """The thresholds of a task, source and split as arrays (contents, strata, bins).

    Attributes:
        contents: (G,) ascending.
        some: Whether the cell gives any row.
        last: The last hash that is taken.
    """

    contents: NDArray[np.uint64]
    some: NDArray[np.bool_]
    last: NDArray[np.uint64]

    @classmethod
    def of(cls, rows: Sequence[Threshold]) -> _Limits:
        """From rows that take something."""
        contents = np.unique(np.array([row.content for row in rows], dtype=np.uint64))
        shape = len(contents), max(r.stratum for r in rows) + 1, max(r.bin for r in rows) + 1
        out = cls(contents, np.zeros(shape, dtype=bool), np.zeros(shape, dtype=np.uint64))
        where = np.searchsorted(contents, np.array([r.content for r in rows], dtype=np.uint64))
        for g, row in zip(where.tolist(), rows, strict=True):
            out.some[g, row.stratum, row.bin] = True
            out.last[g, row.stratum, row.bin] = row.threshold
        return out

    def take(
        self,
        bin: NDArray[Any],
        stratum: NDArray[Any],
        hash: NDArray[np.uint64],
        content: NDArray[np.uint64],
    ) -> NDArray[np.bool_]:
        """(n,) which rows are taken."""
        contents, strata, bins = self.some.shape
        s, b = np.minimum(stratum, strata - 1), np.minimum(bin, bins - 1)
        g = np.minimum(np.searchsorted(self.contents, content), contents - 1)
        known = (stratum < strata) & (bin < bins) & (self.contents[g] == content)
        return np.asarray(known & self.some[g, s, b] & (hash <= self.last[g, s, b]))


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that `generate` needs, beside the index.

    Attributes:
        index: Folder of the index.
        config: What was asked.
        recipe: The recipe, whole.
        tasks: Tasks of the plan, in the order of the engines.
        sources: Source key -> {kind, root, options}.
        scenes: Scenes in (source, scene) order.
        scene_quota: (task, source, split) -> rows asked of each scene.
        thresholds: One row for each bin that has candidates or a quota.
        rejections: Counts by task, scene and reason.
        shards: Output files in order.
        wording: Hash of the template files.
        rows_file: Where the rows that it takes are written down; None lists them again.
    """

    index: Path
    config: PlanConfig
    recipe: Recipe
    tasks: tuple[str, ...]
    sources: Mapping[str, Mapping[str, Any]]
    scenes: tuple[PlannedScene, ...]
    scene_quota: Mapping[tuple[str, str, str], int]
    thresholds: tuple[Threshold, ...]
    rejections: tuple[Rejected, ...]
    shards: tuple[Shard, ...]
    wording: str
    rows_file: Path | None = None

    @property
    def rows(self) -> int:
        """Records that the plan makes."""
        return sum(shard.rows for shard in self.shards)

    @cached_property
    def scene_of(self) -> dict[tuple[str, str, str], PlannedScene]:
        """Planned scenes by (source, scene, split)."""
        return {(scene.source, scene.scene, scene.split): scene for scene in self.scenes}

    @cached_property
    def _limits(self) -> dict[tuple[str, str, str], _Limits]:
        rows: dict[tuple[str, str, str], list[Threshold]] = {}
        for row in self.thresholds:
            if row.taken:
                rows.setdefault((row.task, row.source, row.split), []).append(row)
        return {cell: _Limits.of(mine) for cell, mine in rows.items()}

    def takes(
        self,
        scene: PlannedScene,
        task: str,
        bin: NDArray[Any],
        stratum: ArrayLike,
        hash: NDArray[np.uint64],
        content: ArrayLike = 0,
    ) -> NDArray[np.bool_]:
        """(n,) which rows of a scene are at most the threshold of their cell."""
        limits = self._limits.get((task, scene.source, scene.split))
        if limits is None:
            return np.zeros(len(hash), dtype=bool)
        of_row = np.broadcast_to(np.asarray(content, dtype=np.uint64), len(hash))
        return limits.take(bin, np.broadcast_to(stratum, len(hash)), hash, of_row)

    def choose(self, table: CandidateTable, task: str, scene: PlannedScene) -> CandidateTable:
        """The candidates of a scene that the plan takes."""
        columns = table.bin, table.stratum, table.hash, table.content
        return table.take(self.takes(scene, task, *columns))

    def quotas_of(self, scene: PlannedScene) -> dict[str, int]:
        """Rows asked of a scene, by task."""
        return {
            task: self.scene_quota.get((task, scene.source, scene.split), 0) for task in self.tasks
        }

    def histogram(self) -> dict[str, int]:
        """Rejections by reason, most frequent first."""
        counts: dict[str, int] = {}
        for row in self.rejections:
            counts[row.reason] = counts.get(row.reason, 0) + row.count
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def left_out(self) -> list[str]:
        """Scenes that have no rows: their workers died, or an engine failed on them."""
        lost = {(r.source, r.scene) for r in self.rejections if r.reason == Lost.reason}
        failed = (
            f"{r.source}/{r.scene}: {r.task}: {r.reason}"
            for r in self.rejections
            if r.reason.startswith(ENGINE_FAILED)
        )
        return [*(f"{source}/{scene}: {Lost.reason}" for source, scene in sorted(lost)), *failed]

    def hash(self) -> str:
        """BLAKE2b-16 of what decides the records: not of where the index lies."""
        meta = _meta(self)
        for name in ("index", "sources"):
            del meta[name]
        text = json.dumps([meta, [list(row) for row in self.thresholds]], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def save(self, folder: str | Path) -> None:
        """Write plan.json, thresholds.parquet and rejections.parquet; plan.json comes last."""
        folder = Path(folder)
        claim_plan(folder)
        if self.rows_file is None:  # those of an earlier plan are not this one's
            (folder / ROWS_NAME).unlink(missing_ok=True)
        _write_rows(folder / "thresholds.parquet", Threshold, self.thresholds)
        _write_rows(folder / "rejections.parquet", Rejected, self.rejections)
        hashes = {p.name: content_hash(p) for p in map(folder.joinpath, _FILES) if p.exists()}
        write_json(folder / "plan.json", sealed({**_meta(self), "files": hashes}))

    @classmethod
    def open(cls, folder: str | Path) -> Plan:
        """Read a plan; PlanError when there is none or it is of another version."""
        from spatial_engine.plan.meta import read_plan

        return read_plan(Path(folder))


def claim_plan(folder: Path) -> None:
    """Make a folder for a plan; FolderInUse when it holds something else than an older plan."""
    claim(folder, "plan", known=_is_plan)


def check_plan_folder(folder: Path) -> None:
    """Raise FolderInUse unless a plan may be written here; makes nothing."""
    check_ours(folder, "plan", known=_is_plan)


def _is_plan(folder: Path) -> bool:
    try:
        meta = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(meta, dict) and meta.keys() >= {"version", "scene_quota", "shards", "wording"}


def check_whole(folder: Path, meta: Mapping[str, Any]) -> None:
    """Compare the files of a plan with the hashes in it; rows may be left out."""
    if not is_sealed(meta):
        raise PlanError(f"{folder / 'plan.json'}: damaged, or of an older release; plan again")
    for name, mark in meta["files"].items():
        path = folder / name
        if name == ROWS_NAME and not path.exists():
            continue
        if not path.exists() or content_hash(path) != mark:
            what = "the rows of another plan, or damaged" if name == ROWS_NAME else "damaged"
            raise PlanError(f"{path}: {what}; plan again")


def _meta(plan: Plan) -> dict[str, Any]:
    return {
        "version": PLAN_VERSION,
        "index": str(plan.index),
        "config": plan.config.to_json(),
        "recipe": json.loads(plan.recipe.to_json()),
        "tasks": list(plan.tasks),
        "sources": {key: dict(value) for key, value in plan.sources.items()},
        "scenes": [scene.to_json() for scene in plan.scenes],
        "scene_quota": [[*key, value] for key, value in sorted(plan.scene_quota.items())],
        "shards": [
            {
                "split": shard.split,
                "rows": shard.rows,
                "parts": [
                    [*part[:2], f"{part.low:016x}", f"{part.high:016x}"] for part in shard.parts
                ],
            }
            for shard in plan.shards
        ],
        "rows": plan.rows,
        "wording": plan.wording,
    }


def _write_rows(path: Path, kind: Any, rows: Sequence[Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"bin": pa.int16(), "stratum": pa.int8(), "threshold": pa.uint64(),
             "content": pa.uint64()}  # fmt: skip
    text = ("task", "source", "split", "scene", "reason")
    columns = {
        name: pa.array(
            [row[k] for row in rows], pa.string() if name in text else types.get(name, pa.int64())
        )
        for k, name in enumerate(kind._fields)
    }
    with whole_file(path) as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd", store_schema=False)


def read_rows(path: Path) -> Iterator[tuple[Any, ...]]:
    """Rows of a table of a plan; PlanError when it is missing or damaged."""
    try:
        table = read_parquet(path)
    except ParquetError as error:
        raise PlanError(f"{path}: {error}") from error
    return iter(list(zip(*(column.to_pylist() for column in table.columns), strict=True)))
