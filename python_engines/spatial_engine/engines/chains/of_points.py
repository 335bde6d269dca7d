# SPDX-License-Identifier: Apache-2.0
"""Chains about points: depths, correspondences, movements of tracks."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from spatial_engine.records.chains import (
    Chain,
    Line,
    Number,
    Telling,
    line,
    metres,
    pixels,
    whole,
)

_DIRECTIONS = (("right", "left"), ("down", "up"), ("away", "closer"))


def depth_value(told: Telling) -> Chain:
    """The depth of a point of the image."""
    z = float(told.facts["z_m"])
    pixel = _pixel("The point lies", told.facts["uv"], told.sizes[0])
    depth = line(
        "Along the viewing direction its surface is {} m away, or {} mm.",
        metres(z), whole(1000 * z),
    )  # fmt: skip
    return Chain((pixel, depth), (1000 * z,))


def depth_comparison(told: Telling) -> Chain:
    """Which of two points is closer, or farther."""
    points, farther = told.facts["points"], told.facts["order"] == "farther"
    letters = told.facts.get("letters")
    places = [told.thousandths(point["uv"]) for point in points]
    names = letters or [f"[ {x} , {y} ]" for x, y in places]
    z = [float(point["z_m"]) for point in points]
    order = sorted(range(2), key=lambda k: names[k])
    lines = [
        line("The surface at {} (pixel {}) is {} m away along the viewing direction.",
             names[k], _pair(points[k]["uv"]), metres(z[k]))
        for k in order
    ]  # fmt: skip
    first, second = (z[k] for k in order)
    lines.append(
        line("{} less {} is {} m.", names[order[0]], names[order[1]], metres(first - second))
    )
    right = z.index(max(z) if farther else min(z))
    return Chain(tuple(lines), names[right] if letters else tuple(map(float, places[right])))


def match(told: Telling) -> Chain:
    """Where a point of image 1 is in image 2."""
    (first, second), (z1, z2) = told.facts["uv"], told.facts["z_m"]
    lines = [
        line("In image 1 the point is at pixel {}, {} m away along the viewing direction.",
             _pair(first), metres(z1)),
        line("Through the pose of camera 2 it is projected to pixel {} of image 2, {} m away.",
             _pair(second), metres(z2)),
    ]  # fmt: skip
    if not told.options:
        place = told.thousandths(second, 1)
        lines.append(
            line("In thousandths of its {} by {} pixels: [{}].",
                 *_size(told.sizes[1]), [whole(n) for n in place])
        )  # fmt: skip
        return Chain(tuple(lines), tuple(map(float, place)))
    others = told.facts["distractor_uv"]
    lines += [
        line("Another candidate at pixel {} is {} pixels from there.", _pair(uv), pixels(away))
        for uv, away in zip(others, told.facts["distractor_px"], strict=True)
    ]
    return Chain(tuple(lines), told.answer.span)


def object_movement(told: Telling, quantity: str) -> Chain:
    """How far a point of a clip moved in the world."""
    facts = told.facts
    first, second = facts["point1_world"], facts["point2_world"]
    lines = [
        _pixel("In image 1 the point lies", facts["uv"], told.sizes[0]),
        line("In the world it is first at [{}] m, then at [{}] m.", _list(first), _list(second)),
    ]
    shift = [b - a for a, b in zip(first, second, strict=True)]
    lines.append(line("The difference is [{}] m.", _list(shift)))
    if not facts["point_moving"]:
        lines.append(line("That is within the noise of a point at rest: it did not move."))
    vector = [float(value) for value in facts["vector_m"]]
    if quantity == "vector":
        lines.append(
            line("In the axes of the first camera (x right, y down, z forward): [{}] m, or [{}] "
                 "mm.", _list(vector), [whole(1000 * value) for value in vector])
        )  # fmt: skip
        return Chain(tuple(lines), tuple(1000 * value for value in vector))
    length = float(facts["distance_m"])
    lines.append(line("Its length is {} m, or {} mm.", metres(length), whole(1000 * length)))
    return Chain(tuple(lines), (1000 * length,))


def track_story(told: Telling, quantity: str) -> Chain:
    """What points of a clip do over several images."""
    facts = told.facts
    if quantity == "point_direction":
        shift = [float(value) for value in facts["shift_m"]]
        sizes = [abs(value) for value in shift]
        axis = sizes.index(max(sizes))
        lines = (
            line("From first to last image the point moves by [{}] m in the axes of the first "
                 "camera (x right, y down, z away).", _list(shift)),
            line("The largest of the three is {} m.", metres(shift[axis])),
        )  # fmt: skip
        return Chain(lines, _DIRECTIONS[axis][shift[axis] < 0])
    if quantity == "point_speed":
        path, gap, steps = float(facts["path_m"]), float(facts["gap_s"]), len(told.sizes) - 1
        speed = 100.0 * path / (gap * steps)
        way = line("From image to image the point goes {} m in all.", metres(path))
        time = line(
            "That takes {} steps of {} s, or {} s, so the speed is {} cm/s.",
            whole(steps), Number(gap, 3), Number(gap * steps, 3), Number(speed, 1),
        )  # fmt: skip
        return Chain((way, time), (speed,))
    return _moving(facts["ways_m"], facts.get("first_moved_at"))


def _moving(ways: Sequence[Sequence[float]], onset: Sequence[int] | None) -> Chain:
    """Which of several points moves, or moves first."""
    letters = ascii_uppercase[: len(ways)]
    lines = [
        line("From its first place {} is away by {} m in the images after it.",
             letter, _list(list(way)[1:] if way[0] == 0 else way))
        for letter, way in zip(letters, ways, strict=True)
    ]  # fmt: skip
    if onset is None:
        last = [way[-1] for way in ways]
        lines.append(line("Only one has moved at the end, by {} m.", metres(max(last))))
        return Chain(tuple(lines), letters[last.index(max(last))])
    lines += [
        line("{} has moved by image {}.", letter, whole(k + 1))
        for letter, k in zip(letters, onset, strict=True)
    ]
    return Chain(tuple(lines), letters[list(onset).index(min(onset))])


def _pixel(lead: str, uv: Sequence[float], size: tuple[int, int]) -> Line:
    return line("{} at pixel {} of an image of {} by {} pixels.", lead, _pair(uv), *_size(size))


def _size(size: tuple[int, int]) -> tuple[Number, Number]:
    return whole(size[0]), whole(size[1])


def _pair(uv: Sequence[float]) -> list[Number]:
    return [pixels(uv[0]), pixels(uv[1])]


def _list(values: Sequence[Any]) -> list[Number]:
    return [metres(float(value)) for value in values]
