# SPDX-License-Identifier: Apache-2.0
"""trl's GRPOTrainer: prompts with their images, and what `scoring.reward` holds answers against."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spatial_engine.export.sample import Sample
from spatial_engine.export.trl import GROUP_ROWS
from spatial_engine.scoring.reward import solution_of

_TEXT = {"dtype": "string", "_type": "Value"}
_PART = {"type": _TEXT, "text": _TEXT}
_FEATURES = {
    "id": _TEXT, "task": _TEXT, "split": _TEXT,
    "prompt": [{"role": _TEXT, "content": [_PART]}],
    "images": [{"_type": "Image"}],
    "answer": _TEXT, "type": _TEXT, "tolerance": {"dtype": "float64", "_type": "Value"},
    "solution": _TEXT,
}  # fmt: skip


class Writer:
    """Rows of this format, a group at a time."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        part = pa.struct([("type", pa.string()), ("text", pa.string())])
        turn = pa.struct([("role", pa.string()), ("content", pa.list_(part))])
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        typed = {"prompt": pa.list_(turn), "images": pa.list_(image), "tolerance": pa.float64()}
        self._schema = pa.schema(
            [(name, typed.get(name, pa.string())) for name in _FEATURES],
            metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
        )
        self._file = pq.ParquetWriter(str(path), self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def write(self, sample: Sample) -> None:
        """Write one row."""
        solution = solution_of(sample.record)
        contents = sample.contents or (None,) * len(sample.images)
        paths = (None,) * len(contents) if sample.contents else sample.images
        self._rows.append({
            **sample.named,
            "prompt": [{"role": "user", "content": sample.parts}],
            "images": [{"bytes": c, "path": p} for c, p in zip(contents, paths, strict=True)],
            "answer": sample.record.typed_answer.span,
            "type": solution.type,
            "tolerance": solution.tolerance,
            "solution": solution.to_text(),
        })  # fmt: skip
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
