# SPDX-License-Identifier: Apache-2.0
"""The end of a walk, held out as val: both sides are planned as if each were a scene of its own.

No split of rooms divides a single capture. So its last frames are val, the others train, and every
candidate shows frames of one side alone: no picture is in both, and none is left out afterwards.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from spatial_engine.plan.plan import PlannedScene
from spatialcore.errors import PlanError

if TYPE_CHECKING:
    from spatialcore.index.index import Index
    from spatialcore.index.store import SceneIndex

LEAST_FRAMES = 2  # of a side: without two there is no movement to ask about


def held_frames(count: int, share: float) -> int:
    """Frames of a walk that its held-out end has, for a share of the questions.

    Of the pairs of frames that lie on one side, the share lies in the end: a tenth of the questions
    needs a quarter of the frames.

    Example:
        >>> held_frames(40, 0.1)
        10
    """
    val, train = math.sqrt(share), math.sqrt(1.0 - share)
    return round(count * val / (val + train))


def can_be_held(scene: SceneIndex, share: float) -> bool:
    """Whether a scene has a walk whose end can be held out, and is not val as a whole."""
    count = len(scene.valid_frames)
    held = held_frames(count, share)
    there = LEAST_FRAMES <= held <= count - LEAST_FRAMES
    return scene.kind == "scene" and scene.split != "val" and there


def sides_of(index: Index, scenes: list[PlannedScene], share: float) -> list[PlannedScene]:
    """The two sides of the one scene of a plan.

    Args:
        index: Where it is.
        scenes: It, and no other.
        share: Of its questions that are val.

    Raises:
        PlanError: There are several scenes, or the one has no walk, or its source says its split.
    """
    if len(scenes) != 1:
        raise PlanError(
            f"a stretch is held out of one scene, the plan has {len(scenes)}; "
            "--val-share sends some of the rooms to val instead"
        )
    (planned,) = scenes
    scene = index.open_scene(planned.source, planned.scene)
    name = f"{planned.source}/{planned.scene}"
    if scene.kind != "scene":
        raise PlanError(f"{name}: no stretch can be held out of a {scene.kind}")
    if scene.split == "val":
        raise PlanError(f"{name}: its source puts all of it into val: no stretch is held out")
    frames = scene.valid_frames.tolist()
    if not can_be_held(scene, share):
        raise PlanError(
            f"{name}: {len(frames)} frames can be asked about, too few for a held-out stretch of "
            f"{share:g} of the questions"
        )
    first = len(frames) - held_frames(len(frames), share)
    return [
        planned._replace(split="train", frames=(frames[0], frames[first - 1])),
        planned._replace(split="val", frames=(frames[first], frames[-1])),
    ]
