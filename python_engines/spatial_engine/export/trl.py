# SPDX-License-Identifier: Apache-2.0
"""TRL and `datasets`: Parquet with messages of typed parts and an images column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial_engine.export.parquet_rows import IMAGES, MESSAGES, TEXT, ParquetRows
from spatial_engine.export.sample import Sample

_FEATURES = {"id": TEXT, "task": TEXT, "split": TEXT, "messages": MESSAGES, "images": IMAGES}


class Writer(ParquetRows):
    """Rows of this format."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _FEATURES)

    def row_of(self, sample: Sample) -> dict[str, Any]:
        """Question and answer as turns."""
        answer = [{"type": "text", "text": sample.said}]
        return {"messages": [*sample.parts, {"role": "assistant", "content": answer}]}
