# SPDX-License-Identifier: Apache-2.0
"""The report of a data set: one page that holds all it shows, readable without a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from spatial_engine.dataset.dataset import Dataset, OpenedRecord
from spatial_engine.dataset.stats import DatasetStats, TaskStats, dataset_stats
from spatial_engine.records.record import QARecord
from spatial_engine.view.choose import choose_examples
from spatial_engine.view.scene_files import ScenePlans
from spatial_engine.view.shapes import drawing_style, svg, symbol
from spatial_engine.view.why import above_base, view_box
from spatialcore.errors import SpatialCoreError
from spatialcore.files import write_text
from spatialcore.workers import Workers

if TYPE_CHECKING:
    from PIL.Image import Image

PER_TASK = 3
SAMPLED_SHARDS = 24  # that examples are chosen from
_IMAGES = 4  # of a record; the rest is counted
_WIDTH = {1: 420, 2: 300}  # pixels of an image, by how many are shown
_LEAST_WIDTH = 200
_ANSWERS = 8  # of a closed set


def write_report(
    dataset: Dataset,
    path: Path,
    *,
    workers: int | Workers | None = 1,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> DatasetStats:
    """Write the page; it is the same for any number of workers.

    Args:
        dataset: The data set, finished or not.
        path: The page.
        workers: Who counts the record files.
        on_progress: Is told a name, the files that are counted, and how many there are.

    Returns:
        The statistics that it shows.

    Raises:
        RecordError: A record file is damaged.
        WorkerError: A worker died twice over one of them.
    """
    from jinja2 import Environment

    stats = dataset_stats(dataset.path, workers=workers, on_progress=on_progress)
    template = (files("spatial_engine.view") / "report.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, keep_trailing_newline=True)
    write_text(path, environment.from_string(template).render(**_page(dataset, stats)))
    return stats


def _page(dataset: Dataset, stats: DatasetStats) -> dict[str, Any]:
    manifest = dataset.manifest
    most = max((task.rows for task in stats.tasks.values()), default=1)
    splits: dict[str, int] = {}
    for file in dataset.shards:
        splits[file.done.split] = splits.get(file.done.split, 0) + file.done.rows
    names = sorted(stats.tasks.keys() | stats.shortfall.keys())
    seeds = ", ".join(dict.fromkeys(str(part.seed) for part in manifest.parts))
    return {
        "title": dataset.path.name,
        "rows": stats.rows,
        "planned": manifest.rows,
        "files": stats.files,
        "asked": manifest.config.get("limit"),
        "made_by": f"Made by spatialcore {manifest.versions.get('spatialcore', '')}, recipe "
        f"{manifest.recipe.name}, seed {seeds}.",
        "problems": _problems(dataset, stats),
        "splits": sorted(splits.items()),
        "tasks": [
            _row(name, stats.tasks.get(name, TaskStats()), stats.shortfall.get(name, 0), most)
            for name in names
        ],
        "rejections": [(task, _counts(why)) for task, why in sorted(stats.rejections.items())],
        "skipped": [(f"{s.source}/{s.scene}", f"{s.reason}: {s.message}")
                    for s in stats.skipped_scenes],
        "drawing_style": Markup(drawing_style()),
        **_examples(dataset),
    }  # fmt: skip


def _problems(dataset: Dataset, stats: DatasetStats) -> list[str]:
    out = []
    if len(dataset.shards) < dataset.manifest.shards:
        missing = dataset.manifest.shards - len(dataset.shards)
        out.append(f"not finished: {missing:,} shards are missing")
    if stats.duplicate_ids:
        out.append(f"{stats.duplicate_ids:,} ids occur more than once")
    if stats.duplicate_questions:
        out.append(f"{stats.duplicate_questions:,} questions occur more than once")
    if stats.unknown_tasks:
        out.append(f"no installed engine makes {', '.join(stats.unknown_tasks)}")
    return out


def _row(name: str, task: TaskStats, short: int, most: int) -> dict[str, Any]:
    return {
        "name": name,
        "rows": task.rows,
        "share": round(100 * task.rows / most, 1),
        "chance": _percent(task.chance),
        "majority": _percent(task.majority if task.rows else None),
        "blind": _percent(task.blind),
        "short": f"{short:,}" if short else "",
        "answers": _answers(task),
    }


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _answers(task: TaskStats) -> str:
    if task.answers:
        ranked = sorted(task.answers.items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(f"{word} {100 * n / task.rows:.0f} %" for word, n in ranked[:_ANSWERS])
        return shown + (f", {len(ranked) - _ANSWERS} more" if len(ranked) > _ANSWERS else "")
    if task.numbers:
        low, middle, high = (task.numbers[q] for q in ("0.05", "0.5", "0.95"))
        return f"{low:.4g}, {middle:.4g}, {high:.4g} {task.unit}"
    return ""


def _counts(why: Mapping[str, int]) -> str:
    ranked = sorted(why.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {count:,}" for reason, count in ranked)


def _examples(dataset: Dataset) -> dict[str, Any]:
    """A few records of each task, of shards that are spread evenly over the data set."""
    numbers = [file.done.shard for file in dataset.shards]
    some = np.unique(np.linspace(0, len(numbers) - 1, SAMPLED_SHARDS).astype(int))
    opened = (one for k in some.tolist() for one in dataset.opened_file(numbers[k]))
    plans, bases = ScenePlans(dataset), dict[int, Markup]()
    examples = [
        (task, [_card(record, plans, bases) for record in records])
        for task, records in choose_examples(opened, PER_TASK).items()
    ]
    return {"examples": examples, "bases": list(bases.values())}


def _map(record: QARecord, plans: ScenePlans, bases: dict[int, Markup]) -> Markup | None:
    """The drawing of a record's evidence; what all records of a scene share goes into `bases`."""
    plan, why = plans.explain(record)
    box = view_box(plan, why)
    if box is None:
        return None
    number, base = plans.number(record), ""
    if plan is not None:
        base = f"plan-{number}"
        bases.setdefault(number, Markup(symbol(plan.base, base)))
    title = f"The scene {why.said}"
    shapes = above_base(record, plan, why)
    return Markup(svg(shapes, box, title=title, floor=why.floor, base=base))


def _card(opened: OpenedRecord, plans: ScenePlans, bases: dict[int, Markup]) -> dict[str, Any]:
    record = opened.record
    count = min(len(record.images), _IMAGES)
    width = _WIDTH.get(count, _LEAST_WIDTH)
    images, lost = [], 0
    for number in islice(range(len(record.images)), count):
        try:
            images.append(_picture(opened.image(number), width))
        except (SpatialCoreError, OSError):
            lost += 1
    return {
        "id": record.id,
        "question": record.question.splitlines(),
        "answer": record.answer.replace("`", ""),
        "images": images,
        "more": len(record.images) - count,
        "lost": lost,
        "map": _map(record, plans, bases),
    }


def _picture(image: Image, width: int) -> dict[str, Any]:
    small = image.convert("RGB")
    small.thumbnail((width, 4 * width))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return {
        "data": base64.b64encode(out.getvalue()).decode(),
        "width": small.width,
        "height": small.height,
    }
