# SPDX-License-Identifier: Apache-2.0
"""Relations and routes of indexed scenes: they follow from the source's vertices, and refusals."""

import math
from itertools import pairwise

import pytest

import spatialcore.index as package
from spatialcore.index import (
    Index,
    IndexConfig,
    build_index,
    load_rules,
    plan_route,
    relation_graph,
)
from spatialcore.index.scene_graph import scene_floor, scene_objects
from spatialcore.io.open import open_source
from spatialcore.relations.routes import Route
from spatialcore.relations.verdict import Answer
from tests.relations.laws import broken_laws


@pytest.fixture(scope="module")
def index(sample_dir, tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "idx"
    sources = [open_source(sample_dir / name) for name in ("scannet", "tapvid3d")]
    build_index(sources, path, IndexConfig(load_rules()))
    return Index.open(path)


@pytest.fixture(scope="module")
def room(index):
    return next(scene for scene in index if not scene.is_clip)


def test_objects_are_those_of_the_source_without_structure(sample_dir, room):
    opened = open_source(sample_dir / "scannet").open(room.scene)
    structure = load_rules().excluded_categories
    expected = {o.object_id: o.category for o in opened.objects if o.category not in structure}
    found = {item.object_id: item for item in scene_objects(room)}
    assert {k: item.category for k, item in found.items()} == expected
    cloud = opened.read_cloud()
    for object_id, item in found.items():
        assert len(item.points) == (cloud.instance == object_id).sum()


def test_a_graph_keeps_its_laws_and_views_are_added_for_the_named_frames(room):
    frames = room.valid_frames[:2].tolist()
    graph = relation_graph(room, frames=frames)
    assert len(graph.nodes) == len(scene_objects(room)) > 5
    assert broken_laws(graph) == []
    assert {edge.frame for edge in graph.edges if edge.type in ("right_of", "behind")} == set(
        frames
    )
    assert all(edge.frame is None for edge in relation_graph(room).edges)


def test_a_route_is_walkable_and_no_shorter_than_the_line(room):
    objects, floor = scene_objects(room), scene_floor(room)
    counts = {item.category: 0 for item in objects}
    for item in objects:
        counts[item.category] += 1
    unique = [item for item in objects if counts[item.category] == 1]
    found = 0
    for start, target in pairwise(unique):
        route = plan_route(room, start.category, target.object_id)
        if not isinstance(route, Answer):
            continue
        assert isinstance(route.value, Route)
        found += 1
        corners = route.value.corners
        direct = math.dist(corners[0], corners[-1])
        assert direct - 1e-9 <= route.value.length_m <= 3 * direct + 5
        assert all(floor.passable[cell] for cell in route.value.cells)
    assert found >= 2


def test_refusals_name_the_scene_and_what_there_is(index, room):
    clip = next(scene for scene in index if scene.is_clip)
    with pytest.raises(ValueError, match="is a clip of tracks and has no objects"):
        relation_graph(clip)
    with pytest.raises(ValueError, match=f"{room.scene} has no valid frame 99999"):
        relation_graph(room, frames=[99999])
    with pytest.raises(ValueError, match="'unicorn' means 0 objects; there are: "):
        plan_route(room, "unicorn", scene_objects(room)[0].object_id)
    with pytest.raises(AttributeError, match="no attribute 'graph_of'"):
        package.graph_of  # noqa: B018


def test_every_public_name_can_be_imported():
    assert all(getattr(package, name) is not None for name in package.__all__)
