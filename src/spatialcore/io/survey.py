# SPDX-License-Identifier: Apache-2.0
"""What a source holds and what it lacks: one report a scene, from a few decoded depth images."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from spatialcore.errors import CONTRADICTIONS, SceneFormatError
from spatialcore.io.agreement import (
    OUTSIDE_CONTRADICTED,
    SAMPLED_FRAMES,
    DepthShot,
    contradiction,
    depth_shot,
    measure,
    only_mirrored,
    outside_sentence,
    sampled_frames,
    share_outside,
)
from spatialcore.io.refusals import scene_fault
from spatialcore.io.scannet_objects import read_scan_text
from spatialcore.types import (
    Float64,
    Scene,
    Source,
    Track3D,
    compose_poses,
    invert_pose,
)

FEW_USABLE = 0.3  # of a scene's frames: with fewer something is wrong with it


@dataclass(frozen=True, slots=True)
class SceneReport:
    """What one scene or clip holds.

    Attributes:
        id: Scene id.
        kind: "scene", "clip", "revisit", or "" when it did not open.
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
        verdict: "ok", "limited" = something is missing, "wrong" = the source contradicts itself,
            or "skipped".
        error: Why it was skipped or is wrong, or "".
        code: Reason code of a skipped or wrong scene, or "".
        cause: What a source that contradicts itself looks like instead, or "".
        depth_range: Metres that 5 % and 95 % of the readings stay below.
        turned_count: Frames that lay on their side and are turned upright.
        few_usable: The warning where most frames cannot be used, or "".
        locked: Task -> what it needs and the scene lacks; None where nobody told.
        questions: Task -> about how many the default recipe takes; None where not counted.
        refused: Task without a question -> why, by the commonest reason.
        counted: Whether `questions` were counted in this scene.
        looked_at: Frames on which they were counted.
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
    cause: str = ""
    depth_range: tuple[float, float] | None = None
    turned_count: int = 0
    few_usable: str = ""
    locked: dict[str, tuple[str, ...]] | None = None
    questions: dict[str, int] | None = None
    refused: dict[str, str] = field(default_factory=dict)
    counted: bool = False
    looked_at: int = 0

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
    annotated = scene.kind in ("scannet", "posed_images")  # may have ScanNet's annotation
    if not scene.objects:
        added = "objects.json with masks in instance/ or with boxes"
        files = f"{mesh}.0.010000.segs.json and {scene.id}.aggregation.json, or {added}"
        yield (
            files if annotated else added,
            "object sizes, counts, layout and relations need labelled objects",
        )
    elif annotated and scene.read_cloud is not None and scene.aligned_from_world is None:
        yield f"axisAlignment in {scene.id}.txt", "object boxes along the room's axes need it"
    if not scene.metric:
        yield "lengths in metres", "every question about lengths needs them"


def _missing_of_clip(clip: Track3D) -> Iterator[tuple[str, str]]:
    if not any(frame.image for frame in clip.frames):
        yield "images_jpeg_bytes", "a question is asked about images"
    if not clip.metric:
        yield "lengths in metres", "every question about lengths needs them"


def _txt_offset(scene: Scene) -> Float64 | None:
    """`colorToDepthExtrinsics` of `<id>.txt` as depth_from_color (4, 4), or None."""
    path = next((p for p in scene.inputs if p.name == f"{scene.id}.txt"), None)
    numbers = None if path is None else read_scan_text(Path(path)).get("colorToDepthExtrinsics")
    if numbers is None or numbers.size != 16 or not np.isfinite(numbers).all():
        return None
    return numbers.reshape(4, 4)


def _decode(scene: Scene, count: int | None) -> tuple[list[DepthShot], Counter[str], float | None]:
    """Decoded frames, frames whose depth is damaged, and the share of pixels with a reading."""
    shots, faults = [], Counter[str]()
    read = total = 0
    for frame in sampled_frames(scene.frames, count):
        try:
            stored = scene.read_depth(frame)
        except SceneFormatError as error:
            faults[error.code] += 1
            continue
        read += int(((stored > 0) & np.isfinite(stored)).sum())
        total += stored.size
        shot = depth_shot(scene, frame, stored)
        if shot is not None:
            shots.append(shot)
    return shots, faults, read / total if total else None


def _depth_range(shots: list[DepthShot]) -> tuple[float, float] | None:
    """Metres that 5 % and 95 % of the readings stay below."""
    found = [shot.depth[::8, ::8].ravel() for shot in shots]
    metres = np.concatenate(found) if found else np.zeros(0, np.float32)
    metres = metres[np.isfinite(metres)]
    if not metres.size:
        return None
    low, high = np.quantile(metres, (0.05, 0.95)).tolist()
    return low, high


def _survey_scene(scene: Scene, count: int | None) -> SceneReport:
    shots, faults, share = _decode(scene, count)
    reasons = Counter(f.reason for f in scene.frames if not f.valid) + faults
    usable = len(scene.frames) - sum(reasons.values())
    agreement = measure(shots)
    offset = _txt_offset(scene)
    shifted = None
    if offset is not None:
        color_from_depth = invert_pose(offset)
        moved = [
            replace(v, world_from_cam=compose_poses(v.world_from_cam, color_from_depth))
            for v in shots
        ]
        shifted = measure(moved).share
    missing = tuple(_missing_of_scene(scene))
    # No lack: the index builds a cloud from the depth images where there is no mesh.
    notes = scene.notes if scene.read_cloud else (*scene.notes, "no_mesh")
    few = few_usable(usable, len(scene.frames))
    notes += few
    cloud = scene.read_cloud() if scene.read_cloud else None
    up = None if scene.world_up is None else tuple(float(x) for x in scene.world_up)
    report = SceneReport(
        id=scene.id,
        kind="scene" if scene.visits == 1 else "revisit",
        frame_count=len(scene.frames),
        usable_count=usable,
        reasons=dict(sorted(reasons.items())),
        depth_share=share,
        agreement=agreement.share,
        agreement_offset=shifted,
        object_count=len(scene.objects),
        point_count=None if cloud is None else len(cloud.points_world),
        world_up=up,
        up_estimated=scene.up_estimated,
        metric=scene.metric,
        split=scene.split,
        notes=notes,
        missing=missing,
        verdict="limited" if missing or few else "ok",
        depth_range=_depth_range(shots),
        turned_count=sum("rotate=" in (frame.image or "") for frame in scene.frames),
        few_usable="".join(few),
    )
    why = contradiction(scene, agreement)
    return _contradicted(report, why, agreement.cause) if why else report


def _contradicted(report: SceneReport, sentence: str, cause: str = "") -> SceneReport:
    error = f"{sentence} (--trust-source takes it as it is)"
    return replace(report, verdict="wrong", error=error, code="source_contradicts", cause=cause)


def few_usable(usable: int, total: int) -> tuple[str, ...]:
    """A note where most frames of a scene cannot be used."""
    if not total or usable >= FEW_USABLE * total:
        return ()
    return (f"only {usable} of {total} frames can be used",)


def _survey_clip(clip: Track3D) -> SceneReport:
    reasons = Counter(f.reason for f in clip.frames if not f.valid)
    missing = tuple(_missing_of_clip(clip))
    notes = clip.notes
    if clip.short_track_count:
        notes = (*notes, f"track_short={clip.short_track_count}")
    report = SceneReport(
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
    outside = share_outside(clip)
    if outside is not None and outside > OUTSIDE_CONTRADICTED:
        return _contradicted(report, outside_sentence(outside))
    return report


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
    except Exception as error:
        fault = scene_fault(source.root / scene_id, error)
        verdict = "wrong" if fault.code in CONTRADICTIONS else "skipped"
        return SceneReport(scene_id, verdict=verdict, error=str(fault), code=fault.code)
    if report.usable_count == 0 and (why := only_mirrored(report.reasons)):
        return replace(report, verdict="wrong", error=why, code="source_contradicts")
    if report.usable_count == 0:
        what = "every frame is masked: " + ", ".join(f"{k} {n}" for k, n in report.reasons.items())
        return replace(report, verdict="skipped", error=what, code="no_usable_frames")
    return report


def survey(source: Source, *, sampled_frames: int | None = SAMPLED_FRAMES) -> Iterator[SceneReport]:
    """`survey_scene` of every scene in order of id, one at a time."""
    for scene_id in source.scene_ids():
        yield survey_scene(source, scene_id, sampled_frames=sampled_frames)
