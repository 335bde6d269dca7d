# SPDX-License-Identifier: Apache-2.0
"""From a path, or `kind:path`, to the sources that read what lies there.

Every verb comes in by this door. A path may be one scene or clip, a folder of them, or a folder of
such folders; what looks like a place of a scene and has no layout is listed with its reason.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from spatialcore.errors import SceneFormatError
from spatialcore.io.layouts import kinds, layout_of, layouts, root_of
from spatialcore.io.listed import ListedSource
from spatialcore.io.names import path_fault, scene_ids, scene_slug
from spatialcore.io.options import ReadOptions
from spatialcore.io.paths import list_names
from spatialcore.io.refusals import holds, is_empty, refusal
from spatialcore.io.tapvid3d import COLLECTIONS
from spatialcore.io.videos import is_video
from spatialcore.settings_words import nearest

__all__ = ["open_source", "open_sources"]

_KIND = re.compile(r"([a-z][a-z0-9_]+):(.*)\Z", re.DOTALL)
# Folders in a folder of folders: `data/scannet/scans/<scene>` is two below `data`.
_LEVELS = 2
_COMPARED = 4096  # names in a folder, for one that was meant
# Neighbours of scenes that hold none: lists of splits, tables of labels, models of objects.
_NEIGHBOURS = frozenset(
    ("splits", "meta_data", "metadata", "tasks", "__pycache__", "__macosx", "models", "models_eval")
)
_OURS = ("index.json", "plan.json", "manifest.json", "sample.json")
_SCENE_SUFFIXES = ("npz", "sens", "r3d", "mp4", "tar")
_SCANS = ("scans", "scans_test")
_FEW = 3  # layouts whose files a message lists
# Reasons that say nothing of what an entry lacks.
_UNTOLD = ("not_recognised", "folder_empty")
_VIDEO = "a video alone holds no depth: ViPE predicts it and the poses, docs/inputs.md"


@dataclass(slots=True)
class _Found:
    """What lies below a path.

    Attributes:
        scenes: (kind, root) -> scenes relative to that root, in order of their names.
        refused: Entries without a layout.
    """

    scenes: dict[tuple[str, Path], list[str]] = field(default_factory=lambda: defaultdict(list))
    refused: list[Path] = field(default_factory=list)

    def add(self, kind: str, entry: Path) -> None:
        root, inside = root_of(kind, entry), layouts()[kind].scenes
        name = entry.relative_to(root).as_posix()
        names = [name]
        if inside is not None:
            with suppress(SceneFormatError):  # opening the entry says what is wrong
                names = [f"{name}#{scene}" for scene in inside(entry)]
        self.scenes[kind, root].extend(names)

    def join(self, other: _Found) -> None:
        for place, names in other.scenes.items():
            self.scenes[place].extend(names)
        self.refused.extend(other.refused)

    def parts(self) -> set[Path]:
        """Folders that hold parts of scenes that were found, and none themselves."""
        return {root / name for kind, root in self.scenes for name in layouts()[kind].parts}

    def without_parts(self) -> _Found:
        """Without what lies in such folders."""
        parts = self.parts()
        if not parts:
            return self
        kept = {place: names for place, names in self.scenes.items()
                if parts.isdisjoint((place[1], *place[1].parents))}  # fmt: skip
        left = [e for e in self.refused if parts.isdisjoint((e, *e.parents))]
        return _Found(defaultdict(list, kept), left)


def _look(folder: Path, among: Iterable[str], levels: int) -> _Found:
    """Scenes in a folder and, where an entry is none, in the folders below it."""
    found, rest = _Found(), []
    for name in list_names(folder):
        entry = folder / name
        kind = None if path_fault(name) or is_empty(entry) else layout_of(entry, among)
        if kind is not None:
            found.add(kind, entry)
        elif _may_hold_scenes(entry):
            rest.append(entry)
    known = found.parts()
    for entry in (entry for entry in rest if entry not in known):
        below = _Found()
        if levels and not path_fault(entry.name) and _is_folder(entry):
            below = _look(entry, among, levels - 1)
        if below.scenes:
            found.join(below)
        else:
            found.refused.append(entry)
    found = found.without_parts()
    found.refused = [e for e in found.refused if not _is_annotation(e, folder, found)]
    return found


def _is_folder(entry: Path) -> bool:
    try:
        return entry.is_dir() and os.access(entry, os.R_OK | os.X_OK)
    except OSError:
        return False


def _may_hold_scenes(entry: Path) -> bool:
    """Whether a person may have meant an entry as a scene: no plain file, list, output of ours."""
    if entry.name.startswith(".") or entry.name.lower() in _NEIGHBOURS:
        return False
    try:
        if entry.is_dir():
            return not any((entry / name).is_file() for name in _OURS)
        return not entry.is_file() or bool(path_fault(entry.name) and entry.suffix == ".sens")
    except OSError:
        return True


def _is_annotation(entry: Path, folder: Path, found: _Found) -> bool:
    """Whether an entry is `scans/`, which holds the annotation of `posed_images/` beside it."""
    beside = folder / "posed_images"
    return entry.parent == folder and entry.name in _SCANS and any(
        kind == "posed_images" and root == beside for kind, root in found.scenes
    )  # fmt: skip


def _split_spec(spec: str | Path) -> tuple[Path, str | None]:
    """The absolute path and the kind of `kind:path`, None when the kind is left open.

    Links are kept: a scene has the name under which it was opened.
    """
    text = str(spec)
    if "\0" in text:
        raise SceneFormatError(text, "is not a path", code="nothing_found")
    match = _KIND.match(text)
    kind = None
    if match is not None and not os.path.lexists(text):
        kind, text = match.groups()
        if kind not in kinds():
            near = nearest(kind, kinds()).strip("'")
            hint = f"did you mean {near}:{text}?" if near else f"kinds are {', '.join(kinds())}"
            raise SceneFormatError(
                str(spec), f"{kind!r} is no kind of source", hint, "kind_unknown"
            )
    return Path(os.path.abspath(Path(text).expanduser())), kind  # noqa: PTH100 -- keeps links


def _find(path: Path, among: tuple[str, ...]) -> _Found:
    """What lies at a path: itself, or what is below it."""
    found = _Found()
    if path.name == "posed_images" and layout_of(path.parent, among) == "posed_images":
        found.add("posed_images", path.parent)
        return found
    kind = None if path_fault(path.name) else layout_of(path, among)
    if kind is not None:
        found.add(kind, path)
        return found
    if not path.is_dir():
        raise _not_found(path, among, found)
    found = _look(path, among, _LEVELS)
    if not found.scenes:
        raise _not_found(path, among, found)
    return found


def _not_found(path: Path, among: tuple[str, ...], found: _Found) -> SceneFormatError:
    if not os.path.lexists(path):
        return SceneFormatError(path, "is not there", _beside(path), "nothing_found")
    if not path.is_dir():
        why = refusal(path)
        hint = _VIDEO if is_video(path.name) else why.hint or _layouts_of(among)
        return SceneFormatError(path, why.what, hint, "nothing_found")
    whys = [(entry.name, refusal(entry)) for entry in found.refused[:3]]
    what = "; ".join([holds(path), *(f"{name}: {why.what}" for name, why in whys)])
    hints = [why.hint for _, why in whys if why.code not in _UNTOLD]
    hint = "docs/inputs.md says what each layout holds" if hints else _layouts_of(among)
    if refusal(path).code in _UNTOLD and any(is_video(name) for name in list_names(path)):
        hint = _VIDEO
    return SceneFormatError(path, what, hint, "nothing_found")


def _layouts_of(among: tuple[str, ...]) -> str:
    """What was looked for: the files of a few layouts, the names of many."""
    if len(among) <= _FEW:
        return "looked for " + "; ".join(f"{k}: {layouts()[k].looks_for}" for k in among)
    told = f"no layout of {', '.join(among)}"
    return f"{told}: docs/inputs.md says what each holds, KIND:PATH what one looks for"


def _beside(path: Path) -> str:
    """What a path that is not there was probably meant to be, or how far it leads."""
    missing = path
    while not missing.parent.is_dir() and missing.parent != missing:
        missing = missing.parent
    try:
        names = [entry.name for entry in islice(missing.parent.iterdir(), _COMPARED)]
    except OSError:
        return ""
    near, above = nearest(missing.name, names), missing.parent
    return f"did you mean {near} in {above}?" if near else f"{above} has no {missing.name!r}"


def _with(options: ReadOptions | None, **given: Any) -> ReadOptions:
    """`options` with the fields that are given."""
    return replace(options or ReadOptions(), **{k: v for k, v in given.items() if v is not None})


def _named(root: Path, places: list[str]) -> tuple[tuple[str, str], ...]:
    """(scene id, place) of scenes below one root, sorted by id; ids go by all names beside them."""
    rows: dict[str, str] = {}
    siblings: dict[Path, dict[str, str]] = {}
    for place in places:
        entry, _, inside = place.partition("#")
        path = root / entry / inside if inside else root / entry
        if path.parent not in siblings:
            within = [p.partition("#")[2] for p in places if p.startswith(f"{entry}#")]
            names = within if inside else [_bare(name) for name in list_names(path.parent)]
            siblings[path.parent] = scene_ids(names)
        scene = siblings[path.parent][inside or _bare(path.name)]
        if scene in rows:  # one name in two folders: the later one is told by its folder
            scene = scene_slug(f"{place} ")
        rows[scene] = place
    return tuple(sorted(rows.items()))


def _bare(name: str) -> str:
    """The name of a scene without the suffix of the file that holds it."""
    stem, _, suffix = name.rpartition(".")
    return stem if stem and suffix in _SCENE_SUFFIXES else name


def _sources(path: Path, found: _Found, options: ReadOptions) -> list[ListedSource]:
    """A source for each kind and root; those that would share a key become one below `path`."""
    made: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for kind, root in found.scenes:
        made[layouts()[kind].key_of(root, options)].append((kind, root))
    sources = []
    for places in made.values():
        for kind in dict.fromkeys(kind for kind, _ in places):
            roots = [root for k, root in places if k == kind]
            top = roots[0] if len(roots) == 1 else path
            names = [
                (root / name).relative_to(top).as_posix()
                for root in roots
                for name in found.scenes[kind, root]
            ]
            sources.append(layouts()[kind].source(top, _named(top, names), options))
    return sources


def _with_refused(sources: list[ListedSource], refused: list[Path]) -> tuple[ListedSource, ...]:
    """The first source lists what has no layout, under ids of its own."""
    first, taken = sources[0], {scene for scene, _ in sources[0].files}
    rows = []
    for entry in refused:
        place = os.path.relpath(entry, first.root)
        scene = scene_slug(entry.name)
        if scene in taken:
            scene = scene_slug(f"{place} ")
        taken.add(scene)
        rows.append((scene, place))
    return replace(first, refused=tuple(sorted(rows))), *sources[1:]


def open_source(
    spec: str | Path,
    options: ReadOptions | None = None,
    *,
    key: str | None = None,
    stride: int | None = None,
    world_up: str | None = None,
) -> ListedSource:
    """Open the scenes or clips at a path as one source: those of the first kind that is found.

    Args:
        spec: A path, whose kind is detected, or `kind:path` with a kind of `layouts.kinds`. A
            path may be one scene, one clip, or a folder of them.
        options: How to read; the keywords below override its fields.
        key: Source key of the records.
        stride: Keep frames whose number is divisible by it.
        world_up: "x,y,z", "+x" ... "-z" or "auto".

    Returns:
        A small picklable source.

    Raises:
        SceneFormatError: Nothing that can be read is there; says what was looked for.
        ValueError: An option is out of range.
    """
    chosen = _with(options, key=key, stride=stride, world_up=world_up)
    path, explicit = _split_spec(spec)
    found = _find(path, (explicit,) if explicit else kinds())
    kind = next(k for k in kinds() for other, _ in found.scenes if other == k)
    roots = [root for k, root in found.scenes if k == kind]
    # Several folders, or the collections of a root of clips, are one source of that root.
    collection = kind == "tapvid3d" and roots[0].parent == path and roots[0].name in COLLECTIONS
    top = path if len(roots) > 1 or collection else roots[0]
    names = [
        (root / name).relative_to(top).as_posix()
        for root in roots
        for name in found.scenes[kind, root]
    ]
    source = layouts()[kind].source(top, _named(top, names), chosen)
    return _with_refused([source], found.refused)[0]


def open_sources(
    spec: str | Path,
    options: ReadOptions | None = None,
    *,
    key: str | None = None,
    stride: int | None = None,
    world_up: str | None = None,
) -> tuple[ListedSource, ...]:
    """Open every scene and clip at a path or below it: a source for each kind and folder of them.

    `spatialcore sample` makes such a folder: `scannet/`, `posed_images/`, `tapvid3d/`. A root of
    clips that holds the collections `adt/`, `pstudio/` or `drivetrack/` is a source for each, with
    the collection's name as its key; with a `key` it is one source of that key. Entries without a
    layout are listed by the first source, and opening them says why.

    Args:
        spec: As for `open_source`.
        options: As for `open_source`.
        key: As for `open_source`; only for a path that is one source.
        stride: As for `open_source`.
        world_up: As for `open_source`.

    Returns:
        One or more sources, in order of their folders' names.

    Raises:
        SceneFormatError: Neither the path nor any folder below it can be read.
        ValueError: `key` was given for several sources, or an option is out of range.
    """
    chosen = _with(options, key=key, stride=stride, world_up=world_up)
    path, explicit = _split_spec(spec)
    found = _find(path, (explicit,) if explicit else kinds())
    sources = _sources(path, found, chosen)
    if chosen.key is not None and len(sources) > 1:
        raise ValueError(
            f"{path} holds {len(sources)} sources; open one to give it the key {chosen.key!r}"
        )
    return _with_refused(sources, found.refused)
