# SPDX-License-Identifier: Apache-2.0
"""Things that records name or count, held against a z-buffer of the labelled surfaces.

    python -m benchmarks.hidden OUT --label NAME

No depth map is read: whatever the engine of a record says that it names (`Engine.named`) must have
an open part in one of the frames that are shown (`reference.splats`). `--frames` bounds the frames
that are drawn of a scene; what needs others is counted apart. Counts, by family of tasks, are kept
in benchmarks/results/hidden.json; 1 when anything is hidden.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from spatial_engine.check.verify import LEAST_OPEN
from spatial_engine.dataset.dataset import Dataset
from spatial_engine.engines import engine_of
from spatial_engine.engines.base import Named
from spatial_engine.engines.candidates import Row
from spatial_engine.plan.open import reopen_source
from spatial_engine.records.record import QARecord
from spatial_engine.records.task_name import family_of
from spatial_engine.reference.scene import ReferenceScene
from spatialcore.files import write_json

RESULTS = Path(__file__).parent / "results" / "hidden.json"
VERDICTS = ("open", "hidden", "beyond")
Place = tuple[str, str, str]
"""Source, scene and split."""


def by_scene(dataset: Dataset) -> dict[Place, list[QARecord]]:
    """The records about scans; clips have no surfaces."""
    found: dict[Place, list[QARecord]] = defaultdict(list)
    for record in dataset.records():
        if engine_of(record.task).kind != "clip":
            found[record.source, record.scene, record.split].append(record)
    return found


def named(reference: ReferenceScene, records: list[QARecord]) -> dict[Named, dict[str, set[str]]]:
    """What is named there, where it must be seen: by family, the records that do so."""
    found: dict[Named, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for record in records:
        row = Row(tuple(record.frames), tuple(int(i) for i in record.facts["items"]))
        for one in engine_of(record.task).named(reference, row):
            found[Named(one.object_id, tuple(one.frames))][family_of(record.task)].add(record.id)
    return found


def looked_at(
    reference: ReferenceScene, things: Mapping[Named, Any], most: int
) -> Iterator[tuple[Named, str]]:
    """Whether each is open, hidden, or needs more frames than may be drawn."""
    drawn: dict[int, None] = {}
    for one in sorted(things, key=lambda one: (-len(one.frames), one)):
        verdict = "hidden"
        # Frames that are drawn already first: nearly everything is open in one of them.
        for frame in sorted(one.frames, key=lambda frame: frame not in drawn):
            if frame not in drawn and len(drawn) >= most:
                verdict = "beyond"
                break
            drawn[frame] = None
            if reference.open_share(frame, one.object_id) >= LEAST_OPEN:
                verdict = "open"
                break
        yield one, verdict


def held(dataset: Dataset, most: int) -> dict[str, Any]:
    """Counts over all scenes, and the records of what is hidden."""
    counts: dict[str, Any] = dict.fromkeys(("scenes", *VERDICTS), 0)
    families: dict[str, dict[str, int]] = {}
    hidden: set[str] = set()
    manifest, roots = dataset.manifest, dataset.roots
    for (source, scene, split), records in sorted(by_scene(dataset).items()):
        entry = manifest.sources[source]
        opened = reopen_source(source, entry.kind, roots[source], entry.options).open(scene)
        reference = ReferenceScene(opened, manifest.recipe, manifest.seed, split)
        things = named(reference, records)
        for one, verdict in looked_at(reference, things, most):
            counts[verdict] += 1
            for family, ids in things[one].items():
                families.setdefault(family, dict.fromkeys(VERDICTS, 0))[verdict] += 1
                hidden |= ids if verdict == "hidden" else set()
        counts["scenes"] += 1
        print(f"{source}/{scene}: {counts}", file=sys.stderr, flush=True)
    return {**counts, "families": dict(sorted(families.items())), "records": sorted(hidden)}


def main() -> int:
    """Look, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=10**6, help="drawn of a scene at most")
    parser.add_argument("--label", required=True, help="under which the counts are kept")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    found = {"frames": given.frames, **held(Dataset.open(given.out), given.frames)}
    print(found)
    kept = {}
    if given.results.exists():
        kept = json.loads(given.results.read_text(encoding="utf-8"))
    write_json(given.results, {**kept, given.label: found})
    return int(found["hidden"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
