# SPDX-License-Identifier: Apache-2.0
"""The dataset card of an export: README.md, and croissant.json for programs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spatial_engine.dataset.stress import kept_blind
from spatial_engine.engines import engine_or_none
from spatial_engine.export.croissant import write_croissant
from spatial_engine.export.request import Exported, part_files
from spatialcore.files import write_text

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


# Target -> the loader of `datasets` that reads it; others have columns of several types.
_LOADERS = {
    "trl": "parquet", "trl-grpo": "parquet", "jsonl": "json", "swift": "json",
    "llamafactory": "json", "sharegpt": "json", "internvl": "json", "prompts": "json",
    "webdataset": "webdataset", "vlmevalkit": "csv",
}  # fmt: skip
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"),
          (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"),
          (100_000_000, "10M<n<100M"))  # fmt: skip


def write_card(folder: Path, dataset: Dataset, counts: Exported) -> None:
    """Write README.md: a YAML header by which `load_dataset` finds the questions, then the facts.

    Args:
        folder: The export, with the files of every target that lies in it.
        dataset: The data set.
        counts: What the export holds.
    """
    targets = sorted(path.parent.name for path in folder.glob("*/export.json"))
    text = _header(folder, targets, counts) + _body(dataset, targets, counts) + _notes(targets)
    write_text(folder / "README.md", "\n".join(text) + "\n")
    version = dataset.manifest.versions.get("spatialcore", "")
    licences = dict.fromkeys(_licence(dataset, source) for source in sorted(counts.sources))
    write_croissant(folder, targets, counts, version, list(licences))


def _header(folder: Path, targets: Sequence[str], counts: Exported) -> list[str]:
    size = next((name for most, name in _SIZES if counts.records < most), "n>100M")
    lines = [
        "---", "license: other", "task_categories:", "- visual-question-answering",
        "language:", "- en", "tags:", "- spatial-reasoning", "size_categories:", f"- {size}",
    ]  # fmt: skip
    configs = list(_configs(folder, targets))
    return [*lines, *(["configs:", *configs] if configs else []), "---", ""]


def _loadable(targets: Sequence[str]) -> list[str]:
    """The targets of one loader, the one that serves most first: a card names one loader."""
    known = [target for target in _LOADERS if target in targets]
    return [target for target in known if _LOADERS[target] == _LOADERS[known[0]]]


def _configs(folder: Path, targets: Sequence[str]) -> Iterator[str]:
    for number, target in enumerate(_loadable(targets)):
        yield f"- config_name: {target}"
        if not number:
            yield "  default: true"
        if target == "vlmevalkit":
            yield '  sep: "\\t"'
        yield "  data_files:"
        by_split: dict[str, list[str]] = {}
        for split, path in part_files(folder, target):
            # In order, as a person's wildcard reads them: the columns are those of the first file.
            name = re.sub(r"[0-9]+(?=\.[a-z]+$)", "*", path.relative_to(folder).as_posix())
            if name not in by_split.setdefault(split, []):
                by_split[split].append(name)
        for split, names in by_split.items():
            yield f"  - split: {split}"
            yield "    path:"
            yield from (f'    - "{name}"' for name in sorted(names))


def _body(dataset: Dataset, targets: Sequence[str], counts: Exported) -> list[str]:
    manifest = dataset.manifest
    seeds = ", ".join(dict.fromkeys(str(part.seed) for part in manifest.parts))
    splits = ", ".join(f"{count:,} {split}" for split, count in sorted(counts.splits.items()))
    lines = [
        "# Spatial questions with computed answers", "",
        f"{counts.records:,} questions ({splits}), made by spatialcore "
        f"{manifest.versions.get('spatialcore', '')}, recipe `{manifest.recipe.name}`, "
        f"seed {seeds}, record version {manifest.record_version}. Every answer follows from the "
        "geometry of its scene; `spatialcore verify` makes each a second time.", "",
        f"Formats: {', '.join(targets)}.", "",
    ]  # fmt: skip
    if loadable := _loadable(targets):
        lines += ["```python", "from datasets import load_dataset", ""]
        where = "PATH_OF_THIS_FOLDER"
        lines += [f'questions = load_dataset("{where}", "{name}")' for name in loadable]
        lines += ["```", ""]
    lines += _tasks(dataset, counts)
    lines += ["", "| source | questions | licence of the source |", "|---|---|---|"]
    for source, count in sorted(counts.sources.items()):
        lines.append(f"| {source} | {count:,} | {_licence(dataset, source)} |")
    if counts.chains:
        lines += [
            "",
            "The assistant thinks first, `<think>` chain `</think><answer>` sentence "
            "`</answer>`: every number of a chain follows from the evidence of its record, "
            "and `spatialcore verify OUT --chains EXPORT` makes it again from the scene.",
        ]
        if counts.unchained:
            lines += ["", f"{counts.unchained:,} questions are of tasks whose engine tells no "
                      "chain; their turns are the answer block alone."]  # fmt: skip
    if dataset.manifest.config.get("val_stretch"):
        lines += ["", "There is one scene: val is the end of its walk, and no question shows "
                  "frames of both splits."]  # fmt: skip
    if counts.left_out:
        lines += ["", f"{counts.left_out:,} questions show frames on both sides of the stretch of "
                  "the walk that is held out as val, and are in neither split."]  # fmt: skip
    return lines


def _licence(dataset: Dataset, source: str) -> str:
    return licence_of(dataset.manifest.sources[source].kind, dataset.roots[source])


def _tasks(dataset: Dataset, counts: Exported) -> list[str]:
    """Questions of each task, its chance, and what was scored without looking where it is known."""
    blind = kept_blind(dataset)
    lines = ["| task | questions | chance | blind |", "|---|---|---|---|"]
    for task, count in sorted(counts.tasks.items()):
        found = f"{100 * blind[task]:.0f} %" if task in blind else ""
        lines.append(f"| {task} | {count:,} | {_chance(task)} | {found} |")
    told = "best score of a reader of the text alone, rooms held out"
    ask = "not measured: `spatialcore stats OUT --stress` before the export"
    return [*lines, "", f"blind: {told if blind else ask}."]


def _chance(task: str) -> str:
    """The score of guessing over the closed set of a task's answers."""
    engine = engine_or_none(task)
    chance = None if engine is None else engine.chance(())
    return "" if chance is None else f"{100 * chance:.0f} %"


def _notes(targets: Sequence[str]) -> list[str]:
    lines = ["", "Every row holds the record's `id`, its `task` and its `split`."]
    if "multispa" in targets:
        lines += ["", "`gt_value` is in the published units: metres for vectors, mm for scalars."]
    if {"prompts", "vlmevalkit"} & set(targets):
        lines += ["", "The evaluation files hold no answers; score with `spatialcore score`."]
    if "webdataset" in targets:
        lines += ["", "All rows of a tar show as many images as its name says."]
    if "llamafactory" in targets:
        lines += ["", "`llamafactory-cli train llamafactory/qwen2_5_vl_lora.yaml` trains on it."]
    return [*lines, "", "```bibtex", "@misc{spatialcore,",
            "  title = {spatialcore: spatial questions with computed answers},",
            "  howpublished = {made with spatialcore-mllm}", "}", "```"]  # fmt: skip
