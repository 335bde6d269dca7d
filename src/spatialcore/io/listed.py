# SPDX-License-Identifier: Apache-2.0
"""What all sources of files have in common: a list of scenes, their ids, and where each lies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from spatialcore.errors import SceneFormatError
from spatialcore.io.options import ReadOptions
from spatialcore.io.paths import check_scene_id
from spatialcore.io.refusals import refusal
from spatialcore.types import Scene, Track3D


@dataclass(frozen=True, slots=True)
class ListedSource(ABC):
    """Scenes at known places below a root. Picklable; opens nothing until a scene is asked for.

    Attributes:
        root: Folder that uris are relative to.
        files: (scene id, its file or folder relative to root).
        options: How to read.
        refused: (scene id, entry relative to root) of what was found beside the scenes and has no
            layout; opening one says why.
    """

    kind: ClassVar[str]
    """Name of the reader."""

    root: Path
    files: tuple[tuple[str, str], ...]
    options: ReadOptions = field(default_factory=ReadOptions)
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """Source key of the records."""
        return self.options.key or self.kind

    def scene_ids(self) -> tuple[str, ...]:
        """Ids in sorted order, of what is refused as well."""
        return tuple(sorted(scene for scene, _ in (*self.files, *self.refused)))

    @abstractmethod
    def open(self, scene_id: str) -> Scene | Track3D:
        """Open one scene or clip; SceneFormatError when it cannot be read."""

    def place(self, scene_id: str) -> str:
        """Where a scene lies, relative to `root`.

        Raises:
            SceneFormatError: There is no such scene, or it was refused when it was listed.
        """
        check_scene_id(scene_id, self.root)
        relative = dict(self.files).get(scene_id)
        if relative is not None:
            return relative
        entry = dict(self.refused).get(scene_id)
        if entry is not None:
            raise refusal(self.root / entry)
        raise SceneFormatError(self.root, f"has no scene {scene_id!r}", code="scene_missing")
