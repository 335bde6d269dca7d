# SPDX-License-Identifier: Apache-2.0
"""ms-swift: JSON lines with messages and images; needs no registration."""

from __future__ import annotations

from typing import Any

from spatial_engine.export.sample import JsonLines, Sample


class Writer(JsonLines):
    """Rows of this format."""

    def row_of(self, sample: Sample) -> dict[str, Any]:
        """The row of a sample."""
        return {**sample.named, "messages": sample.turns, "images": list(sample.images)}
