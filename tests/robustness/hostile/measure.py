# SPDX-License-Identifier: Apache-2.0
"""Runs verbs on a malformed input in a process of their own, and judges how they ended.

The process is forked from one that has imported everything, so that what it grows by and the time
that it takes are the input's. Time is processor time: a machine that is shared does not fail.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spatialcore import cli

SECONDS = 5.0
MEBIBYTES = 256.0
_HANGS_AFTER_S = 120.0  # of the clock, waiting for what does not come, as a pipe's other end
_CPU_SECONDS = 20  # then it is killed
_UNTYPED = ("Traceback", "Errno", "an unexpected ", "reader_failed")


@dataclass
class Outcome:
    """How one verb ended.

    Attributes:
        code: Exit code; -1 when it was killed or raised.
        out: Its standard output.
        err: Its standard error.
        seconds: Of processor time.
        mebibytes: By which the process grew.
    """

    code: int
    out: str
    err: str
    seconds: float
    mebibytes: float


@dataclass
class Verdict:
    """What is said of one malformed input.

    Attributes:
        name: Of the case.
        reader: Whose input it is.
        result: "refused", "said" (taken, and the damage is in the report) or "silent".
        seconds: The slower verb's.
        mebibytes: Of the verb that grew more.
        faults: What is wrong with how it ended; empty where nothing is.
        said: What was said, for a person who reads the list.
    """

    name: str
    reader: str
    result: str
    seconds: float
    mebibytes: float
    faults: list[str] = field(default_factory=list)
    said: str = ""


def _peak_kib() -> int:
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0])


def _child(argv: list[str], result: Path) -> None:
    """Runs in the fork: one verb, with its output in memory."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start = _peak_kib(), time.process_time()
    out, err = io.StringIO(), io.StringIO()
    code = -1
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(argv)
        except BaseException:
            traceback.print_exc()
    row = {
        "code": code,
        "out": out.getvalue(),
        "err": err.getvalue(),
        "seconds": time.process_time() - start,
        "mebibytes": (_peak_kib() - before) / 1024,
    }
    result.write_text(json.dumps(row))


def _progress(pid: int) -> tuple[str, int, int]:
    """State of a process, and the ticks that it has run in its own code and in the system's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return fields[0], int(fields[11]), int(fields[12])


def run_apart(argv: Sequence[str], scratch: Path) -> Outcome:
    """One verb in a fork of this process."""
    result = scratch / "outcome.json"
    result.unlink(missing_ok=True)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
            _child(list(argv), result)
        finally:
            os._exit(0)
    last, since = _progress(pid), time.monotonic()
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        time.sleep(0.002)
        if time.monotonic() - since < _HANGS_AFTER_S:
            continue
        now = _progress(pid)
        if now != last or now[0] == "R":  # a busy machine lets it wait for a processor
            last, since = now, time.monotonic()
        else:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return Outcome(-1, "", "hangs", _HANGS_AFTER_S, 0.0)
    if not result.is_file():
        return Outcome(-1, "", "the process died, or took 20 s", _CPU_SECONDS, 0.0)
    return Outcome(**json.loads(result.read_text()))


def disk_mebibytes(root: Path) -> float:
    """What the files of a case take on the disk."""
    blocks = root.lstat().st_blocks
    for folder, folders, files in os.walk(root):  # leaves out what it cannot enter
        with contextlib.suppress(OSError):
            blocks += sum((Path(folder) / n).lstat().st_blocks for n in (*folders, *files))
    return blocks * 512 / (1 << 20)


def scenes_of(out: str) -> list[dict[str, Any]]:
    """The scenes in what `check --json` printed; [] where it printed nothing."""
    if not out:
        return []
    return [scene for source in json.loads(out)["sources"] for scene in source["scenes"]]


def plain(scenes: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What a report says of damage, to be held against the sound scene's."""
    return [
        (
            s["id"],
            s["reasons"],
            s["notes"],
            s["missing"],
            s["object_count"],
            s["point_count"],
            s["error"],
            s["frame_count"],
            s["agreement"],
            s["depth_share"],
        )
        for s in scenes
    ]


def faults_of(outcome: Outcome, verb: str, place: Path, allowed: float) -> list[str]:
    """What is wrong with how a verb ended."""
    found = []
    text = outcome.out + outcome.err
    if outcome.code not in (0, 1, 2, 3):
        found.append(f"{verb}: exit {outcome.code}: {outcome.err[-400:]}")
    found += [f"{verb}: says {w!r}: {text[-300:]}" for w in _UNTYPED if w in text]
    if "Warning" in outcome.err:
        found.append(f"{verb}: {outcome.err[-200:]}")
    if outcome.code in (1, 2, 3) and str(place) not in text and place.name not in text:
        found.append(f"{verb}: names no file: {text[-200:]}")
    if outcome.seconds > SECONDS:
        found.append(f"{verb}: {outcome.seconds:.1f} s")
    if outcome.mebibytes > allowed:
        found.append(f"{verb}: {outcome.mebibytes:.0f} MiB, {allowed:.0f} are allowed")
    return found


def judge(
    name: str,
    reader: str,
    place: Path,
    root: Path,
    scratch: Path,
    sound: list[tuple[Any, ...]] | None,
) -> Verdict:
    """`check` and `index` of a malformed input.

    Args:
        name: Of the case.
        reader: Whose input it is.
        place: What is named to the verbs.
        root: The folder of the input.
        scratch: A folder for the index.
        sound: What `check` says of the scene before it was damaged; None where there is none.
    """
    allowed = MEBIBYTES + 2 * disk_mebibytes(root)
    check = run_apart(["check", str(place), "--json", "--count", "0"], scratch)
    index = run_apart(["index", str(place), "-o", str(scratch / "index"), "--json"], scratch)
    faults = faults_of(check, "check", root, allowed)
    faults += faults_of(index, "index", root, allowed)
    try:
        scenes = scenes_of(check.out)
    except ValueError:
        scenes, faults = [], [*faults, f"check: prints no JSON: {check.out[:200]}"]
    said = "; ".join(f"{s['code']} {s['error']}" for s in scenes if s["error"]) or check.err.strip()
    refused = check.code != 0 or index.code != 0
    if refused:
        result = "refused"
        if check.code == 0:
            said = index.err or index.out[:400]
    else:
        result = "said" if sound is None or plain(scenes) != sound else "silent"
        said = "; ".join(str((s["reasons"], s["notes"])) for s in scenes)
    return Verdict(
        name,
        reader,
        result,
        max(check.seconds, index.seconds),
        max(check.mebibytes, index.mebibytes),
        faults,
        said[:600],
    )
