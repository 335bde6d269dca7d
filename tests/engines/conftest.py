# SPDX-License-Identifier: Apache-2.0
"""What several files of this folder look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.golden import make_golden_set


@pytest.fixture(scope="session")
def every_task(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of the sample set with records of every task that it can be asked."""
    out = tmp_path_factory.mktemp("every_task") / "out"
    make_golden_set(sample_dir, out)
    return out
