# SPDX-License-Identifier: Apache-2.0
"""plan.json, read back: every field by its type, before anything is made of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta

from spatial_engine.plan.plan import (
    PLAN_VERSION,
    ROWS_NAME,
    Plan,
    PlanConfig,
    PlannedScene,
    Rejected,
    ScenePart,
    Shard,
    Threshold,
    check_whole,
    read_rows,
)
from spatial_engine.recipe import Recipe, check_names, check_tasks
from spatialcore.errors import PlanError, SettingsError
from spatialcore.io.layouts import kinds
from spatialcore.settings import Count, Name, decode, read_json

Place = Annotated[str, Meta(min_length=1, max_length=4096)]
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
File = Literal["thresholds.parquet", "rejections.parquet", "rows.parquet"]
Hash64 = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]


class _SceneRow(NamedTuple):
    source: Name
    scene: Name
    space: Name
    split: Literal["train", "val"]
    kind: Literal["scene", "clip", "revisit"]
    index_hash: Hash
    frames: tuple[Count, Count] | None = None


class _QuotaRow(NamedTuple):
    task: Name
    source: Name
    split: Literal["train", "val"]
    rows: Count


class _PartRow(NamedTuple):
    source: Name
    scene: Name
    low: Hash64
    high: Hash64


@dataclass(frozen=True, slots=True)
class _Source:
    kind: Name
    root: Place
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Shard:
    split: Literal["train", "val"]
    rows: Count
    parts: tuple[_PartRow, ...]


@dataclass(frozen=True, slots=True)
class PlanMeta:
    """plan.json; rows of several columns are lists."""

    version: Literal[2]
    index: Place
    config: PlanConfig
    recipe: Recipe
    tasks: Annotated[tuple[Name, ...], Meta(min_length=1)]
    sources: Mapping[Name, _Source]
    scenes: tuple[_SceneRow, ...]
    scene_quota: tuple[_QuotaRow, ...]
    shards: tuple[_Shard, ...]
    rows: Count
    wording: Hash
    files: Mapping[File, Hash]
    seal: Hash

    def __post_init__(self) -> None:
        if not {"thresholds.parquet", "rejections.parquet"} <= self.files.keys():
            raise ValueError("files lacks the tables of thresholds and rejections")
        found = sum(shard.rows for shard in self.shards)
        if found != self.rows:
            raise ValueError(f"rows is {self.rows}, those of the shards are {found}")
        parts = {(p.source, p.scene, shard.split) for shard in self.shards for p in shard.parts}
        if parts != {(scene.source, scene.scene, scene.split) for scene in self.scenes} & parts:
            raise ValueError("a shard has a scene that is not planned")
        for key, source in self.sources.items():
            if source.kind not in kinds():
                known = ", ".join(kinds())
                raise ValueError(f"source {key} is of kind {source.kind!r}, not {known}")
        if foreign := {scene.source for scene in self.scenes} - self.sources.keys():
            raise ValueError(f"scenes of {min(foreign)}, which is none of the sources")


def read_meta(path: Path) -> PlanMeta:
    """plan.json, checked; SettingsError names what is wrong with it."""
    return _decoded(read_json(path), path)


def _decoded(value: Any, path: Path) -> PlanMeta:
    version = value.get("version") if isinstance(value, dict) else None
    if version != PLAN_VERSION:
        raise SettingsError(path, "$.version", f"plan version {version!r:.40}, not {PLAN_VERSION}")
    meta: PlanMeta = decode(PlanMeta, value, str(path))
    check_names(meta.recipe, str(path), "$.recipe")
    check_tasks(meta.tasks, str(path), "$.tasks")
    check_tasks((row.task for row in meta.scene_quota), str(path), "$.scene_quota")
    return meta


def read_plan(folder: Path) -> Plan:
    """The plan in a folder; PlanError names the file and what is wrong with it."""
    try:
        value = read_json(folder / "plan.json")
        meta = _decoded(value, folder / "plan.json")
    except SettingsError as error:
        raise PlanError(f"{folder}: not a plan: {error}") from error
    check_whole(folder, value)
    return Plan(
        index=Path(meta.index),
        config=meta.config,
        recipe=meta.recipe,
        tasks=meta.tasks,
        sources={key: dataclasses.asdict(source) for key, source in meta.sources.items()},
        scenes=tuple(PlannedScene(*scene) for scene in meta.scenes),
        scene_quota={(row.task, row.source, row.split): row.rows for row in meta.scene_quota},
        thresholds=tuple(Threshold(*row) for row in read_rows(folder / "thresholds.parquet")),
        rejections=tuple(Rejected(*row) for row in read_rows(folder / "rejections.parquet")),
        shards=tuple(
            Shard(
                shard.split,
                tuple(ScenePart(a, b, int(lo, 16), int(hi, 16)) for a, b, lo, hi in shard.parts),
                shard.rows,
            )
            for shard in meta.shards
        ),
        wording=meta.wording,
        rows_file=folder / ROWS_NAME if (folder / ROWS_NAME).exists() else None,
    )
