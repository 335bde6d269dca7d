# SPDX-License-Identifier: Apache-2.0
"""Rotations of a choice: the same question with its options moved round, for circular evaluation.

A choice of k options is asked k times; in rotation s the option at place i stands at place
(i + s) mod k. It counts as right only where all k answers are right, so that a model that likes a
letter earns nothing by it.

Source: CircularEval of MMBench (arXiv 2307.06281).
"""

from __future__ import annotations

from dataclasses import replace
from string import ascii_uppercase

from spatial_engine.records.answers import option_lines
from spatial_engine.records.record import QARecord

MARK = "@"
"""Between the id of a record and the number of its rotation; the unmoved one has the record's."""


def rotations(record: QARecord) -> tuple[QARecord, ...]:
    """A record in all its rotations, the unmoved one first.

    Options are moved where they stand: as lines of the question ("A. bed"), or as the letters of
    marks that are drawn into its images.

    Returns:
        As many records as it has options; the record alone where it is no choice, or a choice
        whose options stand elsewhere (`is_fixed`).
    """
    count = len(record.options)
    if not _is_choice(record) or is_fixed(record):
        return (record,)
    return (record, *(_rotated(record, by) for by in range(1, count)))


def is_fixed(record: QARecord) -> bool:
    """Whether a record is a choice whose options cannot be moved: they stand nowhere as such."""
    return _is_choice(record) and not (_in_lines(record) or _in_marks(record))


def rotation_of(name: str) -> tuple[str, int]:
    """The id of the record of which a rotation's id is, and by how many places it is moved.

    Example:
        >>> rotation_of("a.b/room/0123@2"), rotation_of("a.b/room/0123")
        (('a.b/room/0123', 2), ('a.b/room/0123', 0))
    """
    base, mark, number = name.rpartition(MARK)
    return (base, int(number)) if mark and number.isdecimal() else (name, 0)


def _is_choice(record: QARecord) -> bool:
    letters = ascii_uppercase[: len(record.options)]
    is_letter = record.answer_type == "letter" and str(record.answer_text) in letters
    return is_letter and len(letters) > 1


def _in_lines(record: QARecord) -> bool:
    lines = option_lines(record.options)
    asked = [turn.content for turn in record.messages if turn.role == "user"]
    return record.question.count(lines) == 1 and (not asked or asked[-1].count(lines) == 1)


def _in_marks(record: QARecord) -> bool:
    """Whether the options are letters, each drawn once or more as a mark."""
    letters = ascii_uppercase[: len(record.options)]
    drawn = {mark.letter for image in record.images for mark in image.marks if mark.letter}
    return "".join(record.options) == letters and drawn == set(letters)


def _rotated(record: QARecord, by: int) -> QARecord:
    count = len(record.options)
    letters = ascii_uppercase[:count]
    moved = {letters[i]: letters[(i + by) % count] for i in range(count)}
    truth = moved[str(record.answer_text)]
    answer = "`".join([*record.answer.split("`")[:1], truth, *record.answer.split("`")[2:]])
    changed = replace(
        record, id=f"{record.id}{MARK}{by}", answer=answer, answer_text=truth,
        messages=tuple(
            replace(turn, content=answer)
            if turn.role == "assistant" and turn.content == record.answer else turn
            for turn in record.messages
        ),
    )  # fmt: skip
    if _in_lines(record):
        return _lines_moved(changed, by)
    images = tuple(
        replace(image, marks=tuple(
            replace(mark, letter=moved[mark.letter]) if mark.letter else mark
            for mark in image.marks
        ))
        for image in record.images
    )  # fmt: skip
    return replace(changed, images=images)


def _lines_moved(record: QARecord, by: int) -> QARecord:
    options = record.options[-by:] + record.options[:-by]
    old, new = option_lines(record.options), option_lines(options)
    last = max((k for k, t in enumerate(record.messages) if t.role == "user"), default=-1)
    messages = tuple(
        replace(turn, content=turn.content.replace(old, new)) if k == last else turn
        for k, turn in enumerate(record.messages)
    )
    question = record.question.replace(old, new)
    return replace(record, options=options, question=question, messages=messages)
