# SPDX-License-Identifier: Apache-2.0
"""Reader of exported posed images: one colour image, depth image and pose file a frame.

Three layouts are met in the wild: flat (`00000.jpg`, `00000.png`, `00000.txt`, `intrinsic.txt`),
flat with the kind in the name (`frame-000000.color.png`, `.depth.pgm`, `.pose.txt`: 7-Scenes,
3DMatch, ScanNet's own export) and by folder (`color/ depth/ pose/ intrinsic/`, in SPAR-7M-RGBD
`image_color/ image_depth/`). A missing or damaged file masks its frame.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.frame_files import (
    BuiltFrames,
    FrameFiles,
    build_frames,
    holds_floats,
    read_depth,
    with_one_camera,
)
from spatialcore.io.listed import ListedSource
from spatialcore.io.matrices import read_intrinsic, read_matrix
from spatialcore.io.names import natural_order
from spatialcore.io.object_files import Labels, read_labels
from spatialcore.io.orientation import resolve_orientation
from spatialcore.io.paths import (
    list_names,
    resolve_inside,
)
from spatialcore.io.refusals import present
from spatialcore.io.scannet_objects import Annotation, find_annotation, space_of
from spatialcore.types import Camera, Scene

COLOR_SUFFIXES = (".jpg", ".jpeg", ".png")
DEPTH_SUFFIXES = (".png", ".exr", ".npy", ".tiff", ".tif", ".pgm")
_COLOR_FOLDERS = ("color", "rgb", "colour", "image_color")
_DEPTH_FOLDERS = ("depth", "image_depth")
_POSE_FOLDERS = ("pose", "poses")
_COLOR_K = ("intrinsic.txt", "intrinsic_color.txt", "color_intrinsic.txt")
_DEPTH_K = ("depth_intrinsic.txt", "intrinsic_depth.txt")
_RESERVED = frozenset(Path(name).stem for name in (*_COLOR_K, *_DEPTH_K))
_DIGITS = re.compile(r"[0-9]{1,9}\Z")
_TRAILING_DIGITS = re.compile(r"[0-9]{1,9}\Z|[0-9]{1,9}(?=[^0-9]*\Z)")


@dataclass(frozen=True, slots=True)
class Listing:
    """Where the files of one scene are: stem -> path, kind by kind, and the two K files."""

    folder: Path
    color: dict[str, Path]
    depth: dict[str, Path]
    pose: dict[str, Path]
    color_intrinsic: Path | None
    depth_intrinsic: Path | None

    @property
    def stems(self) -> list[str]:
        """Stems of all frames, numeric ones in numeric order."""
        numbered = {s for s in self.pose if _DIGITS.match(s)}
        return sorted({*self.color, *self.depth, *numbered}, key=_stem_order)


def _stem_order(stem: str) -> tuple[bool, object]:
    return _DIGITS.match(stem) is None, natural_order(stem)


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


def _list_folders(folder: Path, names: list[str]) -> Listing | None:
    color = next((c for c in _COLOR_FOLDERS if c in names), None)
    pose = next((p for p in _POSE_FOLDERS if p in names), None)
    if color is None or pose is None or not (folder / color).is_dir():
        return None
    depth = next((folder / d for d in _DEPTH_FOLDERS if d in names), folder / _DEPTH_FOLDERS[0])
    depth_names = list_names(depth) if depth.is_dir() else []
    places = (folder / "intrinsic", folder / "intrinsics", folder)
    colors = _by_stem(folder / color, list_names(folder / color), COLOR_SUFFIXES)
    poses = _by_stem(folder / pose, list_names(folder / pose), (".txt",))
    if not colors and not poses:
        return None  # folders of these names that hold videos or arrays are another layout's
    return Listing(
        folder,
        colors,
        _by_stem(depth, depth_names, DEPTH_SUFFIXES),
        poses,
        _first(places, ("intrinsic_color.txt", "intrinsic.txt", "color_intrinsic.txt")),
        _first(places, _DEPTH_K),
    )


def _list_tagged(folder: Path, names: list[str]) -> Listing | None:
    """Files whose names say what they hold: `frame-000000.color.png`, `.depth.pgm`, `.pose.txt`."""

    def tagged(kind: str, suffixes: tuple[str, ...]) -> dict[str, Path]:
        found = _by_stem(folder, (name for name in names if f".{kind}." in name), suffixes)
        return {stem.removesuffix(f".{kind}"): path for stem, path in found.items()}

    color, depth = tagged("color", COLOR_SUFFIXES), tagged("depth", DEPTH_SUFFIXES)
    pose = tagged("pose", (".txt",))
    if not (color and (depth or pose)):
        return None
    color_intrinsic, depth_intrinsic = _first([folder], _COLOR_K), _first([folder], _DEPTH_K)
    return Listing(folder, color, depth, pose, color_intrinsic, depth_intrinsic)


def _list_flat(folder: Path, names: list[str]) -> Listing | None:
    color = _by_stem(folder, names, (".jpg", ".jpeg"))
    depth = _by_stem(folder, names, (".png",))
    pose = _by_stem(folder, names, (".txt",))
    frames = {**color, **depth}
    pose = {s: p for s, p in pose.items() if s in frames or _DIGITS.match(s)}
    has_K = any(name in names for name in _COLOR_K)
    if not (color and (pose or depth)) and not (has_K and (frames or pose)):
        return None
    color_intrinsic, depth_intrinsic = _first([folder], _COLOR_K), _first([folder], _DEPTH_K)
    return Listing(folder, color, depth, pose, color_intrinsic, depth_intrinsic)


def list_frames(scene_folder: Path) -> Listing | None:
    """The files of a scene folder in any of the layouts, or None when it holds none.

    Looks in `scene_folder/posed_images` first, then in `scene_folder` itself.
    """
    for folder in (scene_folder / "posed_images", scene_folder):
        if folder.is_dir():
            names = list_names(folder)
            listing = (
                _list_folders(folder, names)
                or _list_tagged(folder, names)
                or _list_flat(folder, names)
            )
            if listing is not None:
                return listing
    return None


def looks_like_scene(folder: Path) -> bool:
    """Whether a folder is one scene in either layout."""
    return folder.is_dir() and list_frames(folder) is not None


def _kept_stems(stems: list[str], stride: int) -> list[tuple[int, str]]:
    """(frame index, stem) of the frames whose number is divisible by `stride`."""
    numeric = all(_DIGITS.match(s) for s in stems) and len({int(s) for s in stems}) == len(stems)
    kept = []
    for row, stem in enumerate(stems):
        found = _TRAILING_DIGITS.search(stem)
        number = int(found.group()) if found else row
        if number % stride == 0:
            kept.append((number if numeric else row, stem))
    return kept


def _read_pose(path: Path | None) -> tuple[NDArray[np.float64] | None, str]:
    if path is None:
        return None, "pose_missing"
    try:
        return read_matrix(path, (4, 4)), ""
    except SceneFormatError:
        return None, "pose_unreadable"


def _frame_files(listing: Listing, kept: list[tuple[int, str]]) -> Iterator[FrameFiles]:
    for index, stem in kept:
        world_from_cam, fault = _read_pose(listing.pose.get(stem))
        color, depth = listing.color.get(stem), listing.depth.get(stem)
        yield FrameFiles(index, stem, color, depth, world_from_cam, fault)


class PosedImagesSource(ListedSource):
    """Scenes of posed images."""

    __slots__ = ()
    kind: ClassVar[str] = "posed_images"

    def open(self, scene_id: str) -> Scene:
        """Open one scene: lists its files and reads their headers and poses, no pixels.

        Raises:
            SceneFormatError: No such scene, no intrinsic, or no frame with image and depth.
        """
        folder = resolve_inside(self.root.resolve(), self.place(scene_id))
        return _open_scene(self, scene_id, folder)


def _calibrated(folder: Path) -> tuple[Listing, Path]:
    """The files of a scene folder and its colour K; SceneFormatError when either is missing."""
    listing = list_frames(folder)
    if listing is None:
        raise SceneFormatError(folder, "holds no posed images", code="no_usable_frames")
    if listing.color_intrinsic is None:
        raise SceneFormatError(
            listing.folder,
            "has no intrinsic.txt",
            "a text file with the 3x3 or 4x4 K of the colour images; every task projects with it",
            code="intrinsic_missing",
        )
    return listing, listing.color_intrinsic


def _open_scene(source: PosedImagesSource, scene_id: str, folder: Path) -> Scene:
    options = source.options
    listing, intrinsic = _calibrated(folder)
    root = source.root.resolve()
    kept = _kept_stems(listing.stems, options.stride or 1)
    if not kept:
        raise SceneFormatError(
            listing.folder,
            f"no frame number is divisible by stride {options.stride}",
            code="no_usable_frames",
        )
    stored = build_frames(_frame_files(listing, kept), root, listing.folder)
    found, color, depth = _with_cameras(stored, intrinsic, listing.depth_intrinsic)
    annotation = find_annotation(_annotated(folder), folder.name, root, options.labels)
    # An axis alignment turns ScanNet's world about its own up.
    up = None if annotation.aligned_from_world is None else np.array([0.0, 0.0, 1.0])
    orientation = resolve_orientation(options, (listing.folder, folder), found.frames, up)
    labels = Labels(annotation.objects)
    if not annotation.objects:
        labels = read_labels((folder, listing.folder), found.frames, found.color_size)
    unit = 1.0 if holds_floats(root, found.frames, read_depth) else 0.001
    return Scene(
        source=source.key,
        id=scene_id,
        space=space_of(folder.name, scene_id),
        root=root,
        color=color,
        depth=depth,
        depth_size=found.depth_size,
        depth_scale=orientation.depth_scale or unit,
        frames=found.frames,
        read_depth=functools.partial(read_depth, root),
        # Masks label the cloud that the index builds: a mesh without segments would be in the way.
        read_cloud=None if labels.read_instance else annotation.read_cloud,
        read_instance=labels.read_instance,
        objects=labels.objects,
        metric=orientation.metric,
        world_up=orientation.world_up,
        up_estimated=orientation.estimated,
        aligned_from_world=annotation.aligned_from_world,
        split=annotation.split,
        kind=source.kind,
        inputs=(*_inputs(listing, annotation, folder, kept), *labels.inputs),
        notes=found.notes + orientation.notes + annotation.notes + labels.notes,
    )


def _with_cameras(
    stored: BuiltFrames, intrinsic: Path, depth_intrinsic: Path | None
) -> tuple[BuiltFrames, Camera, Camera | None]:
    """The frames with the cameras of the K files, turned as the pictures are."""
    color, depth = read_intrinsic(intrinsic, *stored.color_size), None
    if depth_intrinsic is not None:
        depth = read_intrinsic(depth_intrinsic, *stored.depth_size)
    return with_one_camera(stored, color, depth)


def _annotated(folder: Path) -> tuple[Path, ...]:
    """Where ScanNet's annotation of a scene may lie: with it, or in `scans/` beside its root."""
    return (
        folder,
        folder.parent.parent / "scans" / folder.name,
        folder.parent / "scans" / folder.name,
    )


def _inputs(
    listing: Listing, annotation: Annotation, folder: Path, kept: list[tuple[int, str]]
) -> tuple[Path, ...]:
    """Files whose change makes an index stale: K, poses, depth, annotation; no colour image."""
    single = [listing.color_intrinsic, listing.depth_intrinsic]
    single += [f / "scene_meta.json" for f in (listing.folder, folder)]
    frames = [m.get(stem) for _, stem in kept for m in (listing.pose, listing.depth)]
    paths = (p for p in (*single, *annotation.inputs, *frames) if p is not None and p.is_file())
    return tuple(dict.fromkeys(paths))
