# SPDX-License-Identifier: Apache-2.0
"""Join data sets of one recipe into a new one; ids are checked.

Examples:
  spatialcore merge out-a out-b -o out
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore merge`.

    Attributes:
        records: Folders made by `spatialcore generate`.
        output: Folder of the result; it must be new or empty.
        json: Print one JSON object instead of text.
    """

    records: Annotated[tuple[Path, ...], tyro.conf.Positional]
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("merge", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatial_engine.dataset.merge import merge

    summary = merge(options.records, options.output)
    text = f"{options.output}: {summary.rows} records in {summary.shards} shards"
    print(json.dumps(summary.to_json()) if options.json else text)
    return exit_codes.OK
