# SPDX-License-Identifier: Apache-2.0
"""Letters as the public evaluators of MMSI, MindCube, ViewSpatial and SPAR-Bench take them.

Each is a function from a response to a letter, or to None where it finds none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from spatial_engine.scoring.vsibench import mean_relative_accuracy

_SPANS = (re.compile(r"``([^`]*)``"), re.compile(r"`([^`]*)`"), re.compile(r"\{([^}]*)\}"))
_MMSI = re.compile(r"\b([A-F])\b(?!\s[a-zA-Z])", re.IGNORECASE)
_VIEWSPATIAL = re.compile(r"\b([A-D])\b", re.IGNORECASE)
_DOTTED = re.compile(r"([A-E])\.")
_BLOCK = re.compile(r"<Answer>(.*?)(?:<|\Z)", re.DOTALL)
_STANDING = re.compile(r"\b([A-E])\b")
_IN_BLOCK = (re.compile(r"[Mm]y answer is ([A-E])"), re.compile(r"[Tt]he answer is ([A-E])"))
_IN_TEXT = (
    re.compile(r"(?:^|\n)(?:Answer: )?([A-E])(?:$|\s)"), re.compile(r"[*\"]([A-E])[*\"]"),
    re.compile(r"\bAnswer:?\s*([A-E])\b"), re.compile(r"[Mm]y answer is ([A-E])"),
    re.compile(r"answer is ([A-E])"),
)  # fmt: skip
_NUMBERS = re.compile(r"(?<!\^)\d+(?:\.\d+)?")
_AXES = (
    ("move_right", "move_left"), ("move_up", "move_down"), ("move_forward", "move_backward"),
    ("rotate_right", "rotate_left"), ("rotate_up", "rotate_down"),
)  # fmt: skip
SPAR_NUMBERS = tuple(
    f"{what}_prediction_{form}" for what in ("depth", "distance")
    for form in ("oc", "oo", "oc_mv", "oo_mv")
)  # fmt: skip
SPAR_MOVES = "view_change_infer"
SPAR_LEVELS = {
    "low": SPAR_NUMBERS,
    "middle": (SPAR_MOVES, "position_matching", "camera_motion_infer"),
    "high": (
        "obj_spatial_relation_oo", "obj_spatial_relation_oc_mv", "obj_spatial_relation_oo_mv",
        "spatial_imagination_oc", "spatial_imagination_oo", "spatial_imagination_oc_mv",
        "spatial_imagination_oo_mv", "distance_infer_center_oo", "distance_infer_center_oo_mv",
    ),
}  # fmt: skip


def mmsi_letter(response: str) -> str | None:
    """A letter A to F, as MMSI-Bench takes it.

    Example:
        >>> mmsi_letter("The answer is `B`."), mmsi_letter("A chair, so C"), mmsi_letter("none")
        ('B', 'C', None)
    """
    for pattern in _SPANS:
        if found := pattern.search(response):
            response = found[1]
    letter = _MMSI.search(response)
    return None if letter is None else letter[1].upper()


def mindcube_letter(response: str) -> str | None:
    """A letter A to E, as MindCube takes it: what is said last, by the surest sign.

    Example:
        >>> mindcube_letter("A. left? B. right."), mindcube_letter("<Answer>The answer is C")
        ('B', 'C')
    """
    if dotted := _DOTTED.findall(response):
        return str(dotted[-1])
    block = _BLOCK.search(response)
    patterns = [(pattern, block[1]) for pattern in (*_IN_BLOCK, _STANDING)] if block else []
    for pattern, text in [*patterns, *((pattern, response) for pattern in _IN_TEXT)]:
        if found := pattern.findall(text):
            return str(found[-1])
    for line in reversed(response.split("\n")):
        if standing := _STANDING.search(line):
            return standing[1]
    return None


def viewspatial_letter(response: str) -> str | None:
    r"""A letter A to D, as ViewSpatial takes it.

    Example:
        >>> viewspatial_letter("I think\nB. left"), viewspatial_letter("a chair")
        ('B', 'A')
    """
    found = _VIEWSPATIAL.search(response.split("\n")[-1])
    return None if found is None else found[1].upper()


def spar_score(task: str, response: str, truth: str) -> float:
    """Score of a row of SPAR-Bench; an empty response is wrong.

    Example:
        >>> [spar_score("spatial_imagination_oo", said, "B") for said in ("B", "B. left", "", "C")]
        [1.0, 1.0, 0.0, 0.0]
        >>> spar_score("depth_prediction_oc", "about 1.9 m", "2.0")
        1.0
    """
    if not response.strip():
        return 0.0
    if task in SPAR_NUMBERS:
        numbers = [float(number) for number in _NUMBERS.findall(response)]
        if not numbers:
            return 0.0
        said = numbers[-1] if task.endswith("_mv") else numbers[0]
        return mean_relative_accuracy(said, float(truth))
    if task == SPAR_MOVES:
        return _moves(response, truth)
    text, asked = response.lower(), truth.lower()
    return float(text in asked or text[0] == asked)


def _moves(response: str, truth: str) -> float:
    """Mean over five axes of the relative accuracy of signed moves; 0 where one cannot be read.

    The evaluator divides by what was said, not by the truth, and compares a 0 as it stands.
    """
    try:
        said, right = _signed(response), _signed(truth)
    except ValueError:
        return 0.0
    errors = [abs(r - s) / abs(s) if s else abs(r) for s, r in zip(said, right, strict=True)]
    thresholds = 1 - np.linspace(0.5, 0.95, 10)
    return float(np.mean([(error <= thresholds).mean() for error in errors]))


def _signed(text: str) -> list[float]:
    moves: Mapping[str, float] = {
        name: float(value) for name, value in (item.split(":") for item in text.split(","))
    }
    return [moves.get(one, 0.0) - moves.get(other, 0.0) for one, other in _AXES]
