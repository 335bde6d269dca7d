# SPDX-License-Identifier: Apache-2.0
"""Records, answers, marks and quotas, each by itself and by hand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from spatial_engine.plan.balance import (
    SmallestHashes,
    allocate,
    bin_quotas,
    largest_remainder,
    most_of_a_word,
)
from spatial_engine.records import answers
from spatial_engine.records.jsonl import read_jsonl, record_to_json, write_jsonl
from spatial_engine.records.marks import Mark, draw_marks, letter_corner
from spatial_engine.records.reading import parse_answer
from spatial_engine.records.record import (
    ImageRef,
    Message,
    QARecord,
    read_records,
    record_schema,
    records_to_table,
    write_records,
)
from spatialcore.errors import RecordError

RECORD = QARecord(
    "t/s/0", "src", "s", "s", "train", "t", "open", "number", (1, 2), ("a", "b"),
    (ImageRef("a.jpg", 640, 480, (Mark(3.0, 4.0, 5, "red", "A"),)), ImageRef("b.jpg", 640, 480)),
    "How far?", "It is `12` mm.", (), "integer", None, (12.0,), "mm",
    (Message("user", "<image><image>How far?"), Message("assistant", "It is `12` mm.")),
    "{}", "default", 0, "strict", "identity", ("d", "q", "a"),
)  # fmt: skip


def test_records_survive_both_file_forms(tmp_path: Path) -> None:
    write_records(tmp_path / "a.parquet", [RECORD])
    write_jsonl(tmp_path / "a.jsonl", [RECORD])
    assert list(read_records(tmp_path / "a.parquet")) == [RECORD]
    assert list(read_jsonl(tmp_path / "a.jsonl")) == [RECORD]


def test_file_is_stored_as_promised(tmp_path: Path) -> None:
    write_records(tmp_path / "a.parquet", [RECORD] * 16_385)
    found = pq.ParquetFile(tmp_path / "a.parquet")
    assert found.schema_arrow.equals(record_schema())
    assert not found.metadata.metadata
    assert [found.metadata.row_group(g).num_rows for g in range(2)] == [16_384, 1]
    assert found.metadata.row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", 5), ("seed", "x"), ("frames", "ab"), ("question", None), ("extra", 1),
        ("answer_number", [float("nan")]), ("answer_number", [13.0]), ("answer_number", []),
        ("answer_unit", "yard"), ("answer_type", "guess"), ("answer_text", "twelve"),
        ("messages", []), ("record_version", 1), ("frame_names", ["a"]),
    ],
)  # fmt: skip
def test_bad_lines_are_refused(tmp_path: Path, field: str, value: object) -> None:
    row = {**json.loads(record_to_json(RECORD)), field: value}
    if field == "messages":
        row["messages"] = [{"role": "user", "content": "no image"}]
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"a\.jsonl:1"):
        list(read_jsonl(tmp_path / "a.jsonl"))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"id": "\xff\xfe"}\n')
    with pytest.raises(RecordError, match=r"a\.jsonl:1"):
        list(read_jsonl(tmp_path / "a.jsonl"))


def test_bad_parquet_is_refused(tmp_path: Path) -> None:
    path, table = tmp_path / "a.parquet", records_to_table([RECORD])
    wrong = dataclasses.replace(RECORD, answer_number=(float("nan"),))
    for bad in (
        table.append_column("extra", pa.array([1])),
        table.drop_columns(["rule"]),
        table.set_column(21, "seed", pa.array(["0"])),
        records_to_table([wrong]),
    ):
        pq.write_table(bad, path)
        with pytest.raises(RecordError):
            list(read_records(path))
    write_records(path, [RECORD])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RecordError):
        list(read_records(path))


@given(st.lists(st.integers(-99_999, 99_999), min_size=3, max_size=3))
def test_numbers_read_back_as_written(values: list[int]) -> None:
    for answer in (
        answers.vector(values, "mm"),
        answers.integer(values[0], "mm"),
        answers.number(values[0] / 10, "m"),
        answers.coordinate(abs(values[0]), abs(values[1])),
    ):
        for dialect in ("multispa", "lenient"):
            text = f"So `{answer.span}`."
            assert parse_answer(text, answer.type, answer.unit, dialect=dialect).answer == answer


def test_answers_by_hand() -> None:
    assert answers.integer(-3.9, "mm", "truncate").number == (-3.0,)
    assert [answers.round_number(v) for v in (0.5, 1.5, -2.5)] == [0.0, 2.0, -2.0]
    assert parse_answer("1,234 mm", "integer", "mm").answer == answers.integer(1234, "mm")
    assert parse_answer("1.2 m", "integer", "mm").answer == answers.integer(1200, "mm")
    assert parse_answer("1 or 2", "integer", "mm").answer is None
    assert parse_answer("1 or 2", "integer", "mm", dialect="lenient").answer is None
    walk = answers.steps(
        [answers.Step("left", 1.26, "door", 88), answers.Step("slight-right", 2.0, angle_deg=-30),
         answers.Step("around", 0.5)]
    )  # fmt: skip
    assert walk.span == "left 88 deg 1.3 m door; slight-right -30 deg 2.0 m; around 0.5 m"
    assert parse_answer("`leap 1.0 m`", "steps", "steps").answer is None
    assert parse_answer(f"`{walk.span}`", "steps", "steps").answer == walk


@given(st.integers(0, 319), st.integers(0, 239), st.integers(0, 319), st.integers(0, 239))
def test_letters_stay_on_the_canvas(u: int, v: int, other_u: int, other_v: int) -> None:
    column, row = letter_corner(
        Mark(u, v, 3, "red", "A"), [Mark(other_u, other_v, 3, "blue")], (320, 240), 8
    )
    assert 5 <= column < 320 - 5
    assert 5 <= row < 240 - 5
    assert max(abs(column - u), abs(row - v)) >= 3


@pytest.mark.parametrize("grey", [0, 127, 255])
def test_marks_show_on_any_ground_and_leave_the_image_alone(grey: int) -> None:
    image = Image.new("RGB", (320, 240), (grey,) * 3)
    drawn = np.asarray(
        draw_marks(image, [Mark(0, 239, 3, "red", "A"), Mark(99, 99, 5, "blue")], letter_height=8)
    )
    assert (np.asarray(image) == grey).all()
    assert (drawn[99, 99] == (30, 80, 235)).all()
    disc = drawn[90:109, 90:109].astype(int).sum(axis=2)
    assert disc.max() == 765
    assert disc.min() < 100


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(0, 300))
def test_quotas_are_kept(sizes: list[int], total: int) -> None:
    assert sum(bin_quotas(total, len(sizes))) == total
    for balance in ("carry", "even"):
        taken = allocate(sizes, total, balance).taken
        assert all(t <= size for t, size in zip(taken, sizes, strict=True))
        assert sum(taken) <= total
        assert (
            sum(taken) == total or balance == "even" or taken[int(np.argmax(sizes))] <= max(sizes)
        )


def test_rows_split_exactly_with_ties_by_name() -> None:
    assert largest_remainder(10, {"b": 1, "a": 1, "c": 1}) == {"a": 4, "b": 3, "c": 3}


def test_smallest_hashes_leave_equals_out() -> None:
    heap = SmallestHashes(2)
    heap.add(np.array([9, 4], np.uint64), 0)
    heap.add(np.array([1, 4], np.uint64), 1)
    hashes, owners = heap.chosen()
    assert hashes.tolist() == [1]
    assert owners.tolist() == [1]


@given(st.lists(st.integers(0, 500), min_size=2, max_size=4))
def test_no_word_is_more_than_55_percent(taken: list[int]) -> None:
    most = most_of_a_word(taken)
    assert all(m <= t for m, t in zip(most, taken, strict=True))
    given_up = [t - m for m, t in zip(most, taken, strict=True)]
    assert sum(x > 0 for x in given_up) <= 1
    if sum(count > 0 for count in taken) > 1:
        assert max(most) <= max(1, 0.55 * sum(most) + 1e-9)
        # Not one row more is given up than need be.
        over = max(most) + 1
        assert not any(given_up) or over > 0.55 * (sum(most) + 1)
    else:
        assert most == taken
