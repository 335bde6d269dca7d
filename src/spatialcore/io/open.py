# SPDX-License-Identifier: Apache-2.0
"""From a path, or `kind:path`, to the source that reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

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


def _open_scannet(path: Path, options: ReadOptions) -> Source | None:
    from spatialcore.io.scannet import ScannetSource, scan_files, scan_of

    root, files = scan_of(path)
    if not files and path.is_dir():
        root, files = path, scan_files(path)
    return ScannetSource(root, files, options) if files else None


# kind -> (opener, what it looks for). Detection tries them in this order.
_KINDS: dict[str, tuple[Callable[[Path, ReadOptions], Source | None], str]] = {
    "scannet": (_open_scannet, "<id>/<id>.sens"),
    "posed_images": (
        _open_posed_images,
        "NNNNN.jpg/.png/.txt with intrinsic.txt, or color/ depth/ pose/ intrinsic/",
    ),
    "tapvid3d": (_open_tapvid3d, "<clip>.npz"),
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
    given = {"key": key, "stride": stride, "world_up": world_up}
    chosen = replace(options or ReadOptions(), **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
    text = str(spec)
    kind, colon, rest = text.partition(":")
    explicit = kind if colon and kind in _KINDS else None
    if "\0" in text:
        raise SceneFormatError(text, "is not a path", code="nothing_found")
    path = Path(rest if explicit else text).expanduser().resolve()
    for name, (opener, _) in _KINDS.items():
        if explicit in (None, name):
            source = opener(path, chosen)
            if source is not None:
                return source
    raise _not_found(path, explicit)
