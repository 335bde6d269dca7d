# SPDX-License-Identifier: Apache-2.0
"""Things that records name or count, held against a z-buffer of the labelled surfaces.

    python -m benchmarks.hidden OUT --frames 12 --label NAME

No depth map is read, and no rule of the engines: of every record about labelled objects the ids in
its evidence are looked up, and each must have an open part in one of the frames that are shown
(`reference.splats`). `--frames` bounds the frames that are drawn of a scene; what needs others is
counted apart. Counts are kept in benchmarks/results/hidden.json; 1 when anything is hidden.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from spatial_engine.check.verify import LEAST_OPEN
from spatial_engine.dataset.dataset import Dataset
from spatial_engine.plan.open import reopen_source
from spatial_engine.records.task_name import family_of
from spatial_engine.reference.scene import ReferenceScene
from spatialcore.files import write_json

# Whose items are ids of objects; those of pointed forms are marks as well.
FAMILIES = ("scene_layout", "spatial_relation", "object_perception", "navigation")
POINTED = ("boxed", "pointed", "masked")
RESULTS = Path(__file__).parents[1] / "results" / "hidden.json"


class Seen(NamedTuple):
    """An object that a record names: it must be open in one of the frames."""

    object_id: int
    frames: tuple[int, ...]


def named_by_scene(dataset: Dataset) -> dict[tuple[str, str, str], dict[Seen, set[str]]]:
    """(source, scene, split) -> what is named there, and by which records."""
    found: dict[tuple[str, str, str], dict[Seen, set[str]]] = defaultdict(lambda: defaultdict(set))
    for record in dataset.records():
        if family_of(record.task) not in FAMILIES or record.task.endswith(POINTED):
            continue
        evidence = json.loads(record.evidence)
        ids = {*evidence.get("items", ()), *evidence.get("object_ids", ())}
        ids -= set(evidence.get("fragment_ids", ()))
        if "visible" in evidence:  # of a count in one image: all instances, seen there or not
            counts = zip(evidence["object_ids"], evidence["visible"], strict=True)
            ids = {object_id for object_id, visible in counts if visible}
        for object_id in ids:
            seen = Seen(int(object_id), tuple(record.frames))
            found[record.source, record.scene, record.split][seen].add(record.id)
    return found


def looked_at(
    reference: ReferenceScene, named: dict[Seen, set[str]], most: int
) -> dict[str, list[Any]]:
    """What is open, hidden, or needs more frames than may be drawn; structure is left out."""
    known = {item.object_id for item in reference.scene.objects}
    drawn: dict[int, None] = {}
    out: dict[str, list[Any]] = {"open": [], "hidden": [], "beyond": []}
    for seen in sorted(named, key=lambda one: (-len(one.frames), one)):
        if seen.object_id not in known:
            continue
        verdict = "hidden"
        # Frames that are drawn already first: nearly everything is open in one of them.
        for frame in sorted(seen.frames, key=lambda one: one not in drawn):
            if frame not in drawn and len(drawn) >= most:
                verdict = "beyond"
                break
            drawn[frame] = None
            if reference.open_share(frame, seen.object_id) >= LEAST_OPEN:
                verdict = "open"
                break
        out[verdict].append(seen)
    return out


def held(dataset: Dataset, most: int) -> dict[str, Any]:
    """Counts over all scenes, and the records of what is hidden."""
    counts: dict[str, Any] = {"scenes": 0, "open": 0, "hidden": 0, "beyond": 0, "records": []}
    manifest, roots = dataset.manifest, dataset.roots
    for (source, scene, split), named in sorted(named_by_scene(dataset).items()):
        entry = manifest.sources[source]
        opened = reopen_source(source, entry.kind, roots[source], entry.options).open(scene)
        reference = ReferenceScene(opened, manifest.recipe, manifest.seed, split)
        found = looked_at(reference, named, most)
        counts["scenes"] += 1
        for name in ("open", "hidden", "beyond"):
            counts[name] += len(found[name])
        counts["records"] += sorted({i for seen in found["hidden"] for i in named[seen]})
        print(f"{source}/{scene}: {counts}", file=sys.stderr, flush=True)
    return counts


def main() -> int:
    """Look, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=12, help="drawn of a scene at most")
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
