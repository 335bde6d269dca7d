# SPDX-License-Identifier: Apache-2.0
"""trl's GRPOTrainer: prompts with their images, and what `scoring.reward` holds answers against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial_engine.export.parquet_rows import IMAGES, MESSAGES, NUMBER, TEXT, ParquetRows
from spatial_engine.export.sample import Sample
from spatial_engine.scoring.reward import solution_of

_FEATURES = {
    "id": TEXT, "task": TEXT, "split": TEXT, "prompt": MESSAGES, "images": IMAGES,
    "answer": TEXT, "type": TEXT, "tolerance": NUMBER, "solution": TEXT,
}  # fmt: skip


class Writer(ParquetRows):
    """Rows of this format."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _FEATURES)

    def row_of(self, sample: Sample) -> dict[str, Any]:
        """The question alone, and its solution."""
        solution = solution_of(sample.record)
        return {
            "prompt": sample.parts,
            "answer": sample.record.typed_answer.span,
            "type": solution.type,
            "tolerance": solution.tolerance,
            "solution": solution.to_text(),
        }
