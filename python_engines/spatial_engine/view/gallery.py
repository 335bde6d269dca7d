# SPDX-License-Identifier: Apache-2.0
"""The gallery: a page and the data it loads as it is scrolled, readable without a server.

Beside `index.html` lie `assets/` (style and scripts), `data/` (what the page loads at the start),
`pages/` (records of one task, 100 a file), `texts/` (what a search looks through), `scenes/` (maps)
and `images/`. docs/gallery.md has the figures for 10^5 records.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

from spatial_engine.dataset.dataset import Dataset, OpenedRecord
from spatial_engine.view.answer_groups import answer_key, group_answers
from spatial_engine.view.data_files import Spool, column, data_file
from spatial_engine.view.pictures import Pictures
from spatial_engine.view.scene_files import ScenePlans
from spatial_engine.view.serve import PAGE_POLICY
from spatialcore.folders import whole_folder

PAGE_ROWS = 100  # records of a data file
TEXT_ROWS = 10_000  # of a file that is searched
STYLES = ("page.css", "drawing.css")
SCRIPTS = ("store.js", "filter.js", "draw.js", "zoom.js", "list.js", "record.js", "page.js")


@dataclass(frozen=True)
class GalleryReport:
    """What was written.

    Attributes:
        page: Path of the page.
        shown: Records on it.
        pictures: Files below `images/`.
        lost_images: Path -> why an image could not be opened.
        without_map: Scene -> why it has no map.
    """

    page: Path
    shown: int
    pictures: int
    lost_images: Mapping[str, str]
    without_map: Mapping[tuple[str, str], str]


@dataclass
class _Task:
    """The records of one task as they have come."""

    unit: str
    kind: str
    order: array[int] = field(default_factory=lambda: array("Q"))
    scenes: array[int] = field(default_factory=lambda: array("L"))
    splits: array[int] = field(default_factory=lambda: array("B"))
    answers: list[str | float] = field(default_factory=list)
    cards: list[tuple[int, int]] = field(default_factory=list)
    texts: list[tuple[int, int]] = field(default_factory=list)


def id_hash(record_id: str) -> int:
    """The hash of an id by which examples are chosen and ordered; 64 bits."""
    digest = hashlib.blake2b(record_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def write_gallery(
    dataset: Dataset,
    records: Iterable[OpenedRecord],
    folder: Path,
    *,
    counts: Mapping[str, int],
    progress: Callable[[str, int], None] | None = None,
) -> GalleryReport:
    """Write `folder/index.html` and what it loads; an older gallery there is replaced.

    Memory does not grow with the records but for some hundred bytes each. A folder that holds
    anything else is left as it is.

    Args:
        dataset: The data set, whose indexes give the maps.
        records: The records to show.
        folder: Where the page goes.
        counts: Rows of each task in the data set.
        progress: Called with a task and the number of records done.

    Raises:
        FolderInUse: The folder holds something else than a gallery.
        RecordError: Most of the images cannot be opened.
    """
    with whole_folder(folder, "view") as work, tempfile.TemporaryFile() as spool:
        writer = _Writer(dataset, work, Spool(spool))
        for done, opened in enumerate(records):
            writer.add(opened)
            if progress is not None:
                progress(opened.record.task, done + 1)
        writer.finish(counts)
    return GalleryReport(
        folder / "index.html", writer.shown, writer.pictures.count, dict(writer.pictures.lost),
        dict(writer.plans.missing),
    )  # fmt: skip


class _Writer:
    def __init__(self, dataset: Dataset, work: Path, spool: Spool) -> None:
        for name in ("assets", "data", "pages", "texts", "scenes"):
            (work / name).mkdir()
        self.shown = 0
        self.pictures = Pictures(work / "images")
        self.plans = ScenePlans(dataset, self._scene)
        self._title = dataset.path.name
        self._work, self._spool = work, spool
        self._tasks: dict[str, _Task] = {}
        self._splits: dict[str, int] = {}
        self._made_by: dict[str, int] = {}

    def _scene(self, number: int, plan: dict[str, Any]) -> None:
        data_file(self._work / "scenes", "scene", number, plan)

    def add(self, opened: OpenedRecord) -> None:
        """Take in one record."""
        record = opened.record
        task = self._tasks.setdefault(record.task, _Task(record.answer_unit, record.answer_type))
        task.order.append(id_hash(record.id))
        task.scenes.append(self.plans.number(record))
        task.splits.append(self._splits.setdefault(record.split, len(self._splits)))
        task.answers.append(answer_key(record))
        task.cards.append(self._spool.add(json.dumps(self._card(opened), separators=(",", ":"))))
        text = f"{record.id} {record.question} {record.answer}".replace("`", "")
        task.texts.append(self._spool.add(" ".join(text.lower().split())))
        self.shown += 1

    def _card(self, opened: OpenedRecord) -> dict[str, Any]:
        record = opened.record
        plan, why = self.plans.explain(record)
        made_by = f"recipe {record.recipe} · rule {record.rule} · seed {record.seed}"
        card: dict[str, Any] = {
            "id": record.id,
            "scene": self.plans.number(record),
            "q": record.question,
            "a": record.answer,
            "frames": list(record.frames),
            "names": list(record.frame_names),
            "images": [_picture(self.pictures.add(opened, k)) for k in range(len(record.images))],
            "objects": why.objects,
            "top": why.top,
            "floor": why.floor,
            "on": why.images,
            "table": why.table,
            "by": self._made_by.setdefault(made_by, len(self._made_by)),
        }
        if plan is None:
            card |= {"box": why.box, "said": why.said}
        return {key: value for key, value in card.items() if value not in ([], {}, None)}

    def finish(self, counts: Mapping[str, int]) -> None:
        """Write the data in its order, and the page."""
        self.pictures.check()
        self.plans.close()
        names = sorted(self._tasks)
        groups = {n: group_answers(t.answers, t.unit, t.kind) for n, t in self._tasks.items()}
        columns: dict[str, list[int]] = {"scene": [], "split": [], "answer": [], "hash": []}
        rows = [(n, i) for n in names for i in _ranked(self._tasks[n].order)]
        for name, i in rows:
            task = self._tasks[name]
            columns["scene"].append(task.scenes[i])
            columns["split"].append(task.splits[i])
            columns["answer"].append(groups[name].of_record[i])
            columns["hash"].append(task.order[i] & 0xFFFFFFFF)
        tasks, page = [], 0
        for name in names:
            tasks.append({
                "name": name, "rows": len(self._tasks[name].order), "all": counts.get(name, 0),
                "page": page, "answers": groups[name].names, "about": groups[name].about,
            })  # fmt: skip
            page = self._pages(name, page)
        self._texts(rows)
        head = {
            "title": self._title, "rows": self.shown, "all": sum(counts.values()), "tasks": tasks,
            "page_rows": PAGE_ROWS, "text_rows": TEXT_ROWS, "scenes": self.plans.names,
            "maps": sorted(self._mapped()), "splits": list(self._splits),
            "made_by": list(self._made_by),
            "columns": {key: column(values) for key, values in columns.items()},
        }  # fmt: skip
        data_file(self._work / "data", "head", 0, head)
        self._page()

    def _mapped(self) -> list[int]:
        return [int(path.stem) for path in (self._work / "scenes").iterdir()]

    def _pages(self, name: str, page: int) -> int:
        """Write the records of a task from data file `page` on; returns the next one's number."""
        task = self._tasks[name]
        ranked = iter(_ranked(task.order))
        while rows := list(islice(ranked, PAGE_ROWS)):
            cards = [json.loads(self._spool.get(task.cards[i])) for i in rows]
            data_file(self._work / "pages", "page", page, cards)
            page += 1
        return page

    def _texts(self, rows: Sequence[tuple[str, int]]) -> None:
        for number, start in enumerate(range(0, len(rows), TEXT_ROWS)):
            some = rows[start : start + TEXT_ROWS]
            text = "\n".join(self._spool.get(self._tasks[n].texts[i]) for n, i in some)
            data_file(self._work / "texts", "text", number, text)

    def _page(self) -> None:
        from jinja2 import Environment

        styles = [_asset(self._work, name) for name in STYLES]
        scripts = [_asset(self._work, name) for name in SCRIPTS]
        environment = Environment(autoescape=True, keep_trailing_newline=True)
        page = environment.from_string(_read("index.html")).render(
            title=self._title, policy=PAGE_POLICY, styles=styles, scripts=scripts
        )
        (self._work / "index.html").write_text(page, encoding="utf-8")


def _ranked(order: array[int]) -> list[int]:
    return sorted(range(len(order)), key=order.__getitem__)


def _picture(picture: Any) -> list[Any]:
    """A picture as the page reads it: file, size, and patches where it has some."""
    row = [picture.file, picture.width, picture.height]
    return [*row, [list(patch) for patch in picture.patches]] if picture.patches else row


def _read(name: str) -> str:
    return (files("spatial_engine.view") / "page" / name).read_text(encoding="utf-8")


def _asset(work: Path, name: str) -> str:
    """Write a style or a script under a name with its hash, so that no cache serves an old one."""
    text = _read(name)
    stem, _, kind = name.rpartition(".")
    path = f"assets/{stem}-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}.{kind}"
    (work / path).write_text(text, encoding="utf-8")
    return path
