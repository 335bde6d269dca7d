# SPDX-License-Identifier: Apache-2.0
"""Let a model answer records and score it; a restart continues.

Examples:
  spatialcore eval --model runs/tiny/model --records demo/out --split val -o results
  spatialcore eval --model runs/tiny/model --records demo/out -o results --blind-eval
  spatialcore eval --model runs/tiny/model --records demo/out -o results-blind --blind
  spatialcore eval --model runs/tiny/model --records demo/out -o results-circular --circular
  spatialcore eval --model hf:./llava --records demo/out -o results-llava --limit 500
  spatialcore eval --endpoint http://localhost:8000/v1 --model qwen --records out -o said
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.parse import roots_of, shard_of
from spatialcore.commands.progress import ProgressBar
from spatialcore.files import write_text

if TYPE_CHECKING:
    from spatial_engine.records.record import QARecord
    from spatialmllm.data.records import RecordSet
    from spatialmllm.data.walk_geometry import ClipRequest
    from spatialmllm.evaluation.answerers import Answerer

# Written out: the command's help loads no settings.
Sampler = Literal["uniform", "random", "space_aware", "score", "adaptive"]


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore eval`.

    Attributes:
        model: Model folder, as `train` writes it, or a public checkpoint; `hf:NAME` or `hf:DIR` for
            any image-text-to-text model of transformers; the model's name at an endpoint.
        records: Folder made by `generate`.
        out: Folder of the results.
        split: Split to evaluate; default: val, or the only one.
        root: `KEY=PATH`, where the images of a source lie now.
        endpoint: URL of an OpenAI-compatible server; the key is taken from SPATIALCORE_API_KEY or
            OPENAI_API_KEY.
        concurrency: Requests to the endpoint that are under way at once.
        limit: Only so many records, drawn evenly over the tasks.
        shard: i/n: answer every n-th record from i on, beside other processes; a run without it
            scores what all have answered.
        batch: Prompts decoded together.
        max_new_tokens: Longest response.
        circular: Ask every choice in all rotations of its options; it is right where all are.
        blind: Show grey images: what the model knows without looking.
        blind_eval: Also ask this model on grey images, and compare.
        blind_trained: Model trained on grey images (`train --blind`), asked on them, and compared.
        training: Split that frequency and random answers are learned from, where there is one.
        cache: Folder for decoded images, as of `train`.
        clip_from: Show records of so many images of one walk, or more, as one clip; 0: never;
            default: as the model was trained.
        frames: Frames of a clip at most; default: as the model was trained.
        sampler: How they are chosen: uniform, random, space_aware, score or adaptive; default: as
            the model was trained.
        geometry: Where their pixels lie, for space_aware: `depth` (depth images and poses), a
            folder of point maps, SCENE.npz, or `vggt` (the images alone, with --geometry-model).
        geometry_model: VGGT or Spatial-MLLM folder for --geometry vggt.
        device: cpu or cuda; default: the GPU where there is one.
        dtype: float32 or bfloat16; default: bfloat16 on a GPU.
        json: Print one JSON object instead of text.
    """

    model: str
    records: str
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",))]
    split: str | None = None
    root: tuple[str, ...] = ()
    endpoint: str | None = None
    concurrency: int = 4
    limit: int | None = None
    shard: str = "0/1"
    batch: int = 8
    max_new_tokens: int = 64
    circular: bool = False
    blind: bool = False
    blind_eval: bool = False
    blind_trained: str | None = None
    training: str = "train"
    cache: Path | None = None
    clip_from: int | None = None
    frames: int | None = None
    sampler: Sampler | None = None
    geometry: str | None = None
    geometry_model: Path | None = None
    device: str | None = None
    dtype: str | None = None
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("eval", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    # What is missing or wrong is said before the records are read.
    import torch  # noqa: F401

    from spatial_engine.dataset.dataset import Dataset
    from spatialmllm.data.records import parse_folder

    shard_of(options.shard)
    dataset = Dataset.open(parse_folder(options.records).path)
    options = replace(options, split=dataset.asked_split(options.split))
    return _evaluate(options, _records(options))


def _records(options: Options) -> RecordSet:
    from spatialcore.errors import UsageError
    from spatialmllm.data.records import RecordSet, parse_folder

    assert options.split is not None  # it was chosen before
    folder = parse_folder(options.records)
    records = RecordSet.open([folder], split=options.split, roots=roots_of(options.root))
    records = records if options.limit is None else records.spread(options.limit)
    if not options.blind and (missing := records.missing_images()):
        first = "; ".join(f"{m.source}/{m.scene}: {m.reason}" for m in missing[:3])
        raise UsageError(f"images of {len(missing)} scenes are missing: {first}")
    return records


def _evaluate(options: Options, records: RecordSet) -> int:
    asked = records.rotated() if options.circular else records
    failed = _answer(options, asked, options.model, options.out, blind=options.blind)
    blind_runs = {"blind-eval": options.model if options.blind_eval else None,
                  "blind-trained": options.blind_trained}  # fmt: skip
    baselines: dict[str, dict[str, str]] = {}
    for name, model in blind_runs.items():
        if model is not None:
            _answer(options, asked, model, options.out / name, blind=True)
            baselines[name] = _responses(options.out / name, asked)
    responses = _responses(options.out, asked)
    if options.shard != "0/1":
        print(f"shard {options.shard}: {len(responses)} of {len(asked)} records are answered; "
              "run without --shard to score them")  # fmt: skip
        return exit_codes.SKIPPED if failed else exit_codes.OK
    baselines |= _without_model(options, list(asked))
    report = _score(list(records), responses, baselines, circular=options.circular)
    write_text(options.out / "scores.json", json.dumps(report, indent=1) + "\n")
    if options.json:
        print(json.dumps(report))
    else:
        _print(report)
    return exit_codes.SKIPPED if failed else exit_codes.OK


def _answer(options: Options, records: RecordSet, model: str, out: Path, *, blind: bool) -> int:
    """Let a model answer every record that has no line in `out` yet; how many got no answer."""
    from spatialmllm.evaluation.run import run_eval

    answerer = _answerer(options, model, blind=blind)
    header = {"split": options.split, "blind": blind, "records": records.digest()}
    failed = 0
    # An endpoint is kept busy by more records than it has requests under way.
    batch = options.batch if options.endpoint is None else 4 * options.concurrency
    with ProgressBar() as bar:
        for event in run_eval(
            answerer, records, out, header=header, batch_size=batch, shard=shard_of(options.shard)
        ):
            failed = event.failed
            bar.show("answered", event.done, event.total)
    return failed


def _answerer(options: Options, name: str, *, blind: bool) -> Answerer:
    """Who is asked: an endpoint, a model of transformers, or one of ours."""
    from spatialmllm.evaluation.run import open_answerer, pick_device, pick_dtype

    clips = _clips(options)
    if options.endpoint is not None:
        from spatialmllm.evaluation.endpoint import Endpoint

        _say_how(clips, as_clip=False)
        return Endpoint(
            options.endpoint,
            name,
            max_new_tokens=options.max_new_tokens,
            concurrency=options.concurrency,
            blind=blind,
            frames=clips.stills(),
        )
    device = pick_device(options.device)
    answerer = open_answerer(
        name,
        device=device,
        dtype=pick_dtype(options.dtype, device),
        max_new_tokens=options.max_new_tokens,
        blind=blind,
        cache=options.cache,
        clips=clips,
    )
    if name.startswith("hf:"):
        _say_how(clips, as_clip=getattr(answerer, "takes_clips", False))
    return answerer


def _say_how(clips: ClipRequest, *, as_clip: bool) -> None:
    """How a model of another package is shown walks, where something was said of them."""
    if clips.given:
        how = "as one clip" if as_clip else "as stills"
        print(f"the frames of walks are shown to this model {how}", file=sys.stderr)


def _clips(options: Options) -> ClipRequest:
    from spatialmllm.data.walk_geometry import ClipRequest

    return ClipRequest(options.sampler, options.frames, options.clip_from, options.geometry,
                       options.geometry_model, options.device)  # fmt: skip


def _responses(out: Path, records: RecordSet) -> dict[str, str]:
    from spatialmllm.evaluation.run import read_responses

    asked = set(records.column("id"))
    return {name: text for name, text in read_responses(out).items() if name in asked}


def _without_model(options: Options, every: list[QARecord]) -> dict[str, dict[str, str]]:
    """Responses of frequency, random and oracle; the first two learn from the training split."""
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.scoring.baselines import baseline_responses
    from spatialmllm.data.records import RecordSet, parse_folder

    folder = parse_folder(options.records)
    known: list[QARecord] = []
    if options.training != options.split and options.training in Dataset.open(folder.path).splits:
        known = list(RecordSet.open([folder], split=options.training))
    return {
        "frequency": dict(baseline_responses("frequency", every, known)),
        "random": dict(baseline_responses("random", every, known)),
        "oracle": dict(baseline_responses("oracle", every)),
    }


def _score(
    every: list[QARecord],
    responses: dict[str, str],
    baselines: dict[str, dict[str, str]],
    *,
    circular: bool,
) -> dict[str, Any]:
    from spatial_engine.scoring.compare import compare
    from spatial_engine.scoring.report import make_report

    report = make_report(every, responses, circular=circular).to_json()
    compared = compare(every, responses, baselines, circular=circular)
    report["comparison"] = [row.to_json() for row in compared]
    return report


def _print(report: dict[str, Any]) -> None:
    from spatial_engine.scoring.compare import format_comparison
    from spatial_engine.scoring.report import format_report

    print(format_report(report))
    print()
    print(format_comparison(report["comparison"]))
