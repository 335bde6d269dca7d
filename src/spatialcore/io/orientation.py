# SPDX-License-Identifier: Apache-2.0
"""Which way is up and whether lengths are metres: options first, then files, then nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spatialcore.io.matrices import estimate_up, parse_world_up, read_scene_meta
from spatialcore.io.options import ReadOptions
from spatialcore.types import Float64, Frame


@dataclass(frozen=True, slots=True, eq=False)
class Orientation:
    """The answer: up direction (3,) or None = unknown, and what else `scene_meta.json` says."""

    world_up: Float64 | None
    estimated: bool
    metric: bool
    depth_scale: float | None
    notes: tuple[str, ...]


def resolve_orientation(
    options: ReadOptions,
    folders: Iterable[Path],
    frames: Iterable[Frame],
    default_up: Float64 | None = None,
    *,
    default_metric: bool = True,
) -> Orientation:
    """Apply the rules of docs/contracts.md, section 1.

    Args:
        options: `world_up` and `metric` win over files where they are given.
        folders: Where `scene_meta.json` is looked for; the first that holds one counts.
        frames: For "auto": the cameras to estimate up from.
        default_up: Up direction that the layout itself promises.
        default_metric: Whether the layout itself promises metres.

    Raises:
        SceneFormatError: `scene_meta.json` is malformed.
    """
    meta = next((m for m in map(read_scene_meta, folders) if m), {})
    up, notes, estimated = default_up, [], False
    if meta.get("world_up") is not None:
        up = meta["world_up"]
    if options.world_up is not None:
        up = parse_world_up(options.world_up)
        if up is None:
            up = estimate_up(
                f.world_from_cam for f in frames if f.valid and f.world_from_cam is not None
            )
            estimated = up is not None
            notes.append("up_estimated" if estimated else "up_estimate_refused")
    if up is None:
        notes.append("up_unknown")
    stated = options.metric if options.metric is not None else meta.get("metric")
    metric = default_metric if stated is None else bool(stated)
    return Orientation(up, estimated, metric, meta.get("depth_scale"), tuple(notes))
