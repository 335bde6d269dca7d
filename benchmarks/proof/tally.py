# SPDX-License-Identifier: Apache-2.0
"""Right answers by task and by how much there was to see, and their intervals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from spatial_engine.records.record import QARecord
from spatial_engine.scoring.multispa import score

_Z95 = 1.959963984540054
_SHARES = ((0.25, "below 0.25"), (0.5, "0.25 to 0.5"), (math.inf, "0.5 and more"))
_ANGLES = ((10.0, "below 10 deg"), (20.0, "10 to 20 deg"), (math.inf, "20 deg and more"))
STRATA = tuple(name for _, name in (*_SHARES, *_ANGLES))
"""Names of the strata, the least to see first."""
_AXES = {"camera_movement.x_direction": 0, "camera_movement.z_direction": 2}
_TURNS = {
    "camera_movement.yaw_direction": "dyaw_deg",
    "camera_movement.pitch_direction": "dpitch_deg",
}


def wilson(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, 1927); (0, 1) where nothing was asked.

    Example:
        >>> [round(bound, 4) for bound in wilson(81, 263)]
        [0.2553, 0.3662]
    """
    if not count:
        return 0.0, 1.0
    share, z2 = right / count, _Z95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    spread = math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    reach = _Z95 / (1 + z2 / count) * spread
    return max(0.0, middle - reach), min(1.0, middle + reach)


def stratum(record: QARecord) -> str:
    """How much there was to see: the asked component's share of the way, or the turn; "" = all."""
    numbers = record.facts
    if record.task in _AXES:
        share = abs(numbers["translation_m"][_AXES[record.task]]) / numbers["distance_m"]
        return next(name for most, name in _SHARES if share < most)
    if record.task in _TURNS:
        angle = abs(numbers[_TURNS[record.task]])
        return next(name for most, name in _ANGLES if angle < most)
    return ""


def tally(records: Iterable[QARecord], responses: Mapping[str, str]) -> dict[str, Any]:
    """Counts of right answers; a number is right when it is equal, and no answer is wrong.

    Returns:
        {task: {"n", "right", "constant": right answers of the best constant,
        "strata": {name: [n, right]}}}, in the order of the tasks' names.
    """
    asked: dict[str, Counter[str]] = {}
    right: dict[str, Counter[str]] = {}
    answers: dict[str, Counter[str]] = {}
    for record in records:
        name = stratum(record)
        good = score(record, responses.get(record.id, "")).value >= 1.0
        asked.setdefault(record.task, Counter())[name] += 1
        right.setdefault(record.task, Counter())[name] += good
        answers.setdefault(record.task, Counter())[record.typed_answer.span] += 1
    return {
        task: {
            "n": asked[task].total(),
            "right": right[task].total(),
            "constant": max(answers[task].values()),
            "strata": {
                name: [asked[task][name], right[task][name]] for name in STRATA if asked[task][name]
            },
        }
        for task in sorted(asked)
    }
