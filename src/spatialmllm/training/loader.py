# SPDX-License-Identifier: Apache-2.0
"""Micro-batches as tensors, decoded in worker processes; bad samples are reported, never hidden."""

from __future__ import annotations

from collections.abc import Sequence as Rows
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from spatialcore.errors import SpatialCoreError
from spatialmllm.data.batches import Sample, SampleBuilder, collate
from spatialmllm.data.records import RecordSet
from spatialmllm.training.order import MicroBatches, Sequence


class BadSample(SpatialCoreError):
    """A sequence whose records or images cannot be used; the message holds the record ids."""


class SequenceData(Dataset[dict[str, Any]]):
    """Builds the batch of a micro-batch's sequences.

    A batch carries, beside the model's arguments, `record_ids` and `bad`, the messages of samples
    that were left out. Without `allow_bad` the first one raises. With `keys` it says what frames
    are, for a feature cache. With `blank` a batch that shows nothing gets an unsupervised row with
    a grey image: the encoders of all processes must run in every step.
    """

    def __init__(
        self,
        records: RecordSet,
        builder: SampleBuilder,
        *,
        allow_bad: bool,
        keys: bool = False,
        blank: bool = False,
    ) -> None:
        self._keys, self._blank = keys, blank
        self._records = records
        self._builder = builder
        self._allow_bad = allow_bad

    def __getitem__(self, sequences: Rows[Sequence]) -> dict[str, Any]:
        samples: list[Sample] = []
        bad: list[str] = []
        read = iter(self._records.at([row for sequence in sequences for row in sequence.rows]))
        for sequence in sequences:
            records = list(islice(read, len(sequence.rows)))
            try:
                samples.append(self._builder.sample(records, self._records))
            except (SpatialCoreError, ValueError, OSError) as error:
                message = f"{', '.join(record.id for record in records)}: {error}"
                if not self._allow_bad:
                    raise BadSample(message) from error
                bad.append(message)
        if not samples:
            raise BadSample(f"no sample of a micro-batch can be used: {'; '.join(bad)}")
        if self._blank and not any(sample.media for sample in samples):
            samples.append(self._builder.blank())
        batch = collate(samples, self._builder.config, keys=self._keys)
        batch["record_ids"] = [i for sample in samples for i in sample.record_ids]
        batch["bad"] = bad
        return batch


def make_loader(
    data: SequenceData, micro_batches: MicroBatches, workers: int
) -> DataLoader[dict[str, Any]]:
    """A loader whose items are whole micro-batches."""
    return DataLoader(
        data,
        batch_size=None,
        sampler=micro_batches,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        # Workers of a process with threads must not be forked.
        multiprocessing_context="spawn" if workers else None,
    )
