# SPDX-License-Identifier: Apache-2.0
"""A row of a stranger's file on its way to a record: what it asks, says and shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spatial_engine.records.answers import Answer
from spatial_engine.records.record import Message


class LeftOut(Exception):
    """A row that cannot become a record; the message is its reason, the same for all of a kind."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a row shows at one place: a picture by path or by its bytes, or a video.

    Attributes:
        path: As the row names it; "" where the row holds the bytes.
        content: Bytes of an encoded picture.
        video: Whether frames are taken of it: a video, or a folder of frames.
    """

    path: str = ""
    content: bytes = b""
    video: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """What a row says.

    Attributes:
        id: Its own id, "" without.
        task: `<family>.<what>`.
        turns: The conversation up to the answer, with a tag for each of `shown`.
        answer: The typed answer.
        sentence: The answer as it is said.
        shown: Pictures and videos, in order.
        question: The last question alone, where the turns say more.
        scene: The scene, where the row names one.
        options: Of a choice.
        references: Every accepted answer.
        about: Fields of the row that are kept as they are.
        notes: What was mended: counted and told.
        walk: Whether pictures are frames of one walk, in order.
    """

    id: str
    task: str
    turns: tuple[Message, ...]
    answer: Answer
    sentence: str
    shown: tuple[Shown, ...] = ()
    question: str = ""
    scene: str = ""
    options: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    walk: bool = False
