# SPDX-License-Identifier: Apache-2.0
"""The dataset card of an export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Who may use a source is decided by its owner; the card names where to look.
_TERMS = {
    "scannet": "ScanNet Terms of Use",
    "posed_images": "the terms of the folder's owner",
    "tapvid3d": "TAPVid-3D and the terms of its source data sets",
}


def write_card(
    path: Path,
    targets: Sequence[str],
    manifest: Mapping[str, Any],
    tasks: Mapping[str, int],
    sources: Mapping[str, int],
) -> None:
    """Write README.md: a YAML header, then counts, provenance, licences and units."""
    lines = [
        "---", "license: other", "task_categories:", "- visual-question-answering",
        "language:", "- en", "tags:", "- spatial-reasoning", "---", "",
        "# Spatial questions with computed answers", "",
        f"{sum(tasks.values())} questions, made by spatialcore "
        f"{manifest['versions']['spatialcore']}, recipe `{manifest['recipe']['name']}`, "
        f"seed {manifest['seed']}, record version {manifest['record_version']}.", "",
        f"Formats: {', '.join(targets)}.", "", "| task | questions |", "|---|---|",
        *(f"| {task} | {count} |" for task, count in sorted(tasks.items())), "",
        "| source | questions | licence of the source |", "|---|---|---|",
    ]  # fmt: skip
    for source, count in sorted(sources.items()):
        kind = manifest["sources"][source]["kind"]
        lines.append(f"| {source} | {count} | {_TERMS.get(kind, 'that of its owner')} |")
    if "multispa" in targets:
        lines += ["", "`gt_value` is in the published units: metres for vectors, mm for scalars."]
    if {"prompts", "vlmevalkit"} & set(targets):
        lines += ["", "The evaluation files hold no answers; score with `spatialcore score`."]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
