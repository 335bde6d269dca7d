# SPDX-License-Identifier: Apache-2.0
"""Score responses, of any model or of a baseline, against records.

Examples:
  spatialcore score results/responses.jsonl --records demo/out --split val
  spatialcore score --baseline frequency --records demo/out --split val --training train
  spatialcore score results/responses.jsonl --records demo/out --circular   of eval --circular
  spatialcore score --baseline random --records out --split train --workers 16
  spatialcore score said.jsonl --benchmark vsibench --questions vsi.jsonl --dialect spatial-mllm
  spatialcore score --list                     every benchmark, whose rules there are, their flaws
  spatialcore score said.jsonl --benchmark sqa3d --questions v1_balanced_sqa_annotations_test.json
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.progress import ProgressBar
from spatialcore.commands.text import printable
from spatialcore.workers import Workers

if TYPE_CHECKING:
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.scoring.report import Report
    from spatial_engine.scoring.shards import Progress


# Written out: the command's help loads no scoring.
BenchmarkName = Literal[
    "vsibench", "vsibench-debiased", "revsi", "sqa3d", "scanqa", "mmsi", "mindcube", "viewspatial",
    "sparbench",
]  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore score`.

    Attributes:
        responses: JSON lines of {"id", "response"}.
        records: Folder made by `generate`.
        split: Split that was asked; default: val, or the only one.
        baseline: Score a baseline instead of responses.
        training: Split that the baselines learn numbers and frequencies from.
        dialect: Whose rules. Of records: multispa, or lenient: answer blocks and longer texts are
            read too. Of a benchmark: see --list; default: its first one.
        circular: A choice of k options is right only where it is right in all k rotations of them,
            whose responses have the ids ID, ID@1, ID@2, ...
        list: Print every benchmark with its dialects, their rules and flaws.
        benchmark: Score responses to a public benchmark, by its own rules, instead of records.
        questions: Its file of questions and answers, as its authors publish it.
        run: Who reads the records.
        json: Print one JSON object instead of text.
    """

    run: Workers
    responses: Annotated[Path | None, tyro.conf.Positional] = None
    records: Path | None = None
    split: str | None = None
    baseline: Literal["random", "frequency", "oracle"] | None = None
    training: str = "train"
    dialect: str | None = None
    circular: bool = False
    list: bool = False
    benchmark: BenchmarkName | None = None
    questions: Path | None = None
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("score", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    if options.list:
        return _list(options)
    report, text = _benchmark(options) if options.benchmark else _records(options)
    print(json.dumps(report) if options.json else text)
    for name in report["missing"][:20]:
        print(f"no response: {printable(name)}", file=sys.stderr)
    return exit_codes.SKIPPED if report["missing"] else exit_codes.OK


def _list(options: Options) -> int:
    from dataclasses import asdict

    from spatial_engine.scoring.dialects import DIALECTS, listed

    if options.json:
        print(json.dumps([asdict(one) for one in DIALECTS]))
    else:
        print("\n".join(listed()))
    return exit_codes.OK


def _records(options: Options) -> tuple[dict[str, Any], str]:
    """Report on records of ours, and as text."""
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.scoring.report import format_report
    from spatialcore.errors import TaskError

    if options.records is None:
        raise ValueError("give --records, or --benchmark and --questions, or --list")
    dataset = Dataset.open(options.records)
    split = dataset.asked_split(options.split)
    try:
        with ProgressBar() as bar:
            report = _scored(options, dataset, split, bar.show).to_json()
    except TaskError as error:
        raise TaskError(f"{options.records}: {error}") from error
    report["split"] = split
    return report, f"split {split}\n{format_report(report)}"


def _benchmark(options: Options) -> tuple[dict[str, Any], str]:
    """Report on a public benchmark, and as text."""
    from spatial_engine.scoring.benchmarks import (
        format_benchmark,
        read_questions,
        score_benchmark,
    )

    if options.questions is None or options.responses is None or options.benchmark is None:
        raise ValueError("--benchmark takes a file of responses, and --questions its own file")
    if options.records is not None or options.baseline is not None:
        raise ValueError("--benchmark goes with --questions, not with --records or --baseline")
    if options.circular:
        raise ValueError("--circular goes with --records: benchmarks are scored as published")
    report = score_benchmark(
        options.benchmark,
        read_questions(options.benchmark, options.questions),
        _read_responses(options.responses),
        dialect=options.dialect,
    )
    return report, format_benchmark(report)


def _scored(options: Options, dataset: Dataset, split: str, on_progress: Progress) -> Report:
    """The report on responses or on a baseline."""
    from spatial_engine.scoring.shards import score_baseline, score_responses

    dialect: Any = options.dialect or "multispa"
    if dialect not in ("multispa", "lenient"):
        raise ValueError(f"records are scored by multispa or lenient, not {dialect!r}")
    if options.baseline is not None:
        if options.responses is not None:
            raise ValueError("give responses or --baseline, not both")
        return score_baseline(
            dataset, split, options.baseline, training=options.training,
            dialect=dialect, circular=options.circular, workers=options.run,
            on_progress=on_progress,
        )  # fmt: skip
    if options.responses is None:
        raise ValueError("give a file of responses, or --baseline")
    return score_responses(
        dataset, split, _read_responses(options.responses), dialect=dialect,
        circular=options.circular, workers=options.run, on_progress=on_progress,
    )  # fmt: skip


def _read_responses(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        value = json.loads(line)
        if not isinstance(value, dict) or not {"id", "response"} <= value.keys():
            raise ValueError(f"{path}:{number}: not an object with id and response")
        if value["id"] in found:
            raise ValueError(f"{path}:{number}: a second response to {value['id']}")
        found[str(value["id"])] = str(value["response"])
    return found
