# SPDX-License-Identifier: Apache-2.0
"""A signal unwinds a run once, gives its own exit code, and never a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# A verb that is hit while it cleans up, too.
_VERB = """
import os, signal, sys
from spatialcore import cli
from spatialcore.interrupts import Interrupted
SIGNAL = {number}
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
def run(argv):
    try:
        os.kill(os.getpid(), SIGNAL)
        signal.pause()
    finally:
        for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), other)
        print("cleaned up")
class Verb:
    load = staticmethod(lambda: run)
cli._verbs = lambda: {{"sleep": Verb}}
sys.exit(cli.main(["sleep"]))
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_unwinds_once_with_its_own_exit_code(number: signal.Signals) -> None:
    done = run(_VERB.format(number=int(number)))
    assert done.returncode == 128 + number
    assert done.stdout == "cleaned up\n"
    assert done.stderr.startswith("spatialcore sleep: interrupted;")
    assert done.stderr.count("\n") == 1


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    program = (
        "import os, signal\n"
        "from spatialcore.interrupts import interruptible\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with interruptible():\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "print('done')\n"
    )
    assert run(program).stdout == "done\n"


def test_a_clean_up_that_hangs_is_ended() -> None:
    program = (
        "import os, signal\n"
        "from spatialcore import interrupts\n"
        "interrupts._PATIENCE_S = 0.1\n"
        "with interrupts.interruptible():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        signal.pause()\n"
        "    finally:\n"
        "        while True:\n"
        "            signal.pause()\n"
    )
    assert run(program).returncode == 128 + signal.SIGTERM
