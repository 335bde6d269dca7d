# SPDX-License-Identifier: Apache-2.0
"""The rows of files to import: of which form they are, and each as a draft, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from spatial_engine.engines.imported import VSI_CHOICES, VSI_NUMBERS
from spatial_engine.importing.benchmarks import benchmark_row
from spatial_engine.importing.conversations import conversation
from spatial_engine.importing.draft import Draft
from spatialcore.errors import MissingInput, RecordError
from spatialcore.io.json_rows import JsonRow, json_rows

Kind = Literal["llava", "trl", "vsibench", "scanqa", "sqa3d"]
KINDS: tuple[Kind, ...] = get_args(Kind)
BENCHMARKS = ("vsibench", "scanqa", "sqa3d")
_SUFFIXES = (".json", ".jsonl", ".parquet")
# Files that exports lay beside their rows.
_NO_ROWS = ("dataset_info.json", "export.json", "croissant.json")
_MAX_QUESTIONS = 1_000_000  # of SQA3D's file of questions, which is held


def files_of(source: Path) -> list[Path]:
    """The files of a source: itself, or those of a folder in order of their names.

    Raises:
        MissingInput: There are none.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise MissingInput(f"{source}: no such file or folder; name the file of questions")
    found = sorted(
        path for path in source.iterdir()
        if path.suffix in _SUFFIXES and path.name not in _NO_ROWS and path.is_file()
    )  # fmt: skip
    if not found:
        raise MissingInput(f"{source}: no .json, .jsonl or .parquet file in this folder")
    return found


def kind_of(row: JsonRow) -> Kind:
    """The form of a row.

    Raises:
        RecordError: None that is known; the message names its fields.
    """
    value = row.value
    asks = {value.get("question_type"), value.get("category_origin")}
    if "conversations" in value:
        return "llava"
    if "messages" in value or {"prompt", "completion"} <= value.keys():
        return "trl"
    if asks & {*VSI_CHOICES, *VSI_NUMBERS}:
        return "vsibench"
    answers = value.get("answers")
    if "question_id" in value and isinstance(answers, list):
        return "sqa3d" if answers and isinstance(answers[0], dict) else "scanqa"
    if "situation" in value:
        return "sqa3d"
    fields = ", ".join(sorted(map(str, value))[:12])
    raise RecordError(
        f"{row.where}: rows of no known form; their fields are {fields}. "
        f"Name the form with --from {'|'.join(KINDS)}"
    )


def reader_of(kind: Kind, questions: Path | None, source: Path) -> Callable[[JsonRow], Draft]:
    """What makes drafts of rows.

    Args:
        kind: Their form.
        questions: SQA3D's file of questions, where the answers lie apart from them.
        source: The file of answers, beside which it is looked for.
    """
    if kind not in BENCHMARKS:
        return lambda row: _checked(row, kind, lambda: conversation(row.value, kind))
    asked = _questions(questions, source) if kind == "sqa3d" else {}
    return lambda row: _checked(row, kind, lambda: benchmark_row(kind, row.value, asked))  # type: ignore[arg-type]


def _checked(row: JsonRow, kind: Kind, make: Callable[[], Draft]) -> Draft:
    try:
        return make()
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise RecordError(f"{row.where}: not a row of {kind}: {what}") from error


def _questions(path: Path | None, source: Path) -> Mapping[str, Mapping[str, Any]]:
    """The questions of SQA3D by id: of the named file, of the one beside the answers, or within."""
    if path is None and source.is_file():
        beside = source.with_name(source.name.replace("sqa_annotations", "questions"))
        path = beside if beside != source and beside.is_file() else source
    if path is None:
        return {}
    found: dict[str, Mapping[str, Any]] = {}
    for row in json_rows(path, lists=("questions",)):
        if "question" not in row.value:
            break  # a file of answers alone
        found[str(row.value.get("question_id"))] = row.value
        if len(found) > _MAX_QUESTIONS:
            raise RecordError(f"{path}: more than {_MAX_QUESTIONS:,} questions")
    return found
