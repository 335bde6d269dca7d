# SPDX-License-Identifier: Apache-2.0
"""Write a package with a reader of your own layout, and its test.

Examples:
  spatialcore new-reader lab                 lab-reader/: pyproject.toml, the reader, its test
  pip install -e lab-reader && pytest lab-reader
  spatialcore check lab:captures

The package names its reader under the entry point group `spatialcore.readers`; installed, it is
found by every verb.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Annotated

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.errors import OutputError, UsageError

_KIND = re.compile(r"[a-z][a-z0-9_]{1,39}\Z")
# File of the package -> its template.
_FILES = {
    "pyproject.toml": "pyproject.toml.txt",
    "{module}/__init__.py": "reader.py.txt",
    "tests/test_{module}.py": "test_reader.py.txt",
}


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore new-reader`.

    Attributes:
        name: Name of the layout: letters, digits, - and _; it becomes the kind of `kind:path`.
        output: Folder of the package; default: NAME-reader here.
    """

    name: Annotated[str, tyro.conf.Positional]
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("new-reader", Options, __doc__, argv, _run)


def kind_of(name: str) -> str:
    """The kind of a layout's name; UsageError where it makes none, or is taken."""
    from spatialcore.io.layouts import kinds

    kind = name.strip().lower().replace("-", "_").removesuffix("_reader")
    if _KIND.match(kind) is None or keyword.iskeyword(kind):
        raise UsageError(
            f"{name[:60]!r} names no layout: take 2 to 40 letters, digits, - or _, a letter first"
        )
    if kind in kinds():
        raise UsageError(f"{kind!r} is read already; take another name")
    return kind


def _run(options: Options) -> int:
    kind = kind_of(options.name)
    names = {
        "kind": kind,
        "module": f"{kind}_reader",
        "distribution": f"{kind.replace('_', '-')}-reader",
    }
    folder = Path(names["distribution"]) if options.output is None else options.output
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(folder, "is there already", "name another folder by -o")
    written = write_package(folder, names)
    print(f"{folder}: {', '.join(written)}")
    print(f"next: pip install -e {folder} && pytest {folder}")
    return exit_codes.OK


def write_package(folder: Path, names: dict[str, str]) -> list[str]:
    """Fill in the templates; returns the files, relative to the folder."""
    from spatialcore.files import write_text

    templates = resources.files("spatialcore.commands") / "skeleton"
    written = []
    for pattern, template in _FILES.items():
        name = pattern.format(**names)
        text = Template((templates / template).read_text(encoding="utf-8")).substitute(names)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_text(folder / name, text)
        written.append(name)
    return written
