# SPDX-License-Identifier: Apache-2.0
"""Let a model answer records and score the answers; a restart continues.

Examples:
  spatialcore eval --model runs/tiny/model --records demo/out --split val -o results
  spatialcore eval --model runs/tiny/model --records demo/out -o results-blind --blind
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from spatialcore.commands.parse import parse_options

if TYPE_CHECKING:
    from spatialmllm.records import RecordSet

EXIT_FAILED, EXIT_USAGE, EXIT_SKIPPED, EXIT_INTERRUPTED = 1, 2, 3, 130


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore eval`.

    Attributes:
        model: Model folder, as `train` writes it, or a public checkpoint.
        records: Folder made by `generate`.
        out: Folder of the results.
        split: Split to evaluate.
        root: `KEY=PATH`, where the images of a source lie now.
        limit: Only so many records, the first ones.
        batch: Prompts decoded together.
        max_new_tokens: Longest response.
        blind: Show grey images: what the model knows without looking.
        device: cpu or cuda; default: the GPU where there is one.
        dtype: float32 or bfloat16; default: bfloat16 on a GPU.
        json: Print one JSON object instead of text.
    """

    model: Path
    records: str
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",))]
    split: str = "val"
    root: tuple[str, ...] = ()
    limit: int | None = None
    batch: int = 8
    max_new_tokens: int = 64
    blind: bool = False
    device: str | None = None
    dtype: str | None = None
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    options = parse_options(Options, argv, "eval", __doc__)
    from spatialcore.errors import SpatialCoreError
    from spatialmllm.evaluation.run import EvalError

    try:
        records = _records(options)
        return _evaluate(options, records)
    except (EvalError, ValueError, FileNotFoundError) as error:
        print(f"spatialcore eval: {error}", file=sys.stderr)
        return EXIT_USAGE
    except (SpatialCoreError, OSError) as error:
        print(f"spatialcore eval: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("spatialcore eval: interrupted; the same command continues", file=sys.stderr)
        return EXIT_INTERRUPTED


def _records(options: Options) -> RecordSet:
    from spatialmllm.commands.train import parse_roots
    from spatialmllm.records import RecordSet, parse_folder

    folder = parse_folder(options.records)
    records = RecordSet.open([folder], split=options.split, roots=parse_roots(options.root))
    records = records if options.limit is None else records.first(options.limit)
    if not options.blind and (missing := records.missing_images()):
        lines = [f"  {m.source}/{m.scene}: {m.reason}" for m in missing[:20]]
        raise ValueError("\n".join([f"images of {len(missing)} scenes are missing:", *lines]))
    return records


def _evaluate(options: Options, records: RecordSet) -> int:
    from spatialmllm.batches import SampleBuilder
    from spatialmllm.checkpoints import load
    from spatialmllm.decoding import Sampling
    from spatialmllm.evaluation.run import (
        model_digest,
        pick_device,
        pick_dtype,
        read_responses,
        run_eval,
    )
    from spatialmllm.tokens import ChatTokenizer

    device = pick_device(options.device)
    model = load(options.model, dtype=pick_dtype(options.dtype, device), device=device).eval()
    tokenizer = ChatTokenizer.from_file(options.model)
    builder = SampleBuilder(model.settings, tokenizer, blind=options.blind)
    header = {
        "model": model_digest(options.model),
        "split": options.split,
        "blind": options.blind,
        "records": records.digest(),
    }
    began = time.monotonic()
    failed = 0
    sampling = Sampling(max_new_tokens=options.max_new_tokens)
    for event in run_eval(
        model, builder, records, options.out, header=header, batch_size=options.batch,
        sampling=sampling,
    ):  # fmt: skip
        failed = event.failed
        if sys.stderr.isatty() and time.monotonic() - began > 2:
            print(f"\r{event.done} of {event.total} answered", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    report = _score(records, read_responses(options.out))
    (options.out / "scores.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if options.json:
        print(json.dumps(report))
    else:
        _print(report)
    return EXIT_SKIPPED if failed else 0


def _score(records: RecordSet, responses: dict[str, str]) -> dict[str, Any]:
    from spatial_engine.scoring.report import make_report

    every = (records[row] for row in range(len(records)))
    return make_report(every, responses).to_json()


def _print(report: dict[str, Any]) -> None:
    from spatial_engine.scoring.report import format_report

    print(format_report(report))
