# SPDX-License-Identifier: Apache-2.0
"""Which records form which sequence, and which sequences each step sees: a function of the seed.

Nothing is drawn from a stream. Step s takes positions s G .. (s + 1) G - 1 of the endless line of
epochs, each a keyed permutation, so a resumed run, or one on another number of processes, sees the
same set of sequences in every step, and skipping steps costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from spatial_engine.engines import subject_of
from spatialcore.draws import permutation
from spatialmllm.data.batches import SampleBuilder
from spatialmllm.data.records import RecordSet
from spatialmllm.training.conversations import conversation_key, deal


@dataclass(frozen=True, slots=True)
class _Shown:
    """Records that show the same images: row, subject and token count of each."""

    key: str
    rows: tuple[int, ...]
    subjects: tuple[str, ...]
    lengths: tuple[int, ...]
    turns: int


@dataclass(frozen=True, slots=True)
class Sequence:
    """Rows of one conversation and about how many tokens it has."""

    rows: tuple[int, ...]
    tokens: int


class SequenceOrder:
    """The sequences of every epoch and step.

    Args:
        records: The records.
        builder: Says how long each becomes; records it refuses are left out and counted.
        turns_per_sequence: Most questions in one sequence.
        global_batch: Sequences of a step.
        seed: Seed of the run.

    Attributes:
        refused: {reason: count} of records that are left out.
        tasks: {task: count} of records that are used.
        sequences: Sequences of an epoch; the same number in every epoch.
        tokens: Tokens of the records that are used, each alone.
    """

    def __init__(
        self,
        records: RecordSet,
        builder: SampleBuilder,
        *,
        turns_per_sequence: int,
        global_batch: int,
        seed: int,
    ) -> None:
        self.global_batch = global_batch
        self._seed = seed
        self.refused: Counter[str] = Counter()
        self.tasks: Counter[str] = Counter()
        self.tokens = 0
        self._shown = self._scan(records, builder, turns_per_sequence)
        self._epoch = -1
        self._dealt: list[Sequence] = []
        self._order: list[int] = []
        self._load(0)
        self.sequences = len(self._dealt)

    def _scan(
        self, records: RecordSet, builder: SampleBuilder, turns_per_sequence: int
    ) -> list[_Shown]:
        found: dict[str, list[tuple[int, str, int]]] = {}
        for row, record in enumerate(records):
            try:
                length = len(builder.encode([record]).ids)
            except ValueError as error:
                self.refused[f"{record.task}: {_reason(str(error))}"] += 1
                continue
            self.tasks[record.task] += 1
            self.tokens += length
            entry = (row, subject_of(record), length)
            found.setdefault(conversation_key(record), []).append(entry)
        limit = builder.config.processor.max_tokens
        shown = []
        for key, entries in found.items():
            rows, subjects, lengths = zip(*entries, strict=True)
            # A record's own length bounds what it adds to a conversation.
            fitting = max(1, limit // max(lengths))
            turns = min(turns_per_sequence, fitting)
            shown.append(_Shown(key, rows, subjects, lengths, turns))
        return shown

    def _load(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        dealt: list[Sequence] = []
        for shown in self._shown:
            hands = deal(shown.subjects, shown.turns, seed=self._seed, epoch=epoch, key=shown.key)
            for hand in hands:
                rows = tuple(shown.rows[i] for i in hand)
                dealt.append(Sequence(rows, sum(shown.lengths[i] for i in hand)))
        self._dealt = dealt
        self._order = permutation(self._seed, "train", "", "", [epoch], "order", len(dealt))
        self._epoch = epoch

    def steps(self, epochs: float) -> int:
        """Steps that see `epochs` passes over the data, at least one."""
        return max(1, -(-round(epochs * self.sequences) // self.global_batch))

    def epoch_at(self, step: int) -> float:
        """Passes over the data before this step."""
        return step * self.global_batch / self.sequences

    def step(self, step: int) -> list[Sequence]:
        """The sequences of a step, in the order of the line.

        Raises:
            ValueError: There is no usable record.
        """
        if not self.sequences:
            raise ValueError("no record can be used for training")
        made = []
        for position in range(step * self.global_batch, (step + 1) * self.global_batch):
            epoch, at = divmod(position, self.sequences)
            self._load(epoch)
            made.append(self._dealt[self._order[at]])
        return made

    def micro_batches(
        self, step: int, *, rank: int, world_size: int, size: int
    ) -> list[list[Sequence]]:
        """The micro-batches of one process in a step.

        Sequences are grouped by length inside the step alone; whatever the number of processes,
        the same sequences meet in one step.
        """
        by_length = sorted(self.step(step), key=lambda s: s.tokens, reverse=True)
        together = size * world_size
        return [
            by_length[start + rank * size : start + (rank + 1) * size]
            for start in range(0, len(by_length), together)
        ]


class MicroBatches:
    """Sampler of a data loader: the micro-batches of one process from `start` to `stop` steps.

    Its length is that of the whole run, so that a resumed run counts steps as the first one did.
    """

    def __init__(
        self, order: SequenceOrder, *, rank: int, world_size: int, size: int, stop: int
    ) -> None:
        self._order = order
        self._rank, self._world_size, self._size = rank, world_size, size
        self.start, self.stop = 0, stop

    def __len__(self) -> int:
        return self.stop * (self._order.global_batch // (self._size * self._world_size))

    def __iter__(self) -> Iterator[list[Sequence]]:
        for step in range(self.start, self.stop):
            yield from self._order.micro_batches(
                step, rank=self._rank, world_size=self._world_size, size=self._size
            )


def _reason(message: str) -> str:
    """The kind of a refusal, without the numbers and texts of one record."""
    if "the limit is" in message:
        return "too long"
    if "cannot write" in message:
        return "the tokenizer cannot write the answer"
    return message
