# SPDX-License-Identifier: Apache-2.0
"""Seeds that are new in every run and the same in all of its processes.

`SPATIALCORE_TEST_SEED=N python -m pytest ...` repeats a run whose name of a test shows its seed.
"""

from __future__ import annotations

import os
import secrets

import numpy as np

_VARIABLE = "SPATIALCORE_TEST_SEED"
os.environ.setdefault(_VARIABLE, str(secrets.randbits(32)))


def fresh_seeds(count: int) -> list[int]:
    """So many seeds of this run."""
    return np.random.default_rng(int(os.environ[_VARIABLE])).integers(0, 2**32, count).tolist()
