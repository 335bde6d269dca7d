# SPDX-License-Identifier: Apache-2.0
"""A signal unwinds a run once, gives its own exit code, and never a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

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
cli.installed_verbs = lambda: {{"sleep": Verb}}
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


def test_ctrl_c_while_the_command_is_imported_leaves_no_traceback() -> None:
    program = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Finder:\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'spatialcore.cli':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder)\n"
        "from spatialcore.__main__ import main\n"
        "main()\n"
    )
    done = run(program)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")  # a shell says 130


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


_HANGS = """
import os, signal, sys
from pathlib import Path
from spatialcore import cli, files, interrupts
interrupts._PATIENCE_S = 0.1
signal.signal(signal.SIGINT, signal.default_int_handler)
def run(argv):
    with files.scratch("hangs") as folder:
        print(folder, flush=True)
        {stuck}
class Verb:
    load = staticmethod(lambda: run)
cli.installed_verbs = lambda: {{"sleep": Verb}}
sys.exit(cli.main(["sleep"]))
"""
_IN_CLEAN_UP = """
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            while True:
                signal.pause()
"""
_WHILE_HELD_BACK = """
        with interrupts.held_back_long():
            os.kill(os.getpid(), signal.SIGTERM)
            while True:
                signal.pause()
"""


@pytest.mark.parametrize("stuck", [_IN_CLEAN_UP, _WHILE_HELD_BACK])
def test_what_hangs_is_ended_with_its_sentence_and_without_its_folder(stuck: str) -> None:
    done = run(_HANGS.format(stuck=stuck))
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr.startswith("spatialcore sleep: interrupted;")
    assert done.stderr.count("\n") == 1
    assert not Path(done.stdout.strip()).exists()


_SWALLOWED = """
import os, signal
from spatialcore.interrupts import Interrupted, interruptible
class Swallows:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        os.getpid()
with interruptible():
    try:
        Swallows()
        signal.pause()
    except Interrupted as error:
        print(error)
"""


def test_a_signal_that_a_finaliser_swallows_comes_again() -> None:
    done = run(_SWALLOWED)
    assert (done.returncode, done.stdout, done.stderr) == (0, "SIGTERM\n", "")
