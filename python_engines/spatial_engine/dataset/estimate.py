# SPDX-License-Identifier: Apache-2.0
"""What a plan will cost, measured on a few of its shards that are made in memory and dropped."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial_engine.dataset.make import collector_paused
from spatial_engine.dataset.shard_table import shard_table
from spatial_engine.plan.open import open_index
from spatial_engine.records.record import write_table
from spatialcore.files import scratch

if TYPE_CHECKING:
    import pyarrow as pa

    from spatial_engine.plan.plan import Plan

SAMPLED_SHARDS = 3
_SAMPLED_FILES = 64


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of a plan.

    Attributes:
        rows: Records, exact.
        shards: Record files, exact.
        seconds: Time to make them.
        workers: By so many processes.
        record_bytes: Size of the record files.
        images: Pictures that records show, each counted as often as it is shown.
        image_files: Files of an export: a frame without marks is stored once, at most all frames.
        image_bytes: Their size as copies, in which marks are drawn.
        sampled_rows: Records that were made to measure this.
    """

    rows: int
    shards: int
    seconds: float
    workers: int
    record_bytes: int
    images: int
    image_files: int
    image_bytes: int
    sampled_rows: int

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def estimate(plan: Plan, workers: int) -> Estimate:
    """Make up to three shards of a plan, evenly spread, and scale what they cost to all rows.

    Args:
        plan: The plan.
        workers: Processes that will make it.
    """
    count = len(plan.shards)
    numbers = np.unique(np.linspace(0, count - 1, min(count, SAMPLED_SHARDS)).astype(int))
    rows = size = images = marked = 0
    seconds = 0.0
    shown: set[tuple[str, str]] = set()
    for number in numbers.tolist():
        started = time.perf_counter()
        with collector_paused():
            table = shard_table(plan, number).table
        size += _size(table)
        seconds += time.perf_counter() - started
        rows += len(table)
        refs, with_marks = _shown(table, shown)
        images, marked = images + refs, marked + with_marks
    scale = plan.rows / max(1, rows)
    plain = round((images - marked) * scale)
    files = round(marked * scale) + min(plain, _frame_count(plan), round(len(shown) * scale))
    return Estimate(
        rows=plan.rows,
        shards=count,
        seconds=round(seconds * scale / max(1, min(workers, count)), 1),
        workers=workers,
        record_bytes=round(size * scale),
        images=round(images * scale),
        image_files=files,
        image_bytes=round(files * _mean_size(shown, plan.sources)),
        sampled_rows=rows,
    )


def _size(table: pa.Table) -> int:
    with scratch("spatialcore-estimate") as folder:
        path = folder / "part.parquet"
        write_table(path, table)
        return path.stat().st_size


def _shown(table: pa.Table, shown: set[tuple[str, str]]) -> tuple[int, int]:
    """(pictures, those with marks) of a table; the others are added to what is shown."""
    images = marked = 0
    columns = (table.column("source").to_pylist(), table.column("images").to_pylist())
    for source, refs in zip(*columns, strict=True):
        for image in refs:
            images += 1
            if image["marks"]:
                marked += 1
            else:
                shown.add((source, image["uri"]))
    return images, marked


def _frame_count(plan: Plan) -> int:
    """Frames of the planned scenes that can be shown."""
    index = open_index(plan.index)
    return sum(
        int(index.open_scene(*name).meta["counts"]["frame_count"])
        for name in {(scene.source, scene.scene) for scene in plan.scenes}
    )


def _mean_size(shown: set[tuple[str, str]], sources: Mapping[str, Mapping[str, Any]]) -> float:
    """Mean size of some of the pictures, bytes; 100 kB where they lie inside other files."""
    sizes = []
    for source, uri in sorted(shown)[:: max(1, len(shown) // _SAMPLED_FILES)]:
        path = Path(sources[source]["root"]) / uri.partition("#")[0]
        if "#" not in uri and path.is_file():
            sizes.append(path.stat().st_size)
    return float(np.mean(sizes)) if sizes else 100_000.0
