# SPDX-License-Identifier: Apache-2.0
"""The door to Parquet files: footers as libparquet reads them, and no bit that ends a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spatial_engine.records.partial import may_hold, read_ids
from spatial_engine.records.record import read_records, write_records
from spatialcore.errors import RecordError
from spatialcore.io.parquet import ParquetFile, as_numpy, read_parquet
from spatialcore.io.parquet_footer import ParquetError, parse_footer, read_footer
from tests.mllm.fabricated import make_records

ROOT = Path(__file__).parents[2]


def end_at_two_bits(path: Path) -> None:
    """What libparquet would do to the process, to see that it is told."""
    if path.suffix == ".flipped" and int(path.with_suffix(".bit").read_text()) in (43, 46):
        os.abort()


READS: dict[str, Callable[[Path], Any]] = {
    "ids": read_ids,
    "records": lambda path: list(read_records(path)),
    "bounds": lambda path: may_hold(path, "scene", "of no record"),
    "ends": end_at_two_bits,
}


def small(path: Path) -> Path:
    """Two row groups of numbers, texts and lists, which have statistics of sizes."""
    table = pa.table({"id": ["a", "b", "c"], "list": [["x"], [], ["y", "z"]], "n": [1, 2, 3]})
    pq.write_table(table, path, compression="zstd", row_group_size=2, store_schema=False)
    return path


def test_the_footer_says_what_libparquet_says(tmp_path: Path) -> None:
    metadata = pq.read_metadata(small(tmp_path / "a.parquet"))
    groups = read_footer(tmp_path / "a.parquet")
    assert len(groups) == metadata.num_row_groups == 2
    for k, group in enumerate(groups):
        said = metadata.row_group(k)
        assert (group.row_count, group.byte_count) == (said.num_rows, said.total_byte_size)
        for chunk, column in zip(group.columns, map(said.column, range(3)), strict=True):
            assert chunk.path == column.path_in_schema
            assert chunk.value_count == column.num_values
            assert chunk.byte_count == column.total_uncompressed_size
    assert groups[0].columns[0].bounds == (b"a", b"b")
    assert groups[1].columns[1].bounds == (b"y", b"z")
    assert read_parquet(tmp_path / "a.parquet", ["n", "id"]).to_pydict() == {
        "n": [1, 2, 3], "id": ["a", "b", "c"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "ends within a value"),
        (b"\x00", "row groups: missing"),
        (b"\x49\xfc" + b"\xff" * 10, "a number of more than 64 bits"),
        (b"\x49\xfc\xff\xff\xff\x0f\x00", "a list of 33,554,431 in fewer bytes"),
        (b"\x48\x02ab", "field 4 is twice or another type"),
        (b"\x49\x0c\x09\x08\x0c\x00", "field 4 is twice or another type"),
        (b"\x49\x1c\x00", "columns of a row group: missing"),
        (b"\x1c" * 40, "nested too deep"),
        (b"\x19" * 40, "nested too deep"),
        (b"\x1f\x00", "a value of type 15"),
        (b"\x1b\xff\xff\xff\x0f\x55", "a map of"),
    ],
)
def test_a_damaged_footer_is_named(content: bytes, said: str) -> None:
    with pytest.raises(ParquetError, match=said):
        parse_footer(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "0 bytes"), (b"PAR1" * 3 + b"x", "not Parquet, or cut"),
        (b"PAR1" + b"\xff\xff\xff\x00PAR1", "a footer of 16,777,215 bytes in a file of 12"),
    ],
)  # fmt: skip
def test_what_is_no_parquet_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(ParquetError, match=said):
        ParquetFile(tmp_path / "a.parquet")
    for path in (tmp_path, Path("/dev/null"), tmp_path / "none"):
        with pytest.raises(ParquetError, match=r"not a file|is a directory|no such file"):
            read_footer(path)


def test_numbers_are_read_without_pandas(tmp_path: Path) -> None:
    code = (
        "import sys; from spatialcore.io.parquet import as_numpy, read_parquet;"
        f"numbers = as_numpy(read_parquet({str(small(tmp_path / 'a.parquet'))!r})['n']);"
        "assert numbers.tolist() == [1, 2, 3];"
        "assert 'pandas' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert as_numpy(pa.array([True, False])).tolist() == [True, False]
    assert as_numpy(pa.array([], pa.int32())).dtype == "int32"
    assert str(as_numpy(pa.array([1.5, None])).tolist()) == "[1.5, nan]"
    with pytest.raises(ParquetError, match="1 nulls in a column of int64"):
        as_numpy(pa.array([1, None]))


def flips(path: Path, bits: range) -> Iterator[tuple[int, Path]]:
    """One copy of a file, each time with another bit of its footer changed."""
    whole = path.read_bytes()
    start = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    copy = path.with_suffix(".flipped")
    copy.write_bytes(whole)
    with copy.open("r+b", buffering=0) as file:
        for bit in bits:
            at = start + bit // 8
            os.pwrite(file.fileno(), bytes([whole[at] ^ 1 << bit % 8]), at)
            yield bit, copy
            os.pwrite(file.fileno(), whole[at : at + 1], at)


def footer_bits(path: Path) -> range:
    whole = path.read_bytes()
    return range(8 * (int.from_bytes(whole[-8:-4], "little") + 8))


def read_flipped(path: Path, bits: range, names: list[str]) -> None:
    """Read damaged copies, in a process alone: the right data or one line of a typed error."""
    right = {name: READS[name](path) for name in names}
    with path.with_suffix(".bit").open("wb", buffering=0) as noted:
        for bit, copy in flips(path, bits):
            os.pwrite(noted.fileno(), b"%9d" % bit, 0)
            for name, wanted in right.items():
                try:
                    found = READS[name](copy)
                except (ParquetError, RecordError) as error:
                    found = wanted if "\n" not in str(error) else error
                assert found == wanted or name == "bounds", (name, copy.read_bytes(), found)


def ending(path: Path, bits: range, *names: str) -> list[str]:
    """The bits whose change ends a process that reads the file, and how.

    One process reads all copies; the next goes on behind the bit that ended it.
    """
    found = []
    while bits:
        code = (
            "import tests.io.test_parquet as t; from pathlib import Path;"
            f"t.read_flipped(Path({str(path)!r}), {bits!r}, {list(names)!r})"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            break
        bit = int(path.with_suffix(".bit").read_text())
        found.append(f"bit {bit}: {done.returncode}: {done.stderr[-600:]}")
        bits = bits[bit + 1 - bits.start :]
    return found


def test_no_bit_of_a_small_footer_ends_the_process(tmp_path: Path) -> None:
    """Of some of them libparquet does, where it is asked for the metadata of a column."""
    path = tmp_path / "a.parquet"
    table = pa.table({"id": ["a", "b"], "list": [["x"], []]})
    pq.write_table(table, path, store_schema=False, use_dictionary=False)
    assert ending(path, footer_bits(path), "ids") == []


def test_a_column_at_another_ones_place_is_refused(tmp_path: Path) -> None:
    """Else a bit of a footer would give the values of one column for those of another."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["x", "y"], "b": ["z", "w"]}), path, use_dictionary=False)
    first, second = (chunk.pages for chunk in read_footer(path)[0].columns)
    assert first[1] <= second[0]
    whole = path.read_bytes()
    length = int.from_bytes(whole[-8:-4], "little")
    footer = whole[-8 - length : -8]
    there, wrong = (b"&" + bytes([2 * start]) for start, _ in (second, first))  # 64 bits, zigzag
    assert footer.count(there) == 1
    path.write_bytes(whole[: -8 - length] + footer.replace(there, wrong) + whole[-8:])
    with pytest.raises(ParquetError, match="two columns at one place"):
        read_footer(path)


@pytest.mark.parametrize("rows", [0, 1, 700])
@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_columns_of_every_form_lie_apart(
    rows: int, compression: str, dictionary: bool, tmp_path: Path
) -> None:
    table = pa.table({
        "text": [str(k % 5) for k in range(rows)], "none": pa.array([None] * rows, pa.float64()),
        "list": pa.array([[k] * (k % 3) for k in range(rows)], pa.list_(pa.int64())),
        "truth": pa.array([k > 3 for k in range(rows)], pa.bool_()),
    })  # fmt: skip
    pq.write_table(
        table, tmp_path / "a.parquet", compression=compression, use_dictionary=dictionary,
        row_group_size=300, data_page_size=64, write_page_index=True,
    )  # fmt: skip
    assert sum(group.row_count for group in read_footer(tmp_path / "a.parquet")) == rows
    assert read_parquet(tmp_path / "a.parquet").equals(table)


def test_a_bit_that_ends_the_process_is_found_and_those_behind_it_are_read(tmp_path: Path) -> None:
    path = small(tmp_path / "a.parquet")
    found = ending(path, range(40, 48), "ends")
    assert [line.split(":")[:2] for line in found] == [
        ["bit 43", f" {-signal.SIGABRT}"], ["bit 46", f" {-signal.SIGABRT}"],
    ]  # fmt: skip


@pytest.mark.slow
def test_no_bit_of_the_footer_of_records_ends_the_process(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    (tmp_path / "toy").mkdir()
    write_records(path, make_records(tmp_path / "toy", 3))
    assert ending(path, footer_bits(path), "ids", "records", "bounds") == []
