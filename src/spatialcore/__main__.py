# SPDX-License-Identifier: Apache-2.0
"""The command `spatialcore`, which is also `python -m spatialcore`."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Run one verb; returns its exit code, see `spatialcore.cli.main`."""
    # Ctrl-C while the command is still being imported: the end that a shell tells as 130, in place
    # of a traceback. From there on `spatialcore.interrupts` has the signals.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from spatialcore.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
