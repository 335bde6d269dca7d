# SPDX-License-Identifier: Apache-2.0
"""Which records may stand in one conversation: at most one of each group of joined facts.

Two records are joined when one answer tells about the other: the distance moved and the direction
of the movement, say. In one conversation the model would copy from its context instead of looking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spatialcore.draws import fold, text_hash

if TYPE_CHECKING:
    from spatial_engine.records.record import QARecord

_GROUPS: dict[str, str] = {
    "camera_movement.x_direction": "translation",
    "camera_movement.y_direction": "translation",
    "camera_movement.z_direction": "translation",
    "camera_movement.distance": "translation",
    "camera_movement.vector": "translation",
    "camera_movement.yaw_direction": "yaw",
    "camera_movement.yaw_angle": "yaw",
    "camera_movement.pitch_direction": "pitch",
    "camera_movement.pitch_angle": "pitch",
}
# Families whose facts are about the objects, points or tracks that the evidence names.
_BY_SUBJECT = {
    "object_perception": "size",
    "object_movement": "movement",
    "scene_layout": "objects",
    "spatial_relation": "objects",
    "navigation": "objects",
}
# `items` holds the ids of a record's points, objects or tracks in every engine.
_SUBJECTS = ("items", "object_ids", "object_id")


def fact_group(record: QARecord) -> str:
    """Group of a record's fact; two records of one group never share a conversation.

    Depth values and comparisons of one image form one group, sizes of one object another. A record
    whose evidence names no subject joins the group of its family.
    """
    family = record.task.partition(".")[0]
    if family == "depth_perception":
        return "depth"
    if family in _BY_SUBJECT:
        return f"{_BY_SUBJECT[family]}:{_subject(record.facts)}"
    return _GROUPS.get(record.task, record.task)


def _subject(evidence: Mapping[str, Any]) -> str:
    for key in _SUBJECTS:
        value = evidence.get(key)
        if isinstance(value, Sequence) and not isinstance(value, str):
            return f"{key}={sorted(map(str, value))}"
        if value is not None and not isinstance(value, Mapping):
            return f"{key}={value}"
    return ""


def conversation_key(record: QARecord) -> str:
    """Records with equal keys show the same images with the same marks."""
    images = ";".join(f"{i.uri}|{[(m.u, m.v, m.letter) for m in i.marks]}" for i in record.images)
    return f"{record.source}|{record.scene}|{images}"


def deal(groups: Sequence[str], turns: int, *, seed: int, epoch: int, key: str) -> list[list[int]]:
    """Deal records of one key into conversations; their number does not depend on the epoch.

    Args:
        groups: Fact group of each record.
        turns: Most records in a conversation.
        seed: Seed of the run.
        epoch: Epoch; another one deals anew.
        key: Key that the records share.

    Returns:
        Conversations as lists of record positions, each record once, no group twice in one.

    Example:
        >>> sorted(len(c) for c in deal(["a", "a", "b", "c"], 6, seed=0, epoch=0, key="k"))
        [2, 2]
    """
    members: dict[str, list[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, []).append(position)
    most = max(map(len, members.values()), default=0)
    count = max(-(-len(groups) // turns), most)
    if count == 0:
        return []
    state = fold(text_hash(seed, "train", "", key, "conversation"), epoch)

    def rank(position: int) -> int:
        return fold(state, position)

    # Members of one group lie next to each other, so dealing in turn separates them.
    in_order = sorted(members.values(), key=lambda m: min(map(rank, m)))
    line = [position for group in in_order for position in sorted(group, key=rank)]
    hands: list[list[int]] = [line[i::count] for i in range(count)]
    return [sorted(hand, key=rank) for hand in hands]
