# SPDX-License-Identifier: Apache-2.0
"""A large data set from replicated rooms: time, disk and peak memory of every verb.

    python -m benchmarks.pipeline.scale_run FOLDER --rooms 4 --copies 30 --records 200000

Rooms are rendered once and replicated by links under other ids, so that the source stays small.
Each verb runs as a user would run it; the memory of its whole process tree is read from /proc
twice a second. Figures go to benchmarks/results/scale.json; docs/scale.md explains them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from spatialcore.files import write_json

RESULTS = Path(__file__).parents[1] / "results" / "scale.json"
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOOK_S = 0.5
# Drawing marks is the cost of an export, 20 to 40 ms a picture, and is the same for any size.
UNMARKED = "camera_movement.*,scene_layout.*,spatial_relation.*,object_perception.*"


def main() -> int:
    """Run the verbs one after the other and write what they cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rooms", type=int, default=4)
    parser.add_argument("--copies", type=int, default=30)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    rooms, scans = folder / "rooms", folder / "scans"
    if not rooms.exists():
        run(["sample", str(rooms), "--rooms", str(options.rooms), "--clips", "0",
             "--layouts", "scannet"], rooms)  # fmt: skip
    replicate(rooms / "scannet", scans, options.copies)
    many = ["--workers", str(options.workers)]
    idx, plan, out = folder / "index", folder / "plan", folder / "out"
    steps = {
        "index": (["index", str(scans), "-o", str(idx), *many], idx),
        "plan": (["plan", str(idx), "-o", str(plan), "--limit", str(options.records), *many], plan),
        "generate": (["generate", str(plan), "-o", str(out), *many], out),
        "verify --sample": (["verify", str(out), "--sample", "2000", *many], None),
        "stats": (["stats", str(out), "--json"], None),
        "score --baseline": (["score", "--records", str(out), "--baseline", "frequency",
                              "--split", "train"], None),
        "show ID": (["show", str(out), "ID", "--json"], None),
        "export, no marks": (["export", str(out), "-o", str(folder / "set"), "--to", "swift",
                              "jsonl", "--tasks", UNMARKED, *many], folder / "set"),
        "status": (["status", str(out)], None),
        "report": (["report", str(out), "-o", str(folder / "report.html")], None),
    }  # fmt: skip
    found: dict[str, Any] = {}
    for name, (argv, output) in steps.items():
        found[name] = run([last_id(out) if a == "ID" else a for a in argv], output)
        print(f"{name:18} {found[name]}", flush=True)
    records = json.loads((out / "summary.json").read_text())["rows"]
    write_json(options.results, {
        "records": records, "scenes": options.rooms * options.copies, "workers": options.workers,
        "processor": platform.processor() or platform.machine(), "processors": os.cpu_count(),
        "python": platform.python_version(), "steps": found,
    })  # fmt: skip
    return 0


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


def run(argv: list[str], output: Path | None) -> dict[str, Any]:
    """Run a verb: seconds of the clock and of all processes, their peak MB, MB of its output."""
    started, spent = time.perf_counter(), processor_seconds()
    process = subprocess.Popen(
        [sys.executable, "-m", "spatialcore", *argv], stdout=subprocess.DEVNULL
    )
    peak = [0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_LOOK_S):
            peak[0] = max(peak[0], tree_bytes(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    ended.set()
    watcher.join()
    if code not in (0, 3):
        raise SystemExit(f"spatialcore {' '.join(argv)} ended with {code}")
    told: dict[str, Any] = {
        "seconds": round(time.perf_counter() - started, 1),
        "processor_s": round(processor_seconds() - spent, 1), "peak_mb": round(peak[0] / 1e6),
    }  # fmt: skip
    if output is not None:
        size = sum(p.lstat().st_size for p in output.rglob("*") if p.is_file())
        told["output_mb"] = round(size / 1e6, 1)
    return told


def processor_seconds() -> float:
    """What all processes have taken that were started here, or by these, and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def tree_bytes(pid: int) -> int:
    """Resident memory of a process and all below it."""
    total, waiting = 0, [pid]
    while waiting:
        number = waiting.pop()
        try:
            resident = int(Path(f"/proc/{number}/statm").read_text().split()[1])
            children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
        except (OSError, IndexError):  # it has just ended
            continue
        total += resident * _PAGE
        waiting += map(int, children)
    return total


if __name__ == "__main__":
    sys.exit(main())
