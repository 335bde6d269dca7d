# SPDX-License-Identifier: Apache-2.0
"""Chains on a plan of the room: floor, maps, points of view, walks, choices of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spatial_engine.engines.chains.of_cameras import bearing, quarter
from spatial_engine.engines.chains.of_objects import counted
from spatial_engine.records.answers import map_places
from spatial_engine.records.chains import (
    Chain,
    Line,
    Number,
    Telling,
    degrees,
    line,
    metres,
    whole,
)
from spatial_engine.records.reading import parse_answer

_ORDINALS = ("first", "second", "third", "fourth")
_BACK_DEG = 135.0  # a turn of a route from here on leads back
# A leg is said so that one who walks by rounded numbers arrives: it makes up for those before it.
_ROUNDED_DEG, _ROUNDED_M = 15.0, 0.2
_MAP_PER_M = 125.0  # thousandths of a plan of 8 m


def floor_plan(told: Telling, quantity: str) -> Chain:
    """Turns, free floor, discs that fit, walls."""
    facts = told.facts
    if quantity == "bearing":
        angle = float(facts["angle_deg"])
        turn = -angle % 360.0
        right = line("Turning to the right alone, that is {} degrees.", degrees(turn))
        return Chain((bearing(told, angle), right), (round(turn) % 360.0,))
    if quantity == "free_area":
        area, cells = float(facts["free_m2"]), int(facts["cells"])
        lines = (
            line("Nothing stands on {} cells of the floor, each of {} m2.",
                 whole(cells), Number(area / cells, 6)),
            line("That is {} m2 of a room of {} m2.", Number(area, 2), Number(facts["room_m2"], 2)),
        )  # fmt: skip
        return Chain(lines, (area,))
    if quantity == "fits":
        diameter, seen = float(facts["diameter_m"]), float(facts["seen_m"])
        lines = (
            line("The widest open disc on the floor that the images show is {} m across.",
                 metres(seen)),
            line("Needed are {} m.", metres(diameter)),
        )  # fmt: skip
        return Chain(lines, "yes" if diameter <= seen else "no")
    return _same_wall(told)


def _same_wall(told: Telling) -> Chain:
    walls, primary = told.facts["walls"], told.slots["primary"]
    mine = walls[primary] if primary in walls else walls[_named(primary)]
    lines = [line("With the walls numbered in turn, the {} stands at wall {}.",
                  primary, whole(mine + 1))]  # fmt: skip
    found = [name for name in told.options if walls[name] == mine]
    lines += [line("The {} is at wall {}.", name, whole(walls[name] + 1)) for name in told.options]
    return Chain(tuple(lines), told.letter(found[0]))


def _named(spoken: str) -> str:
    """The label of an object that is said by it, as in `object labelled "scissors"`."""
    return spoken.partition('"')[2].rpartition('"')[0]


def cognitive_map(told: Telling, quantity: str) -> Chain:
    """The room as a map of 10 x 10 cells, with the middles of objects."""
    facts = told.facts
    side = float(facts["side_m"])
    scale = line(
        "The map is {} m wide, so each of its 10 by 10 cells is {} m wide.",
        metres(side), metres(side / 10),
    )  # fmt: skip
    cells = [(int(x), int(y)) for x, y in facts["places"]]
    if quantity == "choice":
        named = _names_of(told.chosen)
        lines = [_placed(named[cell], place)
                 for cell, place in zip(cells, facts["places"], strict=True)]  # fmt: skip
        return Chain((scale, *lines), told.answer.span)
    anchors = [str(name) for name, _, _ in facts["anchors"]]
    if quantity == "cell":
        lines = [_placed(name, place)
                 for name, place in zip(anchors, facts["places"], strict=False)]  # fmt: skip
        lines.append(_placed(told.chosen, facts["places"][2]))
        return Chain((scale, *lines), told.answer.span)
    said = {(column, row): name for name, column, row in told.answer.places}
    names = [*anchors, *(said.get(cell, "") for cell in cells[2:])]
    lines = [_placed(name, place) for name, place in zip(names, facts["places"], strict=True)]
    at = dict(zip(names, cells, strict=True))
    drawn = [(name, *at[name]) for name, _, _ in told.answer.places if name in at]
    return Chain((scale, *lines), map_places(drawn).span)


def _placed(name: str, place: Sequence[float]) -> Line:
    x, y = place
    return line(
        "The middle of the {} is {} cells to the right and {} up: column {}, row {}.",
        name, Number(x, 2), Number(y, 2), whole(int(x)), whole(int(y)),
    )  # fmt: skip


def _names_of(map_text: str) -> dict[tuple[int, int], str]:
    """Cell -> name of a map as an option lists it."""
    found = parse_answer(map_text, "map", "cell").answer
    return {} if found is None else {(x, y): name for name, x, y in found.places}


def perspective(told: Telling, quantity: str) -> Chain:
    """What is where for somebody who stands elsewhere."""
    facts = told.facts
    if quantity == "camera_on_map":
        right, ahead = (float(value) for value in facts["map_m"])
        x, y = 500 + _MAP_PER_M * right, 500 - _MAP_PER_M * ahead
        lines = [
            line("Camera 2 stands {} m to the right of camera 1 and {} m ahead of it.",
                 metres(right), metres(ahead)),
            line("With {} thousandths to the metre it is at x = {} and y = {}.",
                 whole(_MAP_PER_M), whole(x), whole(y)),
        ]  # fmt: skip
        return Chain(tuple(lines), told.letter(f"({round(x)}, {round(y)})"))
    if quantity == "view_from":
        return _view_from(told)
    angle, *others = (float(value) for value in facts["angles_deg"])
    lines = [
        line("For somebody at the {} who faces the {}, the {} is at {} degrees, to the left "
             "counted positive.", told.slots["stand"], told.slots["face"], told.chosen,
             degrees(angle)),
        line("The others are at {} degrees.", [degrees(one) for one in others]),
    ]  # fmt: skip
    if quantity == "after_turn":
        turn = float(facts["turn_deg"])
        off = [abs((one - turn + 180.0) % 360.0 - 180.0) for one in (angle, *others)]
        lines.append(
            line("From the direction after the turn, {} degrees, they are off by {} degrees.",
                 degrees(turn), [degrees(one) for one in off])
        )  # fmt: skip
        return Chain(tuple(lines), told.answer.span if off[0] == min(off) else "")
    return Chain(tuple(lines), told.answer.span if quarter(angle) == facts["side"] else "")


def _view_from(told: Telling) -> Chain:
    """The image that was taken beside one object and looks at the other."""
    beside, off = told.facts["beside_m"], told.facts["bearings_deg"]
    stand, face = told.slots["stand"], told.slots["face"]
    lines = [
        line("Image {} was taken {} m from the {}, with the {} {} degrees from straight ahead.",
             whole(k), metres(near), stand, face, degrees(angle))
        for k, (near, angle) in enumerate(zip(beside, off, strict=True), 1)
    ]  # fmt: skip
    # The others are farther away than whoever stands there would be.
    return Chain(tuple(lines), _ORDINALS[beside.index(min(beside))])


def walk_path(told: Telling, quantity: str) -> Chain:
    """What a walk past several images comes to."""
    facts = told.facts
    if quantity == "object_count":
        chain = counted(told.slots["category_plural"], len(facts["object_ids"]))
        most = line("One image shows {} of them at most.", whole(facts["most_in_one_image"]))
        return replace(chain, lines=(most, *chain.lines))
    if quantity == "turning_step":
        turns = [float(value) for value in facts["turns_deg"]]
        sizes = [abs(turn) for turn in turns]
        lines = [
            line("From image {} to image {} the heading turns by {} degrees.",
                 whole(k), whole(k + 1), degrees(turn))
            for k, turn in enumerate(turns, 1)
        ]  # fmt: skip
        step = sizes.index(max(sizes)) + 1
        return Chain(tuple(lines), told.letter(f"between image {step} and image {step + 1}"))
    if quantity == "net_displacement":
        net = float(facts["net_m"])
        said = line("From the first camera to the last it is {} m.", metres(net))
        return Chain((said,), (net,))
    path = sum(facts["steps_m"])
    lines = [
        line("The steps from image to image are {} m.", [metres(s) for s in facts["steps_m"]]),
        line("Their sum is {} m.", metres(path)),
    ]
    return Chain(tuple(lines), (path,))


def route_plan(told: Telling) -> Chain:
    """The turns of a route between objects."""
    words, lines = [], []
    for k, angle in enumerate(map(float, told.facts["angles_deg"]), 1):
        word = "back" if abs(angle) >= _BACK_DEG else "left" if angle > 0 else "right"
        lines.append(
            line("Turn {} is by {} degrees, to the left counted positive: {}.",
                 whole(k), degrees(angle), word)
        )  # fmt: skip
        words.append(f"turn {word}")
    return Chain(tuple(lines), told.letter(", then ".join(words)))


def navigation(told: Telling) -> Chain:
    """The legs of a walk, unrounded; its words, and what rounding leaves over, are the answer's."""
    facts, legs = told.facts, told.answer.steps
    lines = [
        line("One faces the {}, at {} degrees from the plan's x axis.",
             told.slots["face"], degrees(facts["heading_deg"]))
    ]  # fmt: skip
    close = True
    numbers = zip(legs, facts["turns_deg"], facts["legs_m"], strict=True)
    for k, (leg, turn, length) in enumerate(numbers, 1):
        lines.append(
            line("Leg {}: turn by {} degrees, to the left counted positive, and walk {} m.",
                 whole(k), degrees(turn), metres(length))
        )  # fmt: skip
        off = 0.0 if leg.angle_deg is None else abs(leg.angle_deg - turn)
        close &= off <= _ROUNDED_DEG and abs(leg.distance_m - length) <= _ROUNDED_M
    lines.append(
        line("In all that is {} m; at the end the {} lies on this side: {}.",
             metres(facts["length_m"]), told.slots["target"], str(facts["target_side"]))
    )  # fmt: skip
    return Chain(tuple(lines), told.answer.span if close else "")


def numeric_choice(told: Telling, open_chain: Chain) -> Chain:
    """The chain of the open question, then the option that is its number."""
    number = float(told.facts["number"])
    if isinstance(open_chain.ending, str):
        return Chain(open_chain.lines, "")
    (value,) = open_chain.ending
    near = [abs(float(option) - value) for option in told.options]
    right = told.options[near.index(min(near))]
    digits = len(right.partition(".")[2])
    said = line(
        "The options are {}; {} is the nearest.",
        [Number(float(option), digits) for option in told.options], Number(number, digits),
    )  # fmt: skip
    return Chain((*open_chain.lines, said), told.letter(right) if float(right) == number else "")
