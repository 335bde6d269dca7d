# SPDX-License-Identifier: Apache-2.0
"""Print what completes verbs, options and their words in a shell.

Examples:
  eval "$(spatialcore completion bash)"      in ~/.bashrc
  eval "$(spatialcore completion zsh)"       in ~/.zshrc
"""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb

_BASH = """\
_spatialcore() {{
  local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}"
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{verbs}" -- "$cur")); return
  fi
  case "${{COMP_WORDS[1]}} $prev" in
{choices}
  esac
  if [[ "$cur" == -* ]]; then
    case "${{COMP_WORDS[1]}}" in
{options}
    esac
  else
    COMPREPLY=($(compgen -f -- "$cur"))
  fi
}}
complete -o filenames -F _spatialcore spatialcore
"""
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore completion`.

    Attributes:
        shell: The shell.
    """

    shell: Annotated[Literal["bash", "zsh"], tyro.conf.Positional]


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("completion", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    print((_ZSH if options.shell == "zsh" else "") + script(), end="")
    return exit_codes.OK


def script() -> str:
    """The script for bash, of the verbs that are installed."""
    from spatialcore.commands.verbs import installed_verbs

    choices, options = [], []
    verbs = installed_verbs()
    for verb, entry in verbs.items():
        kind = getattr(importlib.import_module(entry.module), "Options", None)
        known = dict(_options(kind)) if dataclasses.is_dataclass(kind) else {}
        words = " ".join([*known, "--help"])
        options.append(f'      {verb}) COMPREPLY=($(compgen -W "{words}" -- "$cur"));;')
        choices += [
            f'    "{verb} {name}") COMPREPLY=($(compgen -W "{" ".join(some)}" -- "$cur")); return;;'
            for name, some in known.items()
            if some
        ]
    return _BASH.format(
        verbs=" ".join(verbs), choices="\n".join(choices), options="\n".join(options)
    )


def _options(kind: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(--option, its words if it takes only some) of a dataclass and those in it."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        bare = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
        if dataclasses.is_dataclass(bare):
            yield from _options(bare)
        elif not any(mark is _POSITIONAL for mark in _marks(hint)):
            flag = f"--no-{field.name}" if field.default is True else f"--{field.name}"
            yield flag.replace("_", "-"), _words(bare)


_POSITIONAL = typing.get_args(tyro.conf.Positional[int])[-1]


def _marks(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint)[1:] if typing.get_origin(hint) is Annotated else ()


def _words(hint: Any) -> tuple[str, ...]:
    """The words of a Literal, also in a tuple or beside None."""
    if typing.get_origin(hint) is Literal:
        return tuple(str(word) for word in typing.get_args(hint) if word is not None)
    return tuple(w for part in typing.get_args(hint) if part is not ... for w in _words(part))
