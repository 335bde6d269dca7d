# SPDX-License-Identifier: Apache-2.0
"""The chain of a record: what the engine of its task tells of its evidence."""

from __future__ import annotations

from spatial_engine.engines import engine_of
from spatial_engine.engines.base import Engine
from spatial_engine.records.chains import Chain, Telling, assistant_text
from spatial_engine.records.record import QARecord
from spatial_engine.records.wording import slots_said, wording_of
from spatialcore.errors import RecordError


def chain_of(record: QARecord) -> Chain | None:
    """The chain of a record, or None where the engine of its task tells none.

    Raises:
        TaskError: No installed engine makes the task.
        RecordError: The question is none of the installed wording, the evidence lacks what the
            chain says, or the chain does not end in the record's answer.
    """
    engine = engine_of(record.task)
    if type(engine).chain is Engine.chain:  # that of an imported record has no wording, either
        return None
    wording = wording_of(record.task, file=engine.templates)
    slots = slots_said(record.question, wording, record.templates)
    if slots is None:
        what = "the installed templates do not give its question, which a chain takes names from"
        raise RecordError(f"{record.id}: {what}; make the data set with this release")
    sizes = tuple((image.width, image.height) for image in record.images)
    told = Telling(record.facts, slots, record.options, record.typed_answer, sizes)
    try:
        chain = engine.chain(told)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        what = f"its evidence gives no chain: {type(error).__name__}: {error}"
        raise RecordError(f"{record.id}: {what}") from error
    if chain is not None and not chain.ends_in(told.answer):
        raise RecordError(f"{record.id}: the chain ends in {chain.ending}, not {told.answer.span}")
    return chain


def thought_of(record: QARecord) -> str | None:
    """What a model that thinks first is trained to say of a record; None where there is no chain.

    The thought is the chain, the answer block the record's own sentence.
    """
    chain = chain_of(record)
    return None if chain is None else assistant_text(chain.text, record.answer)
