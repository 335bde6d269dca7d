# SPDX-License-Identifier: Apache-2.0
"""What an index is made with, and what making it reports."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from spatialcore.errors import SceneIndexError, SettingsError
from spatialcore.index.rules import Rules
from spatialcore.settings import decode


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """What an index depends on beside its inputs.

    Attributes:
        rules: Visibility rule, pixel map, object axes and thresholds, and the guards.
    """

    rules: Rules = dataclasses.field(default_factory=Rules)

    def to_json(self) -> dict[str, Any]:
        """As stored in index.json."""
        return {"rules": dataclasses.asdict(self.rules), "hash": self.rules.hash()}

    @classmethod
    def from_json(cls, value: Any, file: Path) -> IndexConfig:
        """From `config` of index.json; SceneIndexError names what is wrong with it."""
        try:
            stored: _Stored = decode(_Stored, value, str(file), "$.config")
        except SettingsError as error:
            raise SceneIndexError(f"{error}; index again into another folder") from error
        if stored.hash != stored.rules.hash():
            raise SceneIndexError(f"{file}: $.config: the rules are not those that were hashed")
        return cls(stored.rules)


@dataclass(frozen=True, slots=True)
class _Stored:
    rules: Rules
    hash: str


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
        notes: What readers have to say, each with its scenes.
        waiting: Parts that others have still to make; the index is complete when it is 0.
    """

    path: Path
    built: tuple[tuple[str, str], ...]
    reused: tuple[tuple[str, str], ...]
    skipped: tuple[SkippedScene, ...]
    seconds: float
    reasons: Mapping[str, int]
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    waiting: int = 0

    def warnings(self) -> list[str]:
        """Sentences on what a person should look at before using what was indexed."""
        said = []
        for note, scenes in self.notes.items():
            shown = ", ".join(sorted(scenes)[:3]) + (", ..." if len(scenes) > 3 else "")
            if note == "split_unknown":
                said.append(
                    f"{len(scenes)} with ids of a published collection are in train, and no list "
                    f"says their split: they may be held out ({shown}; docs/inputs.md, Splits)"
                )
            elif note.startswith("only "):
                said.append(f"{shown}: {note}; `spatialcore check` says why")
        return sorted(said)
