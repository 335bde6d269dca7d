# SPDX-License-Identifier: Apache-2.0
"""Rows of messages and images as a Parquet file that `datasets` reads with its own features."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spatial_engine.export.sample import Sample

GROUP_ROWS = 256  # rows in memory at a time; with embedded images some tens of MB

TEXT = {"dtype": "string", "_type": "Value"}
NUMBER = {"dtype": "float64", "_type": "Value"}
MESSAGES = [{"role": TEXT, "content": [{"type": TEXT, "text": TEXT}]}]
IMAGES = [{"_type": "Image"}]


class ParquetRows(ABC):
    """The rows of a target, a group at a time.

    Args:
        path: The file.
        features: Column -> its feature, as `datasets` writes it: one of the four above.
    """

    def __init__(self, path: Path, features: Mapping[str, Any]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        part = pa.struct([("type", pa.string()), ("text", pa.string())])
        turn = pa.struct([("role", pa.string()), ("content", pa.list_(part))])
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        kinds = ((MESSAGES, pa.list_(turn)), (IMAGES, pa.list_(image)), (NUMBER, pa.float64()))
        self._schema = pa.schema(
            [
                (name, next((kind for of, kind in kinds if of is feature), pa.string()))
                for name, feature in features.items()
            ],
            metadata={"huggingface": json.dumps({"info": {"features": dict(features)}})},
        )
        self._file = pq.ParquetWriter(str(path), self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    @abstractmethod
    def row_of(self, sample: Sample) -> dict[str, Any]:
        """The row of a sample, but for its name and its images."""

    def write(self, sample: Sample) -> None:
        """Write one row."""
        contents = sample.contents or (None,) * len(sample.images)
        paths = (None,) * len(contents) if sample.contents else sample.images
        images = [{"bytes": c, "path": p} for c, p in zip(contents, paths, strict=True)]
        self._rows.append({**sample.named, **self.row_of(sample), "images": images})
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
