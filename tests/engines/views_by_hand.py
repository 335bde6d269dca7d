# SPDX-License-Identifier: Apache-2.0
"""Views of hand-made objects: every frame sees what it is told to see, wherever it looks."""

from __future__ import annotations

import numpy as np

from spatial_engine.engines.layout_scene import LayoutScene
from spatial_engine.engines.seen_parts import SeenParts
from spatial_engine.engines.view_set import MEASURES, Measures, ViewSet
from spatial_engine.recipe import Recipe
from spatial_engine.records.place import FrameImage, Place
from spatial_engine.reference import viewpoint as again
from spatialcore.relations.scene_object import SceneObject
from tests.index.scenes import look
from tests.relations.rooms import block, moved

AGAIN = Measures(again.ReferenceViewpoint, again.reference_turn, again.reference_nearest_on_floor)
MIRROR_X = np.diag([-1.0, 1.0, 1.0, 1.0])


def views_of(things, poses, seen, *, overlap=None, measures=MEASURES, recipe=None) -> ViewSet:
    """Frames 0, 1, ... at `poses`; seen[frame] are the ids of the objects that it shows whole.

    `overlap` are the pairs of frames that share enough, None all of them; others share nothing.
    """
    recipe = Recipe() if recipe is None else recipe
    things, frames = tuple(things), tuple(range(len(poses)))
    count = np.array([
        [len(t.points) if t.object_id in seen[f] else 0 for f in frames] for t in things
    ])  # fmt: skip
    images = {f: FrameImage(str(f), f"{f}.jpg", 200, 150) for f in frames}
    place = Place("fake", "room", "room_00", "train", recipe, 1, "identity", images)
    points = np.concatenate([t.points for t in things]).astype(np.float32)
    instance = np.repeat([t.object_id for t in things], [len(t.points) for t in things])

    def shows(frame: int) -> np.ndarray:
        return np.isin(instance, list(seen[frame]))

    layout = LayoutScene(
        place, recipe, frames, None, things, count, points,
        parts=SeenParts(points, instance.astype(np.int32), shows),
    )  # fmt: skip

    def near(a: int, b: int) -> bool:
        return overlap is None or (min(a, b), max(a, b)) in overlap

    return ViewSet(
        place, recipe, frames, lambda: layout, lambda f: poses[f], near,
        lambda a, b: a == b or near(a, b), measures,
    )  # fmt: skip


def in_world(things, poses, world2_from_world):
    """The same objects and cameras in another world; a mirrored one mirrors the cameras, too."""
    world = np.asarray(world2_from_world)
    flip = MIRROR_X if np.linalg.det(world[:3, :3]) < 0 else np.eye(4)
    return (
        [SceneObject(t.object_id, t.category, points=moved(t.points, world)) for t in things],
        [world @ pose @ flip for pose in poses],
    )


def random_world(rng: np.random.Generator, *, mirror: bool = False) -> np.ndarray:
    """A turn about z and a shift, mirrored on x or not."""
    angle = rng.uniform(0, 2 * np.pi)
    c, s = np.cos(angle), np.sin(angle)
    world = np.eye(4)
    world[:2, :2] = [[c, -s], [s, c]]
    world[:3, 3] = rng.uniform(-5, 5, 3)
    return world @ MIRROR_X if mirror else world


def random_room(rng: np.random.Generator, names="abcdefgh", frames: int = 4):
    """Blocks of random places and sizes, and level cameras among them."""
    things = [
        block(k, f"thing {name}", rng.uniform((0, 0, 0.2), (6, 5, 1.5)),
              rng.uniform(0.1, 0.6, 3), spacing=0.1)
        for k, name in enumerate(names)
    ]  # fmt: skip
    poses = [
        look(rng.uniform((0, 0, 1.2), (6, 5, 1.7)), rng.uniform(0, 360), rng.uniform(-30, 30))
        for _ in range(frames)
    ]
    return things, poses
