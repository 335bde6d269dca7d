# SPDX-License-Identifier: Apache-2.0
"""QARecord: one question with its typed answer, evidence and provenance, and its two file forms.

Parquet is the canonical form, one row a record, in the schema of `RECORD_SCHEMA_FIELDS`; JSON lines
hold the same fields. Files from elsewhere are checked before a row is believed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, chain
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial_engine.records import answers
from spatial_engine.records.answers import CLOSED, FREE, WRITTEN, Answer
from spatial_engine.records.columns import check_nulls, schema_difference
from spatial_engine.records.marks import Mark
from spatial_engine.records.reading import parse_answer
from spatialcore.errors import RecordError
from spatialcore.io.parquet import ParquetFile, plain_rows
from spatialcore.io.parquet_footer import ParquetError

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 3
ROW_GROUP_ROWS = 16_384
# Level 3 takes a third longer and makes 4 % larger files: texts repeat over long distances.
ZSTD_LEVEL = 1
PLACEHOLDER = "<image>"
IMPORTED = "imported"

# Strings with few distinct values are stored as a dictionary; ids and texts are not.
_DICTIONARY = [
    "source", "space", "scene", "split", "task", "question_type", "form", "answer_type",
    "answer_text", "answer_unit", "recipe", "rule", "depth_map", "templates.list.element",
    "options.list.element", "messages.list.element.role", "images.list.element.uri",
    *(f"images.list.element.marks.list.element.{name}" for name in ("colour", "letter")),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image by reference: `uri` relative to the source's root, size in pixels, marks to draw."""

    uri: str
    width: int
    height: int
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation; `<image>` stands for the next image."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class QARecord:
    """One question with its answer. The fields are the columns of the Parquet schema, in order.

    Attributes:
        id: `<task>/<scene>/<16 hex digits>`, see `record_id`.
        frames: Indices of the frames, in the order shown.
        question: Description, newline, question; without image placeholders.
        answer: The sentence, with the machine answer as its one backticked span.
        options: What a choice offers, empty when there is none.
        evidence: Canonical JSON of the numbers that the answer came from, in SI units.
        messages: The conversation, which ends in the answer; imported ones may have earlier turns.
        rule: The depth rule and its numbers, e.g. "tolerance(0.1,0.05)"; `IMPORTED`
            of an imported record, whose answer nothing computes.
        templates: Ids of the description, question and answer that were used.
    """

    id: str
    source: str
    space: str
    scene: str
    split: str
    task: str
    question_type: str
    form: str
    frames: tuple[int, ...]
    frame_names: tuple[str, ...]
    images: tuple[ImageRef, ...]
    question: str
    answer: str
    options: tuple[str, ...]
    answer_type: str
    answer_text: str | None
    answer_number: tuple[float, ...]
    answer_unit: str
    messages: tuple[Message, ...]
    evidence: str
    recipe: str
    seed: int
    rule: str
    depth_map: str
    templates: tuple[str, ...]
    record_version: int = SCHEMA_VERSION

    @property
    def facts(self) -> dict[str, Any]:
        """The evidence as a dictionary; RecordError when it is none."""
        try:
            found = json.loads(self.evidence)
        except (ValueError, RecursionError) as error:
            raise RecordError(f"{self.id}: the evidence is not JSON") from error
        if not isinstance(found, dict):
            raise RecordError(f"{self.id}: the evidence is not a JSON object")
        return found

    @property
    def has_geometry(self) -> bool:
        """Whether the answer was computed; False of a record that was imported."""
        return self.rule != IMPORTED

    @property
    def typed_answer(self) -> Answer:
        """The answer as its typed value; steps and maps are read from the sentence."""
        if self.answer_type in WRITTEN:
            kind: Any = self.answer_type
            parsed = parse_answer(self.answer, kind, self.answer_unit).answer
            if parsed is None:
                raise RecordError(f"{self.id}: the answer holds no {kind}: {self.answer!r}")
            return parsed
        return Answer(
            self.answer_type,  # type: ignore[arg-type]  # a closed set, checked on reading
            self.answer_unit,
            self.answer_text,
            self.answer_number,
        )


COLUMNS = tuple(f.name for f in dataclasses.fields(QARecord))


def record_id(
    recipe: str, task: str, source: str, scene: str, frames: Iterable[int], items: Iterable[int]
) -> str:
    """Id of a record: unique in a data set, independent of the seed and of the row.

    Args:
        recipe: Name of the recipe.
        task: Task name.
        source: Source key.
        scene: Scene id.
        frames: Frame indices in any order; they are sorted.
        items: Point, object or track ids, in the engine's order.

    Example:
        >>> record_id("default", "camera_movement.distance", "scannet", "scene0000_00", [25, 9], [])
        'camera_movement.distance/scene0000_00/6d89d84431275b0d'
    """
    shown, about = ",".join(map(str, sorted(frames))), ",".join(map(str, items))
    text = f"{recipe}|{task}|{source}|{scene}|{shown}|{about}"
    return f"{task}/{scene}/{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


def check_record(record: QARecord) -> None:
    """Check what the schema cannot say: closed sets, counts, and that text and value agree.

    Raises:
        RecordError: The record contradicts itself; the message names the id and the field.
    """
    problem = _problem(record)
    if problem:
        raise RecordError(f"{record.id}: {problem}")


def _problem(record: QARecord) -> str:
    if record.record_version != SCHEMA_VERSION:
        return f"record_version is {record.record_version}, this release reads {SCHEMA_VERSION}"
    if record.answer_type not in answers.ANSWER_TYPES:
        return f"unknown answer_type {record.answer_type!r}"
    if record.answer_unit not in answers.UNITS:
        return f"unknown answer_unit {record.answer_unit!r}"
    expected = answers.NUMBER_COUNT.get(record.answer_type, 0)
    if len(record.answer_number) != expected:
        return f"a {record.answer_type} has {expected} numbers, got {len(record.answer_number)}"
    if not all(math.isfinite(value) for value in record.answer_number):
        return "answer_number is not finite"
    if found := next(filter(None, map(_image_problem, record.images)), ""):
        return found
    if (record.answer_text is not None) != (record.answer_type in (*CLOSED, FREE)):
        return f"answer_text is {record.answer_text!r} for a {record.answer_type}"
    if len(record.frames) != len(record.frame_names):
        return f"{len(record.frames)} frames but {len(record.frame_names)} names"
    return _text_problem(record) or _turns_problem(record) or _evidence_problem(record)


def _text_problem(record: QARecord) -> str:
    """Whether the sentence says another answer than the value."""
    if record.answer_type == FREE:
        differs = record.answer != record.answer_text
        return "the answer is not the text that it is said to be" if differs else ""
    if record.answer.count("`") != 2 or ("`" in record.question and record.has_geometry):
        return "the answer needs exactly one backticked span, the question none"
    span = record.answer.split("`")[1]
    if span != record.typed_answer.span:
        return f"the answer says {span!r}, its value is {record.typed_answer.span!r}"
    return ""


def _turns_problem(record: QARecord) -> str:
    """Whether the conversation ends in another answer, or shows other images."""
    said = [turn.content for turn in record.messages if turn.role == "assistant"]
    if said and said[-1] != record.answer:
        return "the assistant turn differs from the answer"
    if len(said) > 1 and record.has_geometry:
        return "a record that was made asks one question, this has several answers"
    shown = sum(turn.content.count(PLACEHOLDER) for turn in record.messages if turn.role == "user")
    if record.messages and shown != len(record.images):
        return "the prompt's placeholders differ from the images"
    return ""


def _evidence_problem(record: QARecord) -> str:
    try:
        _ = record.facts
    except RecordError as error:
        return str(error).removeprefix(f"{record.id}: ")
    return ""


def _image_problem(image: ImageRef) -> str:
    if min(image.width, image.height) < 1:
        return f"an image of {image.width}x{image.height} pixels"
    faults = (mark.fault(image.width, image.height) for mark in image.marks)
    return next(filter(None, faults), "")


@cache
def record_schema() -> pa.Schema:
    """The Arrow schema of a record file, without metadata."""
    import pyarrow as pa

    def listed(kind: pa.DataType) -> pa.DataType:
        return pa.list_(pa.field("element", kind))

    text, names = pa.string(), listed(pa.string())
    mark = pa.struct(
        [("u", pa.float64()), ("v", pa.float64()), ("radius", pa.int32()), ("colour", text),
         ("letter", text), ("width", pa.float64()), ("height", pa.float64()),
         ("runs", listed(pa.int32()))]
    )  # fmt: skip
    image = pa.struct(
        [("uri", text), ("width", pa.int32()), ("height", pa.int32()), ("marks", listed(mark))]
    )
    message = pa.struct([("role", text), ("content", text)])
    special = {
        "frames": listed(pa.int32()), "frame_names": names, "images": listed(image),
        "options": names, "answer_number": listed(pa.float64()), "messages": listed(message),
        "seed": pa.int64(), "templates": names, "record_version": pa.int32(),
    }  # fmt: skip
    return pa.schema([(name, special.get(name, text)) for name in COLUMNS])


def list_array(rows: Sequence[Sequence[Any]], kind: pa.DataType) -> pa.Array:
    """A list array from flat children: several times faster than converting nested objects."""
    import pyarrow as pa

    flat = list(chain.from_iterable(rows))
    offsets = list(accumulate(map(len, rows), initial=0))
    element = kind.value_type
    if pa.types.is_struct(element):
        children = []
        for child in element:
            column = list(map(attrgetter(child.name), flat))
            nested = pa.types.is_list(child.type)
            children.append(
                list_array(column, child.type) if nested else pa.array(column, child.type)
            )
        values = pa.StructArray.from_arrays(children, fields=list(element))
    else:
        values = pa.array(flat, element)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, type=kind)


def records_to_table(records: Sequence[QARecord]) -> pa.Table:
    """Records as an Arrow table in the schema of `record_schema`."""
    import pyarrow as pa

    arrays = []
    for entry in record_schema():
        column = [getattr(record, entry.name) for record in records]
        make = list_array if pa.types.is_list(entry.type) else pa.array
        arrays.append(make(column, entry.type))
    return pa.Table.from_arrays(arrays, schema=record_schema())


def write_records(path: str | Path, records: Sequence[QARecord]) -> None:
    """Write records as one Parquet file; equal records give equal bytes."""
    write_table(path, records_to_table(records))


def write_table(path: str | Path, table: pa.Table) -> None:
    """Write a table of records as one Parquet file; equal tables give equal bytes.

    zstd level 1, row groups of 16,384, dictionaries on strings with few values, no metadata. The
    file is written in place: `pipeline` adds the temporary name and the rename.
    """
    import pyarrow.parquet as pq

    pq.write_table(
        table.combine_chunks(),
        str(path),
        row_group_size=ROW_GROUP_ROWS,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=_DICTIONARY,
        store_schema=False,
        data_page_version="1.0",
    )


def record_from_row(row: dict[str, Any]) -> QARecord:
    """A record from a dictionary of the schema's fields, as JSON or Arrow gives it.

    Raises:
        RecordError: A field is missing, unknown or of another type.
    """
    try:
        fields = {name: row[name] for name in COLUMNS}
        if unknown := sorted(set(row) - set(COLUMNS)):
            raise RecordError(f"unknown field {unknown[0]!r}")
        empty = [name for name in COLUMNS if row[name] is None and name != "answer_text"]
        if empty:
            raise RecordError(f"{empty[0]} is null")
        for name in ("frames", "frame_names", "options", "answer_number", "templates"):
            fields[name] = tuple(fields[name])
        fields["answer_number"] = tuple(float(value) for value in fields["answer_number"])
        fields["messages"] = tuple(Message(**turn) for turn in row["messages"])
        fields["images"] = tuple(
            ImageRef(i["uri"], i["width"], i["height"], tuple(map(_mark, i["marks"])))
            for i in row["images"]
        )
        return QARecord(**fields)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RecordError(f"not a record: {type(error).__name__}: {error}") from error


def _mark(row: dict[str, Any]) -> Mark:
    return Mark(**{**row, "runs": tuple(row["runs"])})


def read_records(path: str | Path, *, columns_only: bool = False) -> Iterator[QARecord]:
    """Records of one Parquet file, read row group by row group, checked before use.

    Args:
        path: The file.
        columns_only: Skip `check_record`, for files this process has just written.

    Raises:
        RecordError: Not a Parquet file, another schema, damaged columns, or a bad record.
    """
    for table in read_tables(path):
        for row in plain_rows(table):
            try:
                record = record_from_row(row)
                if not columns_only:
                    check_record(record)
            except RecordError as error:
                raise RecordError(f"{path}: {error}") from error
            yield record


def read_tables(path: str | Path) -> Iterator[pa.Table]:
    """Row groups of a record file as Arrow tables, with the schema and every column checked.

    Raises:
        RecordError: Not a Parquet file, another schema, or damaged columns.
    """
    try:
        with ParquetFile(path) as file:
            if not file.schema.equals(record_schema(), check_metadata=False):
                raise RecordError(f"{path}: {schema_difference(file.schema, record_schema())}")
            for table in file.read_groups():
                check_nulls(path, table)
                yield table
    except ParquetError as error:
        raise RecordError(f"{path}: cannot be read as records: {error}") from error
