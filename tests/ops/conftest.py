# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest

from spatialcore import _cpu

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the captured scenes and clips; the test is skipped where it is absent."""
    folder = Path(os.environ.get("SPATIALCORE_REAL_DATA", ROOT / "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no captured data at {folder}; set SPATIALCORE_REAL_DATA")
    return folder


@pytest.fixture(params=_cpu.isas())
def isa(request):
    """Every instruction set that this machine runs, one after the other."""
    _cpu.set_isa(request.param)
    yield request.param
    _cpu.set_isa("")
