# SPDX-License-Identifier: Apache-2.0
"""What is annotated, what is asked of it, and what comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from spatialcore.camera import Camera

if TYPE_CHECKING:
    from PIL.Image import Image

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]
Kind = Literal["progress", "potential", "agreement"]
Anchor = Literal["previous", "first"]
Evidence = Literal["tracks", "poses", "model"]
CAMERA = "camera"


class EpisodeError(ValueError):
    """An episode lacks what the spec needs; the message says what, and what would do."""


@dataclass(frozen=True, slots=True, eq=False)
class Episode:
    """One episode of T frames.

    Attributes:
        id: Its name.
        length: T.
        times_s: (T,) seconds, or None.
        tracks: (T, N, 3) metres, NaN where there is no reading, or None.
        in_camera: Whether tracks are on the axes of each frame's camera, or in the world.
        world_from_cam: (T, 4, 4), NaN where unknown, or None.
        static_camera: Whether the camera is known to stand still.
        camera: Intrinsics, or None; pixels need them.
        image: Frame number -> image, or None; a model needs it.
        depth_m: Frame number -> (H, W) metres of the colour camera, 0 = no reading, or None.
        command: Commanded displacement of the subject (T-1, 3) metres on the first camera's axes,
            or of the camera (T-1, 4, 4) as cam_i_from_cam_(i+1), or None.
    """

    id: str
    length: int
    times_s: Float64 | None = None
    tracks: Float64 | None = None
    in_camera: bool = False
    world_from_cam: Float64 | None = None
    static_camera: bool = False
    camera: Camera | None = None
    image: Callable[[int], Image] | None = None
    depth_m: Callable[[int], NDArray[np.float32]] | None = None
    command: Float64 | None = None

    def __post_init__(self) -> None:
        if self.length < 2:
            raise EpisodeError(f"{self.id}: {self.length} frames; a step needs two")
        shapes: list[tuple[str, Float64 | None, list[tuple[int | None, ...]]]] = [
            ("times_s", self.times_s, [(self.length,)]),
            ("tracks", self.tracks, [(self.length, None, 3)]),
            ("world_from_cam", self.world_from_cam, [(self.length, 4, 4)]),
            ("command", self.command, [(self.length - 1, 3), (self.length - 1, 4, 4)]),
        ]
        for name, array, allowed in shapes:
            if array is not None and not any(_fits(array.shape, shape) for shape in allowed):
                raise EpisodeError(f"{self.id}: {name} has shape {array.shape}, T = {self.length}")


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        want is None or want == have for have, want in zip(shape, wanted, strict=True)
    )


@dataclass(frozen=True, slots=True)
class RewardSpec:
    """What is rewarded.

    Attributes:
        subject: A track's column, a pixel (u, v) of frame 0, "camera", or a category's name (which
            only a model finds).
        goal_world: Place to reach (3,) metres in the world.
        goal_pixel: Place to reach as a pixel of frame 0, through its depth.
        displacement: Place to reach as a displacement (3,) metres from the subject's first place,
            on the first camera's axes: x right, y down, z forward.
        kind: `progress`: share of the way made good; `potential`: gamma Phi' - Phi with Phi = -D
            (Ng, Harada and Russell 1999); `agreement`: with the commanded displacement.
        anchor: Which displacement is told: since the frame before, or since the first.
        floor_m: Smaller displacements do not count as movement.
        gamma: Discount of `potential`.
        clip: Whether `progress` is cut to [-1, 1].
        success_m: At most so far from the goal is success.
    """

    subject: int | tuple[float, float] | str = CAMERA
    goal_world: tuple[float, float, float] | None = None
    goal_pixel: tuple[float, float] | None = None
    displacement: tuple[float, float, float] | None = None
    kind: Kind = "progress"
    anchor: Anchor = "previous"
    floor_m: float = 0.01
    gamma: float = 1.0
    clip: bool = True
    success_m: float = 0.05

    def __post_init__(self) -> None:
        goals = [self.goal_world, self.goal_pixel, self.displacement]
        if sum(goal is not None for goal in goals) > 1:
            raise ValueError("give one goal: a world point, a pixel, or a displacement")
        if self.kind != "agreement" and all(goal is None for goal in goals):
            raise ValueError(f"{self.kind} needs a goal; agreement needs a command")
        if self.floor_m <= 0 or self.success_m < 0 or not 0 <= self.gamma <= 1:
            raise ValueError("need floor_m > 0, success_m >= 0 and gamma in [0, 1]")

    @property
    def of_camera(self) -> bool:
        """Whether the camera itself is the subject."""
        return self.subject == CAMERA


@dataclass(frozen=True, slots=True, eq=False)
class RewardTrace:
    """Rewards of one episode; every array but the distances has T - 1 rows.

    Attributes:
        id: The episode's id.
        reward: (T-1,), NaN where invalid.
        distance_to_goal_m: (T,), NaN without a goal.
        displacement_m: (T-1, 3) on the first camera's axes, since the anchor.
        moved: (T-1,) whether it is over the floor.
        success: (T-1,) whether the step ends within `success_m` of the goal.
        confidence: (T-1,) in [0, 1], NaN where nothing can tell.
        valid: (T-1,).
        source: Where the numbers come from, one for the whole trace.
        questions: What the model was asked, a text for each step, or ().
        answers: What it said.
        error: Why there is no trace, or "".
    """

    id: str
    reward: Float64
    distance_to_goal_m: Float64
    displacement_m: Float64
    moved: Bool
    success: Bool
    confidence: Float64
    valid: Bool
    source: Evidence | None
    questions: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    error: str = ""

    @staticmethod
    def failed(id: str, error: str) -> RewardTrace:
        """The trace of an episode that could not be annotated."""
        none, no = np.zeros(0), np.zeros(0, dtype=bool)
        return RewardTrace(id, none, none, np.zeros((0, 3)), no, no, none, no, None, error=error)
