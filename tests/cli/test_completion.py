# SPDX-License-Identifier: Apache-2.0
"""The completion of the shell knows every verb, option and word that the commands take."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from spatialcore.commands import completion
from spatialcore.commands.verbs import installed_verbs


def _complete(*words: str) -> list[str]:
    """What bash offers after these words, of which the last is begun."""
    line = " ".join(f'"{word}"' for word in ("spatialcore", *words))
    code = f"{completion.script()}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _spatialcore\n"
    code += 'printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_verbs_options_and_words() -> None:
    assert set(_complete("")) == set(installed_verbs())
    assert _complete("gener") == ["generate"]
    assert _complete("generate", "x", "--lim") == ["--limit"]
    assert _complete("export", "x", "--to", "llama") == ["llamafactory"]
    assert _complete("export", "x", "--no-r") == ["--no-render-marks"]
    assert set(_complete("plan", "--balance", "")) == {"carry", "even"}
    assert "--records" not in _complete("status", "--")  # its folder is no option


def test_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert completion.main(["zsh"]) == 0
    assert "bashcompinit" in capsys.readouterr().out
    assert completion.main(["tcsh"]) == 2
