# SPDX-License-Identifier: Apache-2.0
"""Operations against their peers on one core: libraries read these variables as they are loaded."""

import os

for _name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA", "RAYON"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"
