# SPDX-License-Identifier: Apache-2.0
"""What fuzzing found, and what it reached: each input is read or refused, without a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from spatialcore import _cpu
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_are_read_or_refused(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    if not target.there:
        pytest.skip(f"needs {target.needs}")
    assert any(target(content, tmp_path) for content in seeds()[name])
    for path in sorted((CORPUS / name).glob("*")):
        target(path.read_bytes(), tmp_path)  # anything but a typed error fails, warnings as well


def test_compiled_decoders(tmp_path: Path) -> None:
    """The first two bytes of what is no PNG are the length that it inflates to."""
    accepted = refused = 0
    for path in sorted((CORPUS / "decoders").glob("*")):
        content = path.read_bytes()
        TARGETS["png16"](content, tmp_path)
        try:
            _cpu.inflate(content[2:], int.from_bytes(content[:2], "little"))
            accepted += 1
        except ValueError:
            refused += 1
    assert accepted + refused >= 5
