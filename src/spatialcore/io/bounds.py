# SPDX-License-Identifier: Apache-2.0
"""Bounds of a process that reads what strangers wrote, kept by the system where no library does.

For programs that are processes of their own (hdf5_reader.py, embodiedscan_infos.py): past a bound
an allocation fails or the process ends, and the one that asked goes on.
"""

from __future__ import annotations

import resource
from pathlib import Path


def address_space() -> int | None:
    """Bytes in use; None where the system does not tell, and memory is not bounded."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
        return int(pages) * resource.getpagesize()
    except OSError:
        return None


def bound(memory: int | None, seconds: int | None) -> None:
    """Bound what comes next.

    Args:
        memory: Bytes of address space; None lifts the bound.
        seconds: Of the processor, beside those that were used; None lifts the bound.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = None if seconds is None else int(used.ru_utime + used.ru_stime) + 1 + seconds
    for kind, value in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, until)):
        most = resource.getrlimit(kind)[1]
        if value is None or (most != resource.RLIM_INFINITY and value > most):
            value = most
        resource.setrlimit(kind, (value, most))
