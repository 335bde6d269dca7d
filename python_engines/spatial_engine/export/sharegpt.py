# SPDX-License-Identifier: Apache-2.0
"""ShareGPT: conversations in the from/value form, with an images list."""

from __future__ import annotations

from typing import Any

from spatial_engine.export.sample import JsonLines, Sample


class Writer(JsonLines):
    """Rows of this format."""

    def row_of(self, sample: Sample) -> dict[str, Any]:
        """The row of a sample."""
        return {
            **sample.named,
            "conversations": sample.conversations,
            "images": list(sample.images),
        }
