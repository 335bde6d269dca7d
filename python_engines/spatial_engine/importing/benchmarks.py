# SPDX-License-Identifier: Apache-2.0
"""Rows of VSI-Bench, ScanQA and SQA3D, as their authors publish them, with their own prompts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from spatial_engine.engines.imported import VSI_CHOICES, VSI_NUMBERS
from spatial_engine.importing.draft import Draft, LeftOut, Shown
from spatial_engine.records.answers import FREE, Answer, integer, letter, option_lines
from spatial_engine.records.record import PLACEHOLDER, Message
from spatial_engine.scoring.benchmarks import question_of
from spatial_engine.scoring.dialects import Benchmark

# What the published evaluations put around a question.
LETTER_PROMPT = "Answer with the option's letter from the given choices directly."
NUMBER_PROMPT = "Please answer the question using a single word or phrase."
TEXT_PROMPT = "Answer the question using a single word or phrase."
_INLINE = re.compile(r"\s*Options:\s*(?=A\. )")
_NEXT = re.compile(r",?\s+(?=[B-J]\. )")
_LETTERED = re.compile(r"^\s*\(?([A-J])[.):]\s*")
_FIRST_WORDS = ("what", "is", "how", "can", "which")


def benchmark_row(
    benchmark: Benchmark, row: Mapping[str, Any], questions: Mapping[str, Mapping[str, Any]]
) -> Draft:
    """The draft of a row.

    Args:
        benchmark: Which.
        row: Its entry.
        questions: By id the entries of SQA3D's file of questions, where its answers lie apart.

    Raises:
        LeftOut: It has no answer, or no question is known of its id.
        KeyError, TypeError, IndexError, ValueError: It is not of this form.
    """
    if benchmark == "vsibench":
        return _vsibench(row)
    if not row.get("answers"):
        raise LeftOut("no answer")
    asked = question_of(benchmark, row)
    if benchmark == "sqa3d":
        row = _joined(row, questions)
    references = tuple(dict.fromkeys(text.strip() for text in asked.references if text.strip()))
    if not references:
        raise LeftOut("the answer is empty")
    question = str(row["question"]).strip()
    situation = str(row.get("situation", "")).strip()
    scene = str(row.get("scene_id", ""))
    first = question.split(" ")[0].lower()
    what = (first if first in _FIRST_WORDS else "other") if benchmark == "sqa3d" else "question"
    kept = ("situation", "position", "rotation", "object_ids", "object_names")
    text = "\n".join(filter(None, (situation, question)))
    return Draft(
        id=asked.id, task=f"{benchmark}.{what}",
        turns=(Message("user", f"<video>\n{text}\n{TEXT_PROMPT}"),),
        answer=Answer(FREE, FREE, text=references[0]), sentence=references[0],
        shown=(Shown(scene, video=True),), question=text, scene=scene, references=references,
        about={name: row[name] for name in kept if name in row},
    )  # fmt: skip


def _joined(
    row: Mapping[str, Any], questions: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any]:
    if "question" in row:
        return row
    asked = questions.get(str(row["question_id"]))
    if asked is None:
        raise LeftOut("no question of this id: name the file of questions")
    return {**row, **asked}


def _vsibench(row: Mapping[str, Any]) -> Draft:
    asked = question_of("vsibench", row)
    kind = asked.task
    if kind not in VSI_CHOICES and kind not in VSI_NUMBERS:
        raise LeftOut("a type of question that VSI-Bench does not have")
    question, options = _with_options(row)
    if kind in VSI_CHOICES:
        truth = asked.references[0].strip().strip("().").upper()
        if truth not in ascii_uppercase[: len(options)]:
            raise LeftOut("the answer is none of the options")
        answer, prompt = letter(truth), LETTER_PROMPT
    else:
        answer, prompt, options = _number(asked.references[0], VSI_NUMBERS[kind]), NUMBER_PROMPT, ()
    lines = [question, *([option_lines(options)] if options else [])]
    shown = _vsi_media(row)
    tags = ["<video>" if one.video else PLACEHOLDER for one in shown]
    return Draft(
        id=asked.id, task=f"vsibench.{kind}",
        turns=(Message("user", "\n".join([*tags, *lines, prompt])),),
        answer=answer, sentence=f"`{answer.span}`", shown=shown, question="\n".join(lines),
        walk=True, scene=_vsi_scene(row), options=options, references=asked.references,
        about={name: row[name] for name in ("dataset", "pruned") if name in row},
    )  # fmt: skip


def _number(text: str, unit: str) -> Answer:
    value = float(text.replace(",", ""))
    if not abs(value) < float("inf"):
        raise LeftOut("the answer is no number")
    if value.is_integer() and unit in ("count", "cm"):
        return integer(value, unit)
    return Answer("number", unit, number=(value + 0.0,))


def _with_options(row: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The question without its options, and these without their letters."""
    question = str(row["question"]).strip()
    listed = row.get("options")
    if listed is None:
        question, *inline = _INLINE.split(question, maxsplit=1)
        listed = _NEXT.split(inline[0]) if inline else []
    return question, tuple(_LETTERED.sub("", str(option)).strip() for option in listed)


def _vsi_scene(row: Mapping[str, Any]) -> str:
    if "scene_name" in row:
        return str(row["scene_name"])
    paths = row.get("img_paths") or [""]
    parts = str(paths[0]).split("/")
    return parts[-2] if len(parts) > 1 else ""


def _vsi_media(row: Mapping[str, Any]) -> tuple[Shown, ...]:
    """The scene's video; of the rows of SpatialScore the frames that they list, in order."""
    if "scene_name" in row:
        folder = f"{row['dataset']}/" if row.get("dataset") else ""
        return (Shown(f"{folder}{row['scene_name']}", video=True),)
    return tuple(Shown(str(path).removeprefix("./")) for path in row.get("img_paths") or ())
