# SPDX-License-Identifier: Apache-2.0
"""Rows of conversations: LLaVA's `conversations`, and `messages` as TRL and its like write them.

A row is one record, however many turns it has: earlier turns are what its last question is asked
after. Tags stand in the text (`<image>`, `<video>`) or as parts of their own.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spatial_engine.importing.draft import Draft, LeftOut, Shown
from spatial_engine.records.answers import FREE, Answer
from spatial_engine.records.record import PLACEHOLDER, Message

VIDEO = "<video>"
_TAGS = re.compile(r"<image>|<video>")
_ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
    "model": "assistant", "system": "system",
}  # fmt: skip
_PICTURES = ("image", "images")
_VIDEOS = ("video", "videos")
_KINDS = ("question_type", "category", "task")  # fields that say what a row asks
_WORD = re.compile(r"[^a-z0-9]+")
_LONGEST_KIND = 64


def conversation(row: Mapping[str, Any], family: str) -> Draft:
    """The draft of a row.

    Args:
        row: With `conversations`, `messages`, or `prompt` and `completion`.
        family: Of its task.

    Raises:
        LeftOut: It has no question with an answer, or its tags are not those of its pictures.
        TypeError, KeyError: It is not of this form.
    """
    parts: list[Shown] = []
    turns = [_turn(one, parts) for one in _said(row)]
    while turns and turns[-1].role != "assistant":
        turns.pop()  # a question that nobody answered
    if len(turns) < 2 or turns[-2].role != "user":
        raise LeftOut("no question with an answer")
    answer = turns.pop().content
    if not answer.strip():
        raise LeftOut("the answer is empty")
    shown = [*parts, *_named(row)]
    turns, notes = _tagged(turns, shown)
    return Draft(
        id=str(row.get("id", "")), task=f"{family}.{_kind(row)}", turns=tuple(turns),
        answer=Answer(FREE, FREE, text=answer), sentence=answer, shown=tuple(shown),
        scene=str(row.get("scene_id") or row.get("scene") or ""), references=(answer,), notes=notes,
    )  # fmt: skip


def _said(row: Mapping[str, Any]) -> Sequence[Any]:
    found = row.get("conversations", row.get("messages"))
    if found is None:
        found = [*row["prompt"], *row["completion"]]
    if not isinstance(found, list | tuple):
        raise TypeError("its turns are no list")
    return found


def _turn(turn: Mapping[str, Any], parts: list[Shown]) -> Message:
    """A turn as text with tags; pictures that stand in its parts are added to `parts`."""
    name = turn.get("from", turn.get("role"))
    role = _ROLES.get(str(name))
    if role is None:
        raise LeftOut("a turn of an unknown role")
    content = turn["value"] if "value" in turn else turn["content"]
    if isinstance(content, str):
        return Message(role, content)
    if not isinstance(content, list | tuple):
        raise TypeError("the content of a turn is neither a text nor a list of parts")
    text = ""
    for part in content:
        piece = _part(part, parts)
        text += "\n" if text.endswith((PLACEHOLDER, VIDEO)) and piece[:1] != "\n" else ""
        text += piece
    return Message(role, text)


def _part(part: Mapping[str, Any], parts: list[Shown]) -> str:
    kind = part.get("type", "text")
    if kind == "text":
        return str(part.get("text") or "")
    if kind not in ("image", "image_url", "video", "video_url"):
        raise LeftOut("a part of another kind than text, image and video")
    video = str(kind).startswith("video")
    held = part.get(kind, part.get("url", part.get("path")))
    if isinstance(held, Mapping) and "url" in held:
        held = held["url"]
    if held is not None:
        parts.append(_shown(held, video=video))
    return VIDEO if video else PLACEHOLDER


def _named(row: Mapping[str, Any]) -> Iterator[Shown]:
    """The pictures and videos that a row lists beside its turns."""
    for names, video in ((_PICTURES, False), (_VIDEOS, True)):
        held = next((row[name] for name in names if row.get(name)), None)
        if held is None:
            continue
        for one in held if isinstance(held, list | tuple) else [held]:
            yield _shown(one, video=video)


def _shown(held: Any, *, video: bool) -> Shown:
    if isinstance(held, Mapping):
        held = held.get("bytes") or held.get("path") or held.get("image") or ""
    if isinstance(held, bytes):
        return Shown(content=held, video=video)
    if not isinstance(held, str) or not held:
        raise LeftOut("a picture that is neither a path nor bytes")
    if held.startswith("data:"):
        try:
            return Shown(
                content=base64.b64decode(held.partition(",")[2], validate=True), video=video
            )
        except (binascii.Error, ValueError):
            raise LeftOut("a data URL that is no base64") from None
    if held.startswith(("http://", "https://")):
        raise LeftOut("a picture behind an address, which is not fetched")
    return Shown(held.removeprefix("file://"), video=video)


def _tagged(turns: list[Message], shown: Sequence[Shown]) -> tuple[list[Message], tuple[str, ...]]:
    """The turns with one tag for each of `shown`, in order.

    Raises:
        LeftOut: There are tags, but not as many.
    """
    tags = [tag for turn in turns if turn.role == "user" for tag in _TAGS.findall(turn.content)]
    wanted = [VIDEO if one.video else PLACEHOLDER for one in shown]
    if tags == wanted:
        return turns, ()
    if not tags:  # as LLaVA's loaders do: before the first question
        first = next(i for i, turn in enumerate(turns) if turn.role == "user")
        text = "\n".join([*wanted, turns[first].content])
        return [*turns[:first], Message("user", text), *turns[first + 1 :]], ("tags were added",)
    raise LeftOut("tags in the text are not those of its pictures")


def _kind(row: Mapping[str, Any]) -> str:
    """What a row asks, as it says itself."""
    for name in _KINDS:
        if isinstance(row.get(name), str):
            word = _WORD.sub("_", row[name].lower()).strip("_")[:_LONGEST_KIND]
            if word:
                return word if word[0].isalpha() else f"kind_{word}"
    return "text"
