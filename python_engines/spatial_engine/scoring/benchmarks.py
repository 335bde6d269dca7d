# SPDX-License-Identifier: Apache-2.0
"""Question files of public benchmarks, and their published scores, each by a named dialect.

The files are read as their authors publish them, JSON or Parquet; nothing of them comes with this
package. `dialects` says whose rules there are.

| benchmark   | fields of a row                                                                  |
|-------------|----------------------------------------------------------------------------------|
| vsibench    | id, question_type, ground_truth (`pruned`: debiased); or SpatialScore's index,   |
|             | category_origin, answer                                                          |
| revsi       | id, question_type, ground_truth                                                  |
| sqa3d       | `annotations` of question_id, answers: [{answer}]                                |
| scanqa      | question_id, answers: [text]                                                     |
| mmsi        | id, question_type, answer                                                        |
| mindcube    | id (its beginning is the type), gt_answer                                        |
| viewspatial | question_type, answer ("B. left"); an id, else the number of the row             |
| sparbench   | id, task, answer                                                                 |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatial_engine.scoring import captions, choices, free_text
from spatial_engine.scoring.dialects import BENCHMARKS, Benchmark, Dialect, dialect_of
from spatial_engine.scoring.extract import Extractor
from spatial_engine.scoring.meteor import meteor, meteor_missing
from spatial_engine.scoring.report import ResponseError
from spatial_engine.scoring.vsibench import (
    MraDialect,
    aggregate,
    number_or_letter,
    revsi_aggregate,
    score_row,
)
from spatialcore.commands.text import fitted
from spatialcore.errors import RecordError
from spatialcore.io.raw_rows import raw_rows

_SHOWN = 5
_IMAGES = ("image", "images", "video")
# Arithmetic and extraction of each dialect of VSI-Bench.
_VSI: Mapping[str, tuple[MraDialect, Extractor]] = {
    "official": ("official", "official"), "lmms-eval-2026": ("official", "lmms-eval-2026"),
    "spatial-mllm": ("spatial-mllm", "spatial-mllm"), "lenient": ("official", "lenient"),
}  # fmt: skip


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
    for number, row in enumerate(raw_rows(path, without=_IMAGES)):
        try:
            question = question_of(benchmark, row.value, number)
        except (KeyError, TypeError, IndexError) as error:
            what = f"{row.where}: no {benchmark} question: {error!r}"
            raise RecordError(what) from error
        if not question.references:
            raise RecordError(f"{row.where}: {question.id} has no answer")
        found.append((question, row.value))
    if benchmark == "vsibench-debiased":
        return _debiased(found, path)
    return found


def _debiased(found: Entries, path: Path) -> Entries:
    """The rows that the debiased subset keeps."""
    if not any("pruned" in entry for _, entry in found):
        raise RecordError(f"{path}: no row has the field `pruned`, which says what is debiased")
    return [(question, entry) for question, entry in found if not entry.get("pruned")]


def question_of(
    benchmark: Benchmark, entry: Mapping[str, Any], number: int = 0
) -> BenchmarkQuestion:
    """What is scored of an entry; KeyError, TypeError or IndexError where it is none."""
    if benchmark in ("vsibench", "vsibench-debiased"):
        names = ("index", "category_origin", "answer") if "category_origin" in entry else (
            "id", "question_type", "ground_truth")  # fmt: skip
        return _named(entry, *names)
    if benchmark == "sqa3d":
        answers = tuple(str(answer["answer"]) for answer in entry["answers"])
        return BenchmarkQuestion(str(entry["question_id"]), "sqa3d", answers)
    if benchmark == "scanqa":
        answers = tuple(str(answer) for answer in entry["answers"])
        return BenchmarkQuestion(str(entry["question_id"]), "scanqa", answers)
    if benchmark == "mindcube":
        kind = str(entry["id"]).partition("_")[0]
        task = {"aroundnew": "around"}.get(kind, kind)
        return BenchmarkQuestion(str(entry["id"]), task, (str(entry["gt_answer"]),))
    id_name = next((name for name in ("id", "question_id", "index") if name in entry), "")
    kind = "task" if benchmark == "sparbench" else "question_type"
    truth = "ground_truth" if benchmark == "revsi" else "answer"
    shown = str(entry[id_name]) if id_name else str(number)
    return BenchmarkQuestion(shown, str(entry[kind]), (str(entry[truth]),))


def _named(entry: Mapping[str, Any], id: str, task: str, truth: str) -> BenchmarkQuestion:
    return BenchmarkQuestion(str(entry[id]), str(entry[task]), (str(entry[truth]),))


def score_benchmark(
    benchmark: Benchmark,
    questions: Sequence[BenchmarkQuestion],
    responses: Mapping[str, str],
    *,
    dialect: str | None = None,
) -> dict[str, Any]:
    """Scores in percent, as the benchmark publishes them.

    Args:
        benchmark: Which.
        questions: Its questions.
        responses: Response by id; a missing one counts as empty and is listed.
        dialect: Whose rules; None: the benchmark's first.

    Returns:
        {"benchmark", "dialect", "n", "missing": [id], "scores": {name: percent}, "notes"}. Tasks
        have their rows; `macro` is the mean of tasks, `micro` that of samples.

    Raises:
        UsageError: The benchmark has no such dialect.
        ResponseError: Responses to unknown questions; the first are named.
    """
    rules = dialect_of(benchmark, dialect)
    unknown = sorted(responses.keys() - {question.id for question in questions})
    if unknown:
        raise ResponseError(
            f"{len(unknown)} responses to unknown questions: {', '.join(unknown[:_SHOWN])}"
        )
    said = [responses.get(question.id, "") for question in questions]
    notes = [f"flaw of {rules.name}: {rules.flaw}"] if rules.flaw else []
    if benchmark in ("sqa3d", "scanqa"):
        empty = free_text.empty_count(said)
        notes += [f"{empty:,} answers are empty, and wrong"] if empty else []
    if benchmark == "sqa3d":
        scores = _sqa3d_scores(questions, said, rules)
    elif benchmark == "scanqa":
        scores = _scanqa_scores(questions, said, rules, notes)
    else:
        scores = _by_task(benchmark, questions, said, rules)
    return {
        "benchmark": benchmark,
        "dialect": rules.name,
        "n": len(questions),
        "missing": [question.id for question in questions if question.id not in responses],
        "scores": {name: 100 * value for name, value in scores.items()},
        "notes": notes,
    }


def _by_task(
    benchmark: Benchmark,
    questions: Sequence[BenchmarkQuestion],
    said: Sequence[str],
    rules: Dialect,
) -> dict[str, float]:
    """Scores of the benchmarks whose rows are right or wrong, or near, one by one."""
    pairs = [
        (q.task, _row(benchmark, q, text, rules)) for q, text in zip(questions, said, strict=True)
    ]
    if benchmark.startswith("vsibench"):
        return dict(aggregate(pairs))
    if benchmark == "revsi":
        return revsi_aggregate(pairs)
    means = _means(pairs)
    every = [value for _, value in pairs]
    micro = sum(every) / len(every) if every else 0.0
    if benchmark != "sparbench":
        return {**means, "micro": micro}
    levels = {
        level: [means[task] for task in tasks if task in means]
        for level, tasks in choices.SPAR_LEVELS.items()
    }
    found = {level: sum(v) / len(v) for level, v in levels.items() if v}
    return {**means, **found, "macro": sum(means.values()) / max(1, len(means)), "micro": micro}


def _means(pairs: Sequence[tuple[str, float]]) -> dict[str, float]:
    by_task: dict[str, list[float]] = {}
    for task, value in pairs:
        by_task.setdefault(task, []).append(value)
    return {task: sum(values) / len(values) for task, values in sorted(by_task.items())}


def _row(benchmark: Benchmark, question: BenchmarkQuestion, said: str, rules: Dialect) -> float:
    truth = question.references[0]
    if benchmark.startswith("vsibench"):
        arithmetic, extractor = _VSI[rules.name]
        return score_row(question.task, truth, said, dialect=arithmetic, extractor=extractor)
    if benchmark == "revsi":
        return number_or_letter(said, truth)
    if benchmark == "sparbench":
        return choices.spar_score(question.task, said, truth)
    if benchmark == "viewspatial":
        return float(choices.viewspatial_letter(said) == choices.viewspatial_letter(truth))
    letter = choices.mmsi_letter if benchmark == "mmsi" else choices.mindcube_letter
    return float(letter(said) == truth.strip().upper())


def _sqa3d_scores(
    questions: Sequence[BenchmarkQuestion], said: Sequence[str], rules: Dialect
) -> dict[str, float]:
    leo = rules.name == "leo"
    return {
        "em1": _share(free_text.leo_exact if leo else captions.exact_match, questions, said),
        "em_r1": _share(free_text.leo_refined if leo else captions.refined_match, questions, said),
    }


def _scanqa_scores(
    questions: Sequence[BenchmarkQuestion], said: Sequence[str], rules: Dialect, notes: list[str]
) -> dict[str, float]:
    leo = rules.name == "leo"
    clean: Callable[[str], str] = free_text.leo_text if leo else (lambda text: text)
    texts = [clean(text.rstrip(".")) for text in said]
    truths = [[clean(reference) for reference in q.references] for q in questions]
    predictions = [captions.split(text) for text in texts]
    references = [[captions.split(reference) for reference in several] for several in truths]
    scores = {
        **{f"bleu-{n}": captions.bleu(predictions, references, n) for n in (1, 2, 3, 4)},
        "cider": captions.cider_d(predictions, references),
        "rouge_l": captions.rouge_l(predictions, references),
        "em": _share(free_text.leo_exact if leo else captions.exact_match, questions, said),
    }
    if leo:
        scores["em_r1"] = _share(free_text.leo_refined, questions, said)
    if missing := meteor_missing():
        notes.append(f"METEOR was not computed: {missing}")
    else:
        scores["meteor"] = meteor(texts, truths)
    return scores


def _share(
    matches: Callable[[str, Sequence[str]], bool],
    questions: Sequence[BenchmarkQuestion],
    said: Sequence[str],
) -> float:
    hits = [matches(text, q.references) for q, text in zip(questions, said, strict=True)]
    return sum(hits) / len(hits) if hits else 0.0


def format_benchmark(report: Mapping[str, Any]) -> str:
    """The report of `score_benchmark` as text."""
    width = max(map(len, report["scores"]))
    head = (
        f"{report['benchmark']}, {report['n']} questions, in percent, dialect {report['dialect']}"
    )
    lines = [head]
    lines += [f"{name:<{width}}  {value:>6.1f}" for name, value in report["scores"].items()]
    return fitted("\n".join([*lines, *report["notes"]]))
