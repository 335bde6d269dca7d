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
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.depth_maps import holds_floats, read_depth
from spatialcore.io.frame_files import (
    BuiltFrames,
    FrameFiles,
    build_frames,
    count_reasons,
    with_one_camera,
)
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.listed import ListedSource
from spatialcore.io.matrices import read_intrinsic, read_K, read_matrix
from spatialcore.io.object_files import Labels, read_labels
from spatialcore.io.orientation import resolve_orientation
from spatialcore.io.paths import resolve_inside
from spatialcore.io.posed_files import DIGITS, Listing, list_frames
from spatialcore.io.scannet_objects import Annotation, find_annotation, space_of
from spatialcore.types import Camera, Scene

_LAST_ROW = np.array([[0.0, 0.0, 0.0, 1.0]])
_TRAILING_DIGITS = re.compile(r"[0-9]{1,9}\Z|[0-9]{1,9}(?=[^0-9]*\Z)")


def looks_like_scene(folder: Path) -> bool:
    """Whether a folder is one scene in either layout."""
    return folder.is_dir() and list_frames(folder) is not None


def _kept_stems(stems: list[str], stride: int) -> list[tuple[int, str]]:
    """(frame index, stem) of the frames whose number is divisible by `stride`."""
    numeric = all(DIGITS.match(s) for s in stems) and len({int(s) for s in stems}) == len(stems)
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
        stored = read_matrix(path, (4, 4), (3, 4))
        return np.concatenate([stored[:3], stored[3:] if len(stored) == 4 else _LAST_ROW]), ""
    except SceneFormatError:
        return None, "pose_unreadable"


def _frame_files(listing: Listing, kept: list[tuple[int, str]]) -> Iterator[FrameFiles]:
    for index, stem in kept:
        world_from_cam, fault = _read_pose(listing.pose.get(stem))
        color, depth = listing.color.get(stem), listing.depth.get(stem)
        K = None
        if listing.intrinsics:
            K = _read_own_K(listing.intrinsics.get(stem))
            fault = fault or ("" if K is not None else "intrinsic_missing")
        yield FrameFiles(index, stem, color, depth, world_from_cam, fault, intrinsics=K)


def _read_own_K(path: Path | None) -> Intrinsics | None:  # noqa: N802
    """K of a single frame; None where there is none that can be read."""
    try:
        return None if path is None else Intrinsics(read_K(path))
    except SceneFormatError:
        return None


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


def _calibrated(folder: Path) -> Listing:
    """The files of a scene folder; SceneFormatError when there are none, or no K."""
    listing = list_frames(folder)
    if listing is None:
        raise SceneFormatError(folder, "holds no posed images", code="no_usable_frames")
    if listing.unread:
        raise SceneFormatError(
            listing.folder, listing.unread, "convert them", code="no_usable_frames"
        )
    if listing.color_intrinsic is None and not listing.intrinsics:
        raise SceneFormatError(
            listing.folder,
            "has no intrinsic.txt",
            "a text file with the 3x3 or 4x4 K of the colour images, here or above; every task "
            "projects with it",
            code="intrinsic_missing",
        )
    return listing


def _open_scene(source: PosedImagesSource, scene_id: str, folder: Path) -> Scene:
    options = source.options
    listing = _calibrated(folder)
    root = source.root.resolve()
    kept = _kept_stems(listing.stems, options.stride or 1)
    if not kept:
        raise SceneFormatError(
            listing.folder,
            f"no frame number is divisible by stride {options.stride}",
            code="no_usable_frames",
        )
    stored = build_frames(_frame_files(listing, kept), root, listing.folder)
    found, color, depth = _with_cameras(stored, listing)
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
    stored: BuiltFrames, listing: Listing
) -> tuple[BuiltFrames, Camera, Camera | None]:
    """The frames with the cameras of the K files, turned as the pictures are."""
    depth = None
    if listing.depth_intrinsic is not None:
        depth = read_intrinsic(listing.depth_intrinsic, *stored.depth_size)
    if listing.intrinsics:
        if stored.color is None:
            raise SceneFormatError(
                listing.folder, count_reasons(stored.frames), code="intrinsic_missing"
            )
        return stored, stored.color, stored.depth
    assert listing.color_intrinsic is not None
    color = read_intrinsic(listing.color_intrinsic, *stored.color_size)
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
    single = [listing.color_intrinsic, listing.depth_intrinsic, *listing.intrinsics.values()]
    single += [f / "scene_meta.json" for f in (listing.folder, folder)]
    frames = [m.get(stem) for _, stem in kept for m in (listing.pose, listing.depth)]
    paths = (p for p in (*single, *annotation.inputs, *frames) if p is not None and p.is_file())
    return tuple(dict.fromkeys(paths))
