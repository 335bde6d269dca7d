# SPDX-License-Identifier: Apache-2.0
"""What every target format is written from: one record with its images as the export holds them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from spatial_engine.records.record import PLACEHOLDER, Message, QARecord


@dataclass(frozen=True, slots=True)
class Sample:
    """One record, ready to be written.

    Attributes:
        record: The record.
        images: Paths, data URIs, or uris of the source, in the order shown.
        contents: Encoded bytes of the images, for the targets that hold them; else empty.
        split: The split that it is exported to.
        thought: What the assistant says where it thinks first; "" = the record's answer.
    """

    record: QARecord
    images: tuple[str, ...]
    contents: tuple[bytes, ...] = ()
    split: str = "train"
    thought: str = ""

    @property
    def named(self) -> dict[str, str]:
        """What every row of every target says of its record."""
        return {"id": self.record.id, "task": self.record.task, "split": self.split}

    @property
    def asked(self) -> tuple[Message, ...]:
        """The turns up to the answer: one, but of conversations that were imported."""
        turns = self.record.messages
        return turns[:-1] if turns[-1].role == "assistant" else turns

    @property
    def prompt(self) -> str:
        """The user turn, with one `<image>` an image; earlier turns stand before it by name."""
        asked = self.asked
        if len(asked) == 1:
            return asked[0].content
        return "\n".join(f"{turn.role}: {turn.content}" for turn in asked)

    @property
    def said(self) -> str:
        """The assistant turn."""
        return self.thought or self.record.answer

    @property
    def conversations(self) -> list[dict[str, str]]:
        """The turns in the `from`/`value` form."""
        names = {"user": "human", "assistant": "gpt"}
        return [
            *({"from": names.get(turn.role, turn.role), "value": turn.content}
              for turn in self.asked),
            {"from": "gpt", "value": self.said},
        ]  # fmt: skip

    @property
    def turns(self) -> list[dict[str, str]]:
        """The turns in the `role`/`content` form."""
        return [
            *({"role": turn.role, "content": turn.content} for turn in self.asked),
            {"role": "assistant", "content": self.said},
        ]

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The turns up to the answer, each as alternating image and text parts."""
        return [{"role": turn.role, "content": _parts(turn)} for turn in self.asked]


def _parts(turn: Message) -> list[dict[str, str | None]]:
    if turn.role != "user":
        return [{"type": "text", "text": turn.content}]
    found: list[dict[str, str | None]] = []
    for text in re.split(f"({PLACEHOLDER})", turn.content):
        if text == PLACEHOLDER:
            found.append({"type": "image", "text": None})
        elif text:
            found.append({"type": "text", "text": text})
    return found


class Target(Protocol):
    """A writer of one format: rows as they come, then what needs their count."""

    def write(self, sample: Sample) -> None:
        """Write one sample."""

    def close(self) -> None:
        """Write what is left and close the files."""


class JsonLines(ABC):
    """JSON lines of what `row_of` makes."""

    def __init__(self, path: Path) -> None:
        self.count = 0
        self._out = path.open("w", encoding="utf-8", newline="\n")

    @abstractmethod
    def row_of(self, sample: Sample) -> dict[str, Any]:
        """The row of a sample."""

    def write(self, sample: Sample) -> None:
        """Write one line."""
        import json

        self._out.write(json.dumps(self.row_of(sample), ensure_ascii=False) + "\n")
        self.count += 1

    def close(self) -> None:
        """Close the file."""
        self._out.close()


class JsonArray(JsonLines):
    """One JSON array, written row by row."""

    def write(self, sample: Sample) -> None:
        """Write one element."""
        self._out.write(",\n" if self.count else "[\n")
        import json

        self._out.write(json.dumps(self.row_of(sample), ensure_ascii=False))
        self.count += 1

    def close(self) -> None:
        """End the array and close the file."""
        self._out.write("\n]\n" if self.count else "[]\n")
        self._out.close()
