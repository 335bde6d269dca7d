# SPDX-License-Identifier: Apache-2.0
"""Where an object lies for someone who stands at one object and faces another, seen from above.

All sets of three objects of a room are measured together; a single one is a set of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore.relations.layout import DEFAULT_RULES, LayoutRules
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.verdict import Answer, Reason, Rejection
from spatialcore.types import Float64


class DirectionForm(StrEnum):
    """How finely a relative direction is asked."""

    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"


_BORDERS_DEG: dict[DirectionForm, tuple[float, ...]] = {
    DirectionForm.EASY: (0.0, 135.0, -135.0),
    DirectionForm.MEDIUM: (0.0, 135.0, -135.0),
    DirectionForm.HARD: (0.0, 90.0, 180.0, -90.0),
}
_SECTORS = ("left", "right", "back", "front-left", "front-right", "back-left", "back-right")
_REASONS = (
    None, Reason.DISTANCE_RANGE, Reason.DIRECTION_BORDER, Reason.BACK_SECTOR, Reason.SECTOR_SPLIT,
)  # fmt: skip


def _turn_deg(sine: float, cosine: float) -> float:
    # The library's atan2, not numpy's, whose last bit depends on the instruction set.
    angle = math.degrees(math.atan2(sine, cosine))
    return 180.0 if angle == -180.0 else angle


def bearings_deg(facing: Float64, turned: Float64) -> Float64:
    """`bearing_deg` from directions (..., 2) that one faces to others that one turns to."""
    ax, ay, bx, by = (*np.moveaxis(facing, -1, 0), *np.moveaxis(turned, -1, 0))
    sine, cosine = np.broadcast_arrays(ax * by - ay * bx, ax * bx + ay * by)
    turns = map(_turn_deg, sine.ravel().tolist(), cosine.ravel().tolist())
    return np.array(list(turns), dtype=np.float64).reshape(sine.shape)


def bearing_deg(stand: Any, face: Any, target: Any) -> float:
    """Turn from facing one point to facing another, seen from above.

    Args:
        stand: (2,) or (3,) where one stands; z is not used.
        face: What one faces.
        target: What one turns to.

    Returns:
        Degrees in (-180, 180], counter-clockwise (to the left) positive.

    Example:
        >>> bearing_deg((0, 0), (0, 1), (1, 0))  # facing north, east is to the right
        -90.0
    """
    px, py = float(stand[0]), float(stand[1])
    ax, ay = float(face[0]) - px, float(face[1]) - py
    bx, by = float(target[0]) - px, float(target[1]) - py
    return _turn_deg(ax * by - ay * bx, ax * bx + ay * by)


def _sectors(angles_deg: Float64, form: DirectionForm) -> NDArray[np.int64]:
    """Where the word for each turn stands in `_SECTORS`."""
    right = np.where(angles_deg > 0, 0, 1)
    if form is DirectionForm.HARD:
        return np.where(np.abs(angles_deg) < 90, 3, 5) + right
    return np.where(np.abs(angles_deg) >= 135, 2, right)


def _border_distances(angles_deg: Float64, form: DirectionForm) -> Float64:
    borders = np.array(_BORDERS_DEG[form])
    away: Float64 = np.abs((angles_deg[..., None] - borders + 180.0) % 360.0 - 180.0)
    nearest: Float64 = away.min(axis=-1)
    return nearest


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """Turns at one object from facing a second to facing a third (n sets of three).

    Attributes:
        object_ids: (n, 3) stand, face, target.
        spans: (n, 3) floor distances stand-face, stand-target, face-target, metres.
        in_range: (n,) whether all three may be asked about.
        angle: (n,) turn to the target's centroid, degrees; 0 out of range.
        corners: (n, 8) turns to the corners of its box.
    """

    object_ids: NDArray[np.int64]
    spans: Float64
    in_range: NDArray[np.bool_]
    angle: Float64
    corners: Float64

    @classmethod
    def between(
        cls,
        objects: Sequence[SceneObject],
        triples: ArrayLike,
        *,
        rules: LayoutRules = DEFAULT_RULES,
    ) -> Turns:
        """Measure sets of three.

        Args:
            objects: O objects.
            triples: (n, 3) rows of stand, face and target in `objects`.
            rules: Thresholds.
        """
        rows = np.asarray(triples, dtype=np.int64).reshape(-1, 3)
        ids = np.array([item.object_id for item in objects], dtype=np.int64)
        centre = np.array([item.centroid[:2] for item in objects]).reshape(-1, 2)
        ends = np.array([[c, *item.box.corners[:, :2]] for c, item in
                         zip(centre, objects, strict=True)]).reshape(-1, 9, 2)  # fmt: skip
        gap = (centre[None] - centre[:, None]).tolist()
        span = np.array([[math.hypot(*offset) for offset in row] for row in gap])
        p, o, q = rows.T
        spans = np.zeros((len(rows), 3))
        if len(rows):
            spans = np.stack([span[p, o], span[p, q], span[o, q]], axis=1)
        near = np.all((rules.min_stand_m <= spans) & (spans <= rules.max_stand_m), axis=1)
        angles = np.zeros((len(rows), 9))
        p, o, q = rows[near].T
        angles[near] = bearings_deg((centre[o] - centre[p])[:, None], ends[q] - centre[p][:, None])
        return cls(ids[rows], spans, near, angles[:, 0], angles[:, 1:])


@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """What may be asked of `Turns` in a form, and why not.

    Attributes:
        turns: The turns.
        word: (n,) position in the words of all forms.
        border: (n,) least angle to a border of the form's sectors, degrees.
        stray: (n,) corners of the target's box in another sector.
        refused: (n,) 0 where there is an answer, else position of the reason.
    """

    turns: Turns
    word: NDArray[np.int64]
    border: Float64
    stray: NDArray[np.int64]
    refused: NDArray[np.int64]

    @classmethod
    def of(
        cls, turns: Turns, form: DirectionForm | str, *, rules: LayoutRules = DEFAULT_RULES
    ) -> Directions:
        """Apply the guards of a form in their order."""
        form = DirectionForm(form)
        word, border = _sectors(turns.angle, form), _border_distances(turns.angle, form)
        stray = (_sectors(turns.corners, form) != word[:, None]).sum(axis=1)
        back = (word == _SECTORS.index("back")) & (form is DirectionForm.EASY)
        refused = np.select(
            [~turns.in_range, border < rules.border_deg, back, stray > rules.max_stray_corners],
            [1, 2, 3, 4],
        )
        return cls(turns, word, border, stray, refused)

    def words(self) -> list[str]:
        """The word of each set."""
        return [_SECTORS[k] for k in self.word.tolist()]

    def reasons(self) -> dict[str, int]:
        """How many sets each reason refuses."""
        counts = np.bincount(self.refused, minlength=len(_REASONS)).tolist()
        return {str(r): n for r, n in zip(_REASONS, counts, strict=True) if r and n}

    def __getitem__(self, k: int) -> Answer[str] | Rejection:
        """The verdict on one set with its evidence."""
        turns, reason = self.turns, _REASONS[int(self.refused[k])]
        evidence: dict[str, object] = {
            "object_ids": turns.object_ids[k].tolist(),
            "floor_distances_m": turns.spans[k].tolist(),
        }
        if turns.in_range[k]:
            evidence |= {
                "angle_deg": float(turns.angle[k]), "border_deg": float(self.border[k]),
                "stray_corners": int(self.stray[k]),
            }  # fmt: skip
        if reason is not None:
            return Rejection(reason, evidence)
        return Answer(_SECTORS[int(self.word[k])], evidence)


def relative_direction(
    stand: SceneObject,
    face: SceneObject,
    target: SceneObject,
    form: DirectionForm | str,
    *,
    rules: LayoutRules = DEFAULT_RULES,
) -> Answer[str] | Rejection:
    """Where an object lies for someone who stands at one object and faces another.

    Args:
        stand: Unique object one stands at; the position is its centroid on the floor plane.
        face: Unique object one faces.
        target: Unique object asked for.
        form: "easy" (left, right), "medium" (left, right, back), "hard" (four quadrants).
        rules: Thresholds.

    Returns:
        Answer with the word, or `distance_range`, `direction_border`, `sector_split` (the target
        reaches into another sector), `back_sector` (easy form, target behind). Evidence:
        `angle_deg`, `border_deg`, `stray_corners`, `floor_distances_m`.
    """
    turns = Turns.between([stand, face, target], [[0, 1, 2]], rules=rules)
    return Directions.of(turns, form, rules=rules)[0]
