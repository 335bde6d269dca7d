# SPDX-License-Identifier: Apache-2.0
"""The relation graph of a scene: objects as nodes, typed relations with their numbers as edges.

A graph is the same whichever way the objects came, and a predicted scene and the ground truth
are written in the same form. Each relation is stored once: symmetric ones with the smaller id
first, the others in their stated direction; `holds` answers for both readings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spatialcore.relations.pairs import (
    DEFAULT_RULES,
    RelationRules,
    near_far,
    topological,
    vertical,
    view_direction,
)
from spatialcore.relations.scene_object import SceneObject, gap, gap_floor
from spatialcore.relations.sizes import size_relation
from spatialcore.relations.verdict import Answer, Evidence, Rejection

SYMMETRIC = frozenset({"intersects", "adjacent", "disjoint", "near", "far", "similar"})
"""Relations that hold both ways or not at all."""

INVERSE: Mapping[str, str] = {
    "inside": "contains",
    "below": "above",
    "smaller": "larger",
    "left_of": "right_of",
    "in_front_of": "behind",
}
"""Relations that are stored as their inverse; the stored ones never hold both ways."""

_VIEW_TYPES = {
    "right": "right_of",
    "left": "left_of",
    "behind": "behind",
    "in front": "in_front_of",
}


@dataclass(frozen=True, slots=True)
class Edge:
    """One relation, read "a type b", with the numbers it rests on.

    Attributes:
        type: Stored relation type.
        a: Object id.
        b: Object id.
        numbers: Evidence of the relation.
        frame: The frame that a view direction belongs to, None for the others.
    """

    type: str
    a: int
    b: int
    numbers: Evidence
    frame: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RelationGraph:
    """Objects by id and their relations, sorted by (type, a, b, frame).

    Attributes:
        nodes: Objects, ids ascending.
        edges: Relations in their stored form.
        rejected: How many pairs gave no word, by type of relation and reason.
    """

    nodes: tuple[SceneObject, ...]
    edges: tuple[Edge, ...]
    rejected: Mapping[str, int]

    def holds(self, relation: str, a: int, b: int, *, frame: int | None = None) -> bool:
        """Whether "a relation b" is in the graph, inverse and symmetric readings included."""
        return self.edge(relation, a, b, frame=frame) is not None

    def edge(self, relation: str, a: int, b: int, *, frame: int | None = None) -> Edge | None:
        """The stored edge behind "a relation b", or None."""
        stored, first, second = _stored_form(relation, a, b)
        wanted = (stored, first, second, -1 if frame is None else frame)
        lo, hi = 0, len(self.edges)
        while lo < hi:
            middle = (lo + hi) // 2
            if _edge_key(self.edges[middle]) < wanted:
                lo = middle + 1
            else:
                hi = middle
        found = lo < len(self.edges) and _edge_key(self.edges[lo]) == wanted
        return self.edges[lo] if found else None

    def to_json(self, *, indent: int | None = None) -> str:
        """Canonical JSON: sorted keys, nodes by id, edges by (type, a, b, frame).

        Node boxes are `center`, `size` and `R` (world_from_box, by rows), in metres.
        """
        return json.dumps(
            {"nodes": [_node(item) for item in self.nodes], "edges": [_row(e) for e in self.edges]},
            sort_keys=True,
            indent=indent,
            separators=(",", ":") if indent is None else None,
            allow_nan=False,
        )


def relation_graph(
    objects: Sequence[SceneObject],
    *,
    views: Mapping[int, ArrayLike] | None = None,
    rules: RelationRules = DEFAULT_RULES,
) -> RelationGraph:
    """Every relation of every pair of objects.

    Args:
        objects: Objects with distinct ids, world z up.
        views: Frame number to (4, 4) `world_from_cam`; view directions are added for each.
        rules: Thresholds.

    Returns:
        RelationGraph. Gaps are measured between vertices; a pair whose bounds are farther apart
        than `far_m` is disjoint and far by its bounds alone, and its numbers then say
        `gap_at_least_m` instead of `gap_m`.

    Raises:
        ValueError: An id comes twice, or a pose has another shape.
    """
    nodes = tuple(sorted(objects, key=lambda item: item.object_id))
    ids = [item.object_id for item in nodes]
    if len(set(ids)) != len(ids):
        raise ValueError("object ids must be distinct")
    edges: list[Edge] = []
    rejected: dict[str, int] = {}
    floor = gap_floor(nodes)
    for i, j in zip(*(k.tolist() for k in np.triu_indices(len(nodes), 1)), strict=True):
        a, b = nodes[i], nodes[j]
        for family, frame, answer in _pair_answers(a, b, float(floor[i, j]), views, rules):
            if isinstance(answer, Rejection):
                key = f"{family}.{answer.reason}"
                rejected[key] = rejected.get(key, 0) + 1
            else:
                kind, first, second = _stored_form(answer.value, a.object_id, b.object_id)
                edges.append(Edge(kind, first, second, answer.evidence, frame))
    edges.sort(key=_edge_key)
    return RelationGraph(nodes, tuple(edges), dict(sorted(rejected.items())))


def _pair_answers(
    a: SceneObject,
    b: SceneObject,
    floor: float,
    views: Mapping[int, ArrayLike] | None,
    rules: RelationRules,
) -> Iterator[tuple[str, int | None, Answer[str] | Rejection]]:
    if floor > max(rules.far_m, rules.disjoint_m):
        numbers: Evidence = {"gap_at_least_m": floor}
        yield "topological", None, Answer("disjoint", numbers)
        yield "distance", None, Answer("far", numbers)
    else:
        distance = gap(a, b)
        yield "topological", None, topological(a, b, gap_m=distance, rules=rules)
        yield "distance", None, near_far(a, b, gap_m=distance, rules=rules)
    yield "directional", None, vertical(a, b, rules=rules)
    yield "size", None, size_relation(a, b, rules=rules)
    for frame, world_from_cam in sorted((views or {}).items()):
        for axis in ("side", "depth"):
            # The question is where b lies from a; the edge reads "b type a".
            found = view_direction(b, a, world_from_cam, axis, rules=rules)
            if isinstance(found, Answer):
                found = Answer(_VIEW_TYPES[found.value], found.evidence)
            yield "view", frame, found


def _stored_form(relation: str, a: int, b: int) -> tuple[str, int, int]:
    if relation in INVERSE:
        return INVERSE[relation], b, a
    if relation in SYMMETRIC and a > b:
        return relation, b, a
    return relation, a, b


def _edge_key(edge: Edge) -> tuple[str, int, int, int]:
    return edge.type, edge.a, edge.b, -1 if edge.frame is None else edge.frame


def _node(item: SceneObject) -> dict[str, Any]:
    box = item.box
    return {
        "id": item.object_id,
        "category": item.category,
        "centroid": item.centroid.tolist(),
        "box": {"center": box.center.tolist(), "size": box.size.tolist(), "R": box.R.tolist()},
        "vertex_count": 0 if item.points is None else len(item.points),
    }


def _row(edge: Edge) -> dict[str, Any]:
    row: dict[str, Any] = {"type": edge.type, "a": edge.a, "b": edge.b, "numbers": edge.numbers}
    return row if edge.frame is None else row | {"frame": edge.frame}
