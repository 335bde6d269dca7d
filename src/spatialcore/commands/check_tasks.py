# SPDX-License-Identifier: Apache-2.0
"""Which tasks the scenes of a check can be asked, and about how many questions.

Nothing here knows of engines: a package that has some says so by an entry point of the group
`spatialcore.check`, whose module has the two functions of `Counter`. Without one, tasks are not
reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from spatialcore.errors import SceneFormatError

if TYPE_CHECKING:
    from spatialcore.io.survey import SceneReport
    from spatialcore.types import Source

GROUP = "spatialcore.check"
# What a task may need of a scene, and how a person gives it.
HOW = {
    "objects": "labelled objects: objects.json with masks in instance/ or with boxes "
    "(docs/labels.md)",
    "up": 'gravity: scene_meta.json {"world_up": [x, y, z]} or --world-up',
    "metres": 'lengths in metres: scene_meta.json {"metric": true} where they are',
}


class Counted(Protocol):
    """About how many questions of each task so many frames give, and why others give none."""

    questions: dict[str, int]
    refused: dict[str, str]
    frames: int


class TaskCounter(Protocol):
    """What a package with engines offers; see `spatial_engine.plan.possible`."""

    def locked_tasks(self, report: SceneReport) -> Mapping[str, tuple[str, ...]]:
        """Tasks of the scene's kind -> what they need and the scene lacks, keys of `HOW`."""

    def count_questions(self, source: Source, scene_id: str) -> Counted:
        """About how many questions a scene gives; SceneFormatError where it cannot be indexed."""


def task_counter() -> TaskCounter | None:
    """The installed counter, or None."""
    for point in entry_points(group=GROUP):
        found: Any = point.load()
        return found  # type: ignore[no-any-return]
    return None


def with_tasks(
    source: Source, reports: Sequence[SceneReport], counter: TaskCounter | None, count: int
) -> Iterator[SceneReport]:
    """The reports of a source with what each scene can be asked.

    Args:
        source: The source.
        reports: Its scenes.
        counter: Who knows of tasks.
        count: Scenes whose questions are counted, spread over the source; others are taken to give
            as many as these on average, of the tasks that nothing keeps from them.
    """
    if counter is None:
        yield from reports
        return
    usable = [k for k, report in enumerate(reports) if not report.error]
    step = max(1, -(-len(usable) // count)) if count else len(usable) + 1
    counted = {k: _counted(source, reports[k], counter) for k in usable[::step]} if count else {}
    means = {kind: _mean([r for r in counted.values() if r.kind == kind]) for kind in _KINDS}
    for k, report in enumerate(reports):
        if k in counted or report.error:
            yield counted.get(k, report)
            continue
        locked = _locked(counter, report)
        mean = means[report.kind]
        guess = None if mean is None else {
            task: 0 if locked[task] else mean.get(task, 0) for task in locked
        }  # fmt: skip
        yield replace(report, locked=locked, questions=guess)


_KINDS = ("scene", "clip", "revisit")


def _locked(counter: TaskCounter, report: SceneReport) -> dict[str, tuple[str, ...]]:
    return dict(counter.locked_tasks(report))


def _counted(source: Source, report: SceneReport, counter: TaskCounter) -> SceneReport:
    """A report with its questions; "skipped" where indexing would refuse the scene."""
    try:
        found = counter.count_questions(source, report.id)
    except SceneFormatError as error:
        return replace(report, verdict="skipped", error=str(error), code=error.code)
    return replace(
        report, locked=_locked(counter, report), questions=dict(found.questions),
        refused=dict(found.refused), counted=True, looked_at=found.frames,
    )  # fmt: skip


def _mean(reports: Sequence[SceneReport]) -> dict[str, int] | None:
    """Task -> mean count over the scenes that are not kept from it."""
    totals: dict[str, list[int]] = {}
    for report in reports:
        for task, number in (report.questions or {}).items():
            if not (report.locked or {}).get(task):
                totals.setdefault(task, []).append(number)
    if not reports:
        return None
    return {task: round(sum(numbers) / len(numbers)) for task, numbers in totals.items()}


class Tasks(NamedTuple):
    """What a scene can be asked, for a table.

    Attributes:
        open: Tasks that give questions, or that nothing keeps from it where none are counted.
        total: Tasks of its kind.
        questions: About how many in all; None where they are not counted.
    """

    open: tuple[str, ...]
    total: int
    questions: int | None


def tasks_of(report: SceneReport) -> Tasks | None:
    """The tasks of a scene; None where nobody told of any."""
    if report.locked is None or report.error:
        return None
    asked = report.questions
    able = tuple(
        task for task, lacks in report.locked.items()
        if (not lacks if asked is None else asked.get(task, 0) > 0)
    )  # fmt: skip
    return Tasks(able, len(report.locked), None if asked is None else sum(asked.values()))


def unlocking(report: SceneReport) -> dict[tuple[str, ...], list[str]]:
    """What the scene lacks -> the tasks that just this would unlock."""
    found: dict[tuple[str, ...], list[str]] = {}
    for task, lacks in (report.locked or {}).items():
        if lacks:
            found.setdefault(lacks, []).append(task)
    return found
