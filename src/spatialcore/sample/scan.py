# SPDX-License-Identifier: Apache-2.0
"""A room as a scanner sees it: frames along the walk, the mesh, and the known truth."""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore import _render
from spatialcore.sample.config import STRIDE
from spatialcore.sample.dice import Dice
from spatialcore.sample.mesh import Mesh, scan_noise, surface_mesh
from spatialcore.sample.presets import Preset
from spatialcore.sample.render import Renderer, encode_jpeg, focal_centre
from spatialcore.sample.rooms import Room
from spatialcore.sample.solids import Placed, rotation, turn
from spatialcore.sample.walk import look, walk_poses
from spatialcore.types import Camera, Float32, Float64, compose_poses, invert_pose, transform_points

# The mesh also holds what these looks around see: from so many stops, turns and pitches.
SURVEY_STOPS, SURVEY_TURNS, SURVEY_PITCHES = 8, 8, (-0.6, 0.55)
SURVEY_HEIGHT = 1.6  # metres
BORDER = 0.002  # metres
SEEN_TOLERANCE = 0.015  # metres between a vertex and the depth map that sees it
FRAME_MICROSECONDS = 100_000  # 200 frames are a walk of 20 s, at the pace of a person
FAULT_FRAMES = 40  # walks of at least so many frames have one without pose and one without depth


@dataclass(frozen=True, slots=True, eq=False)
class ScanFrame:
    """One frame as stored.

    Attributes:
        number: Original number.
        world_from_cam: (4, 4) float32; -inf everywhere when the pose is lost.
        jpeg: Colour image.
        depth: (h, w) uint16 millimetres, or None when the depth image is lost.
    """

    number: int
    world_from_cam: NDArray[np.float32]
    jpeg: bytes
    depth: NDArray[np.uint16] | None

    @property
    def kept(self) -> bool:
        """Whether the exported layout holds the frame."""
        return self.number % STRIDE == 0

    @property
    def microseconds(self) -> int:
        """Time since the first frame."""
        return self.number * FRAME_MICROSECONDS

    def depth_payload(self) -> bytes:
        """The depth image in zlib, empty when it is lost."""
        return b"" if self.depth is None else zlib.compress(self.depth.tobytes(), 3)


class Scan:
    """A room with its walk, ready to be written.

    Args:
        room: A furnished room.
        preset: Cameras, sensor and mesh spacing.
        frame_count: Frames of the walk.
        dice: Draws of this walk and its sensor; None = the room's. Their item is the scene id.
        looked_at: Objects that the walk turns to again and again.
        stops: Places of the walk from which the mesh is completed.
    """

    def __init__(
        self, room: Room, preset: Preset, frame_count: int, dice: Dice | None = None,
        looked_at: Collection[int] = (), stops: int = SURVEY_STOPS,
    ) -> None:  # fmt: skip
        self.room, self.preset, self.frame_count = room, preset, frame_count
        self.dice, self.stops = dice or room.dice, stops
        self.solids, self.object_ids = room.solids()
        shell = 2 + len(room.polygon)
        self.renderer = Renderer(
            self.solids, room.walls, room.height, lamps(room), shell, preset.shadow_size
        )
        self.world_from_room = world_from_room(self.dice)
        self.room_from_cam = walk_poses(room, self.solids, frame_count, self.dice, looked_at)
        self.lost_pose, self.lost_depth = _lost_frames(frame_count, preset.faults)
        surface = surface_mesh(self.solids, self.object_ids, preset.spacing)
        # What lies inside the walls would pass for their surface within the tolerance.
        self._surface = surface.subset(_indoors(room, surface.points))
        self._seen = np.zeros(len(self._surface.points), dtype=np.uint8)

    @property
    def id(self) -> str:
        """Scene id."""
        return self.dice.item

    @property
    def aligned_from_world(self) -> Float64:
        """(4, 4) axis alignment: the inverse of the turn and shift of the raw world."""
        return invert_pose(self.world_from_room)

    def frame(self, number: int) -> ScanFrame:
        """Render one frame; vertices that a kept frame sees are noted for the mesh."""
        preset, pose = self.preset, self.room_from_cam[number]
        depth, solid = self.renderer.cast(preset.color, pose)
        jpeg = encode_jpeg(self.renderer.shade(preset.color, pose, depth, solid))
        world_from_cam = compose_poses(self.world_from_room, pose).astype(np.float32)
        if number == self.lost_pose:
            world_from_cam = np.full((4, 4), -np.inf, dtype=np.float32)
        elif number % STRIDE == 0:
            self._mark(preset.color, pose, depth)
        reading = None
        if number != self.lost_depth:
            state = self.dice.bits("depth", number)
            reading = self.renderer.measure(preset.depth, pose, state, preset.sensor)
        return ScanFrame(number, world_from_cam, jpeg, reading)

    def _look_around(self) -> None:
        """See the room from stops of the walk in all directions, as a careful operator does.

        A scan's mesh comes from many more frames than are kept; without these looks its floor and
        ceiling would have holes where no kept frame happens to look.
        """
        stops = np.linspace(0, self.frame_count - 1, min(self.stops, self.frame_count)).astype(int)
        turns = 2 * math.pi * np.arange(SURVEY_TURNS) / SURVEY_TURNS
        places = [self.room_from_cam[stop, :3, 3] for stop in stops.tolist()]
        # A lamp hangs over each arm of the room, so no arm is left out.
        places += [np.array([x, y, SURVEY_HEIGHT]) for x, y, _ in lamps(self.room)]
        for place in places:
            for pitch in SURVEY_PITCHES:
                tilt, level = np.full(SURVEY_TURNS, pitch), np.zeros(SURVEY_TURNS)
                for pose in look(np.tile(place, (SURVEY_TURNS, 1)), turns, tilt, level):
                    depth, _ = self.renderer.cast(self.preset.depth, pose)
                    self._mark(self.preset.depth, pose, depth)

    def _mark(self, camera: Camera, pose: Float64, depth: Float32) -> None:
        points = self._surface.points
        _render.mark_seen(focal_centre(camera), pose, depth, points, SEEN_TOLERANCE, self._seen)

    def mesh(self) -> Mesh:
        """The mesh in the raw world of everything seen so far, from looks around, or concealed."""
        self._look_around()
        concealed = [thing.object_id for thing in self.room.objects if thing.concealed]
        kept = self._seen.astype(np.bool_) | np.isin(self._surface.instance, concealed)
        seen = self._surface.subset(kept)
        points = scan_noise(seen.points, self.dice, self.preset.mesh_noise)
        world = transform_points(self.world_from_room, points).astype(np.float32)
        return Mesh(world, seen.faces, seen.segment, seen.instance, seen.solid)

    def colours(self, mesh: Mesh) -> NDArray[np.uint8]:
        """(P, 3) colour of every vertex: its material's, without light."""
        palette = np.array(
            [[solid.material.colour >> s & 255 for s in (16, 8, 0)] for solid in self.solids]
        )
        colour: NDArray[np.uint8] = palette.astype(np.uint8)[mesh.solid]
        return colour

    def truth(self) -> dict[str, Any]:
        """What is known of the room, in its aligned frame: area, polygon, boxes, poses' frame."""
        room = self.room
        return {
            "scene": self.id,
            "room": room.kind,
            "frame": "aligned: axisAlignment applied to the stored world; metres",
            "area_m2": room.area,
            "height_m": room.height,
            "polygon": [list(corner) for corner in room.polygon],
            "aligned_from_world": self.aligned_from_world.tolist(),
            "frame_without_pose": self.lost_pose,
            "frame_without_depth": self.lost_depth,
            "objects": [_object_truth(thing) for thing in room.objects],
        }


def _indoors(room: Room, points: Float32) -> NDArray[np.bool_]:
    """(P,) bool: points over the floor polygon, its border included."""
    inside = np.zeros(len(points), dtype=np.bool_)
    for x, y in ((-BORDER, -BORDER), (BORDER, -BORDER), (BORDER, BORDER), (-BORDER, BORDER)):
        inside |= room.contains(points[:, :2].astype(np.float64) + np.array([x, y]))
    return inside


def lamps(room: Room) -> list[tuple[float, float, float]]:
    """(x, y, power) of the ceiling lamps: one over the middle, one in each arm of an L."""
    lo, hi = room.bounds
    if len(room.polygon) == 4:
        x, y = (float(c) for c in 0.5 * (lo + hi))
        return [(x, y, 0.95)]
    inner = next(np.array(c) for c in room.polygon if np.all((lo < c) & (c < hi)))
    corners = [(float(x), float(y)) for x in (lo[0], hi[0]) for y in (lo[1], hi[1])]
    cut = np.array(next(corner for corner in corners if corner not in room.polygon))
    far = lo + hi - cut
    along, across = far + 0.6 * (cut - far), 0.5 * (far + inner)
    return [(float(along[0]), float(across[1]), 0.72), (float(across[0]), float(along[1]), 0.72)]


def world_from_room(dice: Dice) -> Float64:
    """(4, 4) turn and shift of a scan's raw world."""
    pose = np.eye(4)
    pose[:3, :3] = rotation("z", dice.between(0.2, 6.0, "world/turn"))
    pose[:3, 3] = [dice.between(-4.0, 4.0, "world/shift", k) for k in range(2)] + [
        dice.between(-0.2, 0.2, "world/rise")
    ]
    return pose


def _lost_frames(frame_count: int, faults: bool) -> tuple[int, int]:
    if not faults or frame_count < FAULT_FRAMES:
        return -1, -1
    kept = (frame_count + STRIDE - 1) // STRIDE
    return STRIDE * (3 * kept // 10), STRIDE * (7 * kept // 10)


def _object_truth(thing: Placed) -> dict[str, Any]:
    back = rotation("z", -thing.yaw)
    turned = [s.moved(back, np.zeros(3)).extent() for s in thing.solids]
    lo, hi = np.min([a for a, _ in turned], axis=0), np.max([b for _, b in turned], axis=0)
    straight = [s.extent() for s in thing.solids]
    R = rotation("z", thing.yaw)
    return {
        "object_id": thing.object_id,
        "label": thing.raw_category,
        "parent": thing.parent,
        "hidden": thing.concealed,
        "yaw": math.remainder(thing.yaw, 2 * math.pi),
        "box": {
            "centre": turn(R, 0.5 * (lo + hi)).tolist(),
            "size": (hi - lo).tolist(),
            "R": R.tolist(),
        },
        "aligned_box": {
            "lo": np.min([a for a, _ in straight], axis=0).tolist(),
            "hi": np.max([b for _, b in straight], axis=0).tolist(),
        },
    }
