# SPDX-License-Identifier: Apache-2.0
"""Question files of public benchmarks, and their published scores: VSI-Bench, SQA3D, ScanQA.

The files are read as their authors publish them; nothing of them comes with this package.

- vsibench: a list or JSON lines of {id, question_type, ground_truth}, or the rows of SpatialScore
  ({index, category_origin, answer}).
- sqa3d: an object with `annotations`, or a list of them: {question_id, answers: [{answer}]}.
- scanqa: a list of {question_id, answers: [text]}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from spatial_engine.scoring import captions
from spatial_engine.scoring.extract import Extractor
from spatial_engine.scoring.report import ResponseError
from spatial_engine.scoring.vsibench import MraDialect, aggregate, score_row
from spatialcore.errors import RecordError
from spatialcore.io.json_rows import json_rows

Benchmark = Literal["vsibench", "sqa3d", "scanqa"]
BENCHMARKS: tuple[str, ...] = get_args(Benchmark)
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class BenchmarkQuestion:
    """What is needed to score a response.

    Attributes:
        id: As in the file.
        task: Question type; the benchmark's name where it has none.
        references: Accepted answers, at least one.
    """

    id: str
    task: str
    references: tuple[str, ...]


def read_questions(benchmark: Benchmark, path: Path) -> list[BenchmarkQuestion]:
    """Read a benchmark's file.

    Raises:
        ValueError: Unknown benchmark.
        RecordError: The file is not of the benchmark's form; the message names the entry.
    """
    return [question for question, _ in read_entries(benchmark, path)]


Entries = list[tuple[BenchmarkQuestion, Mapping[str, Any]]]


def read_entries(benchmark: Benchmark, path: Path) -> Entries:
    """As `read_questions`, and each question's whole entry of the file."""
    if benchmark not in BENCHMARKS:
        raise ValueError(f"benchmark must be one of {', '.join(BENCHMARKS)}, got {benchmark!r}")
    found: Entries = []
    for row in json_rows(path):
        try:
            question = question_of(benchmark, row.value)
        except (KeyError, TypeError, IndexError) as error:
            what = f"{row.where}: no {benchmark} question: {error!r}"
            raise RecordError(what) from error
        if not question.references:
            raise RecordError(f"{row.where}: {question.id} has no answer")
        found.append((question, row.value))
    return found


def question_of(benchmark: Benchmark, entry: Mapping[str, Any]) -> BenchmarkQuestion:
    """What is scored of an entry; KeyError, TypeError or IndexError where it is none."""
    read = {"vsibench": _vsibench, "sqa3d": _sqa3d, "scanqa": _scanqa}[benchmark]
    return read(entry)


def score_benchmark(
    benchmark: Benchmark,
    questions: Sequence[BenchmarkQuestion],
    responses: Mapping[str, str],
    *,
    dialect: MraDialect = "official",
    extractor: Extractor = "official",
    normalise: captions.Normalise = "none",
) -> dict[str, Any]:
    """Scores in percent, as the benchmark publishes them.

    Args:
        benchmark: Which.
        questions: Its questions.
        responses: Response by id; a missing one counts as empty and is listed.
        dialect: Mean relative accuracy of VSI-Bench.
        extractor: How an answer is taken out of a response to VSI-Bench.
        normalise: Words of captions; "none" is the published evaluator of ScanQA.

    Returns:
        {"benchmark", "n", "missing": [id], "scores": {name: percent}}. VSI-Bench: tasks, macro and
        micro. SQA3D: em1, em_r1. ScanQA: bleu-1..4, cider, rouge_l, em.

    Raises:
        ResponseError: Responses to unknown questions; the first are named.
    """
    unknown = sorted(responses.keys() - {question.id for question in questions})
    if unknown:
        raise ResponseError(
            f"{len(unknown)} responses to unknown questions: {', '.join(unknown[:_SHOWN])}"
        )
    said = [responses.get(question.id, "") for question in questions]
    if benchmark == "vsibench":
        pairs = [
            (q.task, score_row(q.task, q.references[0], text, dialect=dialect, extractor=extractor))
            for q, text in zip(questions, said, strict=True)
        ]
        scores = dict(aggregate(pairs))
    elif benchmark == "sqa3d":
        scores = {
            "em1": _share(captions.exact_match, questions, said),
            "em_r1": _share(captions.refined_match, questions, said),
        }
    else:
        scores = _scanqa_scores(questions, said, normalise)
    return {
        "benchmark": benchmark,
        "n": len(questions),
        "missing": [question.id for question in questions if question.id not in responses],
        "scores": {name: 100 * value for name, value in scores.items()},
    }


def _scanqa_scores(
    questions: Sequence[BenchmarkQuestion], said: Sequence[str], normalise: captions.Normalise
) -> dict[str, float]:
    predictions = [captions.split(text.rstrip("."), normalise) for text in said]
    references = [[captions.split(r, normalise) for r in q.references] for q in questions]
    return {
        **{f"bleu-{n}": captions.bleu(predictions, references, n) for n in (1, 2, 3, 4)},
        "cider": captions.cider_d(predictions, references),
        "rouge_l": captions.rouge_l(predictions, references),
        "em": _share(captions.exact_match, questions, said),
    }


def _share(
    matches: Callable[[str, Sequence[str]], bool],
    questions: Sequence[BenchmarkQuestion],
    said: Sequence[str],
) -> float:
    hits = [matches(text, q.references) for q, text in zip(questions, said, strict=True)]
    return sum(hits) / len(hits) if hits else 0.0


def _vsibench(entry: Mapping[str, Any]) -> BenchmarkQuestion:
    if "category_origin" in entry:
        return BenchmarkQuestion(
            str(entry["index"]), str(entry["category_origin"]), (str(entry["answer"]),)
        )
    return BenchmarkQuestion(
        str(entry["id"]), str(entry["question_type"]), (str(entry["ground_truth"]),)
    )


def _sqa3d(entry: Mapping[str, Any]) -> BenchmarkQuestion:
    answers = tuple(str(answer["answer"]) for answer in entry["answers"])
    return BenchmarkQuestion(str(entry["question_id"]), "sqa3d", answers)


def _scanqa(entry: Mapping[str, Any]) -> BenchmarkQuestion:
    return BenchmarkQuestion(
        str(entry["question_id"]), "scanqa", tuple(str(answer) for answer in entry["answers"])
    )


def format_benchmark(report: Mapping[str, Any]) -> str:
    """The report of `score_benchmark` as text."""
    width = max(map(len, report["scores"]))
    lines = [f"{report['benchmark']}, {report['n']} questions, in percent"]
    lines += [f"{name:<{width}}  {value:>6.1f}" for name, value in report["scores"].items()]
    return "\n".join(lines)
