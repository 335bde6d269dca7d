# SPDX-License-Identifier: Apache-2.0
"""Texts of many records at once: templates drawn by arrays and filled in one compiled pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spatial_engine.records.wording import Lines
from spatialcore import _cpu
from spatialcore.draws import uniform_below_rows

Item = TypeVar("Item")


class Texts(NamedTuple):
    """Texts of n records.

    Attributes:
        question: Description, newline, question.
        answer: The sentence with the machine answer.
        templates: Ids of the description, question and answer that were drawn.
    """

    question: pa.StringArray
    answer: pa.StringArray
    templates: pa.ListArray


def drawn_texts(
    lines: Sequence[Lines],
    which: NDArray[np.int64],
    draws: NDArray[np.uint64],
    slots: Sequence[Mapping[str, str]],
) -> Texts:
    """Draw a template of each kind for every record, and fill the slots.

    Args:
        lines: What the tasks of the records may say.
        which: (n,) whose lines each record takes.
        draws: (3, n) draws that choose the description, the question and the answer.
        slots: Values of the slots of each record.

    Raises:
        KeyError: A record lacks the value of a slot.
    """
    counts = np.array([one.counts for one in lines], dtype=np.int64)[which]
    d, q, a = (uniform_below_rows(draws[k], counts[:, k]) for k in range(3))
    asked, told = [one.asked for one in lines], [one.told for one in lines]
    questions = _starts(asked)[which] + d * counts[:, 1] + q
    answers = _starts(told)[which] + a
    names = [one.ids for one in lines]
    first = _starts(names)[which]
    ids = np.stack([first + d, first + counts[:, 0] + q, first + counts[:, :2].sum(axis=1) + a], 1)
    values = list(slots)
    return Texts(
        string_array(_cpu.fill_texts(_joined(asked), questions, values)),
        string_array(_cpu.fill_texts(_joined(told), answers, values)),
        pa.ListArray.from_arrays(
            pa.array(np.arange(0, 3 * len(ids) + 1, 3, dtype=np.int32)),
            pa.array(_joined(names), pa.string()).take(pa.array(ids.ravel())),
        ),
    )


def _joined(lists: Sequence[Sequence[Item]]) -> list[Item]:
    return [item for listed in lists for item in listed]


def _starts(lists: Sequence[Sequence[object]]) -> NDArray[np.int64]:
    """Where each list begins in all of them joined."""
    return np.cumsum([0, *map(len, lists)])[:-1]


def string_array(column: tuple[NDArray[np.int32], bytes]) -> pa.StringArray:
    """A column of compiled texts: (n + 1,) offsets and the bytes."""
    offsets, text = column
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(text))
