# SPDX-License-Identifier: Apache-2.0
"""Prompts alone, for asking any model: id, prompt, images. No answer, no evidence."""

from __future__ import annotations

from typing import Any

from spatial_engine.export.sample import JsonLines, Sample


class Writer(JsonLines):
    """Rows of this format."""

    def row_of(self, sample: Sample) -> dict[str, Any]:
        """The row of a sample."""
        return {**sample.named, "prompt": sample.prompt, "images": list(sample.images)}
