# SPDX-License-Identifier: Apache-2.0
"""The dataset card of an export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spatial_engine.dataset.dataset import Dataset

# Who may use a source is decided by its owner; the card names where to look.
_TERMS = {
    "scannet": "of ScanNet's layout: if it is ScanNet, its Terms of Use",
    "tapvid3d": "of TAPVid-3D's layout: if it is TAPVid-3D, its licence and its source data sets'",
}


def licence_of(kind: str, root: Path) -> str:
    """First line of a LICENSE file in the source's folder or the one above; else where to look."""
    for folder in (root, root.parent):
        for path in sorted(folder.glob("LICENSE*")):
            with path.open(encoding="utf-8", errors="replace") as file:
                line = next((text.strip() for text in file if text.strip()), "")
            if line:
                return line[:200].replace("|", "/")
    return _TERMS.get(kind, "that of the folder's owner")


def write_card(
    path: Path,
    targets: Sequence[str],
    dataset: Dataset,
    tasks: Mapping[str, int],
    sources: Mapping[str, int],
) -> None:
    """Write README.md: a YAML header, then counts, provenance, licences and units."""
    manifest = dataset.manifest
    seeds = ", ".join(dict.fromkeys(str(part.seed) for part in manifest.parts))
    lines = [
        "---", "license: other", "task_categories:", "- visual-question-answering",
        "language:", "- en", "tags:", "- spatial-reasoning", "---", "",
        "# Spatial questions with computed answers", "",
        f"{sum(tasks.values())} questions, made by spatialcore "
        f"{manifest.versions.get('spatialcore', '')}, recipe `{manifest.recipe.name}`, "
        f"seed {seeds}, record version {manifest.record_version}.", "",
        f"Formats: {', '.join(targets)}.", "", "| task | questions |", "|---|---|",
        *(f"| {task} | {count} |" for task, count in sorted(tasks.items())), "",
        "| source | questions | licence of the source |", "|---|---|---|",
    ]  # fmt: skip
    for source, count in sorted(sources.items()):
        terms = licence_of(manifest.sources[source].kind, dataset.roots[source])
        lines.append(f"| {source} | {count} | {terms} |")
    if "multispa" in targets:
        lines += ["", "`gt_value` is in the published units: metres for vectors, mm for scalars."]
    if {"prompts", "vlmevalkit"} & set(targets):
        lines += ["", "The evaluation files hold no answers; score with `spatialcore score`."]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
