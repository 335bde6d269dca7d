# SPDX-License-Identifier: Apache-2.0
"""Train the model on records; the same command continues a run.

Examples:
  spatialcore train --records demo/out --config tiny --out runs/tiny
  spatialcore train --records a b:0.3 c:2 --config spatial-mllm --init-qwen Q --init-vggt V --out r
  spatialcore train --records demo/out --config tiny --out runs/tiny --dry-run
  spatialcore train --stage grpo --records out --config tiny --init runs/tiny/model --out runs/rl
  torchrun --nproc-per-node 8 -m spatialcore train --records out --config small --out runs/small
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.parse import roots_of
from spatialcore.commands.progress import ProgressBar
from spatialcore.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from spatialmllm.training.callbacks import EventSink, StopRequest, TrainEvent
    from spatialmllm.training.recipe import Recipe
    from spatialmllm.training.sft import Prepared, TrainRequest, TrainResult


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore train`.

    Attributes:
        records: Data sets; `OUT:0.3` and `OUT:2` weigh them in the mixture of an epoch.
        config: A shipped recipe (tiny, small, spatial-mllm, multispa-lora), or a TOML file.
        out: Folder of the run.
        stage: sft trains on answers. grpo rewards sampled answers (needs trl); cold-start samples
            answers, keeps those that earn their reward, and trains on them. Both start from --init;
            the recipe's [reward] says how many answers.
        init: Model folder to start from.
        init_qwen: Qwen2.5-VL folder to start from.
        init_vggt: VGGT folder to start from, beside --init-qwen.
        init_text: GGUF file of a language model (Llama or Qwen2) to start the decoder from; sizes
            of all other parts are the recipe's, their weights random. Needs gguf.
        split: Split to train on.
        eval_records: Folders whose split val is asked during training: loss and score of each task
            go to validation.jsonl; a space on both sides is an error.
        root: `KEY=PATH`, where the images of a source lie now.
        set: `section.key=value`, a setting of the recipe.
        blind: Train on grey images, for the baseline.
        cache: Folder for decoded images, filled on first use; runs of any recipe may share it.
        feature_cache: Folder for what a frozen spatial encoder makes of frames, by their content;
            about 102 MB for 16 frames of 640 x 480.
        clip_from: Show records of so many images of one walk, or more, as one clip; 0: never;
            default: the recipe's `processor.clip_from`.
        sampler: How the frames of a clip are chosen: uniform, random, space_aware, score or
            adaptive; default: the recipe's `processor.sampler`.
        geometry: Where their pixels lie, for space_aware: `depth` (depth images and poses), a
            folder of point maps, SCENE.npz, or `vggt` (the images alone, with --geometry-model).
        geometry_model: VGGT or Spatial-MLLM folder for --geometry vggt.
        max_minutes: Save and stop after this time.
        max_steps: Steps of the whole run, instead of the recipe's.
        launch: Start one process on each GPU, sharded by FSDP2 or DeepSpeed ZeRO.
        report_to: Where else figures go: loss, tokens/s, memory, validation of each task.
        skip_bad: Bad samples that may be left out (exit code 3).
        attention: sdpa, eager or flash_attention_2.
        dry_run: Check everything and show what would be trained; trains nothing.
        json: Print one JSON object instead of text.
    """

    records: tuple[str, ...]
    config: str
    out: Path
    stage: Literal["sft", "grpo", "cold-start"] = "sft"
    init: Path | None = None
    init_qwen: Path | None = None
    init_vggt: Path | None = None
    init_text: Path | None = None
    split: str = "train"
    eval_records: tuple[str, ...] = ()
    root: tuple[str, ...] = ()
    set: tuple[str, ...] = ()
    blind: bool = False
    cache: Path | None = None
    feature_cache: Path | None = None
    clip_from: int | None = None
    sampler: Literal["uniform", "random", "space_aware", "score", "adaptive"] | None = None
    geometry: str | None = None
    geometry_model: Path | None = None
    max_minutes: float | None = None
    max_steps: int | None = None
    launch: Literal["fsdp2", "zero2", "zero3"] | None = None
    report_to: Literal["none", "tensorboard", "wandb"] = "none"
    skip_bad: int = 0
    attention: str = "sdpa"
    dry_run: bool = False
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("train", Options, __doc__, argv, lambda options: _run(options, argv))


def _run(options: Options, argv: list[str]) -> int:
    # What is written wrongly is said before torch is loaded and a process is started.
    recipe = _recipe(options)
    if options.launch is not None and "WORLD_SIZE" not in os.environ and not options.dry_run:
        return _launch(options.launch, argv)
    from spatialmllm.training.sft import prepare

    prepared = prepare(_request(options, recipe))
    if not options.json and not int(os.environ.get("RANK", "0")):
        print("\n".join(_mixture(prepared)), file=sys.stderr)
    return _dry_run(options, prepared, argv) if options.dry_run else _train(options, prepared)


def launch_command(argv: list[str], processes: int) -> list[str]:
    """The command that runs this one in several processes of this machine.

    Example:
        >>> " ".join(launch_command(["--launch", "fsdp2"], 8)[1:])
        '-m torch.distributed.run --nproc-per-node 8 -m spatialcore train --launch fsdp2'
    """
    runner = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    kept = [word for word in argv if word != "--dry-run"]
    return [*runner, "-m", "spatialcore", "train", *kept]


def _launch(kind: str, argv: list[str]) -> int:
    """Start one process on each GPU; says what it runs, and what is missing."""
    import importlib.util
    import shlex
    import subprocess

    import torch

    if kind.startswith("zero") and importlib.util.find_spec("deepspeed") is None:
        raise UsageError(f"--launch {kind} needs deepspeed, which is not installed")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    command = launch_command(argv, max(1, count))
    if not count:
        shown = shlex.join(["python", *launch_command(argv, 8)[1:]])
        raise UsageError(
            f"--launch {kind} needs GPUs, and there are none here; "
            f"on a machine with eight it runs {shown}"
        )
    print(shlex.join(command), file=sys.stderr)
    return subprocess.run(command, check=False).returncode


def _recipe(options: Options) -> Recipe:
    from spatialmllm.training.recipe import load_recipe

    if options.init is not None and (options.init_qwen or options.init_vggt):
        raise ValueError("give --init, or --init-qwen and --init-vggt, not both")
    if options.init_vggt is not None and options.init_qwen is None:
        raise ValueError("--init-vggt needs --init-qwen beside it")
    if options.init_text is not None and (options.init or options.init_qwen):
        raise ValueError("--init-text is for a model without other weights: leave --init out")
    settings = list(options.set)
    if options.max_steps is not None:
        settings.append(f"schedule.max_steps={options.max_steps}")
    if options.clip_from is not None:
        settings.append(f"processor.clip_from={options.clip_from}")
    if options.sampler is not None:
        settings.append(f"processor.sampler={options.sampler}")
    return load_recipe(options.config, settings)


def _request(options: Options, recipe: Recipe) -> TrainRequest:
    from spatialmllm.data.walk_geometry import ClipRequest
    from spatialmllm.training.sft import TrainRequest

    given = (options.init, options.init_qwen, options.init_vggt)
    return TrainRequest(
        records=options.records,
        recipe=recipe,
        out=options.out,
        init=tuple(path for path in given if path is not None),
        text=options.init_text,
        split=options.split,
        eval_records=options.eval_records,
        roots=roots_of(options.root),
        blind=options.blind,
        max_minutes=options.max_minutes,
        launch=options.launch,
        report_to=options.report_to,
        skip_bad=options.skip_bad,
        attention=options.attention,
        cache=options.cache,
        feature_cache=options.feature_cache,
        clips=ClipRequest(geometry=options.geometry, geometry_model=options.geometry_model),
        stage=options.stage,
    )


def _mixture(prepared: Prepared) -> list[str]:
    """What will be drawn of each set, before a step is made."""
    from spatialmllm.training.mixture import described

    order = prepared.order
    lines = described(order.mixture, order.epoch_at(prepared.steps))
    if order.text_only:
        lines.append(f"{order.text_only:,} records show no image")
    return lines


def _train(options: Options, prepared: Prepared) -> int:
    import signal

    from spatialmllm.training.callbacks import StopRequest

    train, stop = _stage(options.stage), StopRequest(options.max_minutes)
    before = signal.signal(signal.SIGTERM, lambda *_: stop.ask("SIGTERM"))
    try:
        with _Progress(prepared.steps) as progress:
            result = train(prepared, stop, progress)
    finally:
        signal.signal(signal.SIGTERM, before)
    summary = {
        "out": str(options.out),
        "step": result.step,
        "max_steps": result.max_steps,
        "loss": progress.loss,
        "stopped": result.stopped,
        "bad_samples": len(result.bad_samples),
        "refused": dict(prepared.order.refused),
    }
    if int(os.environ.get("RANK", "0")):
        pass  # the first process speaks for all
    elif options.json:
        print(json.dumps(summary))
    else:
        state = "finished" if result.finished else f"stopped ({result.stopped}), to be continued"
        print(f"{options.out}: {state} at step {result.step} of {result.max_steps}")
        if result.finished:
            print(f"  spatialcore eval --model {options.out}/model --records ... -o results")
        for reason, count in prepared.order.refused.most_common():
            print(f"  refused: {count:>7}  {reason}")
    for text in result.bad_samples:
        print(f"bad sample: {text}", file=sys.stderr)
    return exit_codes.SKIPPED if result.bad_samples else exit_codes.OK


def _stage(name: str) -> Callable[[Prepared, StopRequest, EventSink], TrainResult]:
    """What makes the steps of a stage."""
    if name == "grpo":
        from importlib.util import find_spec

        if find_spec("trl") is None or find_spec("datasets") is None:
            raise UsageError("--stage grpo needs trl; pip install 'spatialcore-mllm[rl]'")
        from spatialmllm.training.grpo import train_grpo

        return train_grpo
    if name == "cold-start":
        from spatialmllm.training.cold_start import cold_start

        return cold_start
    from spatialmllm.training.sft import train

    return train


def _dry_run(options: Options, prepared: Prepared, argv: list[str]) -> int:
    """Show records, sizes and memory, and the first batch as a picture with its text."""
    from spatialmllm.model.model import parameter_counts
    from spatialmllm.training.sft import estimate_memory, make_model

    model = make_model(prepared, meta=True)
    order, schedule = prepared.order, prepared.request.recipe.schedule
    trained_gb, frozen_gb = estimate_memory(model, schedule.precision)
    used = sum(order.tasks.values())
    report: dict[str, Any] = {
        "records": dict(sorted(order.tasks.items())),
        "refused": dict(order.refused),
        "tokens_per_record": round(order.tokens / used, 1),
        "sequences": order.sequences,
        "mixture": [asdict(part) for part in order.mixture],
        "text_only": order.text_only,
        "steps": prepared.steps,
        "global_batch": schedule.global_batch,
        "parameters": {
            part: {"trained": trained, "frozen": frozen}
            for part, (trained, frozen) in parameter_counts(model).items()
        },
        "memory_gb": {"trained": round(trained_gb, 2), "frozen": round(frozen_gb, 2)},
    }
    if options.launch is not None:
        report["launch"] = " ".join(["python", *launch_command(argv, 8)[1:]])
    picture, text = _first_sample(options, prepared)
    report["first_batch"] = {"picture": picture, "text": text}
    if options.json:
        print(json.dumps(report))
        return exit_codes.OK
    for task, count in report["records"].items():
        print(f"{count:>9,}  {task}")
    for reason, count in order.refused.most_common():
        print(f"{count:>9,}  refused, {reason}")
    print(f"{order.sequences:,} sequences an epoch, {report['tokens_per_record']} tokens a record")
    print(f"{prepared.steps:,} steps of {schedule.global_batch} sequences")
    for part, counts in report["parameters"].items():
        print(f"{part:<10} {counts['trained']:>14,} trained {counts['frozen']:>14,} frozen")
    print(f"one GPU: {trained_gb:.1f} GB of weights, gradients and optimiser, {frozen_gb:.1f} GB "
          "frozen, and activations")  # fmt: skip
    if "launch" in report:
        print(f"on eight GPUs: {report['launch']}")
    print(f"first sequence ({picture or 'no image'}):\n{text}")
    return exit_codes.OK


def _first_sample(options: Options, prepared: Prepared) -> tuple[str, str]:
    import numpy as np
    from PIL import Image

    from spatialcore.files import whole_file
    from spatialcore.folders import claim
    from spatialmllm.training.manifest import is_run

    rows = prepared.order.step(0)[0].rows
    records = [prepared.records[row] for row in rows]
    sample = prepared.builder.sample(records, prepared.records)
    turns = prepared.builder.turns(records, answers=True)
    text = "\n".join(f"[{turn.role}] {turn.content}" for turn in turns)
    if not sample.media:
        return "", text
    height = max(medium.frames.shape[1] for medium in sample.media)
    columns = [
        np.pad(medium.frames[0], ((0, height - medium.frames.shape[1]), (0, 4), (0, 0)))
        for medium in sample.media
    ]
    claim(options.out, "train", known=is_run)
    path = options.out / "first-batch.png"
    with whole_file(path) as temporary:
        Image.fromarray(np.concatenate(columns, axis=1)).save(temporary, "PNG")
    return str(path), text


class _Progress:
    """What the events of a run show: a bar on a terminal, a line a minute elsewhere."""

    def __init__(self, steps: int) -> None:
        self.loss: float | None = None
        self._steps = steps
        self._bar = ProgressBar()

    def __enter__(self) -> _Progress:
        self._bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)

    def __call__(self, event: TrainEvent) -> None:
        if event.kind == "step":
            self.loss = event.loss
        elif event.kind == "stopping":
            print(f"stopping after step {event.step}: {event.text}", file=sys.stderr)
        elif event.kind in ("validated", "kept"):
            print(f"step {event.step}: {event.text}", file=sys.stderr, flush=True)
        name = "steps" if self.loss is None else f"steps, loss {self.loss:.4f}"
        self._bar.show(name, event.step, self._steps)
