# SPDX-License-Identifier: Apache-2.0
"""The typed stubs of the compiled modules: `python tests/stubs.py --write` regenerates them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ("_cpu", "_render", "_cuda_ext")


def built_modules() -> list[str]:
    """The compiled modules that this build has; the CUDA one only where a toolkit was found."""
    return [m for m in MODULES if importlib.util.find_spec(f"spatialcore.{m}") is not None]


def generate(module: str) -> str:
    """Stub text of one compiled module."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pybind11_stubgen", f"spatialcore.{module}", "-o", folder]
        subprocess.run(command, check=True, capture_output=True)
        return (Path(folder) / "spatialcore" / f"{module}.pyi").read_text(encoding="utf-8")


def committed(module: str) -> Path:
    """Where the committed stub lies."""
    return ROOT / "src" / "spatialcore" / f"{module}.pyi"


if __name__ == "__main__":
    for name in built_modules():
        if "--write" in sys.argv:
            committed(name).write_text(generate(name), encoding="utf-8")
        sys.stdout.write(f"{committed(name).relative_to(ROOT)}\n")
