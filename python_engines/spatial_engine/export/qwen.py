# SPDX-License-Identifier: Apache-2.0
"""Qwen-VL fine-tuning: one JSON array of image lists and conversations."""

from __future__ import annotations

from typing import Any

from spatial_engine.export.sample import JsonArray, Sample


class Writer(JsonArray):
    """Rows of this format."""

    def row_of(self, sample: Sample) -> dict[str, Any]:
        """The row of a sample."""
        image = sample.images[0] if len(sample.images) == 1 else list(sample.images)
        return {**sample.named, "image": image, "conversations": sample.conversations}
