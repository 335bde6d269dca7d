# SPDX-License-Identifier: Apache-2.0
"""Facts to records: text, ids and provenance, column by column, alike for all tasks.

`generate` and `verify` both go through `compose_table`, so that `verify` compares whole records,
words included. All rows of a scene are composed together, whatever their tasks: images are taken
from the scene's own table, and only the texts, the evidence and the ids are made row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spatial_engine.dataset.evidence import evidence_column
from spatial_engine.dataset.texts import Texts, drawn_texts
from spatial_engine.engines.base import Engine, Facts
from spatial_engine.engines.budgets import facts_of
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.context import SceneContext
from spatial_engine.records.names import said
from spatial_engine.records.place import Place
from spatial_engine.records.record import (
    COLUMNS,
    PLACEHOLDER,
    SCHEMA_VERSION,
    QARecord,
    list_array,
    record_from_row,
    record_id,
    record_schema,
)
from spatial_engine.records.task_name import form_of
from spatial_engine.records.wording import wording_of
from spatialcore import _cpu
from spatialcore.draws import fold_lists

if TYPE_CHECKING:
    from spatial_engine.records.answers import Answer
    from spatial_engine.records.marks import Mark


def make(engine: Engine, context: SceneContext, row: Row) -> QARecord:
    """The record of one candidate. Pure."""
    return compose(engine, context.place, row, facts_of(engine, context, [row])[0])


class Told(NamedTuple):
    """Rows of one task and their facts."""

    engine: Engine
    rows: Sequence[Row]
    facts: Sequence[Facts]


def compose(engine: Engine, place: Place, row: Row, facts: Facts) -> QARecord:
    """The record of one row's facts."""
    return compose_all(engine, place, [row], [facts])[0]


def compose_all(
    engine: Engine, place: Place, rows: Sequence[Row], facts: Sequence[Facts]
) -> list[QARecord]:
    """The records of the facts of many rows."""
    table = compose_table(place, [Told(engine, rows, facts)])
    return [record_from_row(row) for row in table.to_pylist()]


def compose_table(place: Place, told: Sequence[Told]) -> pa.Table:
    """Text, ids and provenance for the facts of rows of one scene (n rows).

    Args:
        place: The scene.
        told: The rows, by task.

    Returns:
        Arrow table (n rows) in the schema of `record_schema`, in the order given.

    Raises:
        ValueError: An answer is not of the engine's closed set.
        KeyError: A row lacks the value of a slot.
    """
    rows = [row for one in told for row in one.rows]
    facts = [fact for one in told for fact in one.facts]
    columns = RowColumns(*_cpu.row_columns(rows))
    texts = _texts(place, told, columns)
    options = record_schema().field("options").type
    arrays = {
        **_shared(place, len(rows)),
        **_by_task(place, told),
        **_answers([one.answer for one in facts]),
        **_images(place, columns, [one.marks for one in facts]),
        **texts._asdict(),
        "messages": _messages(columns, texts),
        "options": list_array([one.options for one in facts], options),
        "evidence": evidence_column([one.evidence for one in facts], [row.items for row in rows]),
    }
    return pa.Table.from_arrays([arrays[name] for name in COLUMNS], schema=record_schema())


class RowColumns(NamedTuple):
    """The numbers of n rows, one row after the other.

    Attributes:
        frames: Frames in the order shown.
        frame_ends: (n,) where those of each row end.
        keys: What draws are keyed by: the frames ascending, then the items.
        key_ends: (n,) where that of each row ends.
    """

    frames: NDArray[np.int64]
    frame_ends: NDArray[np.int64]
    keys: NDArray[np.int64]
    key_ends: NDArray[np.int64]

    @property
    def image_count(self) -> NDArray[np.int64]:
        """(n,) images of each row."""
        return np.diff(self.frame_ends, prepend=0)


def _shared(place: Place, count: int) -> dict[str, pa.Array]:
    """What all records of a scene have in common."""
    values = {
        "source": place.source, "space": place.space, "scene": place.scene, "split": place.split,
        "recipe": place.recipe.name, "seed": place.seed, "rule": place.rule,
        "depth_map": place.depth_map, "record_version": SCHEMA_VERSION,
    }  # fmt: skip
    schema = record_schema()
    return {
        name: pa.repeat(pa.scalar(value, schema.field(name).type), count)
        for name, value in values.items()
    }


def _by_task(place: Place, told: Sequence[Told]) -> dict[str, pa.Array]:
    """The columns that the task decides, and the ids; ValueError for an answer of another kind."""
    for engine, _, facts in told:
        words, form = frozenset(engine.words), engine.answer
        for answer in (one.answer for one in facts):
            if answer.text is not None and answer.text not in words:
                raise ValueError(f"{engine.task}: {answer.text!r} is not one of {engine.words}")
            if answer.type != form.type or answer.unit != form.unit:
                said = f"{answer.type} of {answer.unit}, not a {form.type} of {form.unit}"
                raise ValueError(f"{engine.task}: the answer is a {said}")
    which = pa.array(np.arange(len(told)).repeat([len(one.rows) for one in told]))
    engines = [one.engine for one in told]
    names = {
        "task": [engine.task for engine in engines],
        "question_type": [engine.question_type for engine in engines],
        "form": [form_of(engine.task) for engine in engines],
    }
    ids = [
        record_id(place.recipe.name, engine.task, place.source, place.scene, row.frames, row.items)
        for engine, rows, _ in told
        for row in rows
    ]
    return {
        "id": pa.array(ids, pa.string()),
        **{name: pa.array(values, pa.string()).take(which) for name, values in names.items()},
    }


def _answers(answers: Sequence[Answer]) -> dict[str, pa.Array]:
    """The columns of the typed answers, without their sentences."""
    numbers = [answer.number for answer in answers]
    return {
        "answer_type": pa.array([answer.type for answer in answers], pa.string()),
        "answer_text": pa.array([answer.text for answer in answers], pa.string()),
        "answer_unit": pa.array([answer.unit for answer in answers], pa.string()),
        "answer_number": list_array(numbers, record_schema().field("answer_number").type),
    }


def placeholders(image_count: int) -> str:
    """The prompt's image lines: a bare placeholder, or a numbered line for each image."""
    return _PLACEHOLDERS[image_count] if image_count < len(_PLACEHOLDERS) else _lines(image_count)


def _lines(image_count: int) -> str:
    return "\n".join(f"Image {k}: {PLACEHOLDER}" for k in range(1, image_count + 1))


_PLACEHOLDERS = ("", PLACEHOLDER, *(_lines(count) for count in range(2, 33)))


def _texts(place: Place, told: Sequence[Told], rows: RowColumns) -> Texts:
    """The wording of every row; its draws do not depend on the order in which frames are shown."""
    counts = [len(one.rows) for one in told]
    draws = []
    for slot in ("description", "question", "answer"):
        states = np.array([place.state(one.engine.task, slot) for one in told], dtype=np.uint64)
        draws.append(fold_lists(states.repeat(counts), rows.keys, rows.key_ends))
    lines: dict[tuple[Engine, str], int] = {}  # task and variant, and their place among all
    which = [
        lines.setdefault((one.engine, fact.variant), len(lines))
        for one in told for fact in one.facts
    ]  # fmt: skip
    recipe = place.recipe
    wordings = [
        wording_of(
            engine.task, recipe.wordings, described=recipe.descriptions, file=engine.templates
        )
        for engine, _ in lines
    ]
    facts = [fact for one in told for fact in one.facts]
    return drawn_texts(
        [wording.lines(variant) for wording, (_, variant) in zip(wordings, lines, strict=True)],
        np.array(which, dtype=np.int64),
        np.stack(draws),
        [said(fact.slots, wordings[k].names) for k, fact in zip(which, facts, strict=True)],
    )


def _images(
    place: Place, rows: RowColumns, marks: Sequence[tuple[tuple[Mark, ...], ...]]
) -> dict[str, pa.Array]:
    """The columns of frames and images, these taken from the scene's table."""
    schema = record_schema()
    kind = schema.field("images").type.value_type
    taken = place.frame_table.take(rows.frames)
    offsets = pa.array(np.concatenate([[0], rows.frame_ends]).astype(np.int32))
    children = [taken.field(name) for name in ("uri", "width", "height")]
    images = pa.StructArray.from_arrays(
        [*children, _marks(rows, marks, kind.field("marks").type)], fields=list(kind)
    )
    values = {
        "frames": pa.array(rows.frames.astype(np.int32)),
        "frame_names": taken.field("name"),
        "images": images,
    }
    return {
        name: pa.ListArray.from_arrays(offsets, column, type=schema.field(name).type)
        for name, column in values.items()
    }


def _marks(
    rows: RowColumns, marks: Sequence[tuple[tuple[Mark, ...], ...]], kind: pa.DataType
) -> pa.ListArray:
    """The marks of every image; most rows have none."""
    marked = [on_them for on_them in marks if on_them]
    counts = np.zeros(len(rows.frames), dtype=np.int32)
    counts[np.repeat([bool(on_them) for on_them in marks], rows.image_count)] = [
        len(on_it) for on_them in marked for on_it in on_them
    ]
    flat = list_array([[mark for on_them in marked for on_it in on_them for mark in on_it]], kind)
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, flat.values, type=kind)


def _messages(rows: RowColumns, texts: Texts) -> pa.Array:
    """The column `messages`: a user turn and an assistant turn for each row."""
    kind, count = record_schema().field("messages").type, len(rows.key_ends)
    most = int(rows.image_count.max(initial=0))
    shown = pa.array([placeholders(images) for images in range(most + 1)], pa.string())
    prompts = pc.binary_join_element_wise(
        shown.take(pa.array(rows.image_count)), texts.question, "\n"
    )
    # Prompt, answer, prompt, answer, ...: of both columns joined, row k and row count + k.
    turns = np.arange(2 * count).reshape(2, count).T.ravel()
    contents = pa.concat_arrays([prompts, texts.answer]).take(pa.array(turns))
    roles = pa.array(["user", "assistant"], pa.string()).take(pa.array(np.arange(2 * count) % 2))
    values = pa.StructArray.from_arrays([roles, contents], fields=list(kind.value_type))
    return pa.ListArray.from_arrays(
        pa.array(np.arange(0, 2 * count + 1, 2, dtype=np.int32)), values, type=kind
    )
