# SPDX-License-Identifier: Apache-2.0
"""A large data set from replicated rooms: time, disk, and memory over time of every verb.

    python -m benchmarks.pipeline.scale_run FOLDER --rooms 2 --copies 35 --records 200000

Rooms are rendered once and replicated by links under other ids, so that the source stays small.
Nine of ten scenes are planned as one data set, the others as a second one that `merge` adds. Each
verb runs as a user would run it; the memory of its process tree is read from /proc twice a second.
Called again, steps that are done are not run again, and one that was cut short resumes: its seconds
are then those of the last call, which `resumed` says. Figures go to benchmarks/results/scale.json
after each step; docs/scale.md explains them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.pipeline.measured import run
from spatialcore.files import write_json

RESULTS = Path(__file__).parents[1] / "results" / "scale.json"
# Drawing marks is the cost of an export, 20 to 40 ms a picture, and is the same for any size.
UNMARKED = "camera_movement.*,scene_layout.*,spatial_relation.*,object_perception.*"
SCENE_BYTES, RECORD_BYTES = 20e6, 9e3  # of index and waiting candidates; of records and exports


class Step(NamedTuple):
    """One verb.

    Attributes:
        name: Of its row.
        argv: Its arguments; ID stands for the id of the last record.
        output: What it writes.
    """

    name: str
    argv: list[str]
    output: Path | None = None


def main() -> int:
    """Run the verbs one after the other and write what they cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rooms", type=int, default=2)
    parser.add_argument("--copies", type=int, default=35)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tmp").mkdir(exist_ok=True)
    check_space(folder, options)
    rooms = folder / "rooms"
    if not rooms.exists():
        making = folder / "rooms.making"
        shutil.rmtree(making, ignore_errors=True)
        run(["sample", str(making), "--rooms", str(options.rooms), "--clips", "0",
             "--layouts", "scannet"], making)  # fmt: skip
        making.rename(rooms)
    replicate(rooms / "scannet", folder / "scans", options.copies)
    found = done_steps(folder, options)
    for step in steps(folder, options):
        if step.name in found:
            print(f"{step.name:18} was measured by an earlier call", flush=True)
            continue
        print(f"{step.name:18} ...", flush=True)
        resumed = step.output is not None and step.output.exists()
        argv = [last_id(folder / "out") if a == "ID" else a for a in step.argv]
        cost = run(argv, step.output, folder / "tmp") | ({"resumed": True} if resumed else {})
        found[step.name] = cost
        told = {name: value for name, value in cost.items() if name != "memory"}
        print(f"{step.name:18} {told}", flush=True)
        write_json(folder / "steps.json", {"asked": asked(options), "steps": found})
        write_json(options.results, report(folder, options, found))
    return 0


def steps(folder: Path, options: argparse.Namespace) -> Iterator[Step]:
    """The verbs in order; an output that a step needs is of one before it."""
    many = ["--workers", str(options.workers)]
    idx, plan, out = folder / "index", folder / "plan", folder / "out"
    few, other = folder / "few", folder / "other"
    yield Step("index", ["index", str(folder / "scans"), "-o", str(idx), *many], idx)
    most, rest = scene_lists(folder)
    limit, more = str(options.records), str(max(1, options.records // 20))
    yield Step("plan", ["plan", str(idx), "-o", str(plan), "--limit", limit, "--scenes", str(most),
                        *many], plan)  # fmt: skip
    yield Step("generate", ["generate", str(plan), "-o", str(out), *many], out)
    yield Step("verify --sample", ["verify", str(out), "--sample", "2000", *many])
    yield Step("stats", ["stats", str(out), "--json", *many])
    yield Step("score --baseline", ["score", "--records", str(out), "--baseline", "frequency",
                                    "--split", "train", *many])  # fmt: skip
    yield Step("show ID", ["show", str(out), "ID", "--json"])
    yield Step("export, no marks", ["export", str(out), "-o", str(folder / "set"), "--to", "swift",
                                    "jsonl", "--tasks", UNMARKED, *many],
               folder / "set")  # fmt: skip
    yield Step("status", ["status", str(out)])
    yield Step("report", ["report", str(out), "-o", str(folder / "report.html"), *many],
               folder / "report.html")  # fmt: skip
    yield Step("plan, the others", ["plan", str(idx), "-o", str(few), "--limit", more, "--scenes",
                                    str(rest), *many], few)  # fmt: skip
    yield Step("generate, the others", ["generate", str(few), "-o", str(other), *many], other)
    yield Step("merge", ["merge", str(out), str(other), "-o", str(folder / "merged")],
               folder / "merged")  # fmt: skip


def asked(options: argparse.Namespace) -> dict[str, int]:
    """What decides the figures: steps of another question are run again."""
    return {name: getattr(options, name) for name in ("rooms", "copies", "records", "workers")}


def done_steps(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Steps that an earlier call in this folder measured for the same question.

    Raises:
        SystemExit: They are of another question: its outputs lie in the folder.
    """
    path = folder / "steps.json"
    if not path.exists():
        return {}
    kept: dict[str, Any] = json.loads(path.read_text())
    if kept["asked"] != asked(options):
        raise SystemExit(f"{folder} holds a run of {kept['asked']}; name another folder")
    steps: dict[str, Any] = kept["steps"]
    return steps


def report(folder: Path, options: argparse.Namespace, found: dict[str, Any]) -> dict[str, Any]:
    """What is stored: the question, the machine, the steps so far."""
    summary = folder / "out" / "summary.json"
    records = json.loads(summary.read_text())["rows"] if summary.exists() else None
    return {
        **asked(options), "records": records, "scenes": options.rooms * options.copies,
        "load": round(os.getloadavg()[2], 1), "processors": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(), "steps": found,
    }  # fmt: skip


def check_space(folder: Path, options: argparse.Namespace) -> None:
    """Say what room the run needs, and refuse to begin without it."""
    needs = options.rooms * options.copies * SCENE_BYTES + options.records * RECORD_BYTES
    free = shutil.disk_usage(folder).free
    print(f"needs about {needs / 1e9:.1f} GB in all, {free / 1e9:.1f} GB are free", flush=True)
    if free < needs and not (folder / "steps.json").exists():
        raise SystemExit(f"{folder}: not enough room")


def scene_lists(folder: Path) -> tuple[Path, Path]:
    """Files that name nine of ten scenes, and the others: at least one of each."""
    scenes = sorted(path.name for path in (folder / "scans" / "scans").iterdir())
    cut = min(len(scenes) - 1, -(-9 * len(scenes) // 10))
    found = folder / "most.txt", folder / "rest.txt"
    for path, names in zip(found, (scenes[:cut], scenes[cut:]), strict=True):
        path.write_text("\n".join(names) + "\n")
    return found


def replicate(source: Path, target: Path, copies: int) -> None:
    """Link every scan of a source under so many ids; lists and tables are linked, too."""
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_file() and not path.name.endswith((".txt",)):
            link(target / path.name, path)
    for number, scan in enumerate(sorted((source / "scans").iterdir())):
        for copy in range(copies):
            name = f"scene{1000 * number + copy:04d}_00"
            (target / "scans" / name).mkdir(parents=True, exist_ok=True)
            for path in scan.iterdir():
                link(target / "scans" / name / path.name.replace(scan.name, name), path)


def link(path: Path, target: Path) -> None:
    """Make a link, unless it is there."""
    if not path.is_symlink():
        path.symlink_to(target.resolve())


def last_id(out: Path) -> str:
    """The id of the last record of a data set: the one that is found last."""
    import pyarrow.parquet as pq

    last = sorted(out.glob("data/train/*.parquet"))[-1]
    return str(pq.read_table(last, columns=["id"]).column("id")[-1])


if __name__ == "__main__":
    sys.exit(main())
