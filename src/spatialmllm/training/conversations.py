# SPDX-License-Identifier: Apache-2.0
"""Which records may stand in one conversation: at most one of each subject.

Two records have one subject when one answer tells about the other: the distance moved and the
direction of the movement, say. In one conversation the model would copy from its context instead of
looking. A task's engine says what its records are about (`spatial_engine.engines.subject_of`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spatialcore.draws import fold, text_hash

if TYPE_CHECKING:
    from spatial_engine.records.record import QARecord


def conversation_key(record: QARecord) -> str:
    """Records with equal keys show the same images with the same marks.

    An imported record stands alone: what its answer tells about others is not known.
    """
    if not record.has_geometry:
        return record.id
    images = ";".join(
        f"{i.uri}|{[(m.u, m.v, m.width, m.height, m.letter, m.runs) for m in i.marks]}"
        for i in record.images
    )
    return f"{record.source}|{record.scene}|{images}"


def deal(
    subjects: Sequence[str], turns: int, *, seed: int, epoch: int, key: str
) -> list[list[int]]:
    """Deal records of one key into conversations; their number does not depend on the epoch.

    Args:
        subjects: Subject of each record.
        turns: Most records in a conversation.
        seed: Seed of the run.
        epoch: Epoch; another one deals anew.
        key: Key that the records share.

    Returns:
        Conversations as lists of record positions, each record once, no subject twice in one.

    Example:
        >>> sorted(len(c) for c in deal(["a", "a", "b", "c"], 6, seed=0, epoch=0, key="k"))
        [2, 2]
    """
    members: dict[str, list[int]] = {}
    for position, subject in enumerate(subjects):
        members.setdefault(subject, []).append(position)
    most = max(map(len, members.values()), default=0)
    count = max(-(-len(subjects) // turns), most)
    if count == 0:
        return []
    state = fold(text_hash(seed, "train", "", key, "conversation"), epoch)

    def rank(position: int) -> int:
        return fold(state, position)

    # Records of one subject lie next to each other, so dealing in turn separates them.
    in_order = sorted(members.values(), key=lambda m: min(map(rank, m)))
    line = [position for group in in_order for position in sorted(group, key=rank)]
    hands: list[list[int]] = [line[i::count] for i in range(count)]
    return [sorted(hand, key=rank) for hand in hands]
