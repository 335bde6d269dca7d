# SPDX-License-Identifier: Apache-2.0
"""What a model is trained to say of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from spatial_engine.records.answers import FREE

if TYPE_CHECKING:
    from spatial_engine.records.record import QARecord

Target = Literal["sentence", "span", "chain"]


def target_text(record: QARecord, target: Target) -> str:
    """What a model is trained to say of a record; a free text is said as it is.

    Raises:
        ValueError: The target is a chain, and the record has none.
    """
    if target != "chain":
        whole = target == "sentence" or record.answer_type == FREE
        return record.answer if whole else f"`{record.typed_answer.span}`"
    from spatial_engine.dataset.chains import thought_of
    from spatialcore.errors import RecordError

    try:
        thought = thought_of(record)
    except RecordError as error:
        raise ValueError("no chain follows from it; `spatialcore show --chain` says why") from error
    if thought is None:
        raise ValueError("its engine tells no chain")
    return thought
