# SPDX-License-Identifier: Apache-2.0
"""Opening one scene or clip by its path, for a notebook or a script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spatialcore.types import Scene, Track3D


def open_scene(path: str | Path, scene: str | None = None, **options: Any) -> Scene | Track3D:
    """The scene or clip at a path, read as `spatialcore index` reads it.

    Args:
        path: A path, or `kind:path`: of one scene, or of a folder of several.
        scene: Which of several: its id.
        options: How to read: fields of `spatialcore.io.options.ReadOptions`.

    Returns:
        A scene, or a clip of tracks; pixels are read when they are asked for.

    Raises:
        SceneFormatError: Nothing that can be read is there; says what was looked for.
        ValueError: There are several, and `scene` names none of them.
        TypeError: There is no such option.
    """
    from spatialcore.io.open import open_sources
    from spatialcore.io.options import ReadOptions
    from spatialcore.settings_words import nearest

    sources = open_sources(str(path), ReadOptions(**options))
    found = [(name, source) for source in sources for name in source.scene_ids()]
    if scene is None and len(found) == 1:
        return found[0][1].open(found[0][0])
    for name, source in found:
        if name == scene:
            return source.open(name)
    names = [name for name, _ in found]
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    if scene is None:
        raise ValueError(f"{path} holds {len(names)} scenes; name one as its `scene`: {shown}")
    near = nearest(scene, names)
    hint = f"did you mean {near}?" if near else f"there are {shown}"
    raise ValueError(f"{path} holds no scene {scene!r}; {hint}")
