# SPDX-License-Identifier: Apache-2.0
"""Which records form which sequence, and which sequences each step sees: a function of the seed.

Nothing is drawn from a stream. Step s takes positions s G .. (s + 1) G - 1 of the endless line of
epochs, each a keyed permutation, so a resumed run, or one on another number of processes, sees the
same set of sequences in every step, and skipping steps costs nothing. With a budget of tokens, a
step takes as many micro-batches of the line (`budget`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from spatial_engine.engines import subject_of
from spatialcore.draws import permutation
from spatialmllm.data.batches import SampleBuilder
from spatialmllm.data.records import Part, RecordSet
from spatialmllm.training.budget import Budgeted
from spatialmllm.training.conversations import conversation_key, deal
from spatialmllm.training.mixture import Drawn, drawn, epoch_counts


@dataclass(frozen=True, slots=True)
class Sequence:
    """Rows of one conversation and about how many tokens it has."""

    rows: tuple[int, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class _Shown:
    """Records that show the same images: row, subject and token count of each."""

    key: str
    rows: tuple[int, ...]
    subjects: tuple[str, ...]
    lengths: tuple[int, ...]
    turns: int

    @property
    def count(self) -> int:
        """Sequences that they make, in any epoch."""
        most = max(Counter(self.subjects).values(), default=0)
        return max(-(-len(self.subjects) // self.turns), most)

    def dealt(self, seed: int, epoch: int) -> list[Sequence]:
        """The sequences that they make in an epoch."""
        hands = deal(self.subjects, self.turns, seed=seed, epoch=epoch, key=self.key)
        return [
            Sequence(tuple(self.rows[i] for i in hand), sum(self.lengths[i] for i in hand))
            for hand in hands
        ]


def _shown(key: str, entries: list[tuple[int, str, int]], most: int, limit: int) -> _Shown:
    rows, subjects, lengths = zip(*entries, strict=True)
    # A record's own length bounds what it adds to a conversation.
    turns = min(most, max(1, limit // max(lengths)))
    return _Shown(key, rows, subjects, lengths, turns)


class SequenceOrder:
    """The sequences of every epoch and step.

    Args:
        records: The records; the weights of their parts say what an epoch draws of each.
        builder: Says how long each becomes; records it refuses are left out and counted.
        turns_per_sequence: Most questions in one sequence.
        global_batch: Sequences of a step.
        seed: Seed of the run.
        temperature: Of the mixture.
        batch_tokens: Tokens of a micro-batch, padding counted; 0: all have equally many sequences.
        micro_batch: Sequences of a micro-batch without `batch_tokens`.

    Attributes:
        refused: {reason: count} of records that are left out.
        tasks: {task: count} of records that are used.
        sequences: Sequences of an epoch; the same number in every epoch.
        tokens: Tokens of the records that are used, each alone.
        text_only: Records that show nothing.
        mixture: What an epoch draws of each part.
    """

    def __init__(
        self,
        records: RecordSet,
        builder: SampleBuilder,
        *,
        turns_per_sequence: int,
        global_batch: int,
        seed: int,
        temperature: float = 1.0,
        batch_tokens: int = 0,
        micro_batch: int = 1,
    ) -> None:
        self.global_batch, self.batch_tokens = global_batch, batch_tokens
        self._together = global_batch // micro_batch  # micro-batches of a step
        self._seed = seed
        self.refused: Counter[str] = Counter()
        self.tasks: Counter[str] = Counter()
        self.tokens = self.text_only = 0
        parts = records.parts or (Part("records", 1.0, 0, len(records)),)
        mixed = temperature != 1.0 or any(part.weight != 1.0 for part in parts)
        if not mixed:  # one line of all, whatever the folders
            parts = (Part(", ".join(part.name for part in parts), 1.0, 0, len(records)),)
        self._shown = self._scan(records, builder, turns_per_sequence, [p.stop for p in parts])
        sizes = [sum(shown.count for shown in part) for part in self._shown]
        counts = epoch_counts(sizes, [part.weight for part in parts], temperature)
        self.mixture = tuple(
            Drawn(part.name, part.weight, sum(len(s.rows) for s in shown), size, count)
            for part, shown, size, count in zip(parts, self._shown, sizes, counts, strict=True)
        )
        self._epoch = -1
        self._line: list[Sequence] = []
        self._budgeted = Budgeted(batch_tokens, self._line_of) if batch_tokens else None
        self._load(0)
        self.sequences = len(self._line)

    def _scan(
        self, records: RecordSet, builder: SampleBuilder, turns_per_sequence: int, stops: list[int]
    ) -> list[list[_Shown]]:
        """The records of each part that show the same."""
        found: list[dict[str, list[tuple[int, str, int]]]] = [{} for _ in stops]
        for row, record in enumerate(records):
            try:
                length = len(builder.encode([record]).ids)
            except ValueError as error:
                self.refused[f"{record.task}: {_reason(str(error))}"] += 1
                continue
            self.tasks[record.task] += 1
            self.tokens += length
            self.text_only += not record.images
            entry = (row, subject_of(record), length)
            part = found[bisect_right(stops, row)]
            part.setdefault(conversation_key(record), []).append(entry)
        limit = builder.config.processor.max_tokens
        return [[_shown(k, e, turns_per_sequence, limit) for k, e in p.items()] for p in found]

    def _line_of(self, epoch: int) -> list[Sequence]:
        """The sequences of an epoch, in their order."""
        self._load(epoch)
        return self._line

    def _load(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        picked: list[Sequence] = []
        for number, (part, mixed) in enumerate(zip(self._shown, self.mixture, strict=True)):
            dealt = [s for shown in part for s in shown.dealt(self._seed, epoch)]
            if len(dealt) == mixed.per_epoch:
                picked += dealt
                continue
            at = drawn(len(dealt), mixed.per_epoch, seed=self._seed, epoch=epoch, part=number)
            picked += [dealt[i] for i in at]
        order = permutation(self._seed, "train", "", "", [epoch], "order", len(picked))
        self._line = [picked[i] for i in order]
        self._epoch = epoch

    def steps(self, epochs: float) -> int:
        """Steps that see `epochs` passes over the data, at least one."""
        if self._budgeted is not None:
            return max(1, -(-self._budgeted.until(epochs) // self._together))
        return max(1, -(-round(epochs * self.sequences) // self.global_batch))

    def epoch_at(self, step: int) -> float:
        """Passes over the data before this step."""
        if self._budgeted is not None:
            return self._budgeted.epoch_at(step * self._together)
        return step * self.global_batch / self.sequences

    def step(self, step: int) -> list[Sequence]:
        """The sequences of a step, in the order of the line.

        Raises:
            ValueError: There is no usable record.
        """
        if not self.sequences:
            raise ValueError("no record can be used for training")
        if self._budgeted is not None:
            first = step * self._together
            return [s for k in range(self._together) for s in self._budgeted[first + k]]
        made = []
        for position in range(step * self.global_batch, (step + 1) * self.global_batch):
            epoch, at = divmod(position, self.sequences)
            self._load(epoch)
            made.append(self._line[at])
        return made

    def micro_batches(
        self, step: int, *, rank: int, world_size: int, size: int
    ) -> list[list[Sequence]]:
        """The micro-batches of one process in a step.

        Sequences are grouped by length inside the step alone; whatever the number of processes,
        the same sequences meet in one step.
        """
        if self._budgeted is not None:
            first = step * self._together
            mine = range(rank, self._together, world_size)
            return [self._budgeted[first + k] for k in mine]
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
