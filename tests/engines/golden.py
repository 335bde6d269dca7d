# SPDX-License-Identifier: Apache-2.0
"""Golden records: one of each task, made from a small sample set and kept in golden.json.

`python -m tests.engines.golden` writes them anew. A change of this file in a commit is a change of
what the engines ask or answer, and has to be meant.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

from spatial_engine.commands import generate
from spatial_engine.dataset.dataset import open_records
from spatial_engine.records.marks import Mark
from spatial_engine.records.record import QARecord
from spatialcore.sample import SampleConfig, make_sample

PATH = Path(__file__).with_name("golden.json")
CONFIG = SampleConfig(rooms=2, clips=2, frames=60, clip_frames=24, tracks=96)


def entry_of(record: QARecord) -> dict[str, Any]:
    """What is asked, of which frames, and every number that the answer follows from."""
    return {
        "id": record.id,
        "scene": record.scene,
        "frames": list(record.frames),
        "prompt": record.messages[0].content,
        "answer": record.answer,
        "options": list(record.options),
        "marks": [[_mark(m) for m in i.marks] for i in record.images],
        "evidence": record.facts,
    }


def _mark(mark: Mark) -> list[Any]:
    size = [mark.width, mark.height] if mark.width else []
    runs = [list(mark.runs)] if mark.runs else []
    return [mark.u, mark.v, mark.colour, mark.letter, *size, *runs]


def make_golden_set(sample: Path, out: Path) -> None:
    """The data set that the records are taken from."""
    sources = [str(sample / name) for name in ("scannet", "tapvid3d")]
    if generate.main([*sources, "-o", str(out)]) != 0:
        raise RuntimeError("the sample set cannot be generated from")


def golden_entries(out: Path) -> dict[str, dict[str, Any]]:
    """Task -> the record with the smallest id."""
    first: dict[str, QARecord] = {}
    for opened in open_records(out):
        record = opened.record
        if record.task not in first or record.id < first[record.task].id:
            first[record.task] = record
    return {task: entry_of(first[task]) for task in sorted(first)}


def write() -> None:
    """Make golden.json."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        for _ in make_sample(Path(folder) / "set", CONFIG):
            pass
        make_golden_set(Path(folder) / "set", Path(folder) / "out")
        entries = golden_entries(Path(folder) / "out")
    PATH.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
