# SPDX-License-Identifier: Apache-2.0
"""How `spatialcore check` shows its reports: a table, the lines below it, and an HTML page."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from spatialcore.io.survey import SceneReport
    from spatialcore.types import Source

COLUMNS = (
    ("scene", "id of the scene or clip"),
    ("frames", "usable of all kept"),
    ("bad poses", "frames whose pose is missing, not finite or not rigid"),
    ("depth lost", "frames whose depth image is missing or damaged"),
    ("depth", "share of depth pixels with a reading"),
    ("agree", "share of readings that a neighbouring frame confirms; with the txt offset behind +"),
    ("objects", "labelled objects"),
    ("points", "mesh vertices, or tracks of a clip"),
    ("up", "up direction in the world of the scene"),
    ("split", "published split"),
    ("verdict", "ok, limited, wrong or skipped"),
)
_WIDE_ONLY = ("points", "split")
_COLOURS = {"ok": "green", "limited": "yellow", "wrong": "red", "skipped": "red"}
_NAMES = ("x", "y", "z")
_STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:2rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:left}"
    ".ok{color:#167a3a}.limited{color:#9a6700}.wrong,.skipped{color:#b3261e}"
)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _count(report: SceneReport, *prefixes: str) -> str:
    total = sum(n for code, n in report.reasons.items() if code.startswith(prefixes))
    return str(total) if report.kind else "-"


def _up(report: SceneReport) -> str:
    if report.world_up is None:
        return "unknown" if report.kind else "-"
    near = max(range(3), key=lambda i: abs(report.world_up[i]) if report.world_up else 0.0)
    value = report.world_up[near]
    text = f"{'+' if value > 0 else '-'}{_NAMES[near]}"
    if abs(value) < 0.999:
        text = ",".join(f"{x:.3f}" for x in report.world_up)
    return f"{text} (estimated)" if report.up_estimated else text


def row(report: SceneReport) -> tuple[str, ...]:
    """The cells of one scene, in the order of `COLUMNS`."""
    agreement = _share(report.agreement)
    if report.agreement_offset is not None:
        agreement += f" + {_share(report.agreement_offset)}"
    return (
        report.id,
        f"{report.usable_count}/{report.frame_count}" if report.kind else "-",
        _count(report, "pose_"),
        _count(report, "depth_"),
        _share(report.depth_share),
        agreement,
        str(report.object_count) if report.kind == "scene" else "-",
        "-" if report.point_count is None else str(report.point_count),
        _up(report),
        report.split or "-",
        report.verdict if not report.code else f"{report.verdict}: {report.code}",
    )


def survey_table(reports: Iterable[SceneReport], width: int) -> Table:
    """The reports as a rich table; under 100 columns it leaves out points and split."""
    from rich.table import Table
    from rich.text import Text

    shown = [i for i, (name, _) in enumerate(COLUMNS) if width >= 100 or name not in _WIDE_ONLY]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i in shown:
        table.add_column(COLUMNS[i][0], no_wrap=COLUMNS[i][0] != "verdict", overflow="fold")
    for report in reports:
        cells = [Text(cell) for cell in row(report)]
        cells[-1].stylize(_COLOURS[report.verdict])
        table.add_row(*(cells[i] for i in shown))
    return table


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


def summary_lines(surveys: list[tuple[Source, list[SceneReport]]]) -> Iterator[str]:
    """Why scenes were skipped, what is missing and what needs it, other masked frames, totals."""
    reports = [report for _, found in surveys for report in found]
    for report in reports:
        if report.error:
            yield f"{report.verdict} {report.id}: {report.error}"
    missing = _grouped(
        (f"missing {_in_general(what, r.id)}: {why}", r.id)
        for r in reports
        for what, why in r.missing
    )
    for text, scenes in missing.items():
        yield f"{text} [{_some(scenes)}]"
    masked = _grouped((f"{code}", f"{r.id} {n}") for r in reports for code, n in r.reasons.items())
    for code, scenes in sorted(masked.items()):
        yield f"masked {code}: {_some(scenes)}"
    for text, scenes in _grouped((note, r.id) for r in reports for note in r.notes).items():
        yield f"note {text} [{_some(scenes)}]"
    usable = sum(report.usable_count for report in reports if not report.error)
    skipped = sum(bool(report.error) for report in reports)
    yield f"{len(reports) - skipped} of {len(reports)} scenes can be used, {usable} frames"


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
            cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row(report)[:-1])
            verdict = html.escape(row(report)[-1])
            parts.append(f'<tr>{cells}<td class="{report.verdict}">{verdict}</td></tr>')
        parts.append("</table>")
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in summary_lines(surveys))
    parts.append(f"<ul>{lines}</ul></html>\n")
    return "".join(parts)
