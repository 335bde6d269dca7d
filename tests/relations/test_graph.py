# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialcore.relations.graph import INVERSE, SYMMETRIC, Edge, RelationGraph, relation_graph
from spatialcore.relations.pairs import topological, vertical
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.sizes import MEASURES, plain_size, size_relation
from spatialcore.relations.verdict import Answer
from tests.relations.laws import broken_laws
from tests.relations.rooms import block, moved, shell, table, turn_z

NORTH = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
seeds = st.integers(0, 2**32 - 1)
OPPOSITE = {
    "contains": "inside", "above": "below", "larger": "smaller",
    "inside": "contains", "below": "above", "smaller": "larger",
}  # fmt: skip


def random_objects(rng, count, boxes=False):
    made = []
    for k in range(count):
        points = moved(
            shell((0, 0, 0), rng.uniform(0.06, 1.2, 3), spacing=0.12),
            turn_z(float(rng.uniform(0, 360)), tuple(rng.uniform([0, 0, 0], [4, 3, 1.5]))),
        )
        item = SceneObject(k, f"c{k % 4}", points=points)
        made.append(SceneObject(k, f"c{k % 4}", box=item.box) if boxes else item)
    return made


def desk_scene():
    return [
        table(0),
        block(1, "lamp", (0.3, 0, 1.0), (0.2, 0.2, 0.5)),
        block(2, "wardrobe", (6, 0, 1), (1, 0.6, 2)),
    ]


def test_a_hand_worked_scene():
    graph = relation_graph(desk_scene(), views={10: NORTH})
    assert graph.holds("adjacent", 0, 1)
    assert graph.holds("adjacent", 1, 0)
    assert graph.holds("above", 1, 0)
    assert graph.holds("below", 0, 1)
    assert not graph.holds("above", 0, 1)
    assert graph.holds("far", 0, 2)
    assert graph.holds("disjoint", 2, 1)
    assert graph.edge("far", 2, 0).numbers["gap_at_least_m"] == pytest.approx(4.9)
    assert graph.holds("right_of", 2, 0, frame=10)
    assert graph.holds("left_of", 0, 2, frame=10)
    assert not graph.holds("right_of", 2, 0, frame=11)
    assert graph.holds("larger", 2, 1)
    assert not graph.holds("larger", 2, 0)  # 1.2 and 0.8 cubic metres: cubes of 1.06 and 0.93 m
    assert graph.rejected
    assert broken_laws(graph) == []


def test_json_is_canonical_whatever_the_order():
    items = desk_scene()
    text = relation_graph(items).to_json()
    assert relation_graph(items[::-1]).to_json() == text
    read = json.loads(text)
    assert [node["id"] for node in read["nodes"]] == [0, 1, 2]
    keys = [(e["type"], e["a"], e["b"]) for e in read["edges"]]
    assert keys == sorted(keys)
    assert np.allclose(read["nodes"][2]["box"]["size"], [1, 0.6, 2])
    assert json.loads(relation_graph([]).to_json()) == {"edges": [], "nodes": []}


def test_ids_are_distinct():
    with pytest.raises(ValueError, match="distinct"):
        relation_graph([table(0), table(0)])


@given(seeds, st.booleans())
@settings(max_examples=25, deadline=None)
def test_laws_hold_on_random_boxes(seed, boxes):
    rng = np.random.default_rng(seed)
    items = random_objects(rng, 8, boxes)
    graph = relation_graph(items, views={0: NORTH})
    assert broken_laws(graph) == []
    for edge in graph.edges:
        assert edge.type not in INVERSE
        assert graph.holds(edge.type, edge.b, edge.a, frame=edge.frame) == (edge.type in SYMMETRIC)
    for a in items[:4]:
        for b in items[4:]:
            sizes = [partial(size_relation, by=by) for by in MEASURES]
            for relation in (topological, vertical, plain_size, *sizes):
                one, two = relation(a, b), relation(b, a)
                assert type(one) is type(two)
                if isinstance(one, Answer):
                    assert two.value == OPPOSITE.get(one.value, one.value)


@given(seeds)
@settings(max_examples=15, deadline=None)
def test_turning_the_world_changes_no_relation(seed):
    rng = np.random.default_rng(seed)
    items = random_objects(rng, 7)
    world2 = turn_z(float(rng.uniform(0, 360)), tuple(rng.normal(size=3)))
    turned = [SceneObject(i.object_id, i.category, points=moved(i.points, world2)) for i in items]
    first = relation_graph(items, views={0: NORTH})
    second = relation_graph(turned, views={0: world2 @ NORTH})
    key = [(e.type, e.a, e.b, e.frame) for e in first.edges]
    assert key == [(e.type, e.a, e.b, e.frame) for e in second.edges]
    assert dict(first.rejected) == dict(second.rejected)


def test_the_laws_are_really_checked():
    nodes = tuple(desk_scene())
    bad = [Edge("above", 0, 1, {}), Edge("above", 1, 0, {}), Edge("far", 2, 0, {})]
    bad += [Edge("near", 0, 2, {}), Edge("inside", 0, 1, {}), Edge("similar", 1, 1, {})]
    faults = broken_laws(RelationGraph(nodes, tuple(bad), {}))
    assert len(faults) == 6
