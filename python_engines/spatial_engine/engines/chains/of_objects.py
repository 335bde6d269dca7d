# SPDX-License-Identifier: Apache-2.0
"""Chains about labelled objects: sizes, counts, distances, directions, places in an image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from spatial_engine.engines.chains.of_cameras import bearing, seen_gap
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

_BACK_DEG = 135.0  # of the easy and the medium form: a turn from here on is behind


def object_size(told: Telling, axis: str) -> Chain:
    """The extent of a box along an axis."""
    side, name = float(told.facts["side_m"]), told.slots["category"]
    lines = [
        line("Along its {} image {} shows the {} from {} m to {} m.",
             axis, whole(k), name, metres(low), metres(high))
        for k, (low, high) in enumerate(told.facts["extents_m"], 1)
    ]  # fmt: skip
    lines.append(line("Together they show {} m.", metres(told.facts["coverage_m"])))
    lines.append(
        line("The box around the {} measures {} m, or {} mm.",
             name, metres(side), whole(1000 * side))
    )  # fmt: skip
    return Chain(tuple(lines), (1000 * side,))


def scene_layout(told: Telling, quantity: str) -> Chain:
    """One of the quantities of VSI-Bench."""
    facts, slots = told.facts, told.slots
    if quantity == "object_count":
        return counted(slots["category_plural"], len(facts["object_ids"]))
    if quantity == "absolute_distance":
        return seen_gap(told, slots["first"], slots["second"])
    if quantity == "relative_distance":
        return _nearest(told, facts["gaps_m"])
    if quantity == "object_size":
        return _longest(facts["size_m"], slots["category"])
    if quantity == "room_size":
        return _room(facts)
    if quantity == "appearance_order":
        return _order_of_sight(told, facts["seen"])
    angle = float(facts["angle_deg"])
    return Chain((bearing(told, angle),), told.letter(_sector(angle, quantity)))


def counted(names: str, count: int) -> Chain:
    """Things that are counted one by one."""
    if not count:
        return Chain((line("None of the {} is there.", names),), (0.0,))
    ones = [whole(k) for k in range(1, count + 1)]
    return Chain((line("Of the {}, each counted once: {}.", names, ones),), (float(count),))


def _longest(size: Sequence[float], name: str) -> Chain:
    longest = max(size)
    lines = (
        line("The box around the {} measures {} m.", name, [metres(side) for side in size]),
        line("The longest side is {} m, or {} cm.", metres(longest), whole(100 * longest)),
    )
    return Chain(lines, (100 * longest,))


def _room(facts: Mapping[str, Any]) -> Chain:
    shape, holes = float(facts["shape_m2"]), float(facts["holes_m2"])
    lines = (
        line("The outline of the floor holds {} m2, and {} m2 more where nothing was seen.",
             metres(shape), metres(holes)),
        line("Together that is {} m2; by a wider outline it would be {} m2.",
             metres(shape + holes), metres(facts["check_m2"])),
    )  # fmt: skip
    return Chain(lines, (shape + holes,))


def _nearest(told: Telling, gaps: Mapping[str, float]) -> Chain:
    """Gaps in rising order; what is pointed at has no name, and the options have no gaps."""
    primary, order = told.slots["primary"], sorted(gaps, key=lambda name: gaps[name])
    named = all(name in told.options for name in order)
    right = order[0] if named else told.chosen.removeprefix("the ")
    lines = [
        line("From the {} the nearest one is {} m away between nearest points: the {}.",
             primary, metres(gaps[order[0]]), right)
    ]  # fmt: skip
    if named:
        lines += [line("The {} is {} m away.", k, metres(gaps[k])) for k in order[1:]]
    else:
        lines.append(line("The others are {} m away.", [metres(gaps[k]) for k in order[1:]]))
    return Chain(tuple(lines), told.letter(right) if named else told.answer.span)


def _order_of_sight(told: Telling, seen: Mapping[str, int]) -> Chain:
    order = sorted(seen, key=lambda name: (seen[name], name))
    lines = [line("The {} is first seen in image {}.", k, whole(seen[k] + 1)) for k in order]
    return Chain(tuple(lines), told.letter(", ".join(order)))


def _sector(angle: float, quantity: str) -> str:
    side = "left" if angle > 0 else "right"
    if quantity.endswith("hard"):
        return f"{'front' if abs(angle) < 90.0 else 'back'}-{side}"
    if quantity.endswith("easy"):
        return side
    return "back" if abs(angle) >= _BACK_DEG else side


def comparison(told: Telling, quantity: str) -> Chain:
    """Two counts, or an order of several objects."""
    facts, slots = told.facts, told.slots
    if "counts" in facts:
        first, second = facts["counts"]
        lines = (
            line("There are {} {} and {} {}.", whole(first), slots["first_plural"],
                 whole(second), slots["second_plural"]),
            line("The first count less the second is {}.", whole(first - second)),
        )  # fmt: skip
        if quantity == "count_difference":
            return Chain(lines, (float(first - second),))
        return Chain(lines, ("equal", "more", "fewer")[(first > second) - (first < second)])
    if quantity == "size_order":
        sides = facts["longest_side_m"]
        order = sorted(sides, key=lambda name: -sides[name])
        lines_of = [line("The longest side of the {} is {} m.", k, metres(sides[k])) for k in order]
    else:
        gaps = facts["gaps_m"]
        order = sorted(gaps, key=lambda name: gaps[name])
        lines_of = [
            line("From the {} to the {} it is {} m.", slots["primary"], k, metres(gaps[k]))
            for k in order
        ]
    return Chain(tuple(lines_of), told.letter(", ".join(order)))


def spatial_relation(told: Telling, relation: str) -> Chain:
    """The relation of one object to another, or of two to a third."""
    facts, slots = told.facts, told.slots
    first, second = slots["first"], slots["second"]
    if relation == "nearer":
        a, b = float(facts["gap_a_m"]), float(facts["gap_b_m"])
        lines = [
            line("From the {} to the {} it is {} m between nearest points.",
                 name, slots["third"], metres(value))
            for name, value in ((first, a), (second, b))
        ]  # fmt: skip
        return _nearer(lines, a, b)
    if relation == "topology":
        return _topology(facts, first, second)
    if relation == "height":
        lines = [
            line("The middles of the {} and the {} are {} m apart in height.",
                 first, second, metres(facts["rise_m"])),
            line("From the top of the lower to the bottom of the upper it is {} m; seen from "
                 "above, they share {} of the smaller one's floor.",
                 metres(facts["clearance_m"]), Number(facts["floor_overlap"], 2)),
            line("The {} is the {} one.", first,
                 "upper" if told.answer.text == "above" else "lower"),
        ]  # fmt: skip
        return Chain(tuple(lines), told.answer.span)
    if relation.startswith("size"):
        return _sizes(facts, first, second)
    shift, words = float(facts["shift_m"]), ("behind", "in front")
    sense, across = "away from the camera", "to the side"
    if relation == "side":
        words, sense, across = ("right", "left"), "to the right", "in depth"
    lines = [
        line("On the level, from the {} the {} lies {} m {}, and {} m {}.",
             second, first, metres(shift), sense, metres(facts["other_m"]), across)
    ]  # fmt: skip
    return Chain(tuple(lines), words[shift <= 0])


def _nearer(lines: list[Line], a: float, b: float) -> Chain:
    lines.append(line("The first less the second is {} m.", metres(a - b)))
    return Chain(tuple(lines), "nearer" if a < b else "farther")


def _topology(facts: Mapping[str, Any], first: str, second: str) -> Chain:
    gap, depth = float(facts["gap_m"]), float(facts["penetration_m"])
    lines = [
        line("The nearest points of the {} and the {} are {} m apart.", first, second, metres(gap)),
        line("Their boxes overlap by {} m." if depth >= 0 else "Their boxes are {} m apart.",
             metres(abs(depth))),
    ]  # fmt: skip
    contained = "inside_share" in facts and facts["walls_share"] >= 0.5
    if contained:
        lines.append(
            line("Of the inner one's surface {} lies within the outer one, whose walls stand "
                 "around it on {} of the horizon.",
                 Number(facts["inside_share"], 2), Number(facts["walls_share"], 2))
        )  # fmt: skip
        return Chain(tuple(lines), "contains")
    if depth >= 0.03 and gap <= 0.05:
        return Chain(tuple(lines), "intersects")
    return Chain(tuple(lines), "disjoint" if gap >= 0.30 and depth < 0 else "adjacent")


_MEASURES = {
    "longest_side": ("longest side", "m"), "height": ("height", "m"),
    "floor_area": ("floor area", "m2"), "volume": ("volume", "m3"),
}  # fmt: skip


def _sizes(facts: Mapping[str, Any], first: str, second: str) -> Chain:
    """One measure, or all of them, which then agree."""
    compared = [facts] if "by" in facts else [facts[by] for by in _MEASURES]
    lines, words = [], set()
    for one in compared:
        name, unit = _MEASURES[one["by"]]
        a, b, ratio = (float(one[key]) for key in ("value_a", "value_b", "ratio"))
        lines.append(
            line("The {} of the {} is {} {}, that of the {} {} {}.", name, first, metres(a), unit,
                 second, metres(b), unit)
        )  # fmt: skip
        lines.append(line("As a ratio of lengths that is {}.", Number(ratio, 2)))
        words.add("similar" if ratio < 1.1 else "larger" if a > b else "smaller")
    return Chain(tuple(lines), words.pop() if len(words) == 1 else "")


def one_image(told: Telling, quantity: str) -> Chain:
    """What one image says of objects."""
    facts, slots = told.facts, told.slots
    if quantity == "object_count":
        shown = [count for count in facts["visible"] if count]
        lines = counted(slots["category_plural"], len(shown)).lines
        return Chain(lines, (float(len(shown)),))
    if quantity == "image_side":
        u, middle = float(facts["u"]), 0.5 * (told.sizes[0][0] - 1)
        lines = (
            line("The middle of the {} is projected to column {}, the middle of what is seen of it "
                 "to {}.", slots["first"], pixels(u), pixels(facts["seen_u"])),
            line("The image's middle is at column {}.", pixels(middle)),
        )  # fmt: skip
        return Chain(lines, "right" if u > middle else "left")
    a, b = float(facts["range_a_m"]), float(facts["range_b_m"])
    spoken = [
        line("The nearest visible point of the {} is {} m from the camera.", name, metres(value))
        for name, value in ((slots["first"], a), (slots["second"], b))
    ]
    return _nearer(spoken, a, b)


def grounding(told: Telling, quantity: str, form: str) -> Chain:
    """Where the last image shows an object."""
    facts, last = told.facts, len(told.sizes) - 1
    why = tuple(_singled_out(told, quantity))
    if form == "box":
        framed = boxed(told)
        return replace(framed, lines=(*why, *framed.lines))
    spans = line("A pixel on what is seen of it is {}.", [pixels(x) for x in facts["point"]])
    place = told.thousandths(facts["point"], last)
    return Chain((*why, spans, _in_thousandths(told, place)), tuple(map(float, place)))


def boxed(told: Telling) -> Chain:
    """The box around what the last image shows of an object."""
    last, (u0, v0, u1, v1) = len(told.sizes) - 1, told.facts["box"]
    place = (*told.thousandths((u0, v0), last), *told.thousandths((u1, v1), last))
    spans = line(
        "What is seen of it spans the pixels {} to {} across and {} to {} down.",
        *map(pixels, (u0, u1, v0, v1)),
    )
    return Chain((spans, _in_thousandths(told, place)), tuple(map(float, place)))


def _in_thousandths(told: Telling, place: Sequence[int]) -> Line:
    width, height = told.sizes[-1]
    return line(
        "In thousandths of an image of {} by {} pixels: [{}].",
        whole(width), whole(height), [whole(n) for n in place],
    )  # fmt: skip


def _singled_out(told: Telling, quantity: str) -> Iterable[Line]:
    """Why it is this object."""
    facts = told.facts
    if quantity == "nearest":
        gap, *others = facts["gaps_m"]
        yield line(
            "Of the {} one is {} m from the {} between nearest points, the others {} m.",
            told.slots["category_plural"], metres(gap), told.slots["landmark"],
            [metres(one) for one in others],
        )  # fmt: skip
    if quantity == "nearest_camera":
        yield line(
            "Of the {} one is {} m from the camera, the others {} m.",
            told.slots["category_plural"], metres(facts["range_m"]),
            [metres(one) for one in facts["other_ranges_m"].values()],
        )  # fmt: skip
    if quantity == "match":
        u0, v0, u1, v1 = facts["before"]
        yield line(
            "In image 1 the {} spans the pixels {} to {} across and {} to {} down.",
            told.slots["object"], *map(pixels, (u0, u1, v0, v1)),
        )  # fmt: skip
