# SPDX-License-Identifier: Apache-2.0
"""Processes as the kernel shows them: children, who is alive, who listens where."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

PROC = Path("/proc")


def kill_on_the_first_tries(mark: Path, tries: int = 1) -> None:
    """Kill this process, as the kernel does when memory runs out, unless it has often enough."""
    done = len(mark.read_bytes()) if mark.exists() else 0
    if done < tries:
        with mark.open("ab") as file:
            file.write(b"x")
        os.kill(os.getpid(), signal.SIGKILL)


def _status(pid: int) -> tuple[str, int]:
    """State and parent of a process; ("", 0) when it is gone."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", 0
    return fields[0], int(fields[1])


def alive(pid: int) -> bool:
    return _status(pid)[0] not in ("", "Z")


def command(pid: int) -> str:
    """Its command line; "" when it is gone."""
    try:
        return (PROC / str(pid) / "cmdline").read_text()
    except OSError:
        return ""


def descendants(pid: int) -> list[int]:
    """The living processes below one."""
    parents = {int(p.name): _status(int(p.name)) for p in PROC.iterdir() if p.name.isdigit()}
    found, ahead = [], [pid]
    while ahead:
        above = ahead.pop()
        below = [p for p, (state, parent) in parents.items() if parent == above and state != "Z"]
        found += below
        ahead += below
    return found


def listening(pid: int) -> set[str]:
    """Addresses, in the kernel's hexadecimal, at which a process waits for TCP connections."""
    sockets = {}
    for table in ("tcp", "tcp6"):
        for line in (PROC / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                sockets[f"socket:[{fields[9]}]"] = fields[1].partition(":")[0]
    try:
        links = [str(link.readlink()) for link in (PROC / str(pid) / "fd").iterdir()]
    except OSError:
        return set()
    return {sockets[link] for link in links if link in sockets}


def without_minutes(stderr: str) -> str:
    """What was said but for the line a minute of long work, which a slow machine makes of any."""
    lines = stderr.splitlines(keepends=True)
    return "".join(line for line in lines if not re.match(r"[\d,]+ of [\d,]+: ", line))


def until(true: Callable[[], object], seconds: float = 60.0) -> bool:
    """Wait for something; whether it came."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.01)
    return bool(true())
