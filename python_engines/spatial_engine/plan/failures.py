# SPDX-License-Identifier: Apache-2.0
"""An engine that cannot work on what the index holds of a scene: named, and the scene's alone."""

from __future__ import annotations

from spatial_engine.plan.plan import ENGINE_FAILED
from spatialcore.errors import (
    BackendUnavailable,
    OutputError,
    PlanError,
    SceneIndexError,
    printable,
)

_LONGEST = 160


class EngineFailed(PlanError):
    """An engine failed on a scene.

    Args:
        scene: `source/scene`.
        task: The task; "" where the scene did not even open.
        error: Kind and message of what was raised.
    """

    def __init__(self, scene: str, task: str, error: str) -> None:
        super().__init__(f"{scene}: {task or 'opening it'}: {error}; index the scene again")
        self.scene = scene
        self.task = task
        self.error = error

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.scene, self.task, self.error)

    @property
    def reason(self) -> str:
        """The reason of the rejection."""
        return f"{ENGINE_FAILED}: {self.error}"


def engine_failure(scene: str, task: str, error: Exception) -> Exception:
    """What to raise for an error in an engine.

    What concerns more than the scene stays as it is: a plan that does not fit its index, an index
    whose files are not those that were written, a device that cannot be used, a disk that is full.
    """
    if isinstance(error, PlanError | SceneIndexError | BackendUnavailable | OutputError | OSError):
        return error
    text = printable(f"{type(error).__name__}: {error}")[:_LONGEST]
    return EngineFailed(scene, task, text)
