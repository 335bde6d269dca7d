# SPDX-License-Identifier: Apache-2.0
"""What a source holds and what it lacks: one report a scene, from a few decoded depth images."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError, SpatialCoreError
from spatialcore.io.scannet_objects import read_scan_text
from spatialcore.types import (
    Float64,
    Frame,
    Scene,
    Source,
    Track3D,
    compose_poses,
    invert_pose,
    transform_points,
)

SAMPLED_FRAMES = 12
# Every 8th pixel of a 640x480 image: 4,800 readings tell a share to about 1 %.
_PIXEL_STEP = 8
_RELATIVE, _ABSOLUTE_M = 0.05, 0.05


@dataclass(frozen=True, slots=True)
class SceneReport:
    """What one scene or clip holds.

    Attributes:
        id: Scene id.
        kind: "scene", "clip", or "" when it did not open.
        frame_count: Frames after the stride, masked ones included.
        usable_count: Frames that are not masked.
        reasons: Reason code -> masked frames.
        depth_share: Share of depth pixels with a reading, over the decoded frames.
        agreement: Share of readings that the next decoded frame confirms within 5 % or 5 cm.
        agreement_offset: The same with the `colorToDepthExtrinsics` of `<id>.txt` applied.
        object_count: Annotated objects.
        point_count: Mesh vertices, or tracks of a clip.
        world_up: Up direction, or None = unknown.
        up_estimated: Whether it was estimated.
        metric: Whether lengths are metres.
        split: "train", "val" or None.
        notes: Warnings of the reader.
        missing: (what is missing, what needs it).
        verdict: "ok", "limited" = something is missing, or "skipped".
        error: Why it was skipped, or "".
        code: Reason code of a skipped scene, or "".
    """

    id: str
    kind: str = ""
    frame_count: int = 0
    usable_count: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    depth_share: float | None = None
    agreement: float | None = None
    agreement_offset: float | None = None
    object_count: int = 0
    point_count: int | None = None
    world_up: tuple[float, ...] | None = None
    up_estimated: bool = False
    metric: bool = True
    split: str | None = None
    notes: tuple[str, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    verdict: str = "ok"
    error: str = ""
    code: str = ""

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return dataclasses.asdict(self)


def _missing_of_scene(scene: Scene) -> Iterator[tuple[str, str]]:
    mesh = f"{scene.id}_vh_clean_2"
    if scene.world_up is None:
        yield (
            'scene_meta.json {"world_up": [x, y, z]} or --world-up',
            "yaw, pitch, object sizes, layout, above and below, and navigation need gravity",
        )
    if scene.depth is None and scene.depth_size != scene.color.size:
        yield (
            "depth_intrinsic.txt",
            "maps colour pixels to depth pixels; without it the default recipe refuses the scene",
        )
    if not scene.objects:
        yield (
            f"{mesh}.0.010000.segs.json and {scene.id}.aggregation.json, "
            "or instance/ and objects.json",
            "object sizes, counts, layout and relations need labelled objects",
        )
    elif scene.read_cloud is not None and scene.aligned_from_world is None:
        yield f"axisAlignment in {scene.id}.txt", "object boxes along the room's axes need it"
    if not scene.metric:
        yield "lengths in metres", "every question about lengths needs them"


def _missing_of_clip(clip: Track3D) -> Iterator[tuple[str, str]]:
    if not any(frame.image for frame in clip.frames):
        yield "images_jpeg_bytes", "a question is asked about images"
    if not clip.metric:
        yield "lengths in metres", "every question about lengths needs them"


def _spread(frames: Sequence[Frame], count: int | None) -> list[Frame]:
    """`count` frames evenly spread in runs of two neighbours, or all when None."""
    usable = [f for f in frames if f.valid]
    if count is None or len(usable) <= count:
        return usable
    starts = np.linspace(0, len(usable) - 2, max(count // 2, 1)).round().astype(int)
    picked = sorted({int(i) + step for i in starts for step in (0, 1)})
    return [usable[i] for i in picked]


def _depth_intrinsic(scene: Scene) -> Float64:
    """K of the depth grid: as given, else the colour K scaled to its size."""
    if scene.depth is not None:
        return scene.depth.K
    scale = np.array(scene.depth_size) / np.array(scene.color.size)
    scaled: Float64 = scene.color.K * np.array([[scale[0]], [scale[1]], [1.0]])
    return scaled


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """A decoded frame: depth (h, w) metres with NaN where none, and its depth camera's pose."""

    depth: Float64
    world_from_cam: Float64


def _confirmed(first: _View, second: _View, K: Float64) -> NDArray[np.bool_]:
    """Which readings of `first` land on a reading of `second`, and whether that one agrees."""
    h, w = first.depth.shape
    v, u = np.mgrid[0:h:_PIXEL_STEP, 0:w:_PIXEL_STEP]
    z = first.depth[v, u]
    u, v, z = (a[np.isfinite(z)] for a in (u, v, z))
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(z)], axis=1)
    second_from_first = compose_poses(invert_pose(second.world_from_cam), first.world_from_cam)
    points = transform_points(second_from_first, rays * z[:, None])
    points = points[points[:, 2] > 0]
    column = np.rint(K[0, 0] * points[:, 0] / points[:, 2] + K[0, 2])
    row = np.rint(K[1, 1] * points[:, 1] / points[:, 2] + K[1, 2])
    inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
    points, column, row = points[inside], column[inside], row[inside]
    read = second.depth[row.astype(int), column.astype(int)]
    known = np.isfinite(read)
    expected = points[known, 2]
    confirmed: NDArray[np.bool_] = np.abs(read[known] - expected) <= np.maximum(
        _RELATIVE * expected, _ABSOLUTE_M
    )
    return confirmed


def _agreement(views: Sequence[_View], K: Float64) -> float | None:
    hits = [_confirmed(a, b, K) for a, b in pairwise(views)]
    total = sum(map(len, hits))
    return None if total == 0 else float(sum(int(h.sum()) for h in hits) / total)


def _txt_offset(scene: Scene) -> Float64 | None:
    """`colorToDepthExtrinsics` of `<id>.txt` as depth_from_color (4, 4), or None."""
    path = next((p for p in scene.inputs if p.name == f"{scene.id}.txt"), None)
    numbers = None if path is None else read_scan_text(Path(path)).get("colorToDepthExtrinsics")
    if numbers is None or numbers.size != 16 or not np.isfinite(numbers).all():
        return None
    return numbers.reshape(4, 4)


def _decode(scene: Scene, count: int | None) -> tuple[list[_View], Counter[str], float | None]:
    """Decoded views, frames whose depth is damaged, and the share of pixels with a reading."""
    views, faults = [], Counter[str]()
    read = total = 0
    for frame in _spread(scene.frames, count):
        try:
            stored = scene.read_depth(frame)
        except SceneFormatError as error:
            faults[error.code] += 1
            continue
        depth = stored.astype(np.float64) * scene.depth_scale
        depth[~((depth > 0) & np.isfinite(depth))] = np.nan
        read += int(np.isfinite(depth).sum())
        total += depth.size
        assert frame.world_from_cam is not None  # a valid frame has a pose
        views.append(_View(depth, frame.world_from_cam))
    return views, faults, read / total if total else None


def _survey_scene(scene: Scene, count: int | None) -> SceneReport:
    views, faults, share = _decode(scene, count)
    reasons = Counter(f.reason for f in scene.frames if not f.valid) + faults
    usable = len(scene.frames) - sum(reasons.values())
    K = _depth_intrinsic(scene)
    offset = _txt_offset(scene)
    shifted = None
    if offset is not None:
        color_from_depth = invert_pose(offset)
        moved = [
            replace(v, world_from_cam=compose_poses(v.world_from_cam, color_from_depth))
            for v in views
        ]
        shifted = _agreement(moved, K)
    missing = tuple(_missing_of_scene(scene))
    # No lack: the index builds a cloud from the depth images where there is no mesh.
    notes = scene.notes if scene.read_cloud else (*scene.notes, "no_mesh")
    cloud = scene.read_cloud() if scene.read_cloud else None
    up = None if scene.world_up is None else tuple(float(x) for x in scene.world_up)
    return SceneReport(
        id=scene.id,
        kind="scene",
        frame_count=len(scene.frames),
        usable_count=usable,
        reasons=dict(sorted(reasons.items())),
        depth_share=share,
        agreement=_agreement(views, K),
        agreement_offset=shifted,
        object_count=len(scene.objects),
        point_count=None if cloud is None else len(cloud.points_world),
        world_up=up,
        up_estimated=scene.up_estimated,
        metric=scene.metric,
        split=scene.split,
        notes=notes,
        missing=missing,
        verdict="limited" if missing else "ok",
    )


def _survey_clip(clip: Track3D) -> SceneReport:
    reasons = Counter(f.reason for f in clip.frames if not f.valid)
    missing = tuple(_missing_of_clip(clip))
    notes = clip.notes
    if clip.short_track_count:
        notes = (*notes, f"track_short={clip.short_track_count}")
    return SceneReport(
        id=clip.id,
        kind="clip",
        frame_count=len(clip.frames),
        usable_count=len(clip.frames) - sum(reasons.values()),
        reasons=dict(sorted(reasons.items())),
        point_count=clip.tracks_cam.shape[1],
        world_up=None if clip.world_up is None else tuple(float(x) for x in clip.world_up),
        metric=clip.metric,
        split=clip.split,
        notes=notes,
        missing=missing,
        verdict="limited" if missing else "ok",
    )


def survey_scene(
    source: Source, scene_id: str, *, sampled_frames: int | None = SAMPLED_FRAMES
) -> SceneReport:
    """Report on one scene; never raises for what is wrong with its files.

    Args:
        source: The open source.
        scene_id: One of its ids.
        sampled_frames: Depth images to decode, evenly spread; None = all.

    Returns:
        SceneReport; verdict "skipped" with error and code when the scene cannot be used.
    """
    try:
        opened = source.open(scene_id)
        if isinstance(opened, Track3D):
            report = _survey_clip(opened)
        else:
            report = _survey_scene(opened, sampled_frames)
    except SpatialCoreError as error:
        code = error.code if isinstance(error, SceneFormatError) else "error"
        return SceneReport(scene_id, verdict="skipped", error=str(error), code=code)
    if report.usable_count == 0:
        what = "every frame is masked: " + ", ".join(f"{k} {n}" for k, n in report.reasons.items())
        return replace(report, verdict="skipped", error=what, code="no_usable_frames")
    return report


def survey(source: Source, *, sampled_frames: int | None = SAMPLED_FRAMES) -> Iterator[SceneReport]:
    """`survey_scene` of every scene in order of id, one at a time."""
    for scene_id in source.scene_ids():
        yield survey_scene(source, scene_id, sampled_frames=sampled_frames)
