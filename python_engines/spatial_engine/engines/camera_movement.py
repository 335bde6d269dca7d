# SPDX-License-Identifier: Apache-2.0
"""Camera movement between two frames: directions, angles, distance, displacement vector.

Translation is the position of camera 2 in camera 1's frame (x right, y down, z forward). Yaw and
pitch are about gravity: yaw counter-clockwise seen from above, pitch up. All of it is recomputed
for the order in which the two images are shown, which is a keyed draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine import answers
from spatial_engine.answers import Answer
from spatial_engine.engine import CandidateTable, Facts, Row, SceneContext
from spatial_engine.engines.frame_pairs import (
    CameraPoses,
    band_pairs,
    camera_poses,
    pair_swap,
    pose_hash,
    visible_counts,
    wrap_deg,
    wrap_degrees,
)

if TYPE_CHECKING:
    from spatial_engine.reference import ReferenceScene
    from spatialcore.relations.recipe import Guards, Recipe

Float64 = NDArray[np.float64]
Quantity = Literal[
    "x_direction", "y_direction", "z_direction", "yaw_direction", "pitch_direction", "yaw_angle",
    "pitch_angle", "distance", "vector",
]  # fmt: skip

QUESTION_TYPES: Mapping[str, str] = {
    "x_direction": "x_movement",
    "y_direction": "y_movement",
    "z_direction": "z_movement",
    "yaw_direction": "yaw_movement",
    "pitch_direction": "pitch_movement",
    "yaw_angle": "yaw_angle",
    "pitch_angle": "pitch_angle",
    "distance": "total_distance",
    "vector": "displacement_vector",
}
# Word for a positive value, word for any other.
WORDS: Mapping[str, tuple[str, str]] = {
    "x_direction": ("right", "left"),
    "y_direction": ("down", "up"),
    "z_direction": ("forward", "backward"),
    "yaw_direction": ("left", "right"),
    "pitch_direction": ("up", "down"),
}
_AXIS = {"x_direction": 0, "y_direction": 1, "z_direction": 2}
_YAW = ("yaw_direction", "yaw_angle")
_PITCH = ("pitch_direction", "pitch_angle")
_ROLL_GUARDED = ("x_direction", "y_direction", "vector", *_YAW, *_PITCH)


class Motion(NamedTuple):
    """How camera 2 stands to camera 1; angles are None where up is unknown, degrees."""

    translation: tuple[float, float, float]
    distance: float
    dyaw: float | None
    dpitch: float | None
    roll_change: float | None
    pitches: tuple[float, float]


@dataclass(frozen=True, slots=True)
class CameraMovement:
    """One of the nine camera tasks.

    Attributes:
        quantity: What is asked.
    """

    quantity: Quantity
    kind: ClassVar[Literal["scene", "clip"]] = "scene"

    @property
    def task(self) -> str:
        """Task name."""
        return f"camera_movement.{self.quantity}"

    @property
    def question_type(self) -> str:
        """Published name."""
        return QUESTION_TYPES[self.quantity]

    @property
    def words(self) -> tuple[str, ...]:
        """The two words of a direction, else ()."""
        return WORDS.get(self.quantity, ())

    @property
    def needs_up(self) -> bool:
        """Yaw and pitch are about gravity."""
        return self.quantity in _YAW + _PITCH

    def bin_count(self, recipe: Recipe) -> int:
        """Overlap bins of the recipe's band."""
        low, high = recipe.band_percent
        return (high - low) // recipe.bin_percent

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """Each word has half of the quota, where the recipe balances words."""
        if self.words and recipe.word_strata:
            return (self.words[0], 0.5), (self.words[1], 0.5)
        return (("", 1.0),)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Pairs in the band, in the order shown, that pass the guards of the quantity."""
        pairs, poses = band_pairs(context), camera_poses(context)
        guards = context.recipe.guards
        rejected: dict[str, int] = {"out_of_band": pairs.out_of_band}
        if self._roll_guarded(guards) and context.scene.up == "unknown":
            return CandidateTable.empty({"up_unknown": 1})
        swap = pair_swap(context, self.task, pairs)
        first = np.where(swap, pairs.row_j, pairs.row_i)
        second = np.where(swap, pairs.row_i, pairs.row_j)
        keep = np.ones(len(swap), dtype=bool)
        tests = self._guarded(guards, poses, first, second)
        for reason, passed, _ in tests:
            rejected[reason] = rejected.get(reason, 0) + int((keep & ~passed).sum())
            keep &= passed
        balanced = bool(self.words) and context.recipe.word_strata
        stratum = (~(tests[-1][2] > 0)).astype(np.int8)[keep] if balanced else 0
        i, j = pairs.i[keep], pairs.j[keep]
        shown = np.where(swap[keep, None], np.stack([j, i], 1), np.stack([i, j], 1))
        chosen = context.place.draw_rows(self.task, (i, j), "select")
        return CandidateTable.build(
            shown, np.zeros((len(i), 0)), chosen,
            bin=pairs.bin[keep], stratum=stratum, rejected=rejected,
        )  # fmt: skip

    def _roll_guarded(self, guards: Guards) -> bool:
        return self.quantity in _ROLL_GUARDED and guards.max_roll_change_deg < 180.0

    def _guarded(
        self,
        guards: Guards,
        poses: CameraPoses,
        first: NDArray[np.int64],
        second: NDArray[np.int64],
    ) -> list[tuple[str, NDArray[np.bool_], Float64]]:
        """(reason, passed, signed value) of each guard in order; the last value is the answer's."""
        out: list[tuple[str, NDArray[np.bool_], Float64]] = []
        if self._roll_guarded(guards):
            change = wrap_degrees(poses.roll[second] - poses.roll[first])
            out.append(("roll", np.abs(change) <= guards.max_roll_change_deg, change))
        if self.quantity in _YAW:
            steep = np.maximum(np.abs(poses.pitch[first]), np.abs(poses.pitch[second]))
            out.append(("steep_view", steep <= guards.max_abs_pitch_deg, steep))
            turn = wrap_degrees(poses.yaw[second] - poses.yaw[first])
            out.append(("half_turn", np.abs(turn) <= guards.max_yaw_turn_deg, turn))
            out.append(("dead_zone", np.abs(turn) >= guards.min_angle_deg, turn))
        elif self.quantity in _PITCH:
            tilt = poses.pitch[second] - poses.pitch[first]
            out.append(("dead_zone", np.abs(tilt) >= guards.min_angle_deg, tilt))
        else:
            t = _translation_rows(poses, first, second)
            distance = np.sqrt((t[0] * t[0] + t[1] * t[1]) + t[2] * t[2])
            if self.quantity in _AXIS:
                part = t[_AXIS[self.quantity]]
                least = np.maximum(guards.min_component_m, guards.min_component_share * distance)
                out.append(("dead_zone", np.abs(part) >= least, part))
            else:
                out.append(("dead_zone", distance >= guards.min_distance_m, distance))
        return out

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """Answer and evidence of pairs in the order shown."""
        poses, pairs = camera_poses(context), band_pairs(context)
        shown = np.array([row.frames for row in rows], dtype=np.int64).reshape(-1, 2)
        at = np.searchsorted(pairs.key, (shown.min(axis=1) << 32) | shown.max(axis=1))
        count, hashes = visible_counts(context), poses.hashes
        return [
            self._facts(
                context.recipe, motion, intersection,
                [count[first], count[second]], [hashes[first], hashes[second]],
            )
            for motion, intersection, (first, second) in zip(
                _motions(context, poses, shown), pairs.intersection[at].tolist(), shown.tolist(),
                strict=True,
            )
        ]  # fmt: skip

    def _facts(
        self,
        recipe: Recipe,
        motion: Motion,
        intersection: int,
        counts: list[int],
        hashes: list[str],
    ) -> Facts:
        answer, slots = self._answer(recipe, motion)
        evidence: dict[str, Any] = {
            "translation_m": list(motion.translation),
            "distance_m": motion.distance,
            "dyaw_deg": motion.dyaw,
            "dpitch_deg": motion.dpitch,
            "roll_change_deg": motion.roll_change,
            "intersection": intersection,
            "visible_counts": counts,
            "pose_hashes": hashes,
        }
        return Facts(answer, evidence, slots)

    def _answer(self, recipe: Recipe, motion: Motion) -> tuple[Answer, dict[str, str]]:
        truncated = self.task in recipe.truncated_tasks
        rounding: answers.Rounding = "truncate" if truncated else recipe.rounding
        if self.words:
            value = _value(self.quantity, motion)
            answer = answers.word(self.words[0] if value > 0 else self.words[1])
            return answer, {"direction": answer.span}
        if self.quantity == "vector":
            answer = answers.vector([1000 * v for v in motion.translation], "mm", rounding)
            x, y, z = (str(int(n)) for n in answer.number)
            return answer, {"x_mm": x, "y_mm": y, "z_mm": z}
        if self.quantity == "distance":
            answer = answers.integer(1000 * motion.distance, "mm", rounding)
            return answer, {"distance_mm": answer.span}
        answer = answers.integer(abs(_value(self.quantity, motion)), "degree", rounding)
        return answer, {"angle_deg": answer.span}

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The same facts from the source's poses and depth, by plain matrix products."""
        first, second = row.frames
        W1, W2 = reference.world_from_cam(first), reference.world_from_cam(second)
        relative = np.linalg.inv(W1) @ W2
        known = reference.up != "unknown"
        angles = [_reference_angles(W) for W in (W1, W2)]
        turn = [float(b - a) for a, b in zip(*angles, strict=True)]
        motion = Motion(
            (float(relative[0, 3]), float(relative[1, 3]), float(relative[2, 3])),
            float(np.linalg.norm(relative[:3, 3])),
            wrap_deg(turn[0]) if known else None,
            turn[1] if known else None,
            wrap_deg(turn[2]) if known else None,
            (angles[0][1], angles[1][1]),
        )
        seen = [reference.visible(frame) for frame in (first, second)]
        counts = [int(mask.sum()) for mask in seen]
        common = int((seen[0] & seen[1]).sum())
        hashes = [pose_hash(W1), pose_hash(W2)]
        facts = self._facts(reference.recipe, motion, common, counts, hashes)
        return facts, self._rejection(reference.recipe, motion, common, sum(counts) - common)

    def _rejection(self, recipe: Recipe, motion: Motion, common: int, union: int) -> str:
        """The first guard that the pair breaks, or "" when it may be asked about."""
        guards = recipe.guards
        low, high = recipe.band_percent
        if not (union and low * union <= 100 * common <= high * union):
            return "out_of_band"
        if self._roll_guarded(guards):
            if motion.roll_change is None:
                return "up_unknown"
            if abs(motion.roll_change) > guards.max_roll_change_deg:
                return "roll"
        if self.needs_up:
            value = _value(self.quantity, motion)
            if self.quantity in _YAW:
                if max(abs(p) for p in motion.pitches) > guards.max_abs_pitch_deg:
                    return "steep_view"
                if abs(value) > guards.max_yaw_turn_deg:
                    return "half_turn"
            return "dead_zone" if abs(value) < guards.min_angle_deg else ""
        if self.quantity in _AXIS:
            least = max(guards.min_component_m, guards.min_component_share * motion.distance)
            return "dead_zone" if abs(_value(self.quantity, motion)) < least else ""
        return "dead_zone" if motion.distance < guards.min_distance_m else ""


def _value(quantity: str, motion: Motion) -> float:
    """The signed number behind a direction or an angle."""
    if quantity in _AXIS:
        return motion.translation[_AXIS[quantity]]
    value = motion.dyaw if quantity in _YAW else motion.dpitch
    if value is None:
        raise ValueError(f"{quantity} needs a known up direction")
    return value


def _translation_rows(
    poses: CameraPoses, first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[Float64, Float64, Float64]:
    """Position of camera 2 in camera 1's frame, one array a component."""
    m, p = poses.cam_from_world[first], poses.position[second]
    x, y, z = p[:, 0], p[:, 1], p[:, 2]
    a, b, c = (((m[:, r, 0] * x + m[:, r, 1] * y) + m[:, r, 2] * z) + m[:, r, 3] for r in range(3))
    return a, b, c


def _motions(
    context: SceneContext, poses: CameraPoses, shown: NDArray[np.int64]
) -> Iterator[Motion]:
    """`Motion` of each pair of frames (n, 2), by the arithmetic of `candidates`."""
    a, b = poses.rows(shown[:, 0]), poses.rows(shown[:, 1])
    x, y, z = _translation_rows(poses, a, b)
    distance = np.sqrt((x * x + y * y) + z * z)
    translations = zip(x.tolist(), y.tolist(), z.tolist(), strict=True)
    pitches = zip(poses.pitch[a].tolist(), poses.pitch[b].tolist(), strict=True)
    if context.scene.up == "unknown":
        unknown = [None] * len(shown)
        return map(Motion, translations, distance.tolist(), unknown, unknown, unknown, pitches)
    turn, roll = (wrap_degrees(angle[b] - angle[a]) for angle in (poses.yaw, poses.roll))
    tilt = poses.pitch[b] - poses.pitch[a]
    return map(
        Motion, translations, distance.tolist(), turn.tolist(), tilt.tolist(), roll.tolist(),
        pitches,
    )  # fmt: skip


def _reference_angles(W: Float64) -> tuple[float, float, float]:
    """Yaw, pitch and roll by vectors: the view direction, and the right axis against level."""
    right, down, forward = W[:3, 0], W[:3, 1], W[:3, 2]
    forward = forward / np.linalg.norm(forward)
    yaw = float(np.degrees(np.arctan2(forward[1], forward[0])))
    pitch = float(np.degrees(np.arcsin(np.clip(forward[2], -1.0, 1.0))))
    return yaw, pitch, float(np.degrees(np.arctan2(right[2], -down[2])))


CAMERA_MOVEMENT = tuple(CameraMovement(quantity) for quantity in QUESTION_TYPES)  # type: ignore[arg-type]
