# SPDX-License-Identifier: Apache-2.0
"""TRL and `datasets`: Parquet with messages of typed parts and an images column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spatial_engine.export.sample import Sample

GROUP_ROWS = 256  # rows in memory at a time; with embedded images some tens of MB

_FEATURES = {
    "id": {"dtype": "string", "_type": "Value"},
    "task": {"dtype": "string", "_type": "Value"},
    "split": {"dtype": "string", "_type": "Value"},
    "messages": [
        {
            "role": {"dtype": "string", "_type": "Value"},
            "content": [
                {
                    "type": {"dtype": "string", "_type": "Value"},
                    "text": {"dtype": "string", "_type": "Value"},
                }
            ],
        }
    ],
    "images": [{"_type": "Image"}],
}


class Writer:
    """Rows of this format, a group at a time."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        part = pa.struct([("type", pa.string()), ("text", pa.string())])
        turn = pa.struct([("role", pa.string()), ("content", pa.list_(part))])
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        self._schema = pa.schema(
            [(name, pa.string()) for name in ("id", "task", "split")]
            + [("messages", pa.list_(turn)), ("images", pa.list_(image))],
            metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
        )
        self._file = pq.ParquetWriter(str(path), self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def write(self, sample: Sample) -> None:
        """Write one row."""
        answer = [{"type": "text", "text": sample.record.answer}]
        images: list[dict[str, Any]]
        if sample.contents:
            images = [{"bytes": content, "path": None} for content in sample.contents]
        else:
            images = [{"bytes": None, "path": path} for path in sample.images]
        messages = [
            {"role": "user", "content": sample.parts},
            {"role": "assistant", "content": answer},
        ]
        self._rows.append({**sample.named, "messages": messages, "images": images})
        if len(self._rows) == GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []

    def close(self) -> None:
        """Write the last group and close the file."""
        self._flush()
        self._file.close()
