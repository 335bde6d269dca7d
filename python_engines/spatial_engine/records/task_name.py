# SPDX-License-Identifier: Apache-2.0
"""The name of a task, `<family>.<quantity>[.<form>]`, taken apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

TASK_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){1,2}")


def family_of(task: str) -> str:
    """Family of a task, which also names its template file.

    Example:
        >>> family_of("depth_perception.value.marked")
        'depth_perception'
    """
    return task.partition(".")[0]


def form_of(task: str) -> str:
    """Presentation of a task: "coordinate", "marked", "choice", or "" for plain text.

    Example:
        >>> form_of("depth_perception.value.marked"), form_of("camera_movement.vector")
        ('marked', '')
    """
    return task.split(".")[2] if task.count(".") > 1 else ""


def grouped(tasks: Iterable[str], every: Iterable[str]) -> list[str]:
    """The names of tasks, in their order; a family all of whose tasks are among them is named once.

    Args:
        tasks: The tasks.
        every: All that there are.

    Example:
        >>> grouped(["a.x", "a.y", "b.x"], ["a.x", "a.y", "b.x", "b.y"])
        ['a.*', 'b.x']
    """
    named = list(tasks)
    families, mine = Counter(map(family_of, every)), Counter(map(family_of, named))
    whole = {name for name, count in mine.items() if count == families[name] > 1}
    told = (f"{f}.*" if (f := family_of(task)) in whole else task for task in named)
    return list(dict.fromkeys(told))
