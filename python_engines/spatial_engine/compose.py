# SPDX-License-Identifier: Apache-2.0
"""Facts to records: text, ids and provenance, column by column, alike for all tasks.

`generate` and `verify` both go through `compose_table`, so that `verify` compares whole records,
words included. All rows of a scene are composed together, whatever their tasks: images are taken
from the scene's own table, and only the texts, the evidence and the ids are made row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from spatial_engine.engine import Engine, Facts, Place, Row, SceneContext, form_of
from spatial_engine.record import (
    PLACEHOLDER,
    SCHEMA_VERSION,
    QARecord,
    list_array,
    record_from_row,
    record_ids,
    record_schema,
)
from spatial_engine.wording import Text, wording_of
from spatialcore import _cpu
from spatialcore.draws import fold_lists

if TYPE_CHECKING:
    from spatial_engine.marks import Mark
    from spatialcore.relations.recipe import Recipe


def canonical_json(value: Mapping[str, Any]) -> str:
    """JSON with sorted keys, no spaces and shortest round-trip floats.

    The bytes are those of `json.dumps(..., sort_keys=True, separators=(",", ":"))`, written in one
    compiled walk: with a dozen floats a record, json took a seventh of the time of generating.

    Raises:
        ValueError: A float is not finite.
        TypeError: A key is not text, or a value is none that JSON has.

    Example:
        >>> canonical_json({"b": [1, 0.1], "a": None})
        '{"a":null,"b":[1,0.1]}'
    """
    return _cpu.canonical_json(dict(value))


def make(engine: Engine, context: SceneContext, row: Row) -> QARecord:
    """The record of one candidate. Pure."""
    return compose(engine, context.place, row, engine.facts(context, [row])[0])


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
        ValueError: An answer is not of the engine's closed set, or a template lacks a slot.
    """
    rows = [row for one in told for row in one.rows]
    facts = [fact for one in told for fact in one.facts]
    texts = _texts(place, told)
    questions = [
        f"{text.description}\n{text.question}" if text.description else text.question
        for text in texts
    ]
    prompts = [
        f"{placeholders(len(row.frames))}\n{question}"
        for row, question in zip(rows, questions, strict=True)
    ]
    answers = [one.answer for one in facts]
    listed: dict[str, Sequence[Sequence[Any]]] = {
        "frames": [row.frames for row in rows],
        "options": [one.options for one in facts],
        "answer_number": [answer.number for answer in answers],
        "templates": [text.ids for text in texts],
    }
    varying: dict[str, Sequence[Any]] = {
        **_by_task(place, told),
        "question": questions,
        "answer": [text.answer for text in texts],
        "answer_type": [answer.type for answer in answers],
        "answer_text": [answer.text for answer in answers],
        "answer_unit": [answer.unit for answer in answers],
        "evidence": [
            _cpu.canonical_json({**one.evidence, "items": row.items})
            for row, one in zip(rows, facts, strict=True)
        ],
    }
    nested = {
        **_images(place, listed["frames"], [one.marks for one in facts]),
        "messages": _messages(prompts, varying["answer"]),
    }
    return _table(len(rows), _shared(place), varying, listed, nested)


def _shared(place: Place) -> dict[str, Any]:
    """What all records of a scene have in common."""
    return {
        "source": place.source, "space": place.space, "scene": place.scene, "split": place.split,
        "recipe": place.recipe.name, "seed": place.seed, "rule": place.rule,
        "depth_map": place.depth_map, "record_version": SCHEMA_VERSION,
    }  # fmt: skip


def _by_task(place: Place, told: Sequence[Told]) -> dict[str, list[str]]:
    """The columns that the task decides, and the ids; ValueError for a word of another set."""
    out: dict[str, list[str]] = {name: [] for name in ("task", "question_type", "form", "id")}
    for engine, rows, facts in told:
        words, task = frozenset(engine.words), engine.task
        for one in facts:
            if one.answer.text is not None and one.answer.text not in words:
                raise ValueError(f"{task}: {one.answer.text!r} is not one of {engine.words}")
        out["task"] += [task] * len(rows)
        out["question_type"] += [engine.question_type] * len(rows)
        out["form"] += [form_of(task)] * len(rows)
        out["id"] += record_ids(place.recipe.name, task, place.source, place.scene, rows)
    return out


def _table(
    count: int,
    shared: Mapping[str, Any],
    varying: Mapping[str, Sequence[Any]],
    listed: Mapping[str, Sequence[Sequence[Any]]],
    nested: Mapping[str, pa.Array],
) -> pa.Table:
    """The columns in the order of the schema."""
    arrays = []
    for field in record_schema():
        name, kind = field.name, field.type
        if name in shared:
            arrays.append(pa.repeat(pa.scalar(shared[name], kind), count))
        elif name in varying:
            arrays.append(pa.array(varying[name], kind))
        else:
            arrays.append(nested[name] if name in nested else list_array(listed[name], kind))
    return pa.Table.from_arrays(arrays, schema=record_schema())


def placeholders(image_count: int) -> str:
    """The prompt's image lines: a bare placeholder, or a numbered line for each image."""
    return _PLACEHOLDERS[image_count] if image_count < len(_PLACEHOLDERS) else _lines(image_count)


def _lines(image_count: int) -> str:
    return "\n".join(f"Image {k}: {PLACEHOLDER}" for k in range(1, image_count + 1))


_PLACEHOLDERS = ("", PLACEHOLDER, *(_lines(count) for count in range(2, 33)))


def _renderer(task: str, recipe: Recipe) -> Callable[..., Text]:
    return wording_of(task, recipe.wordings, described=recipe.descriptions).render


def _texts(place: Place, told: Sequence[Told]) -> list[Text]:
    """The wording of every row; its draws do not depend on the order in which frames are shown."""
    keys = [(*sorted(row.frames), *row.items) for one in told for row in one.rows]
    numbers = np.fromiter(chain.from_iterable(keys), np.int64)
    ends, counts = np.cumsum(list(map(len, keys))), [len(one.rows) for one in told]
    drawn = []
    for slot in ("description", "question", "answer"):
        states = np.array([place.state(one.engine.task, slot) for one in told], dtype=np.uint64)
        drawn.append(fold_lists(states.repeat(counts), numbers, ends).tolist())
    recipe = place.recipe
    renderers = chain.from_iterable(
        repeat(_renderer(one.engine.task, recipe), len(one.rows)) for one in told
    )
    facts = (fact for one in told for fact in one.facts)
    return [
        render(d, q, a, one.slots, one.variant)
        for render, one, d, q, a in zip(renderers, facts, *drawn, strict=True)
    ]


def _images(
    place: Place,
    frames: Sequence[Sequence[int]],
    marks: Sequence[tuple[tuple[Mark, ...], ...]],
) -> dict[str, pa.Array]:
    """The columns `frame_names` and `images`, taken from the scene's table of frames."""
    schema, table = record_schema(), place.frame_table
    names, images = schema.field("frame_names").type, schema.field("images").type
    flat = [table.row_of[frame] for shown in frames for frame in shown]
    taken = table.images.take(pa.array(flat, pa.int32()))
    offsets = pa.array(np.cumsum([0, *map(len, frames)]), pa.int32())
    on_images = [
        on_it
        for shown, on_them in zip(frames, marks, strict=True)
        for on_it in (on_them or ((),) * len(shown))
    ]
    image = images.value_type
    children = [taken.field(name) for name in ("uri", "width", "height")]
    values = pa.StructArray.from_arrays(
        [*children, list_array(on_images, image.field("marks").type)], fields=list(image)
    )
    return {
        "frame_names": pa.ListArray.from_arrays(offsets, taken.field("name"), type=names),
        "images": pa.ListArray.from_arrays(offsets, values, type=images),
    }


def _messages(prompts: Sequence[str], answers: Sequence[str]) -> pa.Array:
    """The column `messages`: a user turn and an assistant turn for each row."""
    kind, count = record_schema().field("messages").type, len(prompts)
    contents = [turn for pair in zip(prompts, answers, strict=True) for turn in pair]
    values = pa.StructArray.from_arrays(
        [pa.array(["user", "assistant"] * count, pa.string()), pa.array(contents, pa.string())],
        fields=list(kind.value_type),
    )
    return pa.ListArray.from_arrays(pa.array(range(0, 2 * count + 1, 2), pa.int32()), values, kind)
