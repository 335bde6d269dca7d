# SPDX-License-Identifier: Apache-2.0
"""The gallery at 10^5 records: time and bytes to write it, time to load it, time of a key.

The records of a data set are written again and again under ids of their own until there are enough;
times in the browser are medians, by the page's own clock from the event to the next frame, and by
the processor time of its main thread, which the load of the machine does not change.

python -m benchmarks.gallery OUT FOLDER --rows 100000
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.browser import headless, set_window
from benchmarks.ops.harness import machine
from spatial_engine.dataset.dataset import Dataset, OpenedRecord
from spatial_engine.view import write_gallery
from spatialcore.files import write_json

RESULT = Path(__file__).resolve().parent / "results" / "gallery.json"
REPEATS = 9
WAIT_S = 300
# The page's clock: from an event until what it changes is painted.
TIMED = """
const [act, end] = arguments;
const painted = (t) => requestAnimationFrame(() => setTimeout(() => end(performance.now() - t)));
const settled = (t) => {
  const wait = () => {
    const looking = found && searched < Math.ceil(store.head.rows / store.head.text_rows);
    const empty = list.nodes.size && !document.querySelector('.row .question');
    return looking || empty ? setTimeout(wait) : painted(t);
  };
  setTimeout(wait, 61);  // the pause after a letter, before the search begins
};
const start = performance.now();
if (act.key) {
  document.dispatchEvent(new KeyboardEvent('keydown', {key: act.key, bubbles: true}));
  const wait = () => shown.card && pane.dataset.id === shown.card.id ? painted(start)
    : setTimeout(wait);
  wait();
} else if (act.press) { document.querySelector(act.press).click(); painted(start); }
else { field.value = act.text; field.dispatchEvent(new Event('input')); settled(start); }
"""
LOADED = """
const end = arguments[0];
const wait = () => document.querySelector('.row .question') && shown && shown.card
  ? end(performance.now()) : setTimeout(wait, 5);
wait();
"""


class Taken(NamedTuple):
    """Milliseconds: on the clock, and of the processor on the page's main thread."""

    wall: float
    cpu: float


def replicated(dataset: Dataset, rows: int) -> Iterator[OpenedRecord]:
    """So many records: those of the data set again and again, each under an id of its own."""

    def endless() -> Iterator[OpenedRecord]:
        for turn in count():
            for opened in dataset.opened():
                record = opened.record
                if turn:
                    head = record.id.rpartition("/")[0]
                    digits = int(record.id[-16:], 16) ^ turn * 0x9E3779B97F4A7C15 % (1 << 64)
                    record = dataclasses.replace(record, id=f"{head}/{digits:016x}")
                yield dataclasses.replace(opened, record=record)

    return islice(endless(), rows)


def written(dataset: Dataset, rows: int, folder: Path) -> dict[str, Any]:
    """Write the page, and say what that took."""
    counts: Counter[str] = Counter()
    started, cpu = time.perf_counter(), time.process_time()
    report = write_gallery(dataset, replicated(dataset, rows), folder, counts=counts)
    sizes = {
        part.name: {
            "files": len(files := [path for path in part.rglob("*") if path.is_file()]),
            "bytes": sum(path.stat().st_size for path in files),
        }
        for part in sorted(folder.iterdir())
        if part.is_dir()
    }
    return {
        "records": report.shown,
        "write_s": round(time.perf_counter() - started, 1),
        "write_cpu_s": round(time.process_time() - cpu, 1),
        "folders": sizes,
        "bytes": sum(part["bytes"] for part in sizes.values()),
    }


def measured(page: str) -> dict[str, Any]:
    """Times of the page in a browser, milliseconds: medians and the slowest."""
    with headless() as driver:
        driver.set_script_timeout(WAIT_S)
        set_window(driver, (1440, 900))

        def cpu() -> float:
            metrics = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
            return 1000 * next(one["value"] for one in metrics if one["name"] == "ThreadTime")

        def load() -> Taken:
            driver.get("about:blank")
            before = cpu()
            driver.get(page)
            wall = float(driver.execute_async_script(LOADED))
            return Taken(wall, cpu() - before)

        def act(**what: str) -> Taken:
            before = cpu()
            wall = float(driver.execute_async_script(TIMED, what))
            return Taken(wall, cpu() - before)

        driver.execute_cdp_cmd("Performance.enable", {})
        times: dict[str, list[Taken]] = {"load": [load() for _ in range(3)]}
        times["first search, texts loaded"] = [act(text="q")]
        text = "chair nearer"
        times["letter of a search"] = [act(text=text[:k]) for k in range(2, len(text) + 1)]
        act(text="")
        times["next record (j)"] = _times(lambda _: act(key="j"))
        times["filter"] = _times(
            lambda k: act(press=f".facet.task li:nth-of-type({2 + k % 2}) > button")
        )
        found = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        heap = {one["name"]: one["value"] for one in found}
        return {
            "browser": driver.capabilities["browserVersion"],
            "ms": {
                name: {
                    "median": round(statistics.median(one.wall for one in some), 1),
                    "most": round(max(one.wall for one in some), 1),
                    "median_cpu": round(statistics.median(one.cpu for one in some), 1),
                }
                for name, some in times.items()
            },
            "heap_mb": round(heap["JSHeapUsedSize"] / 1e6, 1),
            "elements": driver.execute_script("return document.querySelectorAll('*').length"),
        }  # fmt: skip


def _times(act: Callable[[int], Taken]) -> list[Taken]:
    return [act(k) for k in range(REPEATS)]


def main() -> None:
    """Write, measure, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="data set whose records are written")
    parser.add_argument("folder", type=Path, help="folder of the page")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--again", action="store_true", help="measure a page that is there")
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args()
    if options.again:
        found = json.loads(options.result.read_text(encoding="utf-8"))
    else:
        found = written(Dataset.open(options.out), options.rows, options.folder)
    found |= measured((options.folder / "index.html").resolve().as_uri())
    found |= {"machine": machine(), "load": os.getloadavg()[0]}
    write_json(options.result, found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
