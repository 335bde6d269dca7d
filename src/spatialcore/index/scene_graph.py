# SPDX-License-Identifier: Apache-2.0
"""The relations and routes of an indexed scene: its objects, its floor, and what follows from them.

`graph` and `routes` work on any objects, predicted ones too; this module takes them from an index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spatialcore.index.objects import is_excluded, object_vertices
from spatialcore.index.rules import Rules
from spatialcore.relations import graph, routes
from spatialcore.relations.free_space import DEFAULT_RULES as GRID_RULES
from spatialcore.relations.free_space import FreeSpace, GridRules, free_space
from spatialcore.relations.pairs import DEFAULT_RULES, RelationRules
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.verdict import Answer, Rejection

if TYPE_CHECKING:
    from spatialcore.index.store import SceneIndex


def objects_of_points(
    named: Sequence[tuple[int, str]], points: NDArray[Any], instance: NDArray[Any]
) -> tuple[SceneObject, ...]:
    """Objects that have vertices, ids ascending.

    Args:
        named: (object id, canonical category) of each.
        points: (P, 3) metres, world z up.
        instance: (P,) object id of each point, -1 for none.
    """
    wanted = sorted(named)
    rows = object_vertices(instance, [object_id for object_id, _ in wanted])
    return tuple(
        SceneObject(object_id, category, points=points[mine])
        for (object_id, category), mine in zip(wanted, rows, strict=True)
        if len(mine)
    )


def scene_objects(scene: SceneIndex, index_rules: Rules | None = None) -> tuple[SceneObject, ...]:
    """Objects of an indexed scene that are not structure, ids ascending.

    Args:
        scene: A scene of an index, `Index.open(path).open_scene(source, scene)`.
        index_rules: Say which categories are structure; None are `default`.

    Raises:
        ValueError: `scene` is a clip of tracks.
    """
    _no_clip(scene)
    chosen = Rules() if index_rules is None else index_rules
    named = [
        (row.object_id, row.category)
        for row in scene.objects
        if not is_excluded(chosen, row.raw_category, row.category)
    ]
    return objects_of_points(named, np.asarray(scene.points), np.asarray(scene.instance))


def scene_floor(scene: SceneIndex, *, rules: GridRules = GRID_RULES) -> FreeSpace | Rejection:
    """The floor of an indexed scene that one can walk on, or `no_route` where none is seen.

    Raises:
        ValueError: `scene` is a clip of tracks.
    """
    _no_clip(scene)
    ids = [row.object_id for row in scene.objects if row.category == "floor"]
    labelled = np.isin(np.asarray(scene.instance), ids) if ids else None
    return free_space(np.asarray(scene.points), labelled, rules=rules)


def relation_graph(
    scene: SceneIndex,
    *,
    frames: Sequence[int] = (),
    index_rules: Rules | None = None,
    rules: RelationRules = DEFAULT_RULES,
) -> graph.RelationGraph:
    """Every relation of every pair of objects of an indexed scene.

    Args:
        scene: A scene of an index.
        frames: Frames whose view directions (left of, behind, ...) are added.
        index_rules: Say which categories are structure; None are `default`.
        rules: Thresholds.

    Raises:
        ValueError: `scene` is a clip, or has no such valid frame.
    """
    valid = set(scene.valid_frames.tolist())
    if missing := sorted(set(frames) - valid):
        raise ValueError(f"{scene.source}/{scene.scene} has no valid frame {missing[0]}")
    views = {frame: scene.world_from_cam(frame) for frame in frames}
    return graph.relation_graph(scene_objects(scene, index_rules), views=views, rules=rules)


def plan_route(
    scene: SceneIndex, start: int | str, target: int | str, *, index_rules: Rules | None = None
) -> Answer[routes.Route] | Rejection:
    """The shortest walk from one object of an indexed scene to another, over floor that is seen.

    Args:
        scene: A scene of an index.
        start: Object one starts at: its id, or its category where the scene has one of it.
        target: Object one walks to, named in the same way.
        index_rules: Say which categories are structure; None are `default`.

    Returns:
        Answer with the route, or `no_route`.

    Raises:
        ValueError: `scene` is a clip, or no or several objects are meant.
    """
    objects = scene_objects(scene, index_rules)
    ends = [_one_object(objects, name) for name in (start, target)]
    space = scene_floor(scene)
    return space if isinstance(space, Rejection) else routes.plan_route(space, *ends)


def _one_object(objects: Sequence[SceneObject], name: int | str) -> SceneObject:
    found = [item for item in objects if name in (item.object_id, item.category)]
    if len(found) != 1:
        known = ", ".join(sorted({item.category for item in objects}))
        raise ValueError(f"{name!r} means {len(found)} objects; there are: {known}")
    return found[0]


def _no_clip(scene: SceneIndex) -> None:
    if scene.is_clip:
        raise ValueError(f"{scene.source}/{scene.scene} is a clip of tracks and has no objects")
