# SPDX-License-Identifier: Apache-2.0
"""lmms-eval: a task folder for `--include_path`, scored by the rules of this package.

A row holds its whole record, so the harness scores a response exactly as `spatialcore score` does.
Every task of the records has a metric of its own beside the means over tasks and over records.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spatial_engine.export.request import Finished
from spatial_engine.export.sample import JsonLines, Sample
from spatial_engine.records.jsonl import record_to_json
from spatialcore.files import write_text

NAME = "spatialcore"
_MOST_TOKENS = 512


class Writer(JsonLines):
    """Rows of this format."""

    def row_of(self, sample: Sample) -> dict[str, Any]:
        """The row of a sample."""
        return {
            **sample.named, "prompt": sample.prompt, "images": list(sample.images),
            "target": sample.record.answer, "record": record_to_json(sample.record),
        }  # fmt: skip


def register(made: Finished) -> None:
    """Write the task folder, a task a split: its YAML and the functions that it names."""
    folder, files = made.folder, made.files
    here = folder / "lmms-eval"
    tasks = sorted({task for path in (here / "done").glob("*.json") for task in _tasks_of(path)})
    for split in sorted({split for split, _ in files}):
        name = NAME if split == "val" else f"{NAME}_{split}"
        rows = sorted(str(path) for its, path in files if its == split)
        write_text(here / "tasks" / f"{name}.yaml", _yaml(name, rows, tasks))
    write_text(here / "tasks/utils.py", _functions(folder, tasks))


def _tasks_of(done: Path) -> list[str]:
    return list(json.loads(done.read_text(encoding="utf-8"))["tasks"])


def _metric(task: str) -> str:
    return task.replace(".", "_")


def _yaml(name: str, rows: list[str], tasks: list[str]) -> str:
    metrics = ["macro", "micro", *map(_metric, tasks)]
    lines = [
        f"# python -m lmms_eval --include_path THIS_FOLDER --tasks {name} --model ...",
        f"task: {name}", "dataset_path: json", "dataset_kwargs:", "  data_files:", "    test:",
        *(f"      - {json.dumps(path)}" for path in rows),
        "test_split: test", "output_type: generate_until",
        "doc_to_visual: !function utils.doc_to_visual", "doc_to_text: !function utils.doc_to_text",
        "doc_to_messages: !function utils.doc_to_messages", "doc_to_target: target",
        "process_results: !function utils.process_results", "generation_kwargs:",
        f"  max_new_tokens: {_MOST_TOKENS}", "  temperature: 0", "  do_sample: false",
        "metric_list:",
    ]  # fmt: skip
    for metric in metrics:
        lines += [f"  - metric: {metric}", f"    aggregation: !function utils.{metric}",
                  "    higher_is_better: true"]  # fmt: skip
    return "\n".join([*lines, "metadata:", "  - version: 1.0", ""])


def _functions(folder: Path, tasks: list[str]) -> str:
    lines = [
        '"""What the task files name; the rules are those of spatial_engine.scoring."""', "",
        "from spatial_engine.scoring.harness import Harness", "",
        f"_HARNESS = Harness({json.dumps(str(folder))}, {json.dumps(tasks)})",
        "doc_to_visual = _HARNESS.doc_to_visual", "doc_to_text = _HARNESS.doc_to_text",
        "doc_to_messages = _HARNESS.doc_to_messages",
        "process_results = _HARNESS.process_results", "macro = _HARNESS.macro",
        "micro = _HARNESS.micro",
        *(f"{_metric(task)} = _HARNESS.micro" for task in tasks),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
