# SPDX-License-Identifier: Apache-2.0
"""The index of sample rooms on the CPU and on a GPU: the same files, and how long each takes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.device.tables import Variant
from spatialcore.index.index import build_index
from spatialcore.io.open import open_sources
from spatialcore.sample import SampleConfig, make_sample


def files(folder: Path) -> dict[str, bytes]:
    """Every file of an index."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def variants(folder: Path, rooms: int, frames: int, device: str = "cuda") -> list[Variant]:
    """`index` of new sample rooms with both devices; the error counts files that differ."""
    scenes = folder / "scenes"
    config = SampleConfig(rooms=rooms, clips=0, frames=frames, layouts=("scannet",))
    for _ in make_sample(scenes, config):
        pass
    expected: dict[str, bytes] = {}

    def index(place: str) -> Callable[[], Path]:
        def run() -> Path:
            out = folder / place.partition(":")[0]
            shutil.rmtree(out, ignore_errors=True)
            build_index(list(open_sources(str(scenes / "scannet"))), out, device=place)
            return out

        return run

    def different_files(out: Path) -> float:
        made = files(out)
        expected.update(expected or made)  # the CPU's come first
        names = made.keys() | expected.keys()
        return float(sum(made.get(name) != expected.get(name) for name in names))

    return [
        Variant("ours, cpu", index("cpu"), different_files, capture=False),
        Variant("ours, " + device.partition(":")[0], index(device), different_files, capture=False),
    ]
