# SPDX-License-Identifier: Apache-2.0
"""The plain record as a line of JSON: every field of the schema, and where its images lie."""

from __future__ import annotations

import dataclasses
from typing import Any

from spatial_engine.export.sample import JsonLines, Sample


class Writer(JsonLines):
    """Rows of this format; the record's own `images` keep uris, sizes and marks."""

    def row_of(self, sample: Sample) -> dict[str, Any]:
        """The row of a sample."""
        plain = dataclasses.asdict(sample.record)
        row = {**plain, "split": sample.split, "image_paths": list(sample.images)}
        return row | {"chain": sample.thought} if sample.thought else row
