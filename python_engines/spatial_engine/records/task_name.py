# SPDX-License-Identifier: Apache-2.0
"""The name of a task, `<family>.<quantity>[.<form>]`, taken apart."""

from __future__ import annotations

import re

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
