# SPDX-License-Identifier: Apache-2.0
"""Camera movement between two frames: directions, angles, distance, displacement vector.

Translation is the position of camera 2 in camera 1's frame (x right, y down, z forward). The height
gained, yaw and pitch are about gravity: yaw counter-clockwise seen from above, pitch up. A camera
that looks down rises without leaving its picture's middle, so the height and the displacement along
image 1's vertical axis are two tasks, and the second is refused where they say opposite words. All
of it is recomputed for the order in which the two images are shown, which is a keyed draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.base import WORD, AnswerForm, Engine, Facts, Subject, equal_shares
from spatial_engine.engines.candidates import CandidateTable, Row
from spatial_engine.engines.chains import of_cameras
from spatial_engine.engines.contents import ANY, number_strata, number_stratums
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.frame_pairs import (
    CameraPoses,
    band_pairs,
    camera_poses,
    overlap_bin_count,
    pair_swap,
    pose_hash,
    visible_counts,
)
from spatial_engine.engines.published import Published
from spatial_engine.records import answers
from spatial_engine.records.answers import Answer
from spatial_engine.reference.pairs import pair_facts
from spatialcore.index.frames import wrap_deg

if TYPE_CHECKING:
    from spatial_engine.recipe import Guards, Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.reference.scene import ReferenceScene

Float64 = NDArray[np.float64]
Quantity = Literal[
    "x_direction", "y_direction", "z_direction", "height_direction", "yaw_direction",
    "pitch_direction", "yaw_angle", "pitch_angle", "distance", "vector",
]  # fmt: skip

QUESTION_TYPES: Mapping[str, str] = {
    "x_direction": "x_movement", "y_direction": "y_movement", "z_direction": "z_movement",
    "height_direction": "height_movement", "yaw_direction": "yaw_movement",
    "pitch_direction": "pitch_movement", "yaw_angle": "yaw_angle", "pitch_angle": "pitch_angle",
    "distance": "total_distance", "vector": "displacement_vector",
}  # fmt: skip
# Word for a positive value, word for any other.
WORDS: Mapping[str, tuple[str, str]] = {
    "x_direction": ("right", "left"),
    "y_direction": ("down", "up"),
    "z_direction": ("forward", "backward"),
    "height_direction": ("up", "down"),
    "yaw_direction": ("left", "right"),
    "pitch_direction": ("up", "down"),
}
_AXIS = {"x_direction": 0, "y_direction": 1, "z_direction": 2}
_YAW = ("yaw_direction", "yaw_angle")
_PITCH = ("pitch_direction", "pitch_angle")
_ROLL_GUARDED = ("x_direction", "y_direction", "vector", *_YAW, *_PITCH)


class Motions(NamedTuple):
    """How camera 2 stands to camera 1, for n pairs; degrees, None where up is unknown.

    Attributes:
        translation: (n, 3) metres in camera 1's frame.
        distance: (n,) metres.
        rise: (n,) metres that camera 2 is higher.
        dyaw, dpitch, roll_change: (n,) camera 2's less camera 1's.
        pitches: (n, 2) of both cameras.
    """

    translation: Float64
    distance: Float64
    rise: Float64 | None
    dyaw: Float64 | None
    dpitch: Float64 | None
    roll_change: Float64 | None
    pitches: Float64


class Views(NamedTuple):
    """What both frames of a pair see, and the hashes of their poses."""

    intersection: int
    counts: list[int]
    hashes: list[str]


@dataclass(frozen=True, slots=True)
class CameraMovement(Engine):
    """One of the camera tasks.

    Attributes:
        quantity: What is asked.
    """

    quantity: Quantity

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
    def answer(self) -> AnswerForm:
        """A word, millimetres, or degrees."""
        if self.words:
            return WORD
        if self.quantity == "vector":
            return AnswerForm("vector", "mm")
        return AnswerForm("integer", "mm" if self.quantity == "distance" else "degree")

    @property
    def subject(self) -> Subject:
        """The three components, length and vector of one movement tell about each other."""
        if self.quantity in _YAW:
            return Subject("yaw")
        return Subject("pitch" if self.quantity in _PITCH else "translation")

    @property
    def published(self) -> Published | None:
        """The row of the turns, of the translation words, or of the quantity; none for height."""
        if self.quantity == "height_direction":
            return None
        if self.quantity in ("distance", "vector"):
            return Published("MultiSPA", f"camera {self.quantity}")
        if self.quantity in _AXIS:
            return Published("MultiSPA", "camera translation direction")
        return Published("MultiSPA", f"camera rotation {'direction' if self.words else 'degree'}")

    @property
    def needs_up(self) -> bool:
        """Height, yaw and pitch are about gravity."""
        return self.quantity in (*_YAW, *_PITCH, "height_direction")

    @property
    def needs_metres(self) -> bool:
        """Distances and vectors are lengths; directions and angles are not."""
        return self.quantity in ("distance", "vector")

    def bin_count(self, recipe: Recipe) -> int:
        """Overlap bins of the recipe's band."""
        return overlap_bin_count(recipe)

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """Each word has half of the quota, where the recipe balances words, and so do tilts.

        People hold a camera level: without that one number of degrees would be right for half.
        """
        if self.words and recipe.word_strata:
            return equal_shares(self.words)
        if self.quantity == "pitch_angle" and recipe.word_strata:
            return number_strata("degrees")
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
        up_known = context.scene.up != "unknown"
        tests = self._guarded(guards, poses, first, second, up_known=up_known)
        for reason, passed, _ in tests:
            rejected[reason] = rejected.get(reason, 0) + int((keep & ~passed).sum())
            keep &= passed
        stratum, content = self._said(context.recipe, tests[-1][2][keep])
        i, j = pairs.i[keep], pairs.j[keep]
        shown = np.where(swap[keep, None], np.stack([j, i], 1), np.stack([i, j], 1))
        chosen = context.place.draw_rows(self.task, (i, j), "select")
        return CandidateTable.build(
            shown, np.zeros((len(i), 0)), chosen,
            bin=pairs.bin[keep], stratum=stratum, content=content, rejected=rejected,
        )  # fmt: skip

    def _said(self, recipe: Recipe, value: Float64) -> tuple[NDArray[np.int8] | int, int]:
        """Stratum of each answer, and the content of all."""
        if self.words and recipe.word_strata:
            return (~(value > 0)).astype(np.int8), 0
        if self.quantity == "pitch_angle" and recipe.word_strata:
            return number_stratums(np.abs(value)), ANY
        return 0, 0

    def _roll_guarded(self, guards: Guards) -> bool:
        return self.quantity in _ROLL_GUARDED and guards.max_roll_change_deg < 180.0

    def _guarded(
        self,
        guards: Guards,
        poses: CameraPoses,
        first: NDArray[np.int64],
        second: NDArray[np.int64],
        *,
        up_known: bool,
    ) -> list[tuple[str, NDArray[np.bool_], Float64]]:
        """(reason, passed, signed value) of each guard in order; the last value is the answer's."""
        out: list[tuple[str, NDArray[np.bool_], Float64]] = []
        if self._roll_guarded(guards):
            change = wrap_deg(poses.roll[second] - poses.roll[first])
            out.append(("roll", np.abs(change) <= guards.max_roll_change_deg, change))
        if self.quantity in _YAW:
            steep = np.maximum(np.abs(poses.pitch[first]), np.abs(poses.pitch[second]))
            out.append(("steep_view", steep <= guards.max_abs_pitch_deg, steep))
            turn = wrap_deg(poses.yaw[second] - poses.yaw[first])
            out.append(("half_turn", np.abs(turn) <= guards.max_yaw_turn_deg, turn))
            out.append(("dead_zone", np.abs(turn) >= guards.min_angle_deg, turn))
        elif self.quantity in _PITCH:
            tilt = poses.pitch[second] - poses.pitch[first]
            out.append(("dead_zone", np.abs(tilt) >= guards.min_angle_deg, tilt))
        else:
            t = _translation_rows(poses, first, second)
            distance = np.sqrt((t[0] * t[0] + t[1] * t[1]) + t[2] * t[2])
            if not self.words:
                out.append(("dead_zone", distance >= guards.min_distance_m, distance))
                return out
            rise = poses.position[second, 2] - poses.position[first, 2]
            part = rise if self.quantity == "height_direction" else t[_AXIS[self.quantity]]
            if self.quantity == "y_direction" and guards.vertical_agrees and up_known:
                out.append(("gravity_disagrees", part * rise <= 0, rise))
            least = np.maximum(guards.min_component_m, guards.min_component_share * distance)
            out.append(("dead_zone", np.abs(part) >= least, part))
        return out

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """Answer and evidence of pairs in the order shown."""
        poses, pairs = camera_poses(context), band_pairs(context)
        shown = np.array([row.frames for row in rows], dtype=np.int64).reshape(-1, 2)
        at = np.searchsorted(pairs.key, (shown.min(axis=1) << 32) | shown.max(axis=1))
        count, hashes = visible_counts(context), poses.hashes
        views = [
            Views(intersection, [count[first], count[second]], [hashes[first], hashes[second]])
            for intersection, (first, second) in zip(
                pairs.intersection[at].tolist(), shown.tolist(), strict=True
            )
        ]
        return self._facts(context.recipe, _motions(context, poses, shown), views)

    def _facts(self, recipe: Recipe, motions: Motions, views: Sequence[Views]) -> list[Facts]:
        columns = (
            motions.translation.tolist(), motions.distance.tolist(),
            *(
                [None] * len(views) if value is None else value.tolist()
                for value in (motions.rise, motions.dyaw, motions.dpitch, motions.roll_change)
            ),
        )  # fmt: skip
        evidence: list[dict[str, Any]] = [
            {
                "translation_m": translation, "distance_m": distance, "rise_m": rise,
                "dyaw_deg": dyaw, "dpitch_deg": dpitch, "roll_change_deg": roll_change,
                "intersection": seen, "visible_counts": counts, "pose_hashes": hashes,
            }
            for (seen, counts, hashes), translation, distance, rise, dyaw, dpitch, roll_change in (
                zip(views, *columns, strict=True)
            )
        ]  # fmt: skip
        told = self._told(recipe, motions)
        return [
            Facts(answer, numbers, slots)
            for (answer, slots), numbers in zip(told, evidence, strict=True)
        ]

    def _told(self, recipe: Recipe, motions: Motions) -> list[tuple[Answer, dict[str, str]]]:
        """Answer and slots of each pair."""
        truncated = self.task in recipe.truncated_tasks
        rounding: answers.Rounding = "truncate" if truncated else recipe.rounding
        if self.words:
            no, yes = ((answers.word(word), {"direction": word}) for word in self.words[::-1])
            return [yes if is_yes else no for is_yes in (_values(self.quantity, motions) > 0)]
        if self.quantity == "vector":
            names = ("x_mm", "y_mm", "z_mm")
            found = answers.vectors(1000 * motions.translation, "mm", rounding)
            return [(answer, dict(zip(names, xyz, strict=True))) for answer, xyz in found]
        if self.quantity == "distance":
            lengths = answers.integers(1000 * motions.distance, "mm", rounding)
            return [(answer, {"distance_mm": text}) for answer, text in lengths]
        turns = answers.integers(np.abs(_values(self.quantity, motions)), "degree", rounding)
        return [(answer, {"angle_deg": text}) for answer, text in turns]

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The same facts from the source's poses and depth, by plain matrix products."""
        pair = pair_facts(reference, *row.frames)
        motion = Motions(
            pair.translation[None],
            np.array([pair.distance]),
            np.array([pair.rise]),
            np.array([pair.dyaw_deg]),
            np.array([pair.dpitch_deg]),
            np.array([pair.roll_change_deg]),
            np.array([pair.pitches_deg]),
        )
        if not reference.up_known:
            motion = motion._replace(rise=None, dyaw=None, dpitch=None, roll_change=None)
        hashes = [pose_hash(reference.world_from_cam(frame)) for frame in row.frames]
        views = Views(pair.intersection, list(pair.counts), hashes)
        facts = self._facts(reference.recipe, motion, [views])[0]
        union = sum(pair.counts) - pair.intersection
        return facts, self._rejection(reference.recipe, motion, pair.intersection, union)

    def _rejection(self, recipe: Recipe, motion: Motions, common: int, union: int) -> str:
        """The first guard that the pair breaks, or "" when it may be asked about."""
        guards = recipe.guards
        low, high = recipe.band_percent
        if not (union and low * union <= 100 * common <= high * union):
            return "out_of_band"
        if self._roll_guarded(guards):
            if motion.roll_change is None:
                return "up_unknown"
            if abs(motion.roll_change[0]) > guards.max_roll_change_deg:
                return "roll"
        distance = float(motion.distance[0])
        if self.quantity in _YAW + _PITCH:
            value = float(_values(self.quantity, motion)[0])
            if self.quantity in _YAW:
                if np.abs(motion.pitches).max() > guards.max_abs_pitch_deg:
                    return "steep_view"
                if abs(value) > guards.max_yaw_turn_deg:
                    return "half_turn"
            return "dead_zone" if abs(value) < guards.min_angle_deg else ""
        if self.words:
            value, rise = float(_values(self.quantity, motion)[0]), motion.rise
            told = self.quantity == "y_direction" and guards.vertical_agrees
            if told and rise is not None and value != 0 and np.sign(value) == np.sign(rise[0]):
                return "gravity_disagrees"
            least = max(guards.min_component_m, guards.min_component_share * distance)
            return "dead_zone" if abs(value) < least else ""
        return "dead_zone" if distance < guards.min_distance_m else ""

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_cameras.camera_movement(told, self.quantity, self.words)


def _values(quantity: str, motions: Motions) -> Float64:
    """(n,) the signed numbers behind a direction or an angle."""
    if quantity in _AXIS:
        return motions.translation[:, _AXIS[quantity]]
    if quantity == "height_direction":
        values = motions.rise
    else:
        values = motions.dyaw if quantity in _YAW else motions.dpitch
    if values is None:
        raise ValueError(f"{quantity} needs a known up direction")
    return values


def _translation_rows(
    poses: CameraPoses, first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[Float64, Float64, Float64]:
    """Position of camera 2 in camera 1's frame, one array a component."""
    m, p = poses.cam_from_world[first], poses.position[second]
    x, y, z = p[:, 0], p[:, 1], p[:, 2]
    a, b, c = (((m[:, r, 0] * x + m[:, r, 1] * y) + m[:, r, 2] * z) + m[:, r, 3] for r in range(3))
    return a, b, c


def _motions(context: SceneContext, poses: CameraPoses, shown: NDArray[np.int64]) -> Motions:
    """How the cameras of pairs of frames (n, 2) stand, by the arithmetic of `candidates`."""
    a, b = poses.rows(shown[:, 0]), poses.rows(shown[:, 1])
    x, y, z = _translation_rows(poses, a, b)
    turn, roll = (wrap_deg(angle[b] - angle[a]) for angle in (poses.yaw, poses.roll))
    tilt = poses.pitch[b] - poses.pitch[a]
    found = Motions(
        np.stack([x, y, z], axis=1), np.sqrt((x * x + y * y) + z * z),
        poses.position[b, 2] - poses.position[a, 2], turn, tilt, roll,
        np.stack([poses.pitch[a], poses.pitch[b]], axis=1),
    )  # fmt: skip
    if context.scene.up == "unknown":
        return found._replace(rise=None, dyaw=None, dpitch=None, roll_change=None)
    return found


CAMERA_MOVEMENT = tuple(CameraMovement(quantity) for quantity in QUESTION_TYPES)  # type: ignore[arg-type]
