# SPDX-License-Identifier: Apache-2.0
"""Reader of raw ScanNet scans: `.sens`, mesh, segments, objects, labels, without any export."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.images import image_size
from spatialcore.io.matrices import make_camera, pose_reason
from spatialcore.io.options import ReadOptions
from spatialcore.io.orientation import resolve_orientation
from spatialcore.io.paths import (
    check_scene_id,
    fragment_number,
    is_scene_id,
    list_names,
    resolve_inside,
    split_uri,
)
from spatialcore.io.scannet_objects import find_annotation
from spatialcore.io.sens import SensFile, open_sens
from spatialcore.types import Frame, Scene

STRIDE = 5
_SCAN_FOLDERS = ("", "scans", "scans_test")
# Enough for the frame header of every camera's JPEG, which carries no large metadata.
_HEAD_BYTES = 64 << 10


def _frame_fault(sens: SensFile, number: int) -> str:
    """Why a frame cannot be used, from its header and the head of its image; "" when it can."""
    color_bytes, depth_bytes = sens.payload_sizes(number)
    fault = pose_reason(sens.world_from_cam(number))
    if fault:
        return fault
    if color_bytes == 0:
        return "image_missing"
    try:
        size = image_size(sens.image_bytes(number, _HEAD_BYTES))
    except SceneFormatError:
        return "image_bad"
    if size != sens.header.color_size:
        return "image_size_differs"
    return "" if depth_bytes else "depth_missing"


def _read_frames(sens: SensFile, uri: str, stride: int) -> tuple[Frame, ...]:
    kept = range(0, len(sens), stride)
    timed = any(sens.time(number) > 0 for number in kept)
    frames = []
    for number in kept:
        color_bytes, depth_bytes = sens.payload_sizes(number)
        frames.append(
            Frame(
                index=number,
                name=f"{number:05d}",
                world_from_cam=sens.world_from_cam(number),
                image=f"{uri}#frame={number}" if color_bytes else None,
                depth=f"{uri}#frame={number}" if depth_bytes else None,
                reason=_frame_fault(sens, number),
                time=sens.time(number) if timed else None,
            )
        )
    return tuple(frames)


def _read_depth(root: Path, frame: Frame) -> NDArray[np.uint16]:
    if frame.depth is None:
        raise SceneFormatError(root, f"frame {frame.name} has no depth", code="depth_missing")
    path = resolve_inside(root, split_uri(frame.depth)[0])
    return open_sens(path).depth(fragment_number(frame.depth, "frame="))


def _count_notes(sens: SensFile) -> tuple[str, ...]:
    declared = sens.header.declared_frame_count
    return () if declared == len(sens) else (f"frame_count_wrong={declared}, holds {len(sens)}",)


@dataclass(frozen=True, slots=True)
class ScannetSource:
    """Raw scans. Picklable; opens nothing until a scan is asked for.

    Attributes:
        root: Folder that uris are relative to.
        files: (scan id, `.sens` file relative to root), sorted by id.
        options: How to read; `stride` is 5 unless given.
    """

    root: Path
    files: tuple[tuple[str, str], ...]
    options: ReadOptions = field(default_factory=ReadOptions)

    @property
    def kind(self) -> str:
        """Name of the reader."""
        return "scannet"

    @property
    def key(self) -> str:
        """Source key of the records."""
        return self.options.key or self.kind

    def scene_ids(self) -> tuple[str, ...]:
        """Ids in sorted order."""
        return tuple(scan for scan, _ in self.files)

    def open(self, scene_id: str) -> Scene:
        """Open one scan: walks the frame headers of the `.sens` and reads the annotation.

        Raises:
            SceneFormatError: No such scan, or its `.sens` or annotation is malformed.
        """
        check_scene_id(scene_id, self.root)
        uri = dict(self.files).get(scene_id)
        if uri is None:
            raise SceneFormatError(self.root, f"has no scan {scene_id!r}", code="scene_missing")
        path = resolve_inside(self.root, uri)
        sens = open_sens(path)
        frames = _read_frames(sens, uri, self.options.stride or STRIDE)
        if not frames:
            raise SceneFormatError(path, "holds no frame", code="no_usable_frames")
        annotation = find_annotation(path.parent, scene_id, self.root, self.options.labels)
        up = np.array([0.0, 0.0, 1.0])
        orientation = resolve_orientation(self.options, (path.parent,), frames, up)
        header = sens.header
        return Scene(
            source=self.key,
            id=scene_id,
            space=annotation.space,
            root=self.root.resolve(),
            color=make_camera(header.color_intrinsic, *header.color_size, path),
            depth=make_camera(header.depth_intrinsic, *header.depth_size, path),
            depth_size=header.depth_size,
            # The published millimetre constant exactly, rather than a float32 reciprocal.
            depth_scale=0.001 if header.depth_shift == 1000 else 1.0 / header.depth_shift,
            frames=frames,
            read_depth=functools.partial(_read_depth, self.root.resolve()),
            read_cloud=annotation.read_cloud,
            objects=annotation.objects,
            metric=orientation.metric,
            world_up=orientation.world_up,
            up_estimated=orientation.estimated,
            aligned_from_world=annotation.aligned_from_world,
            split=annotation.split,
            kind=self.kind,
            inputs=(path, *annotation.inputs),
            notes=_count_notes(sens) + orientation.notes + annotation.notes,
        )


def scan_files(root: Path) -> tuple[tuple[str, str], ...]:
    """(scan id, relative `.sens`) of every `.sens` in `root`, its `scans` and `scans_test`.

    The first folder wins where two hold one id.
    """
    found: dict[str, str] = {}
    for folder in _SCAN_FOLDERS:
        if not (root / folder).is_dir():
            continue
        for name in list_names(root / folder):
            scan = name.removesuffix(".sens")
            relative = name if scan != name else f"{name}/{name}.sens"
            if is_scene_id(scan) and (root / folder / relative).is_file():
                found.setdefault(scan, f"{folder}/{relative}" if folder else relative)
    return tuple(sorted(found.items()))


def scan_of(path: Path) -> tuple[Path, tuple[tuple[str, str], ...]]:
    """Root and files for the path of one scan: its folder or its `.sens`; no files if neither.

    The folder above `<id>/<id>.sens` is the root, so that a scan has the same uris however it
    is opened.
    """
    sens = path / f"{path.name}.sens" if path.is_dir() else path
    if sens.suffix != ".sens" or not sens.is_file() or not is_scene_id(sens.stem):
        return path, ()
    root = sens.parent.parent if sens.parent.name == sens.stem else sens.parent
    return root, ((sens.stem, sens.relative_to(root).as_posix()),)
