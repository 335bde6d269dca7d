# SPDX-License-Identifier: Apache-2.0
"""How `spatialcore check` shows its reports: one line a scene, details, and an HTML page."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from spatialcore.commands.check_tasks import HOW, tasks_of, unlocking
from spatialcore.commands.note_words import in_words
from spatialcore.commands.text import WIDTH

if TYPE_CHECKING:
    from spatialcore.io.survey import SceneReport
    from spatialcore.types import Source

COLUMNS = (
    ("scene", "id of the scene or clip"),
    ("verdict", "ok, limited, wrong or skipped"),
    ("frames", "usable of all kept"),
    ("depth", "share of depth pixels with a reading"),
    ("agree", "share of readings that a neighbouring frame confirms"),
    ("up", "up direction in the world of the scene; ~ estimated, ? unknown"),
    ("m", "whether lengths are metres"),
    ("turned", "frames that lay on their side and are turned upright"),
    ("objects", "labelled objects"),
    ("tasks", "tasks that can be asked, of all of its kind"),
    ("asks", "about how many questions the default recipe takes"),
)
_LEAST_ID = 12
_NAMES = ("x", "y", "z")
_STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:2rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:left}"
    ".ok{color:#167a3a}.limited{color:#9a6700}.wrong,.skipped{color:#b3261e}"
)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f}%"


def _up(report: SceneReport) -> str:
    if report.world_up is None:
        return "?" if report.kind else "-"
    near = max(range(3), key=lambda i: abs(report.world_up[i]) if report.world_up else 0.0)
    value = report.world_up[near]
    text = f"{'+' if value > 0 else '-'}{_NAMES[near]}"
    return f"{text}~" if report.up_estimated or abs(value) < 0.999 else text


def row(report: SceneReport) -> tuple[str, ...]:
    """The cells of one scene, in the order of `COLUMNS`."""
    tasks = tasks_of(report)
    asks = None if tasks is None else tasks.questions
    return (
        report.id,
        report.verdict,
        f"{report.usable_count}/{report.frame_count}" if report.kind else "-",
        _share(report.depth_share),
        _share(report.agreement),
        _up(report),
        "-" if not report.kind else "m" if report.metric else "no",
        str(report.turned_count) if report.turned_count else "-",
        str(report.object_count) if report.kind == "scene" else "-",
        "-" if tasks is None else f"{len(tasks.open)}/{tasks.total}",
        "-" if asks is None else f"{'' if report.counted else '~'}{_brief(asks)}",
    )


def _brief(count: int) -> str:
    """A count in at most seven columns."""
    return f"{count:,}" if count < 1_000_000 else f"{count / 1e6:.1f}M"


def middle(text: str, width: int) -> str:
    """A text in so many columns, its middle left out where it is longer."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def survey_lines(reports: Iterable[SceneReport], width: int = WIDTH) -> list[str]:
    """A heading, then one line a scene of at most `width` columns.

    The verdict stands behind the id, so that it is there whatever is cut. A scene that cannot be
    used, or contradicts itself, says why in place of the figures.
    """
    found = list(reports)
    rows = [tuple(name for name, _ in COLUMNS), *(row(report) for report in found)]
    plain = [rows[0], *(cells for cells, r in zip(rows[1:], found, strict=True) if not r.error)]
    widths = [max(len(cells[i]) for cells in plain) for i in range(1, len(COLUMNS))]
    widths[0] = max(len(cells[1]) for cells in rows)
    spare = width - sum(widths) - len(widths)
    first = min(max(len(cells[0]) for cells in rows), max(spare, _LEAST_ID))
    lines = []
    for k, cells in enumerate(rows):
        head = f"{middle(cells[0], first):<{first}} {cells[1]:<{widths[0]}}"
        report = found[k - 1] if k else None
        if report is not None and report.error:
            tail = _why(report)
        else:
            tail = " ".join(f"{c:>{w}}" for c, w in zip(cells[2:], widths[1:], strict=True))
        line = f"{head} {tail}".rstrip()
        lines.append(line if len(line) <= width else f"{line[: width - 1]}…")
    return lines


def _why(report: SceneReport) -> str:
    if report.verdict == "wrong" and report.cause:
        return f"agrees {_share(report.agreement)}; looks like {report.cause}"
    return f"{report.code}: {report.error}" if report.error else report.code


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, scene in pairs:
        groups.setdefault(key, []).append(scene)
    return groups


def _some(scenes: list[str]) -> str:
    shown = ", ".join(scenes[:3])
    return shown if len(scenes) <= 3 else f"{shown} and {len(scenes) - 3} more"


def _in_general(what: str, scene_id: str) -> str:
    return what.replace(scene_id, "<id>")


def _unlocks(report: SceneReport) -> Iterator[str]:
    """What would let more tasks be asked, and how many."""
    for lacks, tasks in unlocking(report).items():
        yield f"{len(tasks)} more tasks with {' and '.join(HOW[reason] for reason in lacks)}"


def summary_lines(surveys: list[tuple[Source, list[SceneReport]]]) -> Iterator[str]:
    """Why scenes were skipped, what is missing and what it would unlock, masked frames, totals."""
    reports = [report for _, found in surveys for report in found]
    for report in reports:
        if report.error:
            yield f"{report.verdict} {report.id}: {report.error}"
    for report in reports:
        if report.few_usable:
            why = ", ".join(f"{n} {code}" for code, n in report.reasons.items())
            yield f"warning {report.id}: {report.few_usable} ({why})"
    missing = _grouped(
        (f"missing {_in_general(what, r.id)}: {why}", r.id)
        for r in reports
        for what, why in r.missing
    )
    for text, scenes in missing.items():
        yield f"{text} [{_some(scenes)}]"
    unlocks = _grouped((text, r.id) for r in reports if not r.error for text in _unlocks(r))
    for text, scenes in unlocks.items():
        yield f"unlock {text} [{_some(scenes)}]"
    masked = _grouped((f"{code}", f"{r.id} {n}") for r in reports for code, n in r.reasons.items())
    for code, scenes in sorted(masked.items()):
        yield f"masked {code}: {_some(scenes)}"
    notes = _grouped((n, r.id) for r in reports for n in r.notes if n != r.few_usable)
    for text, scenes in notes.items():
        yield f"note {in_words(text)} [{_some(scenes)}]"
    yield _total(reports)
    yield from _counted_on(reports)


def _total(reports: Sequence[SceneReport]) -> str:
    usable = sum(report.usable_count for report in reports if not report.error)
    skipped = sum(bool(report.error) for report in reports)
    found = [tasks.questions for r in reports if (tasks := tasks_of(r)) and tasks.questions]
    silent = sum(1 for r in reports if not r.error and (t := tasks_of(r)) and not t.open)
    idle = f" ({silent} can be asked nothing)" if silent else ""
    text = f"{len(reports) - skipped} of {len(reports)} scenes can be used{idle}, {usable} frames"
    return f"{text}, about {sum(found):,} questions" if found else text


def _counted_on(reports: Sequence[SceneReport]) -> Iterator[str]:
    """What the number of questions is of: the quotas of one recipe, and frames of some scenes."""
    counted = [report for report in reports if report.counted and not report.error]
    if counted:
        looked = sum(report.looked_at for report in counted)
        frames = sum(report.usable_count for report in counted)
        scenes = "1 scene" if len(counted) == 1 else f"{len(counted):,} scenes"
        of = f"{looked:,} of {frames:,} frames of {scenes}"
        yield f"  a sample: what the default recipe takes of {of};"
        yield "  `spatialcore plan SOURCE --limit N --estimate` says what all of them give"


def detail_lines(report: SceneReport) -> Iterator[str]:
    """All that is known of one scene."""
    yield f"{report.id}: {report.verdict}"
    if report.error:
        yield f"  {report.error}"
    if not report.kind:
        return
    masked = ", ".join(f"{n} {code}" for code, n in report.reasons.items())
    turned = f", {report.turned_count} turned upright" if report.turned_count else ""
    frames = f"{report.usable_count} of {report.frame_count} frames can be used{turned}"
    yield f"  {frames}" + (f": {masked}" if masked else "")
    if report.kind == "scene":
        offset = report.agreement_offset
        moved = "" if offset is None else f", {_share(offset)} with the offset of {report.id}.txt"
        depth = f"  depth has readings in {_share(report.depth_share)} of its pixels"
        low_high = report.depth_range
        span = "" if low_high is None else f", most from {low_high[0]:.2g} to {low_high[1]:.2g} m"
        yield f"{depth}{span}; neighbouring frames agree in {_share(report.agreement)}{moved}"
    how = "unknown" if report.world_up is None else (
        f"{', '.join(f'{x:.3g}' for x in report.world_up)}, "
        f"{'estimated from the cameras' if report.up_estimated else 'given'}"
    )  # fmt: skip
    yield f"  up {how}; lengths {'in metres' if report.metric else 'of unknown scale'}"
    points = "no mesh" if report.point_count is None else f"{report.point_count:,} points"
    split = f"split {report.split or 'not listed'}"
    yield f"  {report.object_count} labelled objects, {points}, {split}"
    yield from (f"  missing {what}: {why}" for what, why in report.missing)
    yield from (f"  note {in_words(note)}" for note in report.notes)
    yield from _task_lines(report)


def _task_lines(report: SceneReport) -> Iterator[str]:
    tasks = tasks_of(report)
    if tasks is None or report.locked is None:
        return
    total = "" if tasks.questions is None else f", about {tasks.questions:,} questions"
    how = "" if report.counted or tasks.questions is None else " (as the scenes that were counted)"
    yield f"  {len(tasks.open)} of {tasks.total} tasks can be asked{total}{how}"
    width = max(map(len, tasks.open), default=0)
    for task in tasks.open:
        number = "" if report.questions is None else f"  {report.questions[task]:>5,}"
        yield f"    {task:<{width}}{number}".rstrip()
    for lacks, locked in unlocking(report).items():
        yield f"  {len(locked)} more with {' and '.join(HOW[reason] for reason in lacks)}"
        yield from (f"    {task}" for task in locked)
    rest = [t for t, lacks in report.locked.items() if not lacks and t not in tasks.open]
    if rest:
        yield f"  {len(rest)} have what they need and find nothing to ask"
        yield from (f"    {task}  {report.refused.get(task, '')}".rstrip() for task in rest)


def html_page(surveys: list[tuple[Source, list[SceneReport]]]) -> str:
    """The same as one self-contained HTML page."""
    head = "".join(
        f'<th title="{html.escape(meaning)}">{html.escape(name)}</th>' for name, meaning in COLUMNS
    )
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>spatialcore check</title>'
        f"<style>{_STYLE}</style><h1>spatialcore check</h1>"
    ]
    for source, reports in surveys:
        parts.append(f"<h2>{html.escape(source.kind)} {html.escape(str(source.root))}</h2>")
        parts.append(f"<table><tr>{head}</tr>")
        for report in reports:
            scene, _, *cells = (html.escape(cell) for cell in row(report))
            verdict = f'<td class="{report.verdict}">{report.verdict}</td>'
            rest = "".join(f"<td>{cell}</td>" for cell in cells)
            parts.append(f"<tr><td>{scene}</td>{verdict}{rest}</tr>")
        parts.append("</table>")
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in summary_lines(surveys))
    parts.append(f"<ul>{lines}</ul></html>\n")
    return "".join(parts)
