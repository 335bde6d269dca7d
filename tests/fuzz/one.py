# SPDX-License-Identifier: Apache-2.0
"""One target under atheris: `python -m tests.fuzz.one TARGET [what libFuzzer takes]`."""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["spatialcore.io", "pickletools", "tarfile", "zipfile"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    target = TARGETS[sys.argv[1]]
    warnings.simplefilter("error")
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm"))
    atheris.Setup([sys.argv[0], *sys.argv[2:]], lambda raw: void(target(raw, folder)))
    atheris.Fuzz()


def void(_: object) -> None:
    """What libFuzzer takes for "keep this input"."""


if __name__ == "__main__":
    main()
