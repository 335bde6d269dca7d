# SPDX-License-Identifier: Apache-2.0
"""`python -m spatialcore`, the same as the command `spatialcore`."""

from __future__ import annotations

import sys

from spatialcore.cli import main

if __name__ == "__main__":
    sys.exit(main())
