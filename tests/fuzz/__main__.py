# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing of the readers: `python -m tests.fuzz [TARGET ...] --minutes 40`.

Python readers run under atheris, the compiled decoders under clang's libFuzzer with its address
and undefined-behaviour sanitizers (`decoders`; left out, and said so, where clang is absent). The
time is processor time, shared evenly. Inputs that reach new code stay in WORK/corpus, findings in
WORK/findings; a table of what was run is printed and appended to WORK/report.json. Exit code: 1
where anything was found.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = Path(__file__).parent / "corpus"
LONGEST = 1 << 14  # bytes: every format is whole in a few hundred
SECONDS_EACH_INPUT = 5
MEMORY_MIB = 1536
MOST_STRETCH = 60  # on a machine that others keep busy, each start costs seconds of the processor
MOST_WALL = 240  # seconds until it is looked how much of the processor a run gets
SOURCES = ("inflate", "depth_png", "png_filters", "isa/detect", "isa/dispatch")
DECODERS = "decoders"


def clang() -> str | None:
    """A clang++ that has libFuzzer; CXX names another than the one on the path."""
    return shutil.which(os.environ.get("CXX", "clang++")) if _has_fuzzer() else None


def _has_fuzzer() -> bool:
    found = shutil.which(os.environ.get("CXX", "clang++"))
    if found is None:
        return False
    asked = [found, "-print-file-name=libclang_rt.fuzzer-x86_64.a"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    where = [found, "-print-resource-dir"]
    folder = subprocess.run(where, capture_output=True, text=True, check=False).stdout.strip()
    return Path(said).is_file() or any(Path(folder).rglob("libclang_rt.fuzzer*.a"))


def build_decoders(work: Path) -> Path:
    """The compiled decoders with coverage and sanitizers."""
    program = work / DECODERS
    command = [
        *(os.environ.get("CXX", "clang++"), "-std=c++17", "-O1", "-g", "-march=x86-64-v2"),
        "-DSPATIALCORE_AVX2",
        *("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"),
        *(f"-I{ROOT / 'csrc/include'}", f"-I{ROOT / 'csrc'}"),
        str(Path(__file__).parent / "decoders.cpp"),
        *(str(ROOT / f"csrc/cpu/{name}.cpp") for name in SOURCES),
        *("-o", str(program)),
    ]
    subprocess.run(command, check=True)
    return program


def write_seeds(work: Path) -> None:
    """Seeds of every target below WORK/seeds, the committed corpus beside them."""
    made = seeds()
    # A stream behind its length, as the harness of the decoders reads it.
    inflated = [b"\x80\x01" + s[-200:] for s in made["sens"]]
    made[DECODERS] = [*made["png16"], *inflated]
    for name, files in made.items():
        folder = work / "seeds" / name
        folder.mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(files):
            (folder / f"sound_{number}").write_bytes(content)


def fuzz(name: str, program: Path | None, work: Path, seconds: float) -> dict[str, object]:
    """Run one target for a time; a finding ends a run, and the next begins where it ended."""
    corpus, findings = work / "corpus" / name, work / "findings" / name
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.one", name] if program is None else [str(program)]
    known = [str(f) for f in (work / "seeds" / name, COMMITTED / name) if f.is_dir()]
    used, runs, reached, found = 0.0, 0, 0, 0
    stretch = 1.0  # seconds of the wall in one of the processor, which libFuzzer does not know
    before = set(findings.iterdir())
    while used < seconds and found < 20:
        options = [
            f"-max_total_time={max(min(int(stretch * (seconds - used)), MOST_WALL), 1)}",
            f"-max_len={LONGEST}",
            f"-timeout={int(stretch * SECONDS_EACH_INPUT)}",
            f"-rss_limit_mb={MEMORY_MIB}",
            f"-artifact_prefix={findings}/",
            "-print_final_stats=1",
            "-verbosity=1",
        ]
        start, wall = _children(), time.perf_counter()
        run = subprocess.run(
            [*command, *options, str(corpus), *known],
            cwd=ROOT,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        spent, passed = _children() - start, time.perf_counter() - wall
        used, stretch = used + spent, min(max(passed / max(spent, 0.1), 1.0), MOST_STRETCH)
        runs += _last(r"stat::number_of_executed_units:\s+(\d+)", run.stderr)
        reached = max(reached, _last(r"cov: (\d+)", run.stderr))
        found = len(set(findings.iterdir()) - before)
        if run.returncode:
            (findings.parent / f"{name}-{int(time.time())}.log").write_text(run.stdout + run.stderr)
            if passed < 1 and not runs:
                raise SystemExit(f"{name} cannot be run:\n{run.stderr[-2000:]}")
    kept = sum(1 for _ in corpus.iterdir())
    return {
        "target": name,
        "cpu_seconds": round(used, 1),
        "inputs": runs,
        "edges": reached,
        "corpus": kept,
        "findings": found,
    }


def _children() -> float:
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    return use.ru_utime + use.ru_stime


def _last(pattern: str, text: str) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help="default: all")
    parser.add_argument("--minutes", type=float, default=40.0, help="processor time in all")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "fuzz")
    options = parser.parse_args()
    if find_spec("atheris") is None:
        parser.error("needs atheris: pip install '.[fuzz]'")
    options.work.mkdir(parents=True, exist_ok=True)
    write_seeds(options.work)
    programs: dict[str, Path | None] = {n: None for n, target in TARGETS.items() if target.there}
    if clang():
        programs[DECODERS] = build_decoders(options.work)
    for name in sorted({*TARGETS, DECODERS} - {*programs}):
        print(f"{name}: left out, what it needs is not installed")
    chosen = options.targets or list(programs)
    unknown = sorted(set(chosen) - {*programs})
    if unknown:
        parser.error(f"no target {unknown[0]}; targets are {', '.join(programs)}")
    rows = []
    for name in chosen:
        share = 60 * options.minutes / len(chosen)
        rows.append(fuzz(name, programs[name], options.work, share))
        print(json.dumps(rows[-1]), flush=True)
        with (options.work / "report.json").open("a") as stream:
            stream.write(json.dumps(rows[-1]) + "\n")
    return 1 if any(row["findings"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
