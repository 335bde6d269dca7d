# SPDX-License-Identifier: Apache-2.0
"""VLMEvalKit: one TSV of questions without answers; responses are scored by `spatialcore score`."""

from __future__ import annotations

import base64
import csv
from pathlib import Path

from spatial_engine.export.sample import Sample
from spatial_engine.records.task_name import family_of

COLUMNS = ("index", "image_path", "question", "category", "l2-category", "split", "id")


class Writer:
    """Rows of this format; several images are a list, as VLMEvalKit reads it."""

    def __init__(self, path: Path) -> None:
        self._out = path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._out, delimiter="\t", lineterminator="\n")
        self._count = 0

    def write(self, sample: Sample) -> None:
        """Write one line; the first one decides whether images are paths or base64."""
        if not self._count:
            embedded = "image" if sample.contents else "image_path"
            self._rows.writerow([embedded if c == "image_path" else c for c in COLUMNS])
        shown = [base64.b64encode(c).decode() for c in sample.contents] or list(sample.images)
        record = sample.record
        self._rows.writerow(
            [self._count, shown[0] if len(shown) == 1 else str(shown), record.question,
             record.task, family_of(record.task), sample.split, record.id]
        )  # fmt: skip
        self._count += 1

    def close(self) -> None:
        """Close the file."""
        self._out.close()
