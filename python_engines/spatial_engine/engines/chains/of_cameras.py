# SPDX-License-Identifier: Apache-2.0
"""Chains about where cameras stand: between two images, about an object, across images."""

from __future__ import annotations

from collections.abc import Mapping

from spatial_engine.records.chains import Chain, Line, Telling, degrees, line, metres, whole

_AXES: Mapping[str, tuple[int, str, str]] = {
    "x_direction": (0, "x", "to the right"),
    "y_direction": (1, "y", "downwards"),
    "z_direction": (2, "z", "along the viewing direction"),
}
_ORDINALS = ("first", "second", "third", "fourth")
_AHEAD_DEG, _BEHIND_DEG = 35.0, 135.0  # of the words for what an image does not show


def camera_movement(told: Telling, quantity: str, words: tuple[str, ...]) -> Chain:
    """The movement from image 1 to image 2; `words` are those of a value above 0 and of another."""
    facts = told.facts
    if "yaw" in quantity or "pitch" in quantity:
        return _turn(facts["dyaw_deg" if "yaw" in quantity else "dpitch_deg"], quantity, words)
    if quantity == "height_direction":
        rise = float(facts["rise_m"])
        said = line("Camera 2 is {} m higher than camera 1.", metres(rise))
        if rise <= 0:
            said = line("Camera 2 is {} m lower than camera 1.", metres(-rise))
        return Chain((said,), words[rise <= 0])
    shift = [float(value) for value in facts["translation_m"]]
    place = line(
        "In the axes of camera 1 (x right, y down, z forward) camera 2 stands at [{}] m.",
        [metres(value) for value in shift],
    )
    if quantity in _AXES:
        axis, name, sense = _AXES[quantity]
        value = shift[axis]
        sign = line("Its {} is {} m, and {} counts {}.", name, metres(value), name, sense)
        return Chain((place, sign), words[value <= 0])
    if quantity == "vector":
        millimetres = line("In millimetres: [{}].", [whole(1000 * value) for value in shift])
        return Chain((place, millimetres), tuple(1000 * value for value in shift))
    length = float(facts["distance_m"])
    root = line(
        "The root of the sum of their squares is {} m, or {} mm.",
        metres(length), whole(1000 * length),
    )  # fmt: skip
    return Chain((place, root), (1000 * length,))


def _turn(value: float, quantity: str, words: tuple[str, ...]) -> Chain:
    if "yaw" in quantity:
        said = line(
            "Seen from above, camera 2 is turned by {} degrees from camera 1, to the left counted "
            "positive.", degrees(value),
        )  # fmt: skip
    else:
        said = line(
            "Camera 2 aims {} degrees higher than camera 1, lower counted negative.",
            degrees(value),
        )
    return Chain((said,), words[value <= 0] if words else (abs(value),))


def camera_object(told: Telling, quantity: str) -> Chain:
    """How far an object is from cameras, and which way."""
    facts, name = told.facts, told.slots["category"]
    if "ranges_m" in facts:
        return _ranges(facts["ranges_m"], quantity, name)
    if quantity == "orbit_angle":
        away, turn = facts["floor_distances_m"], float(facts["turn_deg"])
        stands = line(
            "On the floor plan the cameras stand {} m from the middle of the {}.",
            [metres(value) for value in away], name,
        )  # fmt: skip
        size = line(
            "Seen from there, the second camera is {} degrees further round than the first, "
            "counterclockwise counted positive.", degrees(turn),
        )  # fmt: skip
        return Chain((stands, size), (abs(turn),))
    bearing = float(facts["bearing_deg"])
    place = line(
        "From the last camera the middle of the {} is {} m away on the floor plan, {} degrees from "
        "straight ahead, to the left counted positive.",
        name, metres(facts["floor_distance_m"]), degrees(bearing),
    )  # fmt: skip
    if quantity == "unseen_bearing":
        return Chain((place,), (abs(bearing),))
    borders = line(
        "Up to {} degrees would be ahead, from {} degrees on it is behind.",
        whole(_AHEAD_DEG), whole(_BEHIND_DEG),
    )  # fmt: skip
    word = "behind" if abs(bearing) >= _BEHIND_DEG else "left" if bearing > 0 else "right"
    return Chain((place, borders), word)


def _ranges(ranges: list[float], quantity: str, name: str) -> Chain:
    """What distances to the nearest visible point say."""
    if len(ranges) == 1:
        only = line("The nearest visible point of the {} is {} m away.", name, metres(ranges[0]))
        return Chain((only,), (ranges[0],))
    lines = [
        line("In image {} the nearest visible point of the {} is {} m away.",
             whole(k), name, metres(value))
        for k, value in enumerate(ranges, 1)
    ]  # fmt: skip
    if quantity == "nearest_image":
        least = min(ranges)
        lines.append(line("The least of them is {} m.", metres(least)))
        return Chain(tuple(lines), _ORDINALS[ranges.index(least)])
    change = ranges[1] - ranges[0]
    lines.append(line("The second less the first is {} m.", metres(change)))
    if quantity == "distance_change":
        return Chain(tuple(lines), "nearer" if change < 0 else "farther")
    return Chain(tuple(lines), (abs(change),))


def cross_view(told: Telling, quantity: str) -> Chain:
    """What no image puts together: cameras, or objects, that share no view."""
    facts, slots = told.facts, told.slots
    if quantity == "object_distance":
        return seen_gap(told, slots["first"], slots["second"])
    if quantity == "object_direction":
        angle, line_of_sight = float(facts["angle_deg"]), bearing(told, facts["angle_deg"])
        part = "front" if abs(angle) < 90.0 else "back"
        return Chain((line_of_sight,), f"{part}-{'left' if angle > 0 else 'right'}")
    pair = (slots["from_image"], slots["to_image"])
    if quantity == "camera_distance":
        away = float(facts["distance_m"])
        said = line("The cameras of images {} and {} stand {} m apart.", *pair, metres(away))
        return Chain((said,), (away,))
    angle = float(facts["bearing_deg"])
    place = line(
        "From the camera of image {} that of image {} is {} m away on the floor plan, {} degrees "
        "from straight ahead, to the left counted positive.",
        *pair, metres(facts["floor_distance_m"]), degrees(angle),
    )  # fmt: skip
    return Chain((place,), quarter(angle))


def quarter(angle: float) -> str:
    """The quarter of a bearing, each 45 degrees to either side."""
    if abs(angle) < 45.0:
        return "ahead"
    return "behind" if abs(angle) > 135.0 else "left" if angle > 0 else "right"


def seen_gap(told: Telling, first: str, second: str) -> Chain:
    """The gap between nearest points of two objects, whole and as the images show them."""
    gap, seen = float(told.facts["gap_m"]), told.facts["seen_gap_m"]
    lines = [
        line("Between nearest points the {} and the {} are {} m apart.",
             first, second, metres(gap)),
        line("Between the parts that the images show it is {} m.", metres(seen)),
    ]  # fmt: skip
    return Chain(tuple(lines), (gap,))


def bearing(told: Telling, angle: float) -> Line:
    """Where the target is for somebody who stands at one object and faces another."""
    stand, face, target = (told.slots[name] for name in ("stand", "face", "target"))
    return line(
        "Seen from above, from the {} the direction to the {} is turned by {} degrees from that to "
        "the {}, to the left counted positive.", stand, target, degrees(float(angle)), face,
    )  # fmt: skip
