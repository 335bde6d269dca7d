# SPDX-License-Identifier: Apache-2.0
"""A few of the random moments of `make chaos`, other ones in every run."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from tests.chaos import Arena, moments

FEW = 2
pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")


def test_whatever_is_killed_the_bytes_are_the_same(sample_dir: Path, tmp_path: Path) -> None:
    seed = int(os.environ.get("SPATIALCORE_CHAOS_SEED", secrets.randbits(32)))
    print(f"SPATIALCORE_CHAOS_SEED={seed}")
    arena = Arena(tmp_path, sample_dir / "posed_images")
    assert len(list(moments(arena, FEW, seed))) == FEW
