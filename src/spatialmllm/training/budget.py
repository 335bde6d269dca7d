# SPDX-License-Identifier: Apache-2.0
"""Micro-batches by tokens: the line of an epoch cut where the padded batch would be too large.

Sequences are sorted by length within windows of the line, so that little is padded; the cut is a
function of the epoch's line alone, and so of the seed. Micro-batch m of a run is found through the
counts of the epochs before it, of which none is decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from spatialcore.draws import permutation

if TYPE_CHECKING:
    from spatialmllm.training.order import Sequence

WINDOW = 256  # sequences that are sorted together


def cut(line: list[Sequence], budget: int) -> list[list[Sequence]]:
    """Micro-batches of a line: at most `budget` tokens, each row padded to the longest.

    A sequence that is longer by itself is a micro-batch of its own. The batches of a window come in
    a keyed order, so that long ones do not always come first.
    """
    batches: list[list[Sequence]] = []
    for start in range(0, len(line), WINDOW):
        window = sorted(line[start : start + WINDOW], key=lambda s: s.tokens, reverse=True)
        made: list[list[Sequence]] = []
        for sequence in window:
            # The first of a batch is its longest.
            fits = made and made[-1][0].tokens * (len(made[-1]) + 1) <= budget
            if fits:
                made[-1].append(sequence)
            else:
                made.append([sequence])
        order = permutation(0, "train", "", "", [start, window[0].rows[0]], "budget", len(made))
        batches += [made[i] for i in order]
    return batches


class Budgeted:
    """The micro-batches of a run, by number.

    Args:
        budget: Tokens of a micro-batch.
        line: The sequences of an epoch, in order.
    """

    def __init__(self, budget: int, line: Callable[[int], list[Sequence]]) -> None:
        self._budget, self._line = budget, line
        self._ends: list[int] = []  # micro-batches up to the end of each epoch
        self._epoch, self._batches = -1, list[list["Sequence"]]()

    def __getitem__(self, number: int) -> list[Sequence]:
        epoch = self._epoch_of(number)
        batches = self._of(epoch)
        return batches[number - (self._ends[epoch] - len(batches))]

    def until(self, epochs: float) -> int:
        """Micro-batches of so many epochs."""
        whole = int(epochs)
        before = self._end(whole - 1) if whole else 0
        rest = epochs - whole
        return before + (round(rest * len(self._of(whole))) if rest else 0)

    def epoch_at(self, number: int) -> float:
        """Passes over the data before this micro-batch."""
        epoch = self._epoch_of(number)
        before = self._ends[epoch - 1] if epoch else 0
        return epoch + (number - before) / (self._ends[epoch] - before)

    def _epoch_of(self, number: int) -> int:
        epoch = 0
        while self._end(epoch) <= number:
            epoch += 1
        return epoch

    def _end(self, epoch: int) -> int:
        while len(self._ends) <= epoch:
            before = self._ends[-1] if self._ends else 0
            self._ends.append(before + len(self._of(len(self._ends))))
        return self._ends[epoch]

    def _of(self, epoch: int) -> list[list[Sequence]]:
        if epoch != self._epoch:
            self._batches, self._epoch = cut(self._line(epoch), self._budget), epoch
        return self._batches
