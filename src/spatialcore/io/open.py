# SPDX-License-Identifier: Apache-2.0
"""From a path, or `kind:path`, to the source that reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from spatialcore.errors import SceneFormatError
from spatialcore.io.options import ReadOptions
from spatialcore.io.paths import is_scene_id, list_names
from spatialcore.types import Source


def _open_posed_images(path: Path, options: ReadOptions) -> Source | None:
    from spatialcore.io.posed_images import PosedImagesSource, looks_like_scene, scene_folders

    if not path.is_dir():
        return None
    scene = path.parent if path.name == "posed_images" else path
    if looks_like_scene(scene) and is_scene_id(scene.name):
        # The folder above is the root, so that a scene has the same uris however it is opened.
        return PosedImagesSource(scene.parent, ((scene.name, scene.name),), options)
    folders = scene_folders(path)
    return PosedImagesSource(path, folders, options) if folders else None


def _open_tapvid3d(path: Path, options: ReadOptions) -> Source | None:
    from spatialcore.io.tapvid3d import COLLECTIONS, Tapvid3dSource, clip_files

    root, files = path, clip_files(path) if path.is_dir() else ()
    if path.is_file() and path.suffix == ".npz" and is_scene_id(path.stem):
        root, files = path.parent, ((path.stem, path.name),)
    collection = root.name if root.name in COLLECTIONS else ""
    return Tapvid3dSource(root, files, collection, options) if files else None


def _open_collections(path: Path, options: ReadOptions) -> tuple[Source, ...]:
    """A source for each collection of clips below a common root, and one for clips beside them.

    Splits, static cameras and the subtasks of the benchmark (`@adt`, `@pstudio`) go by collection;
    so they are sources of their own, unless one key is given for all.
    """
    from spatialcore.io.tapvid3d import COLLECTIONS, Tapvid3dSource, clip_files, clips_in

    below = [(c, path / c) for c in COLLECTIONS if (path / c).is_dir()]
    if options.key is not None or not below:
        return ()
    parts = [Tapvid3dSource(p, clip_files(p), c, options) for c, p in below if clips_in(p)]
    loose = clips_in(path)
    if parts and loose:
        parts.append(Tapvid3dSource(path, loose, "", options))
    return tuple(parts)


def _open_scannet(path: Path, options: ReadOptions) -> Source | None:
    from spatialcore.io.scannet import ScannetSource, scan_files, scan_of

    root, files = scan_of(path)
    if not files and path.is_dir():
        root, files = path, scan_files(path)
    return ScannetSource(root, files, options) if files else None


def _open_folders(
    path: Path, is_scene: Callable[[Path], bool], list_scenes: Callable[[Path], tuple[str, ...]]
) -> tuple[Path, tuple[str, ...]]:
    """Root and scene names of a layout whose scenes are folders, for one or for many of them."""
    if not path.is_dir():
        return path, ()
    if is_scene(path) and is_scene_id(path.name):
        return path.parent, (path.name,)
    return path, list_scenes(path)


def _open_tum(path: Path, options: ReadOptions) -> Source | None:
    from spatialcore.io.tum import TumSource, is_sequence, sequences

    root, names = _open_folders(path, is_sequence, sequences)
    return TumSource(root, names, options) if names else None


def _open_nerfstudio(path: Path, options: ReadOptions) -> Source | None:
    from spatialcore.io.nerfstudio import NerfstudioSource, captures, is_capture

    root, names = _open_folders(path, is_capture, captures)
    return NerfstudioSource(root, names, options) if names else None


# kind -> (opener, what it looks for). Detection tries them in this order.
_KINDS: dict[str, tuple[Callable[[Path, ReadOptions], Source | None], str]] = {
    "scannet": (_open_scannet, "<id>/<id>.sens"),
    "posed_images": (
        _open_posed_images,
        "NNNNN.jpg/.png/.txt with intrinsic.txt, or color/ depth/ pose/ intrinsic/",
    ),
    "tapvid3d": (_open_tapvid3d, "<clip>.npz"),
    "tum": (_open_tum, "rgb.txt, depth.txt and groundtruth.txt"),
    "nerfstudio": (_open_nerfstudio, "transforms.json"),
}
KINDS = tuple(_KINDS)


def _not_found(path: Path, kind: str | None) -> SceneFormatError:
    wanted = [kind] if kind else list(_KINDS)
    looked = "; ".join(f"{name}: {_KINDS[name][1]}" for name in wanted)
    holds = "is not there"
    if path.is_dir():
        names = list_names(path)
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        holds = f"holds {len(names)} entries ({shown})" if names else "is an empty folder"
    elif path.is_file():
        holds = "is a file of another kind"
    return SceneFormatError(path, f"{holds}; looked for {looked}", code="nothing_found")


def _with(options: ReadOptions | None, **given: Any) -> ReadOptions:
    """`options` with the fields that are given."""
    return replace(options or ReadOptions(), **{k: v for k, v in given.items() if v is not None})


def _split_spec(spec: str | Path) -> tuple[Path, str | None]:
    """The absolute path and the kind of `kind:path`, None when the kind is left open."""
    text = str(spec)
    if "\0" in text:
        raise SceneFormatError(text, "is not a path", code="nothing_found")
    kind, colon, rest = text.partition(":")
    explicit = kind if colon and kind in _KINDS else None
    return Path(rest if explicit else text).expanduser().resolve(), explicit


def _detect(path: Path, explicit: str | None, options: ReadOptions) -> Source | None:
    for kind, (opener, _) in _KINDS.items():
        if explicit in (None, kind):
            source = opener(path, options)
            if source is not None:
                return source
    return None


def _detect_all(path: Path, explicit: str | None, options: ReadOptions) -> tuple[Source, ...]:
    """The sources of a path: one, or the collections of a root of clips."""
    if explicit in (None, "tapvid3d") and (collections := _open_collections(path, options)):
        return collections
    source = _detect(path, explicit, options)
    return () if source is None else (source,)


def open_source(
    spec: str | Path,
    options: ReadOptions | None = None,
    *,
    key: str | None = None,
    stride: int | None = None,
    world_up: str | None = None,
) -> Source:
    """Open the scenes or clips at a path.

    Args:
        spec: A path, whose kind is detected, or `kind:path` with a kind of `KINDS`. A path may be
            one scene, one clip, or a folder of them.
        options: How to read; the keywords below override its fields.
        key: Source key of the records.
        stride: Keep frames whose number is divisible by it.
        world_up: "x,y,z", "+x" ... "-z" or "auto".

    Returns:
        A small picklable Source.

    Raises:
        SceneFormatError: Nothing that can be read is there; says what was looked for.
        ValueError: An option is out of range.
    """
    path, explicit = _split_spec(spec)
    source = _detect(path, explicit, _with(options, key=key, stride=stride, world_up=world_up))
    if source is None:
        raise _not_found(path, explicit)
    return source


def open_sources(
    spec: str | Path,
    options: ReadOptions | None = None,
    *,
    key: str | None = None,
    stride: int | None = None,
    world_up: str | None = None,
) -> tuple[Source, ...]:
    """Open a path that is one source, or a folder whose subfolders are sources.

    `spatialcore sample` makes such a folder: `scannet/`, `posed_images/`, `tapvid3d/`. A root of
    clips that holds the collections `adt/`, `pstudio/` or `drivetrack/` is a source for each, with
    the collection's name as its key; with a `key` it is one source of that key.

    Args:
        spec: As for `open_source`.
        options: As for `open_source`.
        key: As for `open_source`; only for a path that is one source.
        stride: As for `open_source`.
        world_up: As for `open_source`.

    Returns:
        One or more sources, in order of their folders' names.

    Raises:
        SceneFormatError: Neither the path nor any subfolder can be read.
        ValueError: `key` was given for several sources, or an option is out of range.
    """
    chosen = _with(options, key=key, stride=stride, world_up=world_up)
    path, explicit = _split_spec(spec)
    found = _detect_all(path, explicit, chosen)
    if found:
        return found
    below = [path / name for name in list_names(path)] if path.is_dir() else []
    sources = tuple(
        source
        for folder in below
        if folder.is_dir()
        for source in _detect_all(folder, explicit, chosen)
    )
    if not sources:
        raise _not_found(path, explicit)
    if chosen.key is not None and len(sources) > 1:
        raise ValueError(
            f"{path} holds {len(sources)} sources; open one to give it the key {chosen.key!r}"
        )
    return sources
