# SPDX-License-Identifier: Apache-2.0
"""What a wheel must do on the machine it was built for: `python tests/native/smoke.py`.

Every kernel of every instruction set gives the bits of the float64 reference, and a sample room
becomes records that verify. It imports nothing of the tests, so that it runs from anywhere.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path


def run(*arguments: str) -> None:
    """A command of the installed package; its output is shown where it fails."""
    command = [sys.executable, "-m", "spatialcore", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = f"{done.stdout}{done.stderr}"
        sys.exit(f"spatialcore {' '.join(arguments)}: {done.returncode}\n{said}")


def main() -> None:
    """Sample, generate and verify in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        scenes, out = Path(folder) / "scenes", Path(folder) / "out"
        run("sample", str(scenes), "--rooms", "1", "--clips", "1", "--frames", "60")
        run("generate", str(scenes / "scannet"), "-o", str(out), "--limit", "200")
        run("verify", str(out))


if __name__ == "__main__":
    main()
