# SPDX-License-Identifier: Apache-2.0
"""Which file of a posed folder is what: pictures, maps, poses and K by the names people give them.

Kinds are told by folder (`color/ depth/ pose/`), by suffix (`00000.jpg .png .txt`), or by a word in
the name (`frame-000000.color.png`, `rgb_0000.png`, `0000_depth.png`). Files of one frame share what
is left of the name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from spatialcore.io.names import natural_order
from spatialcore.io.nerfstudio_lists import LISTS
from spatialcore.io.paths import list_names
from spatialcore.io.refusals import present

COLOR_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
DEPTH_SUFFIXES = (".png", ".exr", ".npy", ".tiff", ".tif", ".pgm")
_COLOR_FOLDERS = ("color", "rgb", "colour", "image_color")
_DEPTH_FOLDERS = ("depth", "image_depth", "depths")
_POSE_FOLDERS = ("pose", "poses")
# These mean pictures too, where no other layout's list of them lies beside.
_IMAGE_FOLDERS = ("images", "image")
_OTHER_LISTS = (*LISTS, "scene_meta.json", "cameras")
_K_FOLDERS = ("intrinsic", "intrinsics")
_COLOR_K = (
    "intrinsic.txt", "intrinsic_color.txt", "color_intrinsic.txt", "intrinsics.txt",
    "camera-intrinsics.txt", "camera_intrinsics.txt", "K.txt",
)  # fmt: skip
_DEPTH_K = ("depth_intrinsic.txt", "intrinsic_depth.txt")
_RESERVED = frozenset(Path(name).stem for name in (*_COLOR_K, *_DEPTH_K))
DIGITS = re.compile(r"[0-9]{1,9}\Z")
_WORDS = {"color": "color", "colour": "color", "rgb": "color", "image": "color", "img": "color",
          "depth": "depth", "pose": "pose"}  # fmt: skip
_WORD = re.compile(rf"(?:^|[._-])({'|'.join(_WORDS)})(?=[._-]|$)")


@dataclass(frozen=True, slots=True)
class Listing:
    """Where the files of one scene are: stem -> path, kind by kind, and the K files."""

    folder: Path
    color: dict[str, Path]
    depth: dict[str, Path]
    pose: dict[str, Path]
    color_intrinsic: Path | None
    depth_intrinsic: Path | None
    intrinsics: dict[str, Path] = field(default_factory=dict)
    unread: str = ""  # a folder of files none of which is read, and what is

    @property
    def stems(self) -> list[str]:
        """Stems of all frames, numeric ones in numeric order."""
        numbered = {s for s in self.pose if DIGITS.match(s)}
        return sorted({*self.color, *self.depth, *numbered}, key=_stem_order)


def _stem_order(stem: str) -> tuple[bool, object]:
    return DIGITS.match(stem) is None, natural_order(stem)


def _by_stem(folder: Path, names: Iterable[str], suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Stem -> path of the names with one of `suffixes`; where two share a stem the first wins."""
    ranked: dict[str, tuple[int, str]] = {}
    for name in names:
        stem, dot, suffix = name.rpartition(".")
        suffix = dot + suffix.lower()
        if suffix in suffixes and stem and stem not in _RESERVED:
            rank = (suffixes.index(suffix), name)
            ranked[stem] = min(rank, ranked.get(stem, rank))
    return {stem: folder / name for stem, (_, name) in ranked.items()}


def _first(folders: Iterable[Path], names: Iterable[str]) -> Path | None:
    return next((f / n for f in folders for n in names if present(f / n)), None)


def _word_of(stem: str) -> tuple[str, str]:
    """What is left of a stem without its first word for a kind, and that kind or "".

    Example:
        >>> _word_of("frame-000007.color"), _word_of("rgb_0012"), _word_of("0012")
        (('frame-000007', 'color'), ('0012', 'rgb'), ('0012', ''))
    """
    found = _WORD.search(stem)
    if found is None:
        return stem, ""
    rest = stem[: found.start()] + stem[found.end() :]
    return rest.strip("._-"), found.group(1)


def _without_words(found: dict[str, Path], kind: str) -> dict[str, Path]:
    """The same files by what is left of their stems; as they were where two would be one."""
    bare = {}
    for stem, path in found.items():
        rest, word = _word_of(stem)
        bare[rest if _WORDS.get(word) == kind and rest else stem] = path
    return bare if len(bare) == len(found) else found


def _paired(listing: Listing) -> Listing:
    """The listing by stems without words for kinds, where the stems as they are pair nothing."""
    if listing.color.keys() & (listing.pose.keys() | listing.depth.keys()):
        return listing
    color, depth, pose = (
        _without_words(getattr(listing, kind), kind) for kind in ("color", "depth", "pose")
    )
    return replace(listing, color=color, depth=depth, pose=pose)


def _image_folder(folder: Path, names: list[str]) -> str | None:
    alone = not any(name in names for name in _OTHER_LISTS)
    known = (*_COLOR_FOLDERS, *_IMAGE_FOLDERS) if alone else _COLOR_FOLDERS
    return next((c for c in known if c in names and (folder / c).is_dir()), None)


def _list_folders(folder: Path, names: list[str]) -> Listing | None:
    color = _image_folder(folder, names)
    pose = next((p for p in _POSE_FOLDERS if p in names), None)
    if color is None or pose is None:
        return None
    depth = next((folder / d for d in _DEPTH_FOLDERS if d in names), folder / _DEPTH_FOLDERS[0])
    depth_names = list_names(depth) if depth.is_dir() else []
    colors = _by_stem(folder / color, list_names(folder / color), COLOR_SUFFIXES)
    poses = _by_stem(folder / pose, list_names(folder / pose), (".txt",))
    if not colors and not poses:
        return None  # folders of these names that hold videos or arrays are another layout's
    places = (*(folder / name for name in _K_FOLDERS), folder)
    depths = _by_stem(depth, depth_names, DEPTH_SUFFIXES)
    unread = (
        _unread(colors, color, list_names(folder / color), COLOR_SUFFIXES)
        or _unread(depths, depth.name, depth_names, DEPTH_SUFFIXES)
        or _unread(poses, pose, list_names(folder / pose), (".txt",))
    )
    found = _paired(
        Listing(
            folder,
            colors,
            depths,
            poses,
            _first(places, ("intrinsic_color.txt", *_COLOR_K)),
            _first(places, _DEPTH_K),
        )
    )
    return replace(found, intrinsics=_own_K(folder, found), unread=unread)


def _unread(
    found: dict[str, Path], folder: str, names: list[str], suffixes: tuple[str, ...]
) -> str:
    """What a folder holds in place of files that are read; "" where there are such, or none."""
    ends = Counter(Path(name).suffix.lower() for name in names if not name.startswith("."))
    if found or not ends:
        return ""
    suffix, count = ends.most_common(1)[0]
    kind = f"{suffix[:20]} files" if suffix else "files without suffix"
    return f"{folder}/ holds {count} {kind}, which are not read there; {' '.join(suffixes)} are"


def _own_K(folder: Path, listing: Listing) -> dict[str, Path]:  # noqa: N802
    """K files of single frames, where a folder of them has one for most of the pictures."""
    for place in (folder / name for name in _K_FOLDERS):
        found = _by_stem(place, list_names(place), (".txt",)) if place.is_dir() else {}
        for named in (found, {_word_of(stem)[0]: path for stem, path in found.items()}):
            if 2 * len(named.keys() & listing.color.keys()) > len(listing.color):
                return named
    return {}


def _list_tagged(folder: Path, names: list[str]) -> Listing | None:
    """Files whose names say what they hold: `frame-000000.color.png`, `rgb_000.png`."""
    suffixes = {"color": COLOR_SUFFIXES, "depth": DEPTH_SUFFIXES, "pose": (".txt",)}
    of_kind: dict[str, list[str]] = {kind: [] for kind in suffixes}
    for name in names:
        kind = _WORDS.get(_word_of(name.rpartition(".")[0])[1])
        if kind is not None:
            of_kind[kind].append(name)
    color, depth, pose = (
        _without_words(_by_stem(folder, of_kind[kind], suffixes[kind]), kind) for kind in suffixes
    )
    if not (color and (depth or pose)):
        return None
    color_intrinsic, depth_intrinsic = _first([folder], _COLOR_K), _first([folder], _DEPTH_K)
    return Listing(folder, color, depth, pose, color_intrinsic, depth_intrinsic)


def _list_flat(folder: Path, names: list[str]) -> Listing | None:
    color = _by_stem(folder, names, (".jpg", ".jpeg"))
    depth = _by_stem(folder, names, (".png",))
    pose = _by_stem(folder, names, (".txt",))
    frames = {**color, **depth}
    pose = {s: p for s, p in pose.items() if s in frames or DIGITS.match(s)}
    has_K = any(name in names for name in _COLOR_K)
    if not (color and (pose or depth)) and not (has_K and (frames or pose)):
        return None
    color_intrinsic, depth_intrinsic = _first([folder], _COLOR_K), _first([folder], _DEPTH_K)
    return Listing(folder, color, depth, pose, color_intrinsic, depth_intrinsic)


def list_frames(scene_folder: Path) -> Listing | None:
    """The files of a scene folder in any of the layouts, or None when it holds none.

    Looks in `scene_folder/posed_images` first, then in `scene_folder` itself. K may lie one folder
    above the scene, for all scenes there.
    """
    for folder in (scene_folder / "posed_images", scene_folder):
        if folder.is_dir():
            names = list_names(folder)
            listing = (
                _list_folders(folder, names)
                or _list_tagged(folder, names)
                or _list_flat(folder, names)
            )
            if listing is not None and listing.color_intrinsic is None:
                places = (scene_folder, scene_folder.parent)
                listing = replace(listing, color_intrinsic=_first(places, _COLOR_K))
            if listing is not None:
                return listing
    return None
