# SPDX-License-Identifier: Apache-2.0
"""Rows of a stranger's file of questions, JSON or Parquet, in bounded memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from spatialcore.errors import RecordError
from spatialcore.io.json_rows import JsonRow, json_rows
from spatialcore.io.parquet import ParquetFile, plain_rows
from spatialcore.io.parquet_footer import ParquetError


def raw_rows(path: Path, *, without: Collection[str] = ()) -> Iterator[JsonRow]:
    """The rows of a file as they are.

    Args:
        path: JSON as `json_rows` takes it, or Parquet by its suffix.
        without: Columns of a Parquet file that are not read.

    Raises:
        RecordError: It cannot be read; the message names the file and the row.
    """
    if path.suffix != ".parquet":
        yield from json_rows(path)
        return
    number = 0
    try:
        with ParquetFile(path) as file:
            names = [name for name in file.schema.names if name not in without] if without else None
            for table in file.read_groups(names):
                for row in plain_rows(table):
                    number += 1
                    yield JsonRow(f"{path}: row {number}", row)
    except ParquetError as error:
        raise RecordError(f"{path}: cannot be read as Parquet: {error}") from error
