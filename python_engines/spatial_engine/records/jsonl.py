# SPDX-License-Identifier: Apache-2.0
"""Records as JSON lines: the fields of the Parquet schema, checked as strictly on reading."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from spatial_engine.records.record import QARecord, check_record, record_from_row, record_schema
from spatialcore.errors import RecordError


def record_to_json(record: QARecord) -> str:
    """One line of JSON with the record's fields in the schema's order."""
    return json.dumps(dataclasses.asdict(record), ensure_ascii=False, separators=(",", ":"))


def write_jsonl(path: str | Path, records: Iterable[QARecord]) -> int:
    """Write records as JSON lines; returns how many."""
    count = 0
    with Path(path).open("w", encoding="utf-8", newline="\n") as out:
        for record in records:
            out.write(record_to_json(record) + "\n")
            count += 1
    return count


def read_jsonl(path: str | Path) -> Iterator[QARecord]:
    """Records of a JSON-lines file, checked; RecordError names the file and the line."""
    import pyarrow as pa

    row_type = pa.struct(list(record_schema()))
    with Path(path).open("rb") as lines:
        for line_number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise RecordError("not an object")
                record = record_from_row(row)
                pa.array([row], row_type)  # JSON has no column types: Arrow checks the values
                check_record(record)
            except (pa.ArrowException, ValueError, RecordError, RecursionError) as error:
                raise RecordError(f"{path}:{line_number}: {error}") from error
            yield record
