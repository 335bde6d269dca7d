# SPDX-License-Identifier: Apache-2.0
"""Show what this machine can run: instruction sets, backends, versions."""

from __future__ import annotations


def main(argv: list[str]) -> int:
    """Print the report."""
    del argv
    from spatialcore import __version__, _cpu

    print(f"spatialcore {__version__}, {_cpu.available_threads()} threads")
    return 0
