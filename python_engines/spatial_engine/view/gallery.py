# SPDX-License-Identifier: Apache-2.0
"""The gallery: one HTML page and its pictures, readable without a server or a network."""

from __future__ import annotations

import hashlib
import heapq
import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

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
        (work / "index.html").write_text(_page(title, counts, cards), encoding="utf-8")
    return folder / "index.html"


def _asset(name: str) -> str:
    return (files("spatial_engine.view") / name).read_text(encoding="utf-8")


def _page(title: str, counts: Mapping[str, int], cards: Sequence[tuple[str, str]]) -> str:
    shown = Counter(task for task, _ in cards)
    families: dict[str, list[str]] = {}
    for task in sorted(counts):
        families.setdefault(family_of(task), []).append(task)
    menu = "".join(_menu_family(name, tasks, counts, shown) for name, tasks in families.items())
    return Template(_asset("page.html")).substitute(
        title=html.escape(title),
        style=_asset("page.css"),
        script=_asset("page.js"),
        menu=menu,
        cards="\n".join(card for _, card in cards),
        total=f"{sum(counts.values()):,}",
        task_count=len(counts),
        shown=len(cards),
    )


def _menu_family(
    name: str, tasks: Sequence[str], counts: Mapping[str, int], shown: Mapping[str, int]
) -> str:
    rows = "".join(
        f'<li><button data-task="{html.escape(task)}"{"" if shown.get(task) else " disabled"}>'
        f"{html.escape(task.partition('.')[2].replace('.', ' · ').replace('_', ' '))}"
        f"<span>{counts[task]:,}</span></button></li>"
        for task in tasks
    )
    return f"<h2>{html.escape(name.replace('_', ' '))}</h2><ul>{rows}</ul>"


def _card(number: int, example: Example, folder: Path) -> tuple[str, str]:
    record = example.record
    width = IMAGE_WIDTH if len(example.images) <= 2 else SMALL_WIDTH
    pictures = "".join(
        f'<figure><img src="{_save(image, folder, number, k, width)}" width="{image.width}" '
        f'height="{image.height}" alt="{_alt(record, k)}" loading="lazy">'
        f"<figcaption>{_caption(record, k)}</figcaption></figure>"
        for k, image in enumerate(example.images)
    )
    # Bare letters name marks in the picture; they say nothing as a list.
    named = [option for option in record.options if len(option) > 1]
    options = "".join(f"<li>{html.escape(option)}</li>" for option in named)
    card = Template(_asset("card.html")).substitute(
        task=html.escape(record.task),
        scene=html.escape(f"{record.source} / {record.scene}"),
        id=html.escape(record.id),
        pictures=pictures,
        shape="single" if len(example.images) == 1 else "several",
        layout="two" if len(example.images) == 2 else f"n{min(len(example.images), 4)}",
        question=html.escape(record.question).replace("\n", "<br>"),
        options=f"<ol class='options'>{options}</ol>" if options else "",
        answer=re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(record.answer)),
        evidence=_evidence(record.facts),
        provenance=html.escape(f"recipe {record.recipe} · rule {record.rule} · seed {record.seed}"),
    )
    return record.task, card


def _alt(record: QARecord, k: int) -> str:
    name = record.frame_names[k] if k < len(record.frame_names) else str(k)
    return html.escape(f"frame {name} of {record.scene}")


def _caption(record: QARecord, k: int) -> str:
    name = record.frame_names[k] if k < len(record.frame_names) else str(k)
    number = f"Image {k + 1}, " if len(record.images) > 1 else ""
    return html.escape(f"{number}frame {name}")


def _save(image: PilImage, folder: Path, number: int, k: int, width: int) -> str:
    name = f"images/{number:05d}_{k}.jpg"
    picture = image.convert("RGB")
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)))
    picture.save(folder / name, "JPEG", quality=JPEG_QUALITY)
    return name


def _evidence(facts: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(key)}</th><td>{html.escape(_short(value))}</td></tr>"
        for key, value in facts.items()
    )
    return f"<table>{rows}</table>"


def _short(value: Any) -> str:
    """A value with six significant digits; the record itself keeps them all."""
    if isinstance(value, float):
        return f"{value:.{EVIDENCE_DIGITS}g}"
    if isinstance(value, list):
        return "[" + ", ".join(_short(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_short(item)}" for key, item in value.items()) + "}"
    return value if isinstance(value, str) else json.dumps(value)
