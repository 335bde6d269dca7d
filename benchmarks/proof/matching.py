# SPDX-License-Identifier: Apache-2.0
"""Stage M: the matching part learns from depth and poses where places went.

Three losses: the cross-entropy of the correlation's rows against the true place (shared among its
four neighbours on the grid), the error of the displacement, and the error of the log depth.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import relu

from benchmarks.proof.pairs import PairBatch, RoomFrames, draw_pairs
from spatialcore.errors import UsageError
from spatialcore.files import whole_file, write_json
from spatialmllm.model.vggt.aggregator import IMAGE_MEAN, IMAGE_STD
from spatialmllm.model.vggt.matching import STRIDE, Descriptors, Matching
from spatialmllm.training.recipe import ScheduleRecipe
from spatialmllm.training.stage import learning_rate_shape

DISPLACEMENT, DEPTH = 5.0, 0.5
"""Weights of the last two losses beside the first."""
STATE, DONE = "state.pt", "matching.json"
_SAVE_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class StageM:
    """Settings of the stage.

    Attributes:
        steps: Steps.
        batch: Pairs of a step.
        lr: Highest learning rate; it warms up over a twentieth and falls to 0 by a cosine.
        weight_decay: Of matrices and vectors alike.
        channels: Channels of a descriptor.
        dim: Channels of a patch token; that projection is trained in the next stage.
        seed: Of weights and pairs.
    """

    steps: int = 1000
    batch: int = 16
    lr: float = 2e-3
    weight_decay: float = 0.01
    channels: int = 64
    dim: int = 32
    seed: int = 0


@dataclass(frozen=True, slots=True)
class MatchScore:
    """How well places are found.

    Attributes:
        places: Places that were looked for.
        median_px: Median error, pixels.
        within_8_px: Share found within one place.
        depth_error: Median of |log depth error|.
    """

    places: int
    median_px: float
    within_8_px: float
    depth_error: float


def losses(matching: Matching, batch: PairBatch) -> dict[str, Tensor]:
    """The three losses of some pairs, each a mean."""
    first, second = _described(matching, batch)
    found = matching.correlate(first, second)
    rows, columns = first.unit.shape[-2:]
    seen = torch.from_numpy(batch.seen)
    target = (torch.from_numpy(batch.target) - (STRIDE - 1) / 2) / STRIDE  # in places
    own = torch.stack(
        [torch.arange(columns).repeat(rows), torch.arange(rows).repeat_interleave(columns)], dim=-1
    )
    log_shares = found.scores.log_softmax(dim=2)[seen]
    match = -(log_shares * _shared(target[seen], rows, columns)).sum(dim=1).mean()
    moved = ((target - own) / columns)[seen]
    displacement = (found.displacement[seen] - moved).abs().sum(dim=1).mean()
    z = torch.from_numpy(batch.z)
    said = torch.stack([first.log_depth, second.log_depth], dim=1).flatten(2)
    depth = (said - z.clamp(min=1e-3).log())[z > 0].abs().mean()
    return {"match": match, "displacement": displacement, "depth": depth}


def _described(matching: Matching, batch: PairBatch) -> tuple[Descriptors, Descriptors]:
    pixels = torch.from_numpy(batch.images).permute(0, 1, 4, 2, 3).float() / 255
    mean, std = (torch.tensor(c).view(3, 1, 1) for c in (IMAGE_MEAN, IMAGE_STD))
    made = matching.describe(((pixels - mean) / std).flatten(0, 1))
    unit, depth = (part.unflatten(0, (-1, 2)) for part in made)
    return Descriptors(unit[:, 0], depth[:, 0]), Descriptors(unit[:, 1], depth[:, 1])


def _shared(target: Tensor, rows: int, columns: int) -> Tensor:
    """(n, T): a place (x, y) between grid places, shared among the four around it."""
    x = target[:, 0].clamp(0, columns - 1)
    y = target[:, 1].clamp(0, rows - 1)
    across = relu(1 - (x[:, None] - torch.arange(columns)).abs())
    down = relu(1 - (y[:, None] - torch.arange(rows)).abs())
    return (down[:, :, None] * across[:, None, :]).flatten(1)


def score(matching: Matching, rooms: Sequence[RoomFrames], *, pairs: int = 128) -> MatchScore:
    """Errors on pairs that a fixed seed draws."""
    batch = draw_pairs(rooms, pairs, seed=2**31, step=0)
    with torch.no_grad():
        first, second = _described(matching, batch)
        found = matching.correlate(first, second)
    rows, columns = first.unit.shape[-2:]
    own = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    moved = batch.target - (own * STRIDE + (STRIDE - 1) / 2)
    said = found.displacement.numpy() * columns * STRIDE
    error = np.hypot(*(said - moved)[batch.seen].T)
    z = batch.z[:, 0]
    off = np.abs(first.log_depth.flatten(1).numpy() - np.log(np.maximum(z, 1e-3)))[z > 0]
    return MatchScore(
        places=len(error),
        median_px=round(float(np.median(error)), 3),
        within_8_px=round(float((error < STRIDE).mean()), 4),
        depth_error=round(float(np.median(off)), 4),
    )


def pretrain(
    stage: StageM,
    rooms: Sequence[RoomFrames],
    held_out: Sequence[RoomFrames],
    folder: Path,
    *,
    deadline: float | None = None,
    sink: Callable[[str], None] = lambda _: None,
) -> bool:
    """Train, or continue; the folder then holds the weights and `matching.json`.

    Args:
        stage: Settings; a folder of others is refused.
        rooms: Rooms to learn from.
        held_out: Rooms that the score is made on.
        folder: The stage's folder.
        deadline: `time.monotonic()` at which to save and stop.
        sink: Told the loss now and then.

    Returns:
        Whether all steps are made.

    Raises:
        UsageError: The folder was made with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    matching = Matching(stage.channels, stage.dim)
    matching.reset(torch.Generator().manual_seed(stage.seed))
    # The projection has no part in the losses: it would only decay.
    trained = [p for n, p in matching.named_parameters() if not n.startswith("fc")]
    optimiser = torch.optim.AdamW(trained, stage.lr, weight_decay=stage.weight_decay)
    shape = ScheduleRecipe(warmup_share=0.05, shape="cosine")
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, learning_rate_shape(shape, stage.steps))
    step, cpu = 0, 0.0
    if (folder / STATE).is_file():
        step, cpu = _restore(folder, stage, matching, optimiser, schedule)
    began, saved = time.process_time(), time.monotonic()

    def save() -> None:
        state = {
            "stage": asdict(stage), "step": step, "cpu_s": cpu + time.process_time() - began,
            "matching": matching.state_dict(), "optimiser": optimiser.state_dict(),
            "schedule": schedule.state_dict(),
        }  # fmt: skip
        with whole_file(folder / STATE) as temporary:
            torch.save(state, temporary)

    while step < stage.steps:
        if deadline is not None and time.monotonic() >= deadline:
            save()
            return False
        parts = losses(matching, draw_pairs(rooms, stage.batch, stage.seed, step))
        loss = parts["match"] + DISPLACEMENT * parts["displacement"] + DEPTH * parts["depth"]
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        schedule.step()
        step += 1
        if step % 100 == 0:
            shown = ", ".join(
                f"{name} {float(value.detach()):.3f}" for name, value in parts.items()
            )
            sink(f"matching, step {step} of {stage.steps}: {shown}")
        if time.monotonic() - saved > _SAVE_EVERY_S:
            save()
            saved = time.monotonic()
    if not (folder / DONE).is_file():
        save()
        cpu_s = round(cpu + time.process_time() - began, 1)
        report = {"stage": asdict(stage), "cpu_s": cpu_s, **asdict(score(matching, held_out))}
        write_json(folder / DONE, report)
    return True


def _restore(folder: Path, stage: StageM, matching: Matching, *others: Any) -> tuple[int, float]:
    found = torch.load(folder / STATE, weights_only=True)
    if found["stage"] != asdict(stage):
        raise UsageError(
            f"{folder} was made with {json.dumps(found['stage'])}; remove it, or choose another"
        )
    matching.load_state_dict(found["matching"])
    for part, name in zip(others, ("optimiser", "schedule"), strict=True):
        part.load_state_dict(found[name])
    return int(found["step"]), float(found["cpu_s"])


def trained_weights(folder: Path) -> dict[str, Tensor]:
    """What the stage learned, by name within the matching part; the projection is left out.

    Raises:
        FileNotFoundError: The stage is not through.
    """
    if not (folder / DONE).is_file():
        raise FileNotFoundError(f"{folder}: the stage is not through")
    found = torch.load(folder / STATE, weights_only=True)["matching"]
    return {name: value for name, value in found.items() if not name.startswith("fc")}
