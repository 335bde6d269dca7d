# SPDX-License-Identifier: Apache-2.0
"""Objects that nobody sees: in a closed box, behind a door, under a table top, behind glass.

Their vertices are in the cloud, as an annotator may leave them. The tolerant depth rule for points
takes them for seen; no question may name or count them, and `verify` finds the ones that do.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from spatial_engine.check.verify import LEAST_OPEN, hidden_object
from spatial_engine.engines import engines
from spatial_engine.engines.base import Named, candidates_of
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.frame_view import views_of
from spatial_engine.engines.layout_scene import layout_scene, reference_layout
from spatial_engine.engines.one_image import ONE_IMAGE
from spatial_engine.recipe import Recipe
from spatial_engine.records.place import FrameImage, Place
from spatial_engine.reference.scene import ReferenceScene
from spatialcore.index.config import IndexConfig
from spatialcore.index.index import Index, build_index
from spatialcore.index.objects import is_flat, shows
from spatialcore.index.rules import Rules
from spatialcore.io.open import open_source
from spatialcore.types import Object3D, Scene
from tests.index.scenes import MemorySource
from tests.rays import BOXES, ROOM, box_surface, pinhole, shoot, walk

GREY = (120, 120, 120)
SEEN = (
    *BOXES,
    ("box", (3.0, 1.5, 0.0), (3.45, 1.95, 0.45), GREY),
    ("door", (2.58, 3.1, 0.0), (2.6, 4.0, 2.0), GREY),
    ("cup", (3.65, 2.1, 0.75), (3.85, 2.3, 0.95), GREY),
    ("statue", (4.5, 0.2, 0.0), (4.8, 0.5, 0.8), GREY),
)
HIDDEN = (
    ("cup", (3.07, 1.57, 0.03), (3.25, 1.75, 0.25)),  # in the closed box
    ("vase", (2.66, 3.5, 0.8), (2.76, 3.7, 1.1)),  # behind the door
    ("shoes", (3.9, 1.3, 0.58), (4.05, 1.6, 0.68)),  # under the top of the table
)
STATUE = len(SEEN)  # the last of them: the sensor gets no reading through the glass before it
CUP_IN_BOX, VASE, SHOES = range(STATUE + 1, STATUE + 4)
NEVER = {CUP_IN_BOX, VASE, SHOES, STATUE}
FRAMES, FLOOR = 10, 90


def scene() -> Scene:
    """Ten frames of the room and its cloud, all things labelled."""
    frames = [shoot(pose, pinhole(), SEEN) for pose in walk(FRAMES)]
    parts = [(k, box_surface(item[1], item[2], 0.015)) for k, item in enumerate(SEEN, 1)]
    parts += [(k, box_surface(*item[1:], 0.015)) for k, item in enumerate(HIDDEN, STATUE + 1)]
    parts.append((FLOOR, box_surface(*ROOM, 0.04)))
    names = [item[0] for item in (*SEEN, *HIDDEN)]
    return Scene.from_arrays(
        K=frames[0].camera.K,
        world_from_cam=[f.world_from_cam for f in frames],
        depth=[
            np.where(f.instance == STATUE, 0, f.depth * 1000).astype(np.uint16) for f in frames
        ],
        image_size=frames[0].camera.size,
        depth_scale=0.001,
        points_world=np.concatenate([p for _, p in parts]).astype(np.float32),
        instance=np.concatenate([np.full(len(p), k, np.int32) for k, p in parts]),
        objects=tuple(
            Object3D(k, n, n) for k, n in [*enumerate(names, 1), (FLOOR, "floor")]
        ),
        images=[f"{k:05d}.jpg" for k in range(FRAMES)],
        root=Path("scans"), id="room0_00", source="rooms", world_up=(0.0, 0.0, 1.0),
    )  # fmt: skip


def recipe_of(objects: str) -> Recipe:
    """The default recipe, or one whose rules take an object by its visible vertices."""
    recipe = Recipe()
    return dataclasses.replace(recipe, rules=dataclasses.replace(recipe.rules, objects=objects))


def context_of(opened: Scene, folder: Path, objects: str) -> SceneContext:
    """The room indexed and ready to be asked about."""
    recipe = recipe_of(objects)
    build_index([MemorySource({opened.id: opened})], folder, IndexConfig(recipe.rules))
    index = Index.open(folder).open_scene("rooms", opened.id)
    images = {k: FrameImage(f"{k:05d}", f"{k:05d}.jpg", 160, 120) for k in range(FRAMES)}
    place = Place("rooms", "room0", opened.id, "train", recipe, 7, "identity", images)
    return SceneContext(index, place)


@pytest.fixture(scope="module")
def opened() -> Scene:
    return scene()


@pytest.fixture(scope="module")
def context(opened: Scene, tmp_path_factory: pytest.TempPathFactory) -> SceneContext:
    return context_of(opened, tmp_path_factory.mktemp("surface"), "surface")


@pytest.fixture(scope="module")
def tolerant(opened: Scene, tmp_path_factory: pytest.TempPathFactory) -> SceneContext:
    return context_of(opened, tmp_path_factory.mktemp("visible"), "visible")


@pytest.fixture(scope="module")
def reference(opened: Scene) -> ReferenceScene:
    return ReferenceScene(opened, Recipe(), 7, "train")


def every_row(context: SceneContext, reference: ReferenceScene):
    """Task and named objects of every candidate of every engine; few of the many walks."""
    for engine in engines():
        if engine.kind == "clip":
            continue
        for row in [*candidates_of(engine, context).rows()][:400]:
            yield engine.task, engine.named(reference, row)


def test_the_rule_for_points_takes_hidden_objects_for_seen(tolerant: SceneContext) -> None:
    """The planted cases are hard: without a rule of their own the objects would be named."""
    assert layout_scene(tolerant).seen >= {CUP_IN_BOX, VASE, SHOES}


def test_what_nobody_sees_is_seen_in_no_frame(context: SceneContext) -> None:
    layout = layout_scene(context)
    assert not layout.seen & NEVER
    assert layout.seen >= set(range(1, STATUE)), "what stands in the open is seen"
    assert not {"cup", "vase", "shoes", "statue"} & set(layout.askable)


def test_nothing_hidden_is_named_or_counted(context, reference) -> None:
    named = [(task, one) for task, found in every_row(context, reference) for one in found]
    assert {task.split(".")[0] for task, _ in named} >= {
        "scene_layout", "spatial_relation", "object_perception",
    }  # fmt: skip
    assert [(task, one) for task, one in named if one.object_id in NEVER] == []
    assert [one for _, one in named if hidden_object(reference, [one])] == []


def test_a_count_beside_a_hidden_instance_is_refused_or_right(context: SceneContext) -> None:
    open_cup, reasons = 8, set()
    for view in views_of(context).values():
        found = ONE_IMAGE[0]._ask(view, (open_cup,))
        reasons.add(str(getattr(found, "reason", "")))
        assert getattr(found, "value", 1) == 1
    assert "count_unsure" in reasons


def test_verify_finds_a_hidden_object_without_the_depth_maps(opened, tolerant, reference) -> None:
    frames = tuple(range(FRAMES))
    for hidden in (CUP_IN_BOX, VASE, SHOES):
        assert hidden_object(reference, [Named(hidden, frames)]) == f"object_hidden: {hidden}"
    assert hidden_object(reference, [Named(k, frames) for k in range(1, STATUE)]) == ""
    published = ReferenceScene(opened, recipe_of("visible"), 7, "train")
    asked = every_row(tolerant, published)
    wrong = {task for task, found in asked if hidden_object(reference, found)}
    assert {"scene_layout.object_count", "object_perception.height"} <= wrong


def test_a_flat_thing_is_shown_where_twice_the_share_is_on_the_surface(
    context: SceneContext,
) -> None:
    """A book on a shelf is as near to the readings as the shelf, behind whose edge it may be."""
    rules = Rules()
    assert is_flat(rules, (0.3, 0.2, 0.039))
    assert not is_flat(rules, (0.3, 0.2, 0.041))
    surface, inside = [15, 29, 30], [100, 100, 100]
    assert shows(rules, surface, inside, 10).tolist() == [True, True, True]
    assert shows(rules, surface, inside, 10, flat=True).tolist() == [False, False, True]
    layout = layout_scene(context)
    door = next(row for row, item in enumerate(layout.objects) if item.category == "door")
    on_surface, in_image = (counts[door] for counts in layout.surface)
    least = layout.seen_from[door]
    assert (layout.shown[door] == shows(rules, on_surface, in_image, least, flat=True)).all()
    assert layout.shown[door].any()


def test_the_published_rule_keeps_its_form(opened: Scene, tolerant: SceneContext) -> None:
    published = ReferenceScene(opened, recipe_of("visible"), 7, "train")
    assert hidden_object(published, [Named(VASE, (0,))]) == ""
    index = tolerant.scene
    np.testing.assert_array_equal(index.surface.words, index.visible.words)
    table = index.object_frames
    np.testing.assert_array_equal(table.surface_count, table.visible_count)


def test_the_reference_shows_the_same_objects(context, reference) -> None:
    layout = layout_scene(context)
    again = reference_layout(reference, layout.frames)
    np.testing.assert_array_equal(layout.shown, again.shown)
    for mine, other in zip(layout.surface, again.surface, strict=True):
        seen = layout.visible_count > 0
        np.testing.assert_array_equal(mine[seen], other[seen])
    shown = [
        reference.open_share(frame, item.object_id)
        for row, item in enumerate(layout.objects)
        for column, frame in enumerate(layout.frames)
        if layout.shown[row, column]
    ]
    assert min(shown) > 5 * LEAST_OPEN


def test_nothing_hidden_in_the_sample_rooms_is_seen_named_or_counted(sample_dir, tmp_path) -> None:
    source = open_source(sample_dir / "scannet")
    recipe = Recipe()
    build_index([source], tmp_path, IndexConfig(recipe.rules))
    index = Index.open(tmp_path)
    places = set()
    for scene_id in source.scene_ids():
        room = index.open_scene("scannet", scene_id)
        images = {f: FrameImage("", "", *room.image_size) for f in room.valid_frames.tolist()}
        place = Place("scannet", room.space, scene_id, "train", recipe, 7, "", images)
        context = SceneContext(room, place)
        layout = layout_scene(context)
        hidden = hidden_things(sample_dir, scene_id)
        assert not hidden.keys() & layout.seen
        assert all(len(layout.object(k).outline) > 30 for k in hidden)
        named = every_row(context, ReferenceScene(source.open(scene_id), recipe, 7, "train"))
        wrong = [(task, one) for task, found in named for one in found if one.object_id in hidden]
        assert wrong == []
        places |= set(hidden.values())
    assert len(places) >= 3


def hidden_things(sample_dir: Path, scene_id: str) -> dict[int, str]:
    """Object id -> where it is hidden, as the room's builder knows it."""
    truth = sample_dir / "scannet/scans" / scene_id / "ground_truth.json"
    things = json.loads(truth.read_text())["objects"]
    return {thing["object_id"]: thing["hidden"] for thing in things if thing["hidden"]}
