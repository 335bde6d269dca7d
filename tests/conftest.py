# SPDX-License-Identifier: Apache-2.0
"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_path() -> Path:
    """Folder of captured scenes and tracks; skips, or fails where `make test-real` asks for it."""
    path = Path(os.environ.get("SPATIALCORE_REAL_DATA", ROOT / "../shared/data")).resolve()
    if not path.is_dir():
        message = "captured scenes are absent: set SPATIALCORE_REAL_DATA"
        if os.environ.get("SPATIALCORE_REQUIRE_REAL"):
            pytest.fail(message)
        pytest.skip(message)
    return path
