# SPDX-License-Identifier: Apache-2.0
"""Cold start: sampled answers that earn their reward become what the model is trained to say.

Answers are sampled of every record and lie in `sampled.jsonl`, a line a record, so that a run which
was cut short goes on. Of each prompt those are kept whose reward is high enough and among its best;
the best of them is the record's target in an ordinary supervised run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spatial_engine.scoring.reward import Solution, reward_of, solution_of
from spatialcore.draws import text_hash
from spatialcore.files import write_text
from spatialmllm.data.batches import collate, to_device
from spatialmllm.decoding import Sampling, generate
from spatialmllm.model.model import SpatialMLLM
from spatialmllm.training.callbacks import EventSink, StopRequest, TrainEvent
from spatialmllm.training.manifest import RequestError, write_manifest
from spatialmllm.training.recipe import RewardRecipe
from spatialmllm.training.sft import Prepared, TrainResult, lay_out, make_model, train

SAMPLED, KEPT = "sampled.jsonl", "kept.jsonl"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a record's sampled answers came to.

    Attributes:
        id: The record.
        said: The answer that is kept; None where none is good enough.
        reward: Its reward, or the best one's.
        mean: Mean reward of all answers.
    """

    id: str
    said: str | None
    reward: float
    mean: float


def chosen(record_id: str, answers: Sequence[str], rewards: Sequence[float],
           rule: RewardRecipe) -> Kept:  # fmt: skip
    """The answer that is kept of those of one prompt.

    It is among the best `keep_share` of them, and its reward is at least `keep_reward`. Among equal
    rewards a hash decides, not the order of sampling: the first answers would not be typical.

    Example:
        >>> chosen("a", ["`left`", "left"], [1.0, 0.9], RewardRecipe()).said
        '`left`'
    """
    ranked = sorted(
        range(len(answers)),
        key=lambda k: (-rewards[k], text_hash(0, "cold-start", record_id, answers[k], "keep")),
    )
    best = ranked[: max(1, math.floor(rule.keep_share * len(answers)))]
    good = [k for k in best if rewards[k] >= rule.keep_reward]
    mean = sum(rewards) / len(rewards)
    if not good:
        return Kept(record_id, None, rewards[ranked[0]], mean)
    return Kept(record_id, answers[good[0]], rewards[good[0]], mean)


def cold_start(prepared: Prepared, stop: StopRequest, sink: EventSink) -> TrainResult:
    """Sample, keep, and train on what is kept.

    Raises:
        RequestError: No answer is worth keeping, or the folder holds another run.
    """
    request = prepared.request
    write_manifest(prepared)
    path = request.out / SAMPLED
    done = _read_sampled(path)
    if len(done) < len(prepared.records):
        for count, line in enumerate(_sampled(prepared, done), len(done) + 1):
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            if stop.due():
                sink(
                    TrainEvent(
                        "stopping",
                        0,
                        prepared.steps,
                        text=f"{count} of {len(prepared.records)} records were sampled",
                    )
                )
                return TrainResult(0, prepared.steps, stop.reason, ())
    found = _keep(prepared, _read_sampled(path))
    sink(TrainEvent("kept", 0, prepared.steps, text=found))
    return train(_on_kept(prepared), stop, sink, claimed=True)


def _sampled(prepared: Prepared, done: dict[str, list[str]]) -> Iterator[dict[str, Any]]:
    """A line for each record that has none: its id and its answers."""
    model = make_model(prepared)
    ids = prepared.records.column("id")
    left = [row for row, one in enumerate(ids) if one not in done]
    size = max(1, prepared.request.recipe.reward.prompts)
    for start in range(0, len(left), size):
        rows = left[start : start + size]
        answers = _answers(prepared, model, rows, seed=int(rows[0]))
        for row, said in zip(rows, answers, strict=True):
            yield {"id": ids[row], "answers": said}


def _answers(
    prepared: Prepared, model: SpatialMLLM, rows: Sequence[int], *, seed: int
) -> list[list[str]]:
    """Sampled answers of each of some records."""
    rule, records = prepared.request.recipe.reward, prepared.records.at(rows)
    samples = [
        prepared.builder.sample([record], prepared.records, answers=False) for record in records
    ]
    many = [sample for sample in samples for _ in range(rule.answers)]
    batch = to_device(collate(many, model.settings, pad="left"), model.device)
    sampling = Sampling(rule.answer_tokens, rule.temperature, seed=seed)
    texts = [prepared.tokenizer.decode(ids) for ids in generate(model, batch, sampling)]
    return [texts[k : k + rule.answers] for k in range(0, len(texts), rule.answers)]


def _read_sampled(path: Path) -> dict[str, list[str]]:
    """The answers of each record that is through; a line that was cut short counts as none."""
    found: dict[str, list[str]] = {}
    if not path.is_file():
        return found
    whole = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            one = json.loads(line)
            found[str(one["id"])] = list(map(str, one["answers"]))
        except (ValueError, KeyError, TypeError):
            continue
        whole.append(line)
    write_text(path, "".join(f"{line}\n" for line in whole))
    return found


def _keep(prepared: Prepared, answers: dict[str, list[str]]) -> str:
    """Write `kept.jsonl`; says what was kept."""
    rule, kept = prepared.request.recipe.reward, []
    for record in prepared.records:
        solution: Solution = solution_of(record)
        said = answers[record.id]
        kept.append(chosen(record.id, said, [reward_of(solution, one) for one in said], rule))
    lines = [
        json.dumps({"id": k.id, "said": k.said, "reward": k.reward, "mean": k.mean}) for k in kept
    ]
    write_text(prepared.request.out / KEPT, "".join(f"{line}\n" for line in lines))
    count = sum(k.said is not None for k in kept)
    if not count:
        best = max(k.reward for k in kept)
        raise RequestError(
            f"none of {len(kept)} records has an answer worth {rule.keep_reward}, the best is "
            f"worth {best}; train longer before, or lower reward.keep_reward"
        )
    mean = sum(k.mean for k in kept) / len(kept)
    return f"{count} of {len(kept)} records have an answer to learn from; mean reward {mean:.3f}"


def _on_kept(prepared: Prepared) -> Prepared:
    """The run over the records that have an answer, which is what it says of them."""
    said: dict[str, str] = {}
    for line in (prepared.request.out / KEPT).read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        if one["said"] is not None:
            said[one["id"]] = one["said"]
    rows = [row for row, one in enumerate(prepared.records.column("id")) if one in said]
    records, builder = prepared.records.taken(rows), prepared.builder.saying(said)
    recipe = prepared.request.recipe
    order = lay_out(recipe, records, builder)
    steps = recipe.schedule.max_steps or order.steps(recipe.schedule.epochs)
    return replace(prepared, records=records, builder=builder, order=order, steps=steps)
