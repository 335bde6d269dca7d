# SPDX-License-Identifier: Apache-2.0
"""Which of four images is the view from beside one object towards another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from spatial_engine.engines.candidates import Row
from spatial_engine.engines.standing import stand_fault
from spatial_engine.engines.view_set import ViewSet
from spatialcore.relations.verdict import Answer, Evidence, Reason, Rejection

ORDINALS = ("first", "second", "third", "fourth")
WRONG = 3
BESIDE_M, AWAY_M = 0.8, 1.5  # of a camera that stands at an object, and of one that does not
FACING_DEG, ANOTHER_DEG, ASIDE_DEG = 15.0, 40.0, 35.0
FARTHER_M, FARTHER_SHARE = 0.8, 0.35  # least difference of a wrong image's distance, of the larger
ALIKE_M, ALIKE_DEG = 0.5, 20.0  # two images from so near, looking so alike, are one
LEAST_FACED_M = 1.2


def view_from(views: ViewSet, row: Row) -> Answer[str] | Rejection:
    """Which one of four images is the view from an object towards another."""
    fault = stand_fault(views, *row.items)
    if fault is not None:
        return Rejection(fault)
    face = views.object(row.items[1])
    eyes = [views.stand(frame) for frame in row.frames]
    beside = [views.beside(row.items[0], frame) for frame in row.frames]
    off = [eye.bearing(face.centroid) for eye in eyes]
    away = [eye.floor_distance(face.centroid) for eye in eyes]
    evidence: Evidence = {"beside_m": beside, "bearings_deg": off, "floor_distances_m": away}
    if not all(views.level(frame) for frame in row.frames):
        return Rejection(Reason.STEEP_VIEW, evidence)
    fits = [
        k for k, frame in enumerate(row.frames)
        if beside[k] <= BESIDE_M and abs(off[k]) <= FACING_DEG and away[k] >= LEAST_FACED_M
        and views.shows(row.items[1], frame)
    ]  # fmt: skip
    if len(fits) != 1:
        return Rejection(Reason.POSITION_FAR, evidence)
    right, hard = row.frames[fits[0]], 0
    for frame in row.frames:
        if frame != right:
            if not _elsewhere(views, right, frame, *row.items):
                return Rejection(Reason.DISTRACTOR_SHORT, evidence)
            hard += views.shows(row.items[1], frame)
    pairs = combinations(row.frames, 2)
    if not hard or any(_alike(views, a, b) for a, b in pairs):
        return Rejection(Reason.DISTRACTOR_SHORT, evidence)
    return Answer(ORDINALS[fits[0]], evidence)


def _elsewhere(views: ViewSet, right: int, frame: int, stand: int, face: int) -> bool:
    """Whether an image is clearly not the view from where one stands.

    It was taken away from there, and from another side of what one faces, or another distance, or
    looks past it.
    """
    if views.beside(stand, frame) < AWAY_M:
        return False
    return views.kept(
        ("another side", right, frame, face), lambda: _another_side(views, right, frame, face)
    )


def _another_side(views: ViewSet, right: int, frame: int, face: int) -> bool:
    middle, eye, other = views.object(face).centroid, views.stand(right), views.stand(frame)
    near, far = sorted(one.floor_distance(middle) for one in (eye, other))
    return (
        abs(views.measures.turn(middle, eye.position, other.position)) >= ANOTHER_DEG
        or abs(other.bearing(middle)) >= ASIDE_DEG
        or far - near >= max(FARTHER_M, FARTHER_SHARE * far)
    )


def _alike(views: ViewSet, a: int, b: int) -> bool:
    """Whether two images are nearly the same view."""
    one, other = views.stand(a), views.stand(b)
    turn = abs((one.heading_deg - other.heading_deg + 180.0) % 360.0 - 180.0)
    return one.floor_distance(other.position) < ALIKE_M and turn < ALIKE_DEG


def possible_views(task: str, views: ViewSet) -> Iterator[Row]:
    """An image taken beside an object that looks at another, and three taken elsewhere."""
    frames = [frame for frame in views.frames if views.level(frame)]
    for right in frames:
        eye = views.stand(right)
        for face in views.ids.tolist():
            middle = views.object(face).centroid
            if not views.shows(face, right) or abs(eye.bearing(middle)) > FACING_DEG:
                continue
            for stand in views.ids.tolist():
                if stand == face or views.beside(stand, right) > BESIDE_M:
                    continue
                key = (right, stand, face)
                wrong = [
                    f for f in frames if f != right and _elsewhere(views, right, f, stand, face)
                ]
                draws = [views.place.draw(task, (*key, f), "distractor") for f in wrong]
                wrong = [f for _, f in sorted(zip(draws, wrong, strict=True))]
                # Hard ones show the faced object, too; and one should show where to stand.
                wrong.sort(key=lambda f: not views.shows(face, f))
                wrong.sort(key=lambda f: not (views.shows(stand, f) and views.shows(face, f)))
                # Last those in which a name may be of another object: they cannot be shown.
                wrong.sort(key=lambda f: not (views.alone(stand, f) and views.alone(face, f)))
                four = [right]
                for frame in wrong:
                    if len(four) <= WRONG and not any(_alike(views, frame, f) for f in four):
                        four.append(frame)
                if len(four) <= WRONG or not any(views.shows(stand, f) for f in four):
                    continue
                order = [views.place.draw(task, (*key, f), "order") for f in four]
                shown = tuple(f for _, f in sorted(zip(order, four, strict=True)))
                yield Row(shown, (stand, face))
