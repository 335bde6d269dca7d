# SPDX-License-Identifier: Apache-2.0
"""The help of every verb: 80 columns, no word of how options are typed, examples to be pasted."""

from __future__ import annotations

import random
import re
import shlex
import subprocess

import pytest

from spatialcore import cli
from spatialcore.commands.help_text import example_lines
from spatialcore.commands.text import WIDTH, wrapped
from spatialcore.commands.verbs import installed_verbs

VERBS = ["", *installed_verbs()]


def helped(verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main([verb, "--help"] if verb else ["--help"]) == 0
    return capsys.readouterr().out


def commands(text: str) -> list[str]:
    """The command lines among lines that are indented by two, as a shell reads them."""
    block = "\n".join(line for line in text.splitlines() if line.startswith("  "))
    joined = block.replace(" \\\n", " ").splitlines()
    return [line.strip() for line in joined if not line.strip().startswith("#")]


@pytest.mark.parametrize("verb", VERBS)
def test_help_keeps_to_80_columns(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    for line in helped(verb, capsys).splitlines():
        assert len(line) <= 80, line
        assert line == line.rstrip()
        assert "{None}" not in line
        assert not re.search(r"\(default: (|True|\.)\)", line)


@pytest.mark.parametrize("verb", VERBS)
def test_examples_of_help_are_read_by_a_shell_and_name_known_options(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = helped(verb, capsys)
    part = re.search(r"^(?:Examples?|A first session):\n((?:  .*\n)+)", text, re.MULTILINE)
    assert part, f"{verb} has no examples"
    subprocess.run(["bash", "-n", "-c", part[1]], check=True)
    lines = commands(part[1])
    assert lines
    options = set(re.findall(r"^  (?:-\w, )?(--[\w-]+)", text, re.MULTILINE))
    options |= set(re.findall(r"(?<![\w-])(--?[a-z][\w-]*)", text.replace(part[1], "")))
    for line in lines:
        words = shlex.split(line, comments=True)
        if verb and words[:2] == ["spatialcore", verb]:
            unknown = [w for w in words[2:] if re.match(r"--?[a-z]", w) and w not in options]
            assert not unknown, line


def test_examples_come_back_as_they_were_said_whatever_their_lengths() -> None:
    chance = random.Random()
    for _ in range(200):
        said = []
        for _ in range(chance.randint(1, 6)):
            names = (
                f"--{'o' * chance.randint(1, 12)} {'v' * chance.randint(1, 30)}" for _ in "12345"
            )
            command = " ".join(["spatialcore show out", *list(names)[: chance.randint(0, 5)]])
            remark = " ".join("w" * chance.randint(1, 9) for _ in range(chance.randint(0, 20)))
            said.append((command, remark))
        shown = list(example_lines([f"  {command}   {remark}" for command, remark in said]))
        assert max(map(len, shown)) <= WIDTH
        read = [shlex.split(line, comments=True) for line in commands("\n".join(shown))]
        assert read == [command.split() for command, _ in said]
        told = " ".join(re.findall(r"# (.*)", "\n".join(shown)))
        assert told == " ".join(remark for _, remark in said if remark)


def test_a_long_line_keeps_its_words_and_its_indent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    chance = random.Random()
    for _ in range(100):
        indent = " " * chance.randint(0, 6)
        words = ["w" * chance.choice([1, 3, 8, 20]) for _ in range(chance.randint(1, 60))]
        words.insert(chance.randint(0, len(words)), "/a/path/that/is/never/broken" * 4)
        lines = wrapped(indent + " ".join(words)).splitlines()
        assert " ".join(lines).split() == words
        assert all(line.startswith(indent) for line in lines)
        assert all(len(line) <= WIDTH or len(line.split()) == 1 for line in lines)
