# SPDX-License-Identifier: Apache-2.0
"""What every target format is written from: one record with its images as the export holds them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from spatial_engine.records.record import PLACEHOLDER, QARecord


@dataclass(frozen=True, slots=True)
class Sample:
    """One record, ready to be written.

    Attributes:
        record: The record.
        images: Paths, data URIs, or uris of the source, in the order shown.
        contents: Encoded bytes of the images, for the targets that hold them; else empty.
        split: The split that it is exported to.
    """

    record: QARecord
    images: tuple[str, ...]
    contents: tuple[bytes, ...] = ()
    split: str = "train"

    @property
    def named(self) -> dict[str, str]:
        """What every row of every target says of its record."""
        return {"id": self.record.id, "task": self.record.task, "split": self.split}

    @property
    def prompt(self) -> str:
        """The user turn, with one `<image>` an image."""
        return self.record.messages[0].content

    @property
    def conversations(self) -> list[dict[str, str]]:
        """Both turns in the `from`/`value` form."""
        return [
            {"from": "human", "value": self.prompt},
            {"from": "gpt", "value": self.record.answer},
        ]

    @property
    def turns(self) -> list[dict[str, str]]:
        """Both turns in the `role`/`content` form."""
        return [
            {"role": "user", "content": self.prompt},
            {"role": "assistant", "content": self.record.answer},
        ]

    @property
    def parts(self) -> list[dict[str, str | None]]:
        """The prompt as alternating image and text parts."""
        found: list[dict[str, str | None]] = []
        for text in re.split(f"({PLACEHOLDER})", self.prompt):
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
