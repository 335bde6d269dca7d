# SPDX-License-Identifier: Apache-2.0
"""Seeds of a run: the same in all of its processes, and of every run that asks for no other.

A change is judged by the inputs that the last one was judged by. `make fresh` draws new ones;
`SPATIALCORE_TEST_SEED=N python -m pytest ...` repeats a run whose name of a test shows its seed.
"""

from __future__ import annotations

import os
import secrets

import numpy as np
from hypothesis import settings

_VARIABLE = "SPATIALCORE_TEST_SEED"
_FRESH = "fresh"

settings.register_profile("repeated", derandomize=True)
if os.environ.setdefault(_VARIABLE, "0") == "0":
    settings.load_profile("repeated")
elif os.environ[_VARIABLE] == _FRESH:
    os.environ[_VARIABLE] = str(1 + secrets.randbits(32))


def fresh_seeds(count: int) -> list[int]:
    """So many seeds of this run."""
    return np.random.default_rng(int(os.environ[_VARIABLE])).integers(0, 2**32, count).tolist()
