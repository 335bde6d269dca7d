# SPDX-License-Identifier: Apache-2.0
"""Wording: the templates of descriptions, questions and answers, and how one is drawn.

One TOML file a family, in `templates/`. A file has `[descriptions]`, lists that tasks share, and a
table for each task: its description list, its questions and answers (one list, or one for each
variant), its slots and what the linter has to know. The rules are in `wording_lint`.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from spatial_engine.records.task_name import family_of
from spatialcore.errors import TaskError

SLOT = re.compile(r"\{([a-z0-9_]+)\}")
_KEYS = {
    "description", "questions", "answers", "question_slots", "answer_slots", "repeated", "unit",
    "words", "forbid", "coordinates", "least",
}  # fmt: skip


Pieces = tuple[str, ...]  # a template as text, slot, text, slot, ..., text


class Lines(NamedTuple):
    """What one variant of a task may say.

    Attributes:
        counts: How many descriptions, questions and answers there are.
        asked: Each description with each question, questions running fastest.
        told: Each answer.
        ids: Ids of the descriptions, then of the questions, then of the answers.
    """

    counts: tuple[int, int, int]
    asked: tuple[Pieces, ...]
    told: tuple[Pieces, ...]
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wording:
    """The templates of one task.

    Attributes:
        descriptions: What the images and numbers are.
        questions: Lists by variant; "" where a task has one.
        answers: Sentences with one backticked span, by variant.
        question_slots: Slots of every question, in any order.
        answer_slots: Slots of every answer, inside its span.
        repeated: Slots that may stand more than once.
        unit: Unit that every question names: "mm", "degree", "m", ..., or "".
        words: Closed set that every question lists, or ().
        forbid: Words that would change the meaning; none may occur.
        coordinates: Whether points are given or asked in 0-1000 coordinates.
        least: Least number of descriptions, questions and answers.
    """

    task: str
    descriptions: tuple[str, ...]
    questions: Mapping[str, tuple[str, ...]]
    answers: Mapping[str, tuple[str, ...]]
    question_slots: tuple[str, ...] = ()
    answer_slots: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    unit: str = ""
    words: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    coordinates: bool = False
    least: tuple[int, int, int] = (4, 15, 5)
    _made: dict[str, Lines] = field(default_factory=dict, init=False, repr=False, compare=False)

    def lines(self, variant: str = "") -> Lines:
        """What a variant may say, made on first use.

        Args:
            variant: Which list of questions or answers; the other kind may have one list for all.
        """
        if variant not in self._made:
            asked = variant if variant in self.questions or variant not in self.answers else ""
            told = variant if variant in self.answers else ""
            lists = {
                "description": self.descriptions,
                f"question.{asked}" if asked else "question": self.questions[asked],
                f"answer.{variant}" if variant != asked else "answer": self.answers[told],
            }
            descriptions, questions, answers = lists.values()
            self._made[variant] = Lines(
                (len(descriptions), len(questions), len(answers)),
                tuple(_pieces(f"{d}\n{q}" if d else q) for d in descriptions for q in questions),
                tuple(map(_pieces, answers)),
                tuple(
                    f"{self.task}/{kind}/{k}"
                    for kind, texts in lists.items() for k in range(len(texts))
                ),
            )  # fmt: skip
        return self._made[variant]


def _pieces(text: str) -> Pieces:
    return tuple(SLOT.split(text))


def _lists(value: Any) -> dict[str, tuple[str, ...]]:
    if isinstance(value, dict):
        return {name: tuple(items) for name, items in value.items()}
    return {"": tuple(value)}


def _wording(task: str, table: Mapping[str, Any], descriptions: Mapping[str, Any]) -> Wording:
    unknown = sorted(set(table) - _KEYS)
    if unknown:
        raise ValueError(f"{task}: unknown key {unknown[0]!r}")
    plain = {
        name: tuple(table[name])
        for name in ("question_slots", "answer_slots", "repeated", "words", "forbid", "least")
        if name in table
    }
    return Wording(
        task,
        tuple(descriptions[table["description"]]),
        _lists(table["questions"]),
        _lists(table["answers"]),
        unit=table.get("unit", ""),
        coordinates=table.get("coordinates", False),
        **plain,
    )


def parse_wordings(text: str, family: str) -> dict[str, Wording]:
    """The wordings of a TOML file, by task; ValueError names what is wrong."""
    try:
        tables = tomllib.loads(text)
        shared = tables["descriptions"]
        return {
            f"{family}.{name}": _wording(f"{family}.{name}", table, shared)
            for name, table in tables["tasks"].items()
        }
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{family}.toml: {type(error).__name__}: {error}") from error


class TemplateFile(NamedTuple):
    """Where the wording of a family lies: `templates/<family>.toml` of an installed package."""

    family: str
    package: str = "spatial_engine"

    def text(self) -> str:
        """What the file holds; TaskError names the package that lacks it."""
        source = files(self.package) / "templates" / f"{self.family}.toml"
        try:
            return source.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            what = f"package {self.package!r} has no readable templates/{self.family}.toml"
            raise TaskError(f"{what}; its package data must hold the folder") from error


@cache
def load_wordings(file: TemplateFile) -> dict[str, Wording]:
    """The wordings of a template file, by task."""
    return parse_wordings(file.text(), file.family)


@cache
def wording_of(
    task: str, most: int = 0, *, described: bool = True, file: TemplateFile | None = None
) -> Wording:
    """The wording of a task, cut to the first `most` texts of each list; 0 keeps all.

    Args:
        task: Task name.
        most: Texts that are kept of each list.
        described: False leaves the descriptions empty: a question is asked without one.
        file: Where it lies; None is the file of its family in this package.

    Raises:
        ValueError: The family's file has no such task.
    """
    wordings = load_wordings(file or TemplateFile(family_of(task)))
    if task not in wordings:
        raise ValueError(f"no wording for {task!r}; there is {', '.join(sorted(wordings))}")
    whole = wordings[task]
    if not described:
        whole = replace(whole, descriptions=("",))
    if not most:
        return whole
    return replace(
        whole,
        descriptions=whole.descriptions[:most],
        questions={name: texts[:most] for name, texts in whole.questions.items()},
        answers={name: texts[:most] for name, texts in whole.answers.items()},
    )


def wording_hash(template_files: Iterable[TemplateFile]) -> str:
    """BLAKE2b-16 of the template files; `verify` compares words only while it is the same."""
    h = hashlib.blake2b(digest_size=16)
    for file in sorted(set(template_files)):
        h.update(file.text().encode())
    return h.hexdigest()
