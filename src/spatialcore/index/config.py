# SPDX-License-Identifier: Apache-2.0
"""What an index is made with, and what making it reports."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from spatialcore.errors import SceneIndexError
from spatialcore.index.recipe import Guards, Recipe, load_recipe


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """What an index depends on beside its inputs.

    Attributes:
        recipe: Visibility rule, pixel map, object axes and thresholds, and the guards.
    """

    recipe: Recipe = dataclasses.field(default_factory=load_recipe)

    def to_json(self) -> dict[str, Any]:
        """As stored in index.json."""
        return {"recipe": dataclasses.asdict(self.recipe), "hash": self.recipe.index_hash()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> IndexConfig:
        """From index.json; SceneIndexError when a field is unknown or its value is not allowed."""
        try:
            fields: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in value["recipe"].items()
            }
            fields["guards"] = Guards(**fields["guards"])
            return cls(Recipe(**fields))
        except (TypeError, ValueError, KeyError) as error:
            raise SceneIndexError(f"index.json: config cannot be read: {error}") from error

    def difference(self, other: IndexConfig) -> str:
        """The first field on which two indexes would differ, with both values; "" when none."""
        mine, theirs = self.recipe.index_parts(), other.recipe.index_parts()
        for name in sorted(mine.keys() | theirs.keys()):
            if mine.get(name) != theirs.get(name):
                return f"{name} is {mine.get(name)!r}, not {theirs.get(name)!r}"
        return ""


class IndexedSource(NamedTuple):
    """Where the scenes of a source key came from.

    Attributes:
        kind: Name of the reader.
        root: Folder that uris are relative to.
        options: Options of the reader that differ from its defaults.
    """

    kind: str
    root: Path
    options: Mapping[str, Any]


class SkippedScene(NamedTuple):
    """A scene that is not in the index, and why."""

    source: str
    scene: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class IndexEvent:
    """One step of `build_index`.

    Attributes:
        kind: "scene" was built, "reused" from an earlier run, or "skipped".
        source: Source key.
        scene: Scene id.
        done: Scenes finished so far, this one included.
        total: Scenes in all.
        seconds: Time that the scene took.
        frame_count: Valid frames.
        point_count: Points of the cloud, or tracks of a clip.
        pair_count: Pairs with a common point.
        reason: Why it was skipped.
    """

    kind: str
    source: str
    scene: str
    done: int
    total: int
    seconds: float = 0.0
    frame_count: int = 0
    point_count: int = 0
    pair_count: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What `build_index` did.

    Attributes:
        path: The index.
        built: (source, scene) made by this run.
        reused: (source, scene) that were complete already.
        skipped: Scenes left out, with reasons.
        seconds: Wall time.
        reasons: Masked frames and dropped tracks of all scenes, by reason code.
    """

    path: Path
    built: tuple[tuple[str, str], ...]
    reused: tuple[tuple[str, str], ...]
    skipped: tuple[SkippedScene, ...]
    seconds: float
    reasons: Mapping[str, int]
