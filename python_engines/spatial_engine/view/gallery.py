# SPDX-License-Identifier: Apache-2.0
"""The gallery: one HTML page and its pictures, readable without a server or a network."""

from __future__ import annotations

import hashlib
import heapq
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from spatial_engine.dataset.dataset import OpenedRecord
from spatial_engine.records.record import QARecord
from spatial_engine.records.task_name import family_of
from spatialcore.folders import whole_folder

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

IMAGE_WIDTH = 560  # pixels; two images side by side fill a laptop's window
SMALL_WIDTH = 280  # where a record shows more of them
JPEG_QUALITY = 88
EVIDENCE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Example:
    """A record and its images with the marks drawn, in the order shown."""

    record: QARecord
    images: tuple[PilImage, ...]


def choose_examples(
    records: Iterable[OpenedRecord], per_task: int
) -> dict[str, list[OpenedRecord]]:
    """The `per_task` records of each task with the smallest hash of their id.

    The choice depends on the records alone, not on their order; memory is bounded by the result.

    Returns:
        task -> records, tasks in alphabetical order.
    """
    kept: dict[str, list[tuple[int, str, OpenedRecord]]] = {}
    for opened in records:
        record = opened.record
        digest = hashlib.blake2b(record.id.encode(), digest_size=8).digest()
        entry = (-int.from_bytes(digest, "little"), record.id, opened)
        heap = kept.setdefault(record.task, [])
        if len(heap) < per_task:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)
    return {task: [e[2] for e in sorted(kept[task], reverse=True)] for task in sorted(kept)}


def write_gallery(
    examples: Iterable[Example],
    folder: Path,
    *,
    title: str,
    counts: Mapping[str, int],
) -> Path:
    """Write `folder/index.html` and `folder/images/`; an older gallery there is replaced.

    A folder that holds anything else is left as it is.

    Args:
        examples: Records with their images, grouped by task; opened one at a time.
        folder: Where the page goes.
        title: Heading of the page, e.g. the name of the data set.
        counts: Rows of each task in the data set.

    Returns:
        Path of the page.

    Raises:
        FolderInUse: The folder holds something else than a gallery.
    """
    with whole_folder(folder, "view") as work:
        (work / "images").mkdir()
        cards = [_card(number, example, work) for number, example in enumerate(examples)]
        page = _page(title, counts, cards)
        (work / "index.html").write_text(page, encoding="utf-8")
    return folder / "index.html"


def _asset(name: str) -> str:
    return (files("spatial_engine.view") / name).read_text(encoding="utf-8")


class Picture(NamedTuple):
    """A picture of a card, as the page shows it."""

    file: str
    width: int
    height: int
    alt: str
    caption: str


class Card(NamedTuple):
    """A record as the page shows it; the page's template escapes every text."""

    task: str
    scene: str
    id: str
    pictures: list[Picture]
    shape: str
    layout: str
    question: list[str]
    answer: list[tuple[str, bool]]
    evidence: list[tuple[str, str]]
    provenance: str


def _page(title: str, counts: Mapping[str, int], cards: Sequence[Card]) -> str:
    from jinja2 import Environment
    from markupsafe import Markup

    shown = Counter(card.task for card in cards)
    families: dict[str, list[str]] = {}
    for task in sorted(counts):
        families.setdefault(family_of(task), []).append(task)
    environment = Environment(autoescape=True, keep_trailing_newline=True)
    return environment.from_string(_asset("page.html")).render(
        title=title,
        style=Markup(_asset("page.css")),
        script=Markup(_asset("page.js")),
        families=[
            {"name": name.replace("_", " "), "tasks": _menu_rows(tasks, counts, shown)}
            for name, tasks in families.items()
        ],
        cards=cards,
        total=sum(counts.values()),
        task_count=len(counts),
    )


def _menu_rows(
    tasks: Sequence[str], counts: Mapping[str, int], shown: Mapping[str, int]
) -> list[dict[str, Any]]:
    return [
        {
            "task": task,
            "name": task.partition(".")[2].replace(".", " · ").replace("_", " "),
            "count": counts[task],
            "shown": bool(shown.get(task)),
        }
        for task in tasks
    ]


def _card(number: int, example: Example, folder: Path) -> Card:
    record = example.record
    width = IMAGE_WIDTH if len(example.images) <= 2 else SMALL_WIDTH
    pictures = [
        Picture(
            _save(image, folder, number, k, width), image.width, image.height,
            _alt(record, k), _caption(record, k),
        )
        for k, image in enumerate(example.images)
    ]  # fmt: skip
    return Card(
        task=record.task,
        scene=f"{record.source} / {record.scene}",
        id=record.id,
        pictures=pictures,
        shape="single" if len(pictures) == 1 else "several",
        layout="two" if len(pictures) == 2 else f"n{min(len(pictures), 4)}",
        question=record.question.split("\n"),
        answer=_spans(record.answer),
        evidence=[(key, _short(value)) for key, value in record.facts.items()],
        provenance=f"recipe {record.recipe} · rule {record.rule} · seed {record.seed}",
    )


def _spans(answer: str) -> list[tuple[str, bool]]:
    """Pieces of an answer, and whether each stood between backticks."""
    parts = re.split(r"`([^`]*)`", answer)
    return [(text, bool(k % 2)) for k, text in enumerate(parts) if text]


def _alt(record: QARecord, k: int) -> str:
    name = record.frame_names[k] if k < len(record.frame_names) else str(k)
    return f"frame {name} of {record.scene}"


def _caption(record: QARecord, k: int) -> str:
    name = record.frame_names[k] if k < len(record.frame_names) else str(k)
    number = f"Image {k + 1}, " if len(record.images) > 1 else ""
    return f"{number}frame {name}"


def _save(image: PilImage, folder: Path, number: int, k: int, width: int) -> str:
    name = f"images/{number:05d}_{k}.jpg"
    picture = image.convert("RGB")
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)))
    picture.save(folder / name, "JPEG", quality=JPEG_QUALITY)
    return name


def _short(value: Any) -> str:
    """A value with six significant digits; the record itself keeps them all."""
    if isinstance(value, float):
        return f"{value:.{EVIDENCE_DIGITS}g}"
    if isinstance(value, list):
        return "[" + ", ".join(_short(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_short(item)}" for key, item in value.items()) + "}"
    return value if isinstance(value, str) else json.dumps(value)
