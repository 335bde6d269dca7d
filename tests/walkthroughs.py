# SPDX-License-Identifier: Apache-2.0
"""The commands of the pages, run as they are printed, in one folder and in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of every block of commands or Python of a page."""
    return [(found[1], found[2]) for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))]


def run_page(page: Path, folder: Path, skip: tuple[str, ...] = ()) -> list[str]:
    """Run a page in a folder; its Python blocks follow each other in one program.

    Args:
        page: The page.
        folder: Where it runs; what its text presupposes lies there already.
        skip: Beginnings of lines that are left out, for what needs hours or another program.

    Returns:
        What each block printed.

    Raises:
        AssertionError: A command failed; its output is the message.
    """
    bin_folder = str(Path(sys.executable).parent)
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "100", "PYTHONWARNINGS": "ignore"}
    printed, program = [], ""
    for language, text in blocks(page):
        lines = [line for line in text.splitlines() if not line.startswith(skip or ("\0",))]
        if language == "python":
            program += "\n".join(lines) + "\n"
            command = [sys.executable, "-c", program]
        else:
            command = ["bash", "-euo", "pipefail", "-c", "\n".join(lines)]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{page.name}: {text}\n{done.stdout}{done.stderr}"
        printed.append(done.stdout)
    return printed
