# SPDX-License-Identifier: Apache-2.0
"""The model path: displacements as a model tells them, by the questions that it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine.records.answers import norm1000
from spatial_engine.records.reading import parse_answer
from spatial_engine.records.wording import wording_of
from spatialmllm.evaluation.answerers import Prompt
from spatialmllm.reward.episode import Episode, EpisodeError, RewardSpec

Float64 = NDArray[np.float64]
# Prompts -> what was said, in order; "" where nothing came back.
Asker = Callable[[Sequence[Prompt]], Sequence[str]]
POINT_TASK, CAMERA_TASK = "object_movement.vector.coordinate", "camera_movement.vector"
_NAMED = (
    "The two images are frames of one video. Movement is measured in the world, as a straight "
    "line. Vectors are on the axes of the first camera: x right, y down, z forward.\n"
    "By which vector, in millimetres, did the {name} move from the first image to the second? "
    "Answer with [ x , y , z ]."
)


class Told(NamedTuple):
    """Displacements as told, of n pairs of frames.

    Attributes:
        displacement_m: (n, 3) on the axes of each pair's first camera; NaN where nothing was read.
        questions: What was asked.
        answers: What was said.
    """

    displacement_m: Float64
    questions: tuple[str, ...]
    answers: tuple[str, ...]


def question_of(episode: Episode, spec: RewardSpec, *, back: bool = False) -> str:
    """The question about a pair of frames, with the wording of the engine that made the data.

    Args:
        episode: The episode.
        spec: Its subject is the camera, a category's name, or a pixel of the first frame.
        back: For the same pair in the other order, where a pixel of the first frame is of no use.

    Raises:
        EpisodeError: A pixel without a camera, or a subject that a model is not told about.
    """
    if spec.of_camera:
        return _worded(CAMERA_TASK, {})
    if isinstance(spec.subject, str):
        return _NAMED.format(name=spec.subject)
    if isinstance(spec.subject, int) or episode.camera is None:
        raise EpisodeError(
            f"{episode.id}: a model is shown a pixel of the first frame, a name or the camera"
        )
    if back:
        raise EpisodeError(f"{episode.id}: a pixel of the first frame cannot be asked back")
    x, y = norm1000(*spec.subject, *episode.camera.size)
    return _worded(POINT_TASK, {"x1": str(x), "y1": str(y)})


def _worded(task: str, slots: dict[str, str]) -> str:
    pieces = wording_of(task).lines().asked[0]
    return "".join(slots[piece] if k % 2 else piece for k, piece in enumerate(pieces))


def tell(episode: Episode, spec: RewardSpec, pairs: Sequence[tuple[int, int]], ask: Asker) -> Told:
    """Ask about pairs of frames (i, j): the displacement from frame i to frame j.

    Raises:
        EpisodeError: The episode has no images.
    """
    if episode.image is None:
        raise EpisodeError(f"{episode.id}: a model needs the images")
    questions = [question_of(episode, spec, back=j < i) for i, j in pairs]
    prompts = [
        Prompt(f"{episode.id}/{i}/{j}", f"<image>\n<image>\n{question}",
               (episode.image(i), episode.image(j)))
        for (i, j), question in zip(pairs, questions, strict=True)
    ]  # fmt: skip
    said = [str(text) for text in ask(prompts)]
    told = np.full((len(pairs), 3), np.nan)
    for row, text in enumerate(said):
        read = parse_answer(text, "vector", "mm", dialect="lenient").answer
        if read is not None:
            told[row] = np.asarray(read.number) / 1000
    return Told(told, tuple(questions), tuple(said))


def can_ask_back(spec: RewardSpec) -> bool:
    """Whether the subject is named alike in both images of a pair."""
    return isinstance(spec.subject, str)


def both_ways(there: Float64, back: Float64) -> Float64:
    """Confidence of displacements that were asked in both directions.

    max(0, 1 - |u_ij + u_ji| / (|u_ij| + |u_ji|)); 1 where both are 0, NaN where one is unknown.

    Args:
        there: (n, 3).
        back: (n, 3), on the same axes.
    """
    total = np.linalg.norm(there, axis=1) + np.linalg.norm(back, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.linalg.norm(there + back, axis=1) / total
    return np.where(total == 0, 1.0, np.maximum(0.0, 1.0 - share))
