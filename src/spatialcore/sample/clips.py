# SPDX-License-Identifier: Apache-2.0
"""Clips with moving rigid bodies: a furnished corner, things that roll, slide and are carried."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatialcore.sample import furniture as large
from spatialcore.sample import objects as small
from spatialcore.sample.dice import Dice
from spatialcore.sample.mesh import surface_mesh
from spatialcore.sample.presets import CLIP_CAMERA
from spatialcore.sample.render import Renderer, encode_jpeg
from spatialcore.sample.rooms import Room
from spatialcore.sample.solids import Item, Material, Solid, rotation, turn
from spatialcore.sample.walk import look
from spatialcore.types import Float64, compose_poses, invert_pose, transform_points

FPS = 30.0
LANE = 0.5  # metres between the lanes of two bodies
SHADOW_PIXELS = 512
SPACING = 0.03  # metres between candidate points of a body
SEEN_ABSOLUTE, SEEN_RELATIVE = 0.006, 0.004  # a point is visible within these of the depth map
MOVING_SHARE = 0.6  # of the tracks lie on moving bodies
LEAST_SEEN = 0.25  # share of the clip in which a track has to be visible
SHORT_TRACKS = 3
GAP_SHARE = 0.06  # of the tracks have a gap


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A clip ready to be written.

    Attributes:
        jpegs: T encoded images.
        cam_from_world: (T, 4, 4) float64.
        tracks_cam: (T, N, 3) float32 metres, exactly (0, 0, 0) = no reading.
        visible: (T, N) bool.
        group: (N,) int32 rigid body of each track, 0 = what does not move.
        queries: (N, 3) float32 (x, y, t) of the first visible reading.
        static_camera: Whether the camera stands still.
    """

    jpegs: list[bytes]
    cam_from_world: Float64
    tracks_cam: NDArray[np.float32]
    visible: NDArray[np.bool_]
    group: NDArray[np.int32]
    queries: NDArray[np.float32]
    static_camera: bool


def _ball(dice: Dice, k: int) -> Item:
    colour = dice.pick((0xD9622B, 0xC22F2F, 0xE3B52C, 0x2F6DA8), "ball", k)
    item = Item("ball", (0.3, 0.3, 0.3))
    item.ellipsoid((0, 0, 0), (0.28, 0.28, 0.28), Material("stripes", colour, 0xF0EDE6, scale=0.07))
    return item


def _car(dice: Dice, k: int) -> Item:
    body = Material("plain", dice.pick((0xB5332E, 0x2D6E4E, 0x3058A0), "car", k))
    item = Item("toy car", (0.42, 0.22, 0.22))
    item.box((0, 0, 0.0), (0.42, 0.2, 0.09), body)
    item.box((-0.03, 0, 0.08), (0.22, 0.17, 0.09), Material("plain", 0xA9C4D6, absorption=0.3))
    for x in (-0.13, 0.13):
        for y in (-0.1, 0.1):
            item.cylinder((x, y, -0.04), 0.05, 0.035, large.BLACK, rotation("x", 0.5 * math.pi))
    return item


def _crate(dice: Dice, k: int) -> Item:
    item = Item("crate", (0.34, 0.28, 0.28))
    m = Material("wood", *dice.pick(large.WOODS[:3], "crate", k), seed=k)
    item.box((0, 0, 0), (0.34, 0.26, 0.24), m)
    item.box((0, 0, 0.125), (0.12, 0.264, 0.012), Material("plain", 0x2F4F8F))
    return item


def _stool(dice: Dice, k: int) -> Item:
    item = Item("stool", (0.34, 0.34, 0.44))
    m = Material("wood", *dice.pick(large.WOODS, "stool", k), seed=k + 7)
    seat = Material("fabric", dice.pick(large.FABRICS, "stool/seat", k))
    item.cylinder((0, 0, 0.2), 0.17, 0.04, seat)
    for x in (-0.1, 0.1):
        for y in (-0.1, 0.1):
            item.box((x, y, -0.02), (0.03, 0.03, 0.4), m)
    return item


# body, height of its origin above the floor when it stands, how it moves
BODIES = (
    (_ball, 0.14, "roll"),
    (_crate, 0.12, "carry"),
    (_car, 0.09, "slide"),
    (_stool, 0.22, "slide"),
)


def _corner(clip_id: str, dice: Dice) -> Room:
    """A room with furniture along two walls and free floor before it."""
    w, d = dice.between(3.8, 4.3, "w"), dice.between(4.2, 4.6, "d")
    room = Room(clip_id, "corner", ((0.0, 0.0), (w, 0.0), (w, d), (0.0, d)), 2.6, dice)
    paint = Material("plain", dice.pick((0xD9D3C3, 0xC9D3D6, 0xD8C9B8, 0xC5CFBC), "paint"))
    floors = (
        Material("planks", *large.OAK, scale=0.14),
        Material("tiles", 0xD8D2C6, 0x9DAAB0, scale=0.33),
        Material("planks", *large.WALNUT, scale=0.12),
    )
    room.build_shell(dice.pick(floors, "floor"), [paint], Material("plain", 0xEFEDE8))
    room.add_window(1, 0.6, 1.2, large.WHITE)
    shelf = large.bookshelf(0.9, 1.5, large.wood(dice, "shelf"), dice, 0)
    room.against_wall(shelf, "shelf", walls=[2], near=dice.between(0.1, 0.9, "shelf/at"))
    low = large.cabinet("cabinet", 1.0, 0.42, 0.8, 3, large.wood(dice, "cabinet"))
    low.carry(small.table_lamp(0xF3E3B8), 0.3, 0.0)
    low.carry(small.plant(0.4, dice, 0), -0.25, 0.0)
    room.against_wall(low, "cabinet", walls=[2], near=dice.between(0.2, 0.8, "cabinet/at"))
    room.against_wall(
        large.sofa(0.95, large.fabric(dice, "armchair"), "armchair"),
        "armchair",
        walls=[3, 1],
        near=0.5,
    )
    room.against_wall(small.plant(1.1, dice, 1), "plant", walls=[1, 3], near=0.6)
    room.hang(
        small.picture(0.7, 0.5, 0x6FA4D8, 0x5C8A3C, dice.below(99, "picture")),
        1.5,
        "picture",
        walls=[2, 3],
    )
    return room


def _ease(time: Float64, dice: Dice, slot: str, k: int) -> Float64:
    """From 0 to 1 and, for some, back again: rests at the ends, smooth between."""
    start, end = (
        dice.between(0.02, 0.25, slot + "/start", k),
        dice.between(0.6, 0.95, slot + "/end", k),
    )
    s = np.clip((time - start) / (end - start), 0.0, 1.0)
    if dice.chance(0.35, slot + "/return", k):
        s = 1.0 - np.abs(2.0 * s - 1.0)
    return s * s * s * (10.0 - 15.0 * s + 6.0 * s * s)


def body_poses(room: Room, steps: int, order: int, kind: int, lane: int) -> Float64:
    """(T, 4, 4) room_from_body of one body on its own lane, so that no two bodies meet."""
    dice = room.dice
    _, rest, style = BODIES[kind]
    width = max(x for x, _ in room.polygon)
    s = _ease(np.linspace(0.0, 1.0, steps), dice, "move", order)
    a, b = (
        dice.between(0.75, 1.3, "move/from", order),
        width - dice.between(0.75, 1.3, "move/to", order),
    )
    if dice.chance(0.5, "move/side", order):
        a, b = b, a
    x = a + (b - a) * s
    y = 1.55 + LANE * lane + 0.06 * np.sin(2.0 * math.pi * s)
    lift = dice.between(0.35, 0.8, "move/lift", order) if style == "carry" else 0.0
    z = rest + lift * 16.0 * (s * (1.0 - s)) ** 2
    yaw0 = dice.between(0.0, 6.28, "move/yaw", order)
    spin = dice.between(0.6, 2.4, "move/spin", order) * (
        1.0 if dice.chance(0.5, "move/sense", order) else -1.0
    )
    poses = np.tile(np.eye(4), (steps, 1, 1))
    for t in range(steps):
        if style == "roll":  # without slip: the angle is the way over the radius
            R = turn(rotation("y", float(x[t] - a) / rest), rotation("z", yaw0))
        else:
            R = rotation("z", yaw0 + spin * float(s[t]))
            if style == "carry":
                tilt = 0.7 * 16.0 * float(s[t] * (1.0 - s[t])) ** 2
                R = turn(R, rotation("x", tilt))
        poses[t, :3, :3] = R
        poses[t, :3, 3] = x[t], y[t], z[t]
    return poses


def _camera_path(room: Room, steps: int, static: bool) -> Float64:
    """(T, 4, 4) room_from_cam in front of the lanes, looking into the corner."""
    dice = room.dice
    width = max(x for x, _ in room.polygon)
    phase, swing = dice.between(0.0, 6.0, "camera/phase"), 0.0 if static else 1.0
    time = np.linspace(0.0, 1.0, steps)
    wave = np.sin(2.2 * math.pi * time + phase)
    x = 0.5 * width + dice.between(-0.5, 0.5, "camera/x") + swing * 0.55 * wave
    y = 0.3 + swing * 0.1 * (1.0 + np.cos(1.7 * math.pi * time + phase))
    z = dice.between(1.25, 1.6, "camera/z") + swing * 0.1 * np.sin(3.0 * math.pi * time)
    target = np.array([0.5 * width, 2.4, 0.45])
    dx, dy = target[0] - x, target[1] - y
    yaw = np.arctan2(dy, dx) + swing * 0.05 * np.sin(4.0 * math.pi * time)
    pitch = np.arctan2(target[2] - z, np.hypot(dx, dy)) + swing * 0.04 * wave
    return look(np.column_stack([x, y + 0 * x, z + 0 * x]), yaw, pitch, swing * 0.04 * wave)


@dataclass(eq=False)
class _Stage:
    """The corner, its bodies, their poses and the camera's."""

    room: Room
    bodies: list[list[Solid]]
    room_from_body: list[Float64]
    room_from_cam: Float64

    def solids_at(self, t: int) -> tuple[list[Solid], list[int]]:
        """Solids of step t in the room's frame, and the group of each."""
        solids, _ = self.room.solids()
        group = [0] * len(solids)
        for k, (body, poses) in enumerate(
            zip(self.bodies, self.room_from_body, strict=True), start=1
        ):
            solids += [s.moved(poses[t, :3, :3], poses[t, :3, 3]) for s in body]
            group += [k] * len(body)
        return solids, group


def _stage(clip_id: str, dice: Dice, steps: int, static: bool) -> _Stage:
    room = _corner(clip_id, dice)
    count = 2 + dice.below(3, "bodies")
    kinds = dice.order(len(BODIES), "kinds")[:count]
    lanes = dice.order(count, "lanes")
    bodies = [BODIES[kind][0](dice, k).solids for k, kind in enumerate(kinds)]
    paths = [
        body_poses(room, steps, k, kind, lane)
        for k, (kind, lane) in enumerate(zip(kinds, lanes, strict=True))
    ]
    return _Stage(room, bodies, paths, _camera_path(room, steps, static))


def _candidates(stage: _Stage) -> tuple[list[Float64], NDArray[np.int32]]:
    """Candidate points: one (n, 3) array per group in its own frame, and the group of every row."""
    static, _ = stage.room.solids()
    room = stage.room
    points = [surface_mesh(static, [0] * len(static), 0.14).points.astype(np.float64)]
    points += [
        surface_mesh(b, [0] * len(b), SPACING).points.astype(np.float64) for b in stage.bodies
    ]
    chosen = [p[room.dice.order(len(p), f"candidates/{k}")[:900]] for k, p in enumerate(points)]
    group = np.concatenate([np.full(len(p), k, np.int32) for k, p in enumerate(chosen)])
    return chosen, group


def _visible(points_cam: Float64, depth: NDArray[np.float32]) -> tuple[NDArray[np.bool_], Float64]:
    """Which (n, 3) camera-frame points the depth map (H, W) sees, and their (n, 2) uv."""
    K, (W, H) = CLIP_CAMERA.K, CLIP_CAMERA.size
    z = points_cam[:, 2]
    ahead = np.where(z > 0.05, z, 1.0)
    uv = np.stack(
        [
            K[0, 0] * points_cam[:, 0] / ahead + K[0, 2],
            K[1, 1] * points_cam[:, 1] / ahead + K[1, 2],
        ],
        1,
    )
    inside = (z > 0.05) & (uv >= 0).all(axis=1) & (uv[:, 0] < W) & (uv[:, 1] < H)
    column = np.clip(np.rint(np.where(inside, uv[:, 0], 0)).astype(int), 0, W - 1)
    row = np.clip(np.rint(np.where(inside, uv[:, 1], 0)).astype(int), 0, H - 1)
    near = np.abs(depth[row, column] - z) < SEEN_ABSOLUTE + SEEN_RELATIVE * z
    return inside & near, uv


def _choose(
    visible: NDArray[np.bool_], group: NDArray[np.int32], count: int, dice: Dice
) -> NDArray[np.int64]:
    """`count` candidate rows: shares per group, the longest visible ones if too few last."""
    groups = int(group.max()) + 1
    each = int(count * MOVING_SHARE) // (groups - 1)
    share = visible.mean(axis=0)
    rank = np.array(dice.order(len(group), "tracks"))
    good = rank[share[rank] >= LEAST_SEEN]
    chosen: list[int] = []
    for k in range(1, groups):
        chosen += [int(i) for i in good if group[i] == k][:each]
    chosen += [int(i) for i in good if group[i] == 0][: count - len(chosen)]
    taken = set(chosen)
    spare = sorted((i for i in range(len(group)) if i not in taken), key=lambda i: -share[i])
    return np.array(sorted(chosen + spare[: count - len(chosen)]), dtype=np.int64)


def _lose_readings(tracks: NDArray[np.float32], visible: NDArray[np.bool_], dice: Dice) -> None:
    """Zero some readings in place: a few tracks end early, some have a gap."""
    steps, count = visible.shape
    order = dice.order(count, "gaps")
    for rank, n in enumerate(order[: SHORT_TRACKS + max(1, int(GAP_SHARE * count))]):
        if rank < SHORT_TRACKS:
            begin, end = dice.below(steps // 2, "short", n) + steps // 5, steps
        else:
            begin = dice.below(steps, "gap", n)
            end = min(steps, begin + 1 + dice.below(max(1, steps // 10), "gap/length", n))
        tracks[begin:end, n] = 0.0
        visible[begin:end, n] = False


def make_clip(clip_id: str, dice: Dice, steps: int, tracks: int, static: bool) -> Clip:
    """Render a clip and follow points on its bodies and its background.

    Args:
        clip_id: Id of the clip.
        dice: Its draws.
        steps: Frames T.
        tracks: Tracks N.
        static: Whether the camera stands still.
    """
    stage = _stage(clip_id, dice, steps, static)
    points, group = _candidates(stage)
    lamp = [(0.5 * max(x for x, _ in stage.room.polygon), 2.0, 0.95)]
    jpegs, seen, followed, uvs = [], [], [], []
    for t in range(steps):
        solids, _ = stage.solids_at(t)
        view = Renderer(solids, stage.room.walls, stage.room.height, lamp, 6, SHADOW_PIXELS)
        pose = stage.room_from_cam[t]
        depth, solid = view.cast(CLIP_CAMERA, pose)
        jpegs.append(encode_jpeg(view.shade(CLIP_CAMERA, pose, depth, solid)))
        room_points = [points[0]] + [
            transform_points(p[t], q) for p, q in zip(stage.room_from_body, points[1:], strict=True)
        ]
        cam = transform_points(invert_pose(pose), np.concatenate(room_points))
        visible, uv = _visible(cam, depth)
        seen.append(visible)
        followed.append(cam)
        uvs.append(uv)
    visible, cam = np.array(seen), np.array(followed)
    rows = _choose(visible, group, tracks, dice)
    chosen, seen_rows = cam[:, rows].astype(np.float32), visible[:, rows]
    first = seen_rows.argmax(axis=0)
    at = np.array(uvs)[first, rows]
    queries = np.column_stack([at, first]).astype(np.float32)
    _lose_readings(chosen, seen_rows, dice)
    world_from_room = np.eye(4)
    world_from_room[:3, :3] = rotation("z", dice.between(0.2, 6.0, "world/turn"))
    world_from_room[:3, 3] = [dice.between(-3.0, 3.0, "world/shift", k) for k in range(3)]
    cam_from_world = invert_pose(compose_poses(world_from_room, stage.room_from_cam))
    return Clip(jpegs, cam_from_world, chosen, seen_rows, group[rows], queries, static)
