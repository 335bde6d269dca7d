# SPDX-License-Identifier: Apache-2.0
"""Score responses, of any model or of a baseline, against records.

Examples:
  spatialcore score results/responses.jsonl --records demo/out --split val
  spatialcore score --baseline frequency --records demo/out --split val --training train
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from spatialcore.commands.parse import parse_options

if TYPE_CHECKING:
    from spatial_engine.record import QARecord

EXIT_FAILED, EXIT_USAGE, EXIT_SKIPPED = 1, 2, 3


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore score`.

    Attributes:
        responses: JSON lines of {"id", "response"}.
        records: Folder made by `generate`.
        split: Split that was asked.
        baseline: Score a baseline instead of responses.
        training: Split that the baselines learn numbers and frequencies from.
        dialect: multispa, or lenient: the last answer of a longer text counts.
        json: Print one JSON object instead of text.
    """

    records: Path
    responses: Annotated[Path | None, tyro.conf.Positional] = None
    split: str = "val"
    baseline: Literal["random", "frequency", "oracle"] | None = None
    training: str = "train"
    dialect: Literal["multispa", "lenient"] = "multispa"
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    options = parse_options(Options, argv, "score", __doc__)
    from spatial_engine.scoring.report import format_report, make_report
    from spatialcore.errors import SpatialCoreError

    try:
        records = list(_read(options.records, options.split))
        if not records:
            raise ValueError(f"{options.records}: no records of the split {options.split!r}")
        report = make_report(records, _responses(options, records), dialect=options.dialect)
    except (ValueError, KeyError, FileNotFoundError) as error:
        print(f"spatialcore score: {error}", file=sys.stderr)
        return EXIT_USAGE
    except (SpatialCoreError, OSError) as error:
        print(f"spatialcore score: {error}", file=sys.stderr)
        return EXIT_FAILED
    value = report.to_json()
    print(json.dumps(value) if options.json else format_report(value))
    for name in report.missing[:20]:
        print(f"no response: {name}", file=sys.stderr)
    return EXIT_SKIPPED if report.missing else 0


def _read(folder: Path, split: str) -> Iterator[QARecord]:
    from spatial_engine.record import read_records

    for part in sorted((folder / "data" / split).glob("part-*.parquet")):
        yield from read_records(part)


def _responses(options: Options, records: list[QARecord]) -> dict[str, str]:
    from spatial_engine.scoring.baselines import baseline_responses

    if options.baseline is not None:
        if options.responses is not None:
            raise ValueError("give responses or --baseline, not both")
        training = _read(options.records, options.training)
        return dict(baseline_responses(options.baseline, records, training))
    if options.responses is None:
        raise ValueError("give a file of responses, or --baseline")
    found: dict[str, str] = {}
    lines = options.responses.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        value = json.loads(line)
        if not isinstance(value, dict) or not {"id", "response"} <= value.keys():
            raise ValueError(f"{options.responses}:{number}: not an object with id and response")
        if value["id"] in found:
            raise ValueError(f"{options.responses}:{number}: a second response to {value['id']}")
        found[str(value["id"])] = str(value["response"])
    return found
