# SPDX-License-Identifier: Apache-2.0
"""Annotate episodes with a reward for each step.

Examples:
  spatialcore reward clips --subject track:12 --displacement 0.1,0,0.3 -o rewards.jsonl
  spatialcore reward scans --goal 1.2,0.4,0.9 --kind potential -o rewards.parquet
  spatialcore reward clips --subject pixel:320,240 --displacement 0,0,0.2 -o r.jsonl
  spatialcore reward clips --subject "red mug" --displacement 0,0,0.2 --model hf:./llava -o r.jsonl
  spatialcore reward scans --goal 1.2,0.4,0.9 -o r.parquet --lerobot episodes.parquet
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.text import one_line, printable

if TYPE_CHECKING:
    from spatialmllm.reward.asking import Asker
    from spatialmllm.reward.episode import Episode, RewardSpec, RewardTrace


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore reward`.

    Attributes:
        source: Clips or scenes, as a path or `kind:path`; each is an episode.
        out: File of the rewards, .jsonl or .parquet, a row for each step.
        subject: `camera`, `track:N`, `pixel:U,V` of the first frame, or a name for a model.
        goal: Place to reach in the world, `X,Y,Z` metres.
        goal_pixel: Place to reach as a pixel `U,V` of the first frame, through its depth.
        displacement: Place to reach from the first one: `X,Y,Z` metres right, down and forward of
            the first camera.
        kind: progress: share of the way made good; potential: shaping by the distance that is left;
            agreement: with the displacements of --command.
        command: .npy of the commanded displacements (T-1, 3), or camera motions (T-1, 4, 4).
        anchor: Whether displacements are told since the frame before or since the first.
        floor: Metres; less is no movement.
        gamma: Discount of potential.
        clip: Leave progress as it is, which else is cut to [-1, 1].
        success: Metres from the goal that count as success.
        scenes: Only these ids.
        model: Ask a model in place of geometry: its folder, `hf:NAME`, or its name at --endpoint.
        endpoint: URL of an OpenAI-compatible server.
        lerobot: Also write Parquet with the columns of a LeRobot data set, a row for each frame.
        fps: Frames a second, for --lerobot, where the source has no times.
        device: cpu or cuda; default: the GPU where there is one.
        dtype: float32 or bfloat16; default: bfloat16 on a GPU.
        json: Print one JSON object an episode instead of text.
    """

    source: Annotated[str, tyro.conf.Positional]
    out: Annotated[Path, tyro.conf.arg(aliases=("-o",))]
    subject: str = "camera"
    goal: str | None = None
    goal_pixel: str | None = None
    displacement: str | None = None
    kind: Literal["progress", "potential", "agreement"] = "progress"
    command: Path | None = None
    anchor: Literal["previous", "first"] = "previous"
    floor: float = 0.01
    gamma: float = 1.0
    clip: bool = True
    success: float = 0.05
    scenes: tuple[str, ...] = ()
    model: str | None = None
    endpoint: str | None = None
    lerobot: Path | None = None
    fps: float = 30.0
    device: str | None = None
    dtype: str | None = None
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("reward", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatialmllm.reward.annotate import annotate_rewards
    from spatialmllm.reward.episode import RewardTrace
    from spatialmllm.reward.sources import (
        lerobot_rows,
        lerobot_schema,
        row_schema,
        rows_of,
        write_rows,
    )

    spec = _spec(options)
    asker = _asker(options)
    frames: list[dict[str, Any]] = []
    failed = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal failed
        for number, opened in enumerate(_episodes(options)):
            if isinstance(opened, RewardTrace):
                trace, times = opened, None
            else:
                [trace], times = annotate_rewards([opened], spec, ask=asker), opened.times_s
            failed += bool(trace.error)
            _say(options, trace)
            yield from rows_of(trace, times)
            frames.extend(lerobot_rows(trace, number, times, options.fps))

    count = write_rows(options.out, rows(), row_schema())
    if options.lerobot is not None:
        if options.lerobot.suffix != ".parquet":
            raise ValueError(f"--lerobot writes Parquet; {options.lerobot} is named otherwise")
        write_rows(options.lerobot, frames, lerobot_schema())
    if not options.json:
        print(f"{options.out}: {count:,} rows")
    return exit_codes.SKIPPED if failed else exit_codes.OK


def _say(options: Options, trace: RewardTrace) -> None:
    import numpy as np

    if trace.error:
        print(f"skipped {printable(trace.id)}: {one_line(trace.error)}", file=sys.stderr)
        return
    known = trace.reward[trace.valid]
    report = {
        "episode": trace.id,
        "steps": len(trace.reward),
        "valid": int(trace.valid.sum()),
        "total": float(known.sum()) if len(known) else None,
        "success": bool(trace.success[-1]),
        "confidence": float(np.nanmean(trace.confidence)) if len(known) else None,
        "source": trace.source,
    }
    if options.json:
        print(json.dumps(report))
    else:
        total = "none" if report["total"] is None else f"{report['total']:+.3f}"
        print(
            f"{printable(trace.id)}: {report['valid']} of {report['steps']} steps from "
            f"{trace.source}, total {total}, {'reached' if report['success'] else 'not reached'}"
        )


def _spec(options: Options) -> RewardSpec:
    from spatialmllm.reward.episode import RewardSpec

    return RewardSpec(
        _subject(options.subject),
        goal_world=_numbers("--goal", options.goal, 3),
        goal_pixel=_numbers("--goal-pixel", options.goal_pixel, 2),
        displacement=_numbers("--displacement", options.displacement, 3),
        kind=options.kind,
        anchor=options.anchor,
        floor_m=options.floor,
        gamma=options.gamma,
        clip=options.clip,
        success_m=options.success,
    )


def _subject(text: str) -> int | tuple[float, float] | str:
    kind, colon, rest = text.partition(":")
    if colon and kind == "track":
        if not rest.isdigit():
            raise ValueError(f"--subject track:N takes a whole number, got {text!r}")
        return int(rest)
    if colon and kind == "pixel":
        u, v = _numbers("--subject pixel:", rest, 2)
        return u, v
    if not text.strip():
        raise ValueError("--subject is empty")
    return text


def _numbers(name: str, text: str | None, count: int) -> Any:
    """The numbers of `1,2,3`, or None without a text."""
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count or not all(abs(value) < 1e6 for value in values):
        raise ValueError(f"{name} takes {count} numbers with commas between, got {text!r}")
    return values


def _episodes(options: Options) -> Iterator[Episode | RewardTrace]:
    """The episodes of the source; for one that cannot be opened, the trace that says why."""
    from dataclasses import replace

    from spatialcore.errors import SpatialCoreError, UsageError
    from spatialcore.io.open import open_source
    from spatialmllm.reward.episode import EpisodeError, RewardTrace
    from spatialmllm.reward.sources import episode_of

    source = open_source(options.source)
    known = source.scene_ids()
    if unknown := sorted(set(options.scenes) - set(known)):
        raise UsageError(f"no scene {unknown[0]!r} in {options.source}")
    chosen = options.scenes or known
    command = None
    if options.command is not None:
        if len(chosen) != 1:
            raise UsageError("--command belongs to one episode: name it with --scenes")
        command = _command(options.command)
    for name in chosen:
        try:
            episode = episode_of(source.open(name))
            yield episode if command is None else replace(episode, command=command)
        except (SpatialCoreError, EpisodeError) as error:
            yield RewardTrace.failed(name, str(error))


def _command(path: Path) -> Any:
    import numpy as np

    from spatialcore.errors import MissingInput, UsageError

    if not path.is_file():
        raise MissingInput(f"{path}: no such file of commands")
    try:
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
    except (ValueError, TypeError, OSError, EOFError) as error:
        raise UsageError(f"{path}: not an .npy of numbers") from error


def _asker(options: Options) -> Asker | None:
    """A model as a function from prompts to texts, or None for geometry."""
    if options.model is None:
        if options.endpoint is not None:
            raise ValueError("--endpoint needs --model, the model's name there")
        return None
    from spatialmllm.evaluation.run import pick_device, pick_dtype
    from spatialmllm.evaluation.speakers import open_speaker

    device = pick_device(options.device)
    return open_speaker(
        options.model,
        endpoint=options.endpoint,
        device=device,
        dtype=pick_dtype(options.dtype, device),
        max_new_tokens=64,
    )
