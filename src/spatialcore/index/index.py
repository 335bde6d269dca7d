# SPDX-License-Identifier: Apache-2.0
"""The scene index: what every question is made from, computed once for each scene.

`build_index` writes it, `Index.open` reads it. Its layout is in docs/relations.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spatialcore.errors import SceneIndexError
from spatialcore.index.config import (
    IndexConfig,
    IndexedSource,
    IndexEvent,
    IndexReport,
    SkippedScene,
)
from spatialcore.index.make import build_index
from spatialcore.index.rules import Rules
from spatialcore.index.store import INDEX_VERSION, SceneIndex, read_sealed

__all__ = [
    "Index",
    "IndexConfig",
    "IndexEvent",
    "IndexReport",
    "IndexedSource",
    "SceneIndex",
    "SkippedScene",
    "build_index",
]


@dataclass(frozen=True, eq=False)
class Index:
    """A finished index of one or more sources.

    Attributes:
        path: Its folder.
        config: What it was made with.
        sources: Source key -> reader kind, root, options.
        skipped: Scenes that could not be indexed.
    """

    path: Path
    config: IndexConfig
    sources: Mapping[str, IndexedSource]
    skipped: tuple[SkippedScene, ...]
    _scenes: tuple[tuple[str, str], ...]

    @classmethod
    def open(cls, path: str | Path) -> Index:
        """Open an index.

        Raises:
            SceneIndexError: There is none at `path`, it is unfinished, or of another version.
        """
        path = Path(path)
        meta = read_sealed(path / "index.json")
        if meta.get("version") != INDEX_VERSION:
            raise SceneIndexError(
                f"{path}: index version {meta.get('version')}, not {INDEX_VERSION}"
            )
        if not meta.get("complete"):
            raise SceneIndexError(f"{path}: not finished; run the same `spatialcore index` again")
        return cls(
            path=path,
            config=IndexConfig.from_json(meta["config"], path / "index.json"),
            sources={
                key: IndexedSource(s["kind"], Path(s["root"]), s["options"])
                for key, s in meta["sources"].items()
            },
            skipped=tuple(SkippedScene(**s) for s in meta["skipped"]),
            _scenes=tuple((s["source"], s["scene"]) for s in meta["scenes"]),
        )

    @property
    def rules(self) -> Rules:
        """The rules of the configuration."""
        return self.config.rules

    def scenes(self) -> tuple[tuple[str, str], ...]:
        """(source, scene) of every indexed scene and clip, sorted."""
        return self._scenes

    def open_scene(self, source: str, scene: str) -> SceneIndex:
        """Open one scene; SceneIndexError when it is not in the index."""
        if (source, scene) not in self._scenes:
            raise SceneIndexError(f"{self.path}: no scene {source}/{scene}")
        return SceneIndex.open(self.path / source / scene)

    def __iter__(self) -> Iterator[SceneIndex]:
        return (self.open_scene(source, scene) for source, scene in self._scenes)

    def __len__(self) -> int:
        return len(self._scenes)
