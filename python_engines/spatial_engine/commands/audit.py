# SPDX-License-Identifier: Apache-2.0
"""Derive the answers of a public set again; list what disagrees.

Examples:
  spatialcore audit vsi-bench --metadata meta_info --questions test.jsonl -o vsi-bench.jsonl
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.text import beside, fitted, printable
from spatialcore.errors import UsageError

if TYPE_CHECKING:
    from spatial_engine.audit import Audit

_SHOWN = 20


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore audit`.

    Attributes:
        name: The public set: vsi-bench.
        metadata: Folder of its metadata files, as its authors publish them.
        questions: Its file of questions and answers.
        output: The list to write: one JSON line a question, without any text of the set.
        overwrite: Replace a list that is there.
        json: Print one JSON object instead of text.
    """

    name: Annotated[str, tyro.conf.Positional]
    metadata: Path
    questions: Path
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    overwrite: bool = False
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("audit", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatial_engine.audit import AUDITS, run_audit
    from spatialcore.files import write_bytes

    if options.name not in AUDITS:
        raise UsageError(f"no audit of {options.name!r}; there is {', '.join(sorted(AUDITS))}")
    if options.output.exists() and not options.overwrite:
        raise UsageError(f"{options.output} is there already; --overwrite replaces it")
    audit = run_audit(AUDITS[options.name](), options.metadata, options.questions)
    write_bytes(options.output, (line.encode() for line in audit.lines()))
    table = {name: dict(found) for name, found in audit.table().items()}
    if options.json:
        print(json.dumps({"verdicts": table, "missing": audit.missing, "ignored": audit.ignored}))
    else:
        print(_text(options, audit))
    for name in audit.missing[:_SHOWN]:
        print(f"not in the metadata: {printable(name)}", file=sys.stderr)
    return exit_codes.SKIPPED if audit.missing else exit_codes.OK


def _text(options: Options, audit: Audit) -> str:
    from spatial_engine.audit.audit import VERDICTS

    columns = {name: max(len(name), 5) + 2 for name in VERDICTS}
    longest = max([len("type"), *(len(printable(kind)) for kind in audit.table())])
    width = min(longest, 80 - sum(columns.values()))
    lines = [f"{options.output}: {len(audit.rows)} questions"]
    if audit.ignored:
        lines.append(f"no metadata of the set: {', '.join(map(printable, audit.ignored))}")
    lines.append(f"{'type':<{width}}" + "".join(f"{n:>{wide}}" for n, wide in columns.items()))
    for kind, found in audit.table().items():
        cells = "".join(f"{found[name]:>{wide}}" for name, wide in columns.items())
        lines.append(beside(printable(kind), width, cells))
    for row in audit.rows:
        if row.verdict == "disagrees":
            lines.append(
                f"disagrees: {printable(row.id)} {row.question_type} {printable(row.scene)}: "
                f"stored {printable(row.stored)}, recomputed {row.recomputed}"
                + (f" ({row.remark})" if row.remark else "")
            )
    return fitted("\n".join(lines))
