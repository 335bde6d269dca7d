# SPDX-License-Identifier: Apache-2.0
"""Wording: the templates of descriptions, questions and answers, and how one is drawn.

One TOML file a family, in `templates/`. A file has `[descriptions]`, lists that tasks share, and a
table for each task: its description list, its questions and answers (one list, or one for each
variant), its slots and what the linter has to know. The rules are in `wording_lint`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta

from spatial_engine.records.task_name import family_of
from spatialcore.errors import SettingsError, TaskError
from spatialcore.settings import Name, Positive, decode, parse_toml
from spatialcore.settings_words import nearest

SLOT = re.compile(r"\{([a-z0-9_]+)\}")
_OPTIONS = "\n{options}"

Text = Annotated[str, Meta(min_length=1, max_length=2000)]
Texts = Annotated[tuple[Text, ...], Meta(min_length=1)]
Slot = Annotated[str, Meta(pattern=r"^[a-z0-9_]+$")]
Variant = Annotated[str, Meta(pattern=r"^[a-z0-9_]*$")]
Unit = Literal["", "mm", "cm", "m", "m2", "cm/s", "degree", "count"]
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
        names: Slots that hold the name of an object; `{slot}_plural` then says it in the plural.
        phrases: Slots that hold what else stands after "the" for an object, e.g. "object in the red
            box of image 2".
        unit: Unit that every question names: "mm", "degree", "m", ..., or "".
        words: Closed set that every question lists, or ().
        forbid: Words that would change the meaning; none may occur.
        notes: What the words of the answer mean, in numbers: each question ends with one of them.
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
    names: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    unit: str = ""
    words: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    coordinates: bool = False
    least: tuple[int, int, int] = (2, 12, 6)
    notes: tuple[str, ...] = ()
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


@dataclass(frozen=True, slots=True)
class _Task:
    """A table `[tasks.NAME]`; the fields are those of `Wording`, which has their meaning.

    `like` names a task of the file that is asked in the same words, with phrases in the place of
    names unless `named`: the table then holds a description alone. With `options` the question of
    that task is followed by options, and the table holds answers that tell a letter.
    """

    description: Name
    questions: Texts | Mapping[Variant, Texts] = ()
    answers: Texts | Mapping[Variant, Texts] = ()
    like: str = ""
    named: bool = False
    options: bool = False
    question_slots: tuple[Slot, ...] = ()
    answer_slots: tuple[Slot, ...] = ()
    repeated: tuple[Slot, ...] = ()
    names: tuple[Slot, ...] = ()
    phrases: tuple[Slot, ...] = ()
    unit: Unit = ""
    words: tuple[Text, ...] = ()
    forbid: tuple[Text, ...] = ()
    notes: tuple[Text, ...] = ()
    coordinates: bool = False
    least: tuple[Positive, Positive, Positive] = (2, 12, 6)


@dataclass(frozen=True, slots=True)
class _File:
    descriptions: Mapping[Name, Texts]
    tasks: Mapping[Name, _Task]


def _lists(value: Any) -> dict[str, tuple[str, ...]]:
    return dict(value) if isinstance(value, Mapping) else {"": value}


def _with_options(open_task: _Task, answers: Texts | Mapping[Variant, Texts]) -> _Task:
    """The wording of a task with options to choose from."""
    questions = {
        variant: tuple(f"{text}{_OPTIONS}" for text in texts)
        for variant, texts in _lists(open_task.questions).items()
    }
    return replace(
        open_task, questions=questions, answers=answers, answer_slots=("letter",),
        question_slots=(*open_task.question_slots, "options"),
    )  # fmt: skip


def _noted(texts: Sequence[str], notes: Sequence[str]) -> tuple[str, ...]:
    """Questions with what their words mean, before the options to choose from."""
    if not notes:
        return tuple(texts)
    said = []
    for k, text in enumerate(texts):
        asked = text.removesuffix(_OPTIONS)
        said.append(f"{asked} {notes[k % len(notes)]}{text[len(asked) :]}")
    return tuple(said)


def parse_wordings(text: str, family: str) -> dict[str, Wording]:
    """The wordings of a TOML file, by task.

    Raises:
        SettingsError: A key or value is wrong, or a text breaks a rule of `wording_lint`.
    """
    from spatial_engine.records.wording_lint import lint

    file = f"{family}.toml"
    tables: _File = decode(_File, parse_toml(text, file), file)
    made = {}
    for name, task in tables.tasks.items():
        at, shared = f"$.tasks.{name}", tables.descriptions
        if task.description not in shared:
            what = f"{task.description!r} is none of the [descriptions]"
            near = nearest(task.description, shared)
            raise SettingsError(file, f"{at}.description", what, near)
        if task.like and task.like not in tables.tasks:
            what = f"{task.like!r} is none of the [tasks]"
            raise SettingsError(file, f"{at}.like", what, nearest(task.like, tables.tasks))
        said = tables.tasks[task.like] if task.like else task
        if task.options:
            said = _with_options(said, task.answers)
        phrased = task.like and not task.named and said.names
        wording = made[f"{family}.{name}"] = Wording(
            f"{family}.{name}", shared[task.description],
            {v: _noted(texts, said.notes) for v, texts in _lists(said.questions).items()},
            _lists(said.answers), said.question_slots, said.answer_slots, said.repeated,
            () if phrased else said.names, said.names if phrased else said.phrases, said.unit,
            said.words, said.forbid, task.coordinates, said.least, tuple(said.notes),
        )  # fmt: skip
        if problems := lint(wording):
            raise SettingsError(file, at, problems[0])
    unused = sorted(tables.descriptions.keys() - {t.description for t in tables.tasks.values()})
    if unused:
        raise SettingsError(file, f"$.descriptions.{unused[0]}", "no task has these descriptions")
    return made


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


def slots_said(question: str, wording: Wording, templates: Iterable[str]) -> dict[str, str] | None:
    """Values of the slots of a question, as its text says them.

    Args:
        question: Description, newline, question.
        wording: The wording of the task.
        templates: Ids of the templates that were used; `Lines.ids`.

    Returns:
        Slot -> text; None where the templates do not give this question.
    """
    ids = tuple(templates)
    lists = (wording.questions, wording.answers)
    for variant in dict.fromkeys(name for one in lists for name in one):
        if not all(variant in one or "" in one for one in lists):
            continue
        lines = wording.lines(variant)
        if len(ids) < 2 or not set(ids) <= set(lines.ids):
            continue
        d, q = lines.ids.index(ids[0]), lines.ids.index(ids[1]) - lines.counts[0]
        found = _reader(lines.asked[d * lines.counts[1] + q]).fullmatch(question)
        if found:
            return found.groupdict()
    return None


@cache
def _reader(pieces: Pieces) -> re.Pattern[str]:
    """A pattern of the questions that a template gives."""
    texts, seen = [], set[str]()
    for k, piece in enumerate(pieces):
        if k % 2 == 0:
            texts.append(re.escape(piece))
        else:
            texts.append(f"(?P={piece})" if piece in seen else f"(?P<{piece}>.+?)")
            seen.add(piece)
    return re.compile("".join(texts), re.DOTALL)


def wording_hash(template_files: Iterable[TemplateFile]) -> str:
    """BLAKE2b-16 of the template files; `verify` compares words only while it is the same."""
    h = hashlib.blake2b(digest_size=16)
    for file in sorted(set(template_files)):
        h.update(file.text().encode())
    return h.hexdigest()
