# SPDX-License-Identifier: Apache-2.0
"""MultiSPA: the published row, its question type and its gt_value in the published unit."""

from __future__ import annotations

from typing import Any

from spatial_engine.export.sample import JsonLines, Sample
from spatial_engine.records.answers import METRES_PER
from spatial_engine.records.record import QARecord


class Writer(JsonLines):
    """Rows of this format."""

    def row_of(self, sample: Sample) -> dict[str, Any]:
        """The row of a sample."""
        record = sample.record
        return {
            **sample.named,
            "image": list(sample.images),
            "conversations": sample.conversations,
            "height_list": [image.height for image in record.images],
            "width_list": [image.width for image in record.images],
            "question_type": record.question_type,
            "gt_value": gt_value(record),
        }


def gt_value(record: QARecord) -> str | float | list[float]:
    """The answer in the published unit: vectors in metres, scalars in the unit of the text.

    Words, letters and steps are their span. A camera's vector is unrounded, from the evidence.
    """
    typed = record.typed_answer
    if typed.type == "vector":
        exact = record.facts.get("translation_m")
        if exact is not None:
            return [float(value) for value in exact]
        return [METRES_PER[typed.unit] * value for value in typed.number]
    if not typed.number:
        return typed.span
    return typed.number[0] if len(typed.number) == 1 else list(typed.number)
