# SPDX-License-Identifier: Apache-2.0
"""Reader of raw ScanNet scans: `.sens`, mesh, segments, objects, labels, without any export."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import ClassVar

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.images import MAX_FILE_BYTES, image_size
from spatialcore.io.listed import ListedSource
from spatialcore.io.matrices import make_camera, pose_reason
from spatialcore.io.orientation import resolve_orientation
from spatialcore.io.paths import resolve_inside
from spatialcore.io.scannet_objects import find_annotation, space_of
from spatialcore.io.sens import SensFile, open_sens, read_sens_depth
from spatialcore.types import Frame, Scene

STRIDE = 5
_SCAN_FOLDERS = ("scans", "scans_test")
# Enough for the frame header of every camera's JPEG, which carries no large metadata.
_HEAD_BYTES = 64 << 10
# How a whole JPEG or PNG ends, but for what some cameras write behind it.
_ENDS, _END_BYTES = (b"\xff\xd9", b"IEND"), 16


def _frame_fault(sens: SensFile, number: int) -> str:
    """Why a frame cannot be used, from its header and the head of its image; "" when it can."""
    color_bytes, depth_bytes = sens.payload_sizes(number)
    fault = pose_reason(sens.world_from_cam(number))
    if fault:
        return fault
    if color_bytes == 0:
        return "image_missing"
    try:
        ends = any(mark in sens.image_end(number, _END_BYTES) for mark in _ENDS)
        head = sens.image_bytes(number, _HEAD_BYTES if ends else MAX_FILE_BYTES)
        size = image_size(head, whole=not ends)
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


def _count_notes(sens: SensFile) -> tuple[str, ...]:
    declared = sens.header.declared_frame_count
    return () if declared == len(sens) else (f"frame_count_wrong={declared}, holds {len(sens)}",)


class ScannetSource(ListedSource):
    """Raw scans: a `.sens` each, or the folder that holds it. `stride` is 5 unless given."""

    __slots__ = ()
    kind: ClassVar[str] = "scannet"

    def open(self, scene_id: str) -> Scene:
        """Open one scan: walks the frame headers of the `.sens` and reads the annotation.

        Raises:
            SceneFormatError: No such scan, or its `.sens` or annotation is malformed.
        """
        root = self.root.resolve()
        path = _sens_of(resolve_inside(root, self.place(scene_id)))
        uri = path.relative_to(root).as_posix()
        sens = open_sens(path)
        frames = _read_frames(sens, uri, self.options.stride or STRIDE)
        if not frames:
            raise SceneFormatError(path, "holds no frame", code="no_usable_frames")
        annotation = find_annotation((path.parent,), path.stem, root, self.options.labels)
        up = np.array([0.0, 0.0, 1.0])
        orientation = resolve_orientation(self.options, (path.parent,), frames, up)
        header = sens.header
        return Scene(
            source=self.key,
            id=scene_id,
            space=space_of(path.stem, scene_id),
            root=root,
            color=make_camera(header.color_intrinsic, *header.color_size, path),
            depth=make_camera(header.depth_intrinsic, *header.depth_size, path),
            depth_size=header.depth_size,
            # The published millimetre constant exactly, rather than a float32 reciprocal.
            depth_scale=0.001 if header.depth_shift == 1000 else 1.0 / header.depth_shift,
            frames=frames,
            read_depth=functools.partial(read_sens_depth, root),
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


def _sens_of(entry: Path) -> Path:
    """The `.sens` of a scan's folder, or the entry itself."""
    return entry / f"{entry.name}.sens" if entry.is_dir() else entry


def is_scan(entry: Path) -> bool:
    """Whether an entry is a `.sens`, or a folder that holds one of its own name."""
    sens = _sens_of(entry)
    return sens.suffix == ".sens" and sens.is_file()


def scan_root(entry: Path) -> Path:
    """The root of a scan: above `<id>/<id>.sens`, and above `scans/` and `scans_test/`."""
    folder = entry.parent
    if entry.suffix == ".sens" and folder.name == entry.stem:
        folder = folder.parent
    return folder.parent if folder.name in _SCAN_FOLDERS else folder
