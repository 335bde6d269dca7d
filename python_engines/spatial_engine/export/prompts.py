# SPDX-License-Identifier: Apache-2.0
"""Prompts alone, for asking any model: id, prompt, images. No answer, no evidence.

Where a record says what other numbers of frames answer, its row holds the frames of each budget and
whether they do.
"""

from __future__ import annotations

from typing import Any

from spatial_engine.export.sample import JsonLines, Sample


class Writer(JsonLines):
    """Rows of this format."""

    def row_of(self, sample: Sample) -> dict[str, Any]:
        """The row of a sample."""
        row = {**sample.named, "prompt": sample.prompt, "images": list(sample.images)}
        told = sample.record.facts.get("budgets")
        if told is None:
            return row
        budgets = {
            name: {"answerable": "answer" in one} | {k: one[k] for k in _FRAMES if k in one}
            for name, one in told.items()
        }
        return row | {"budgets": budgets}


_FRAMES = ("frames", "count")
