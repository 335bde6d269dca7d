# SPDX-License-Identifier: Apache-2.0
"""Spatial relations of two objects: topology, direction and distance; sizes are in `sizes`.

Words of one type exclude each other, and between them lies a dead zone in which no word is
given. Vertices of a decimated scan lie centimetres apart, so contact is a gap of 5 cm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spatialcore.relations.boxes import contains_points
from spatialcore.relations.eye import MIN_SEEN_M, MIN_SEEN_SHARE, tells_apart
from spatialcore.relations.scene_object import SceneObject, gap
from spatialcore.relations.solids import footprint_overlap, penetration
from spatialcore.relations.verdict import Answer, Evidence, Reason, Rejection
from spatialcore.types import Camera, Float64


@dataclass(frozen=True, slots=True)
class RelationRules:
    """Thresholds of the relations; metres, degrees and ratios.

    Attributes:
        contact_m: Gap up to which two objects touch.
        inside_share: Share of an object's vertices inside another that makes it contained.
        inside_margin_m: The container's box is grown by this much.
        inside_volume_ratio: A contained object's volume is at most this share.
        inside_min_side_m: Least side of a contained object.
        inside_walls_share: Least share of the horizon around a contained object in which the
            container has a vertex at its height: a table has four legs, but no walls.
        penetration_m: Least overlap of intersecting boxes.
        adjacent_m: Gap up to which objects are adjacent.
        disjoint_m: Gap from which objects are disjoint; between the two no word is given.
        rest_slack_m: How far the upper of two objects may reach below the top of the lower.
        above_overlap: Least shared footprint of above and below.
        above_rise_m: Least height between the centroids of above and below.
        view_shift_m: Least shift of a view direction.
        view_other_ratio: Largest shift on the other horizontal axis, in shifts of the asked one.
        max_pitch_deg: A view steeper than this has no level axes.
        near_m, far_m: Gaps below which "near" and above which "far" holds.
        min_seen_share, min_seen_m: Least difference of two compared lengths, see `eye`.
        min_side_m: Least size that is compared, as the side of a square or cube of as much.
        similar_ratio: Ratio of sides below which two sizes are similar.
        adjacent_margin_m, similar_margin: Nearer than this to either bound no word is given:
            another fit of the same scan may say the other.
        image_guard: Least distance from the middle of the image, in widths.
    """

    contact_m: float = 0.05
    inside_share: float = 0.95
    inside_margin_m: float = 0.02
    inside_volume_ratio: float = 0.8
    inside_min_side_m: float = 0.05
    inside_walls_share: float = 0.5
    penetration_m: float = 0.03
    adjacent_m: float = 0.15
    disjoint_m: float = 0.30
    rest_slack_m: float = 0.03
    above_overlap: float = 0.25
    above_rise_m: float = 0.10
    view_shift_m: float = 0.15
    view_other_ratio: float = 2.0
    max_pitch_deg: float = 60.0
    near_m: float = 1.0
    far_m: float = 3.0
    min_seen_share: float = MIN_SEEN_SHARE
    min_seen_m: float = MIN_SEEN_M
    min_side_m: float = 0.0
    similar_ratio: float = 1.1
    adjacent_margin_m: float = 0.01
    similar_margin: float = 0.03
    image_guard: float = 0.06


DEFAULT_RULES = RelationRules()
"""What is asked unless told otherwise."""


def topological(
    a: SceneObject,
    b: SceneObject,
    *,
    gap_m: float | None = None,
    rules: RelationRules = DEFAULT_RULES,
) -> Answer[str] | Rejection:
    """How two objects touch: a contains b, a inside b, intersects, adjacent or disjoint.

    Args:
        a: First object.
        b: Second object.
        gap_m: Their gap when it is already known.
        rules: Thresholds.

    Returns:
        Answer with "contains", "inside", "intersects", "adjacent" or "disjoint", or
        `object_small` (a contained object too small to tell), or `dead_zone`. Evidence:
        `gap_m`, `penetration_m` (negative: an axis parts the boxes), `inside_share` and
        `volume_ratio` of a contained object with the container's `walls_share` around it,
        `clearance_m` and `floor_overlap` where they were needed.
    """
    distance = gap(a, b) if gap_m is None else gap_m
    overlap = penetration(a.box, b.box)
    evidence: Evidence = {"gap_m": distance, "penetration_m": overlap}
    if overlap < -rules.inside_margin_m:
        # Even the grown boxes do not meet: neither containment nor intersection.
        return _apart(a, b, distance, overlap, evidence, rules)
    for word, outer, inner in (("contains", a, b), ("inside", b, a)):
        share = float(contains_points(outer.box, inner.outline, rules.inside_margin_m).mean())
        ratio = inner.box.volume / outer.box.volume
        if share >= rules.inside_share and ratio <= rules.inside_volume_ratio:
            walls = walls_share(outer, inner, rules.inside_margin_m)
            evidence |= {"inside_share": share, "volume_ratio": ratio, "walls_share": walls}
            if walls < rules.inside_walls_share:
                continue
            if float(inner.box.size.min()) < rules.inside_min_side_m:
                return Rejection(Reason.OBJECT_SMALL, evidence)
            return Answer(word, evidence)
    if overlap >= rules.penetration_m and distance <= rules.contact_m:
        return Answer("intersects", evidence)
    return _apart(a, b, distance, overlap, evidence, rules)


def walls_share(outer: SceneObject, inner: SceneObject, margin: float = 0.0) -> float:
    """Share of the horizon around an object's centroid where another has vertices at its height.

    The horizon is cut into 36 sectors of 10 degrees. 1 when the outer object has a box alone.
    """
    if outer.points is None:
        return 1.0
    lo, hi = inner.bounds[0][2] - margin, inner.bounds[1][2] + margin
    level = outer.points[(outer.points[:, 2] >= lo) & (outer.points[:, 2] <= hi)]
    x, y = level[:, 0] - inner.centroid[0], level[:, 1] - inner.centroid[1]
    sector = np.floor((np.arctan2(y, x) + math.pi) * (18.0 / math.pi)).astype(np.int64) % 36
    return len(np.unique(sector)) / 36.0


def _apart(
    a: SceneObject,
    b: SceneObject,
    distance: float,
    overlap: float,
    evidence: Evidence,
    rules: RelationRules,
) -> Answer[str] | Rejection:
    """Adjacent, disjoint, or neither."""
    if distance >= rules.disjoint_m and overlap < 0:
        return Answer("disjoint", evidence)
    if distance > rules.adjacent_m - rules.adjacent_margin_m:
        return Rejection(Reason.DEAD_ZONE, evidence)
    upper, lower = _by_height(a, b)
    clearance = float(upper.bounds[0][2] - lower.bounds[1][2])
    evidence |= {"clearance_m": clearance}
    if clearance < 0:
        return Answer("adjacent", evidence)
    share = footprint_overlap(a.box, b.box)
    evidence |= {"floor_overlap": share}
    if clearance <= rules.contact_m and share >= rules.above_overlap:
        return Answer("adjacent", evidence)
    return Rejection(Reason.DEAD_ZONE, evidence)


def _by_height(a: SceneObject, b: SceneObject) -> tuple[SceneObject, SceneObject]:
    """(upper, lower) by centroid; on equal heights by id, so the order of the two is lost."""
    keys = [(float(item.centroid[2]), item.object_id) for item in (a, b)]
    return (a, b) if keys[0] > keys[1] else (b, a)


def vertical(
    a: SceneObject, b: SceneObject, *, rules: RelationRules = DEFAULT_RULES
) -> Answer[str] | Rejection:
    """Whether a lies above or below b.

    Args:
        a: First object.
        b: Second object.
        rules: Thresholds.

    Returns:
        Answer "above" or "below", or `dead_zone`. Evidence: `rise_m` between the centroids,
        `clearance_m` between the lower's top and the upper's bottom, `floor_overlap`.
    """
    upper, lower = _by_height(a, b)
    rise = float(upper.centroid[2] - lower.centroid[2])
    clearance = float(upper.bounds[0][2] - lower.bounds[1][2])
    evidence: Evidence = {"rise_m": rise, "clearance_m": clearance}
    if rise < rules.above_rise_m or clearance < -rules.rest_slack_m:
        return Rejection(Reason.DEAD_ZONE, evidence)
    share = footprint_overlap(a.box, b.box)
    evidence |= {"floor_overlap": share}
    if share < rules.above_overlap:
        return Rejection(Reason.DEAD_ZONE, evidence)
    return Answer("above" if upper is a else "below", evidence)


def level_axes(
    world_from_cam: ArrayLike, *, rules: RelationRules = DEFAULT_RULES
) -> tuple[Float64, Float64] | Rejection:
    """The camera's right and forward axes, turned level with the floor.

    Args:
        world_from_cam: (4, 4), world z up, OpenCV camera.
        rules: Thresholds.

    Returns:
        (3,) right and (3,) forward unit vectors with z = 0, or `steep_view`, `pose_invalid`.

    Raises:
        ValueError: Another shape.
    """
    m = np.asarray(world_from_cam, dtype=np.float64)
    if m.shape != (4, 4):
        raise ValueError(f"world_from_cam must have shape (4, 4), got {m.shape}")
    x, y, z = (float(v) for v in m[:3, 2])
    if not np.isfinite(m).all() or x * x + y * y + z * z == 0:
        return Rejection(Reason.POSE_INVALID)
    level = math.hypot(x, y)
    pitch = math.degrees(math.atan2(z, level))
    if abs(pitch) > rules.max_pitch_deg:
        return Rejection(Reason.STEEP_VIEW, {"pitch_deg": pitch})
    forward = np.array([x / level, y / level, 0.0])
    return np.array([forward[1], -forward[0], 0.0]), forward


def view_direction(
    a: SceneObject,
    b: SceneObject,
    world_from_cam: ArrayLike,
    axis: str,
    *,
    rules: RelationRules = DEFAULT_RULES,
) -> Answer[str] | Rejection:
    """Where b lies from a, as the viewer of a frame sees it.

    Args:
        a: Object one starts from.
        b: Object asked for.
        world_from_cam: (4, 4) pose of the frame, world z up.
        axis: "side" (right, left) or "depth" (behind = farther from the viewer, in front).
        rules: Thresholds.

    Returns:
        Answer "right", "left", "behind" or "in front", or `dead_zone`, `steep_view`,
        `pose_invalid`. Evidence: `shift_m` on the asked axis, `other_m` on the other,
        `needed_m`.

    Raises:
        ValueError: Another axis or pose shape.
    """
    if axis not in ("side", "depth"):
        raise ValueError(f"axis must be 'side' or 'depth', got {axis!r}")
    axes = level_axes(world_from_cam, rules=rules)
    if isinstance(axes, Rejection):
        return axes
    asked, across = axes if axis == "side" else axes[::-1]
    move = b.centroid - a.centroid
    shift = float(move[0] * asked[0] + move[1] * asked[1])
    other = float(move[0] * across[0] + move[1] * across[1])
    needed = max(rules.view_shift_m, a.box.half_extent(asked) + b.box.half_extent(asked))
    evidence = {"shift_m": shift, "other_m": other, "needed_m": needed}
    if abs(shift) < needed or abs(other) > rules.view_other_ratio * abs(shift):
        return Rejection(Reason.DEAD_ZONE, evidence)
    if axis == "side":
        return Answer("right" if shift > 0 else "left", evidence)
    return Answer("behind" if shift > 0 else "in front", evidence)


def image_side(
    item: SceneObject,
    camera: Camera,
    cam_from_world: ArrayLike,
    *,
    rules: RelationRules = DEFAULT_RULES,
) -> Answer[str] | Rejection:
    """In which half of the image an object's centroid lies.

    Args:
        item: The object.
        camera: Of the image.
        cam_from_world: (4, 4).
        rules: Thresholds.

    Returns:
        Answer "left" or "right", or `no_visible_points` (behind the camera or outside the
        image), or `dead_zone` (nearer the middle than 6 % of W). Evidence: `u`, `v`, `depth`.
    """
    m, size = np.asarray(cam_from_world, dtype=np.float64), camera.size
    x, y, z = (float(v) for v in item.centroid)
    point_cam = [float(((r[0] * x + r[1] * y) + r[2] * z) + r[3]) for r in m[:3]]
    depth = point_cam[2]
    if not depth > 0:
        return Rejection(Reason.NO_VISIBLE_POINTS, {"depth": depth})
    u, v = camera.project(point_cam)[0].tolist()
    evidence = {"u": u, "v": v, "depth": depth}
    if not (0 <= u < size[0] and 0 <= v < size[1]):
        return Rejection(Reason.NO_VISIBLE_POINTS, evidence)
    # Pixel centres are integers, so the middle of W columns is (W - 1) / 2.
    offset = u - 0.5 * (size[0] - 1)
    if abs(offset) < rules.image_guard * size[0]:
        return Rejection(Reason.DEAD_ZONE, evidence)
    return Answer("right" if offset > 0 else "left", evidence)


def near_far(
    a: SceneObject,
    b: SceneObject,
    *,
    gap_m: float | None = None,
    rules: RelationRules = DEFAULT_RULES,
) -> Answer[str] | Rejection:
    """Whether two objects are near or far, or `dead_zone` between. Evidence: `gap_m`."""
    distance = gap(a, b) if gap_m is None else gap_m
    evidence = {"gap_m": distance}
    if distance < rules.near_m:
        return Answer("near", evidence)
    if distance > rules.far_m:
        return Answer("far", evidence)
    return Rejection(Reason.DEAD_ZONE, evidence)


def nearer(
    origin: SceneObject, a: SceneObject, b: SceneObject, *, rules: RelationRules = DEFAULT_RULES
) -> Answer[str] | Rejection:
    """Whether a is nearer to an object than b is.

    Args:
        origin: The object that both are measured to.
        a: First object.
        b: Second object.
        rules: Thresholds.

    Returns:
        Answer "nearer" or "farther" about a, or `dead_zone`. Evidence: `gap_a_m`, `gap_b_m`.
    """
    gap_a, gap_b = gap(origin, a), gap(origin, b)
    return _nearer(gap_a, gap_b, {"gap_a_m": gap_a, "gap_b_m": gap_b}, rules)


def _nearer(
    a: float, b: float, evidence: Evidence, rules: RelationRules
) -> Answer[str] | Rejection:
    if not tells_apart(a, b, share=rules.min_seen_share, metres=rules.min_seen_m):
        return Rejection(Reason.DEAD_ZONE, evidence)
    return Answer("nearer" if a < b else "farther", evidence)


def nearer_to_viewer(
    range_a_m: float, range_b_m: float, *, rules: RelationRules = DEFAULT_RULES
) -> Answer[str] | Rejection:
    """Whether one object is nearer to the camera than another, by the `viewer_range` of each.

    Args:
        range_a_m: Metres of the first object.
        range_b_m: Metres of the second.
        rules: Thresholds.

    Returns:
        Answer "nearer" or "farther" about a, or `dead_zone`. Evidence: `range_a_m`, `range_b_m`.
    """
    evidence: Evidence = {"range_a_m": range_a_m, "range_b_m": range_b_m}
    return _nearer(range_a_m, range_b_m, evidence, rules)
