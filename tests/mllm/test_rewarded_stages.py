# SPDX-License-Identifier: Apache-2.0
"""Training by rewards: trl's loop over our model, and a cold start from sampled answers."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from tests.fabricate import data_set

pytest.importorskip("trl", reason="needs the extra rl")
pytestmark = [
    pytest.mark.filterwarnings("ignore::Warning:trl"),
    pytest.mark.filterwarnings("ignore::Warning:datasets"),
    pytest.mark.filterwarnings("ignore::Warning:multiprocess"),
]


@pytest.fixture(scope="module")
def recipe(tiny):
    from spatialmllm.training.recipe import (
        DataRecipe,
        ModelRecipe,
        OptimiserRecipe,
        Recipe,
        RewardRecipe,
        ScheduleRecipe,
    )

    config = tiny()
    return Recipe(
        name="test",
        model=ModelRecipe(
            config.text, config.vision, config.spatial, config.connector, random_init=True
        ),
        processor=config.processor,
        data=DataRecipe(turns_per_sequence=1, target="span", workers=0),
        optimiser=OptimiserRecipe(lr=3e-3, lr_projector=3e-3, lr_encoders=3e-3, freeze=()),
        schedule=ScheduleRecipe(
            max_steps=12, global_batch=8, micro_batch=8, save_every=100, precision="float32"
        ),
        reward=RewardRecipe(prompts=4, answers=4, answer_tokens=6),
    )


@pytest.fixture(scope="module")
def start(recipe, toy, tmp_path_factory):
    """Records, and a model that has begun to say answers."""
    folder = tmp_path_factory.mktemp("rewarded")
    records = data_set(folder / "out", toy.root, toy.records)
    run(recipe, records, folder / "sft")
    return records, folder / "sft/model"


def run(recipe, records, out, *, stage="sft", stop_after=None, steps=None, **options):
    from spatialmllm.commands.train import _stage
    from spatialmllm.training.callbacks import StopRequest
    from spatialmllm.training.sft import TrainRequest, prepare

    if steps is not None:
        recipe = replace(recipe, schedule=replace(recipe.schedule, max_steps=steps))
    stop, events = StopRequest(), []

    def sink(event):
        events.append(event)
        if event.kind == "step" and event.step == stop_after:
            stop.ask("the test stops here")

    request = TrainRequest((str(records),), recipe, out, stage=stage, **options)
    return _stage(stage)(prepare(request), stop, sink), events


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_grpo_logs_what_it_earns_and_goes_on_where_it_stopped(recipe, start, tmp_path):
    import torch
    from safetensors.torch import load_file

    records, model = start
    for name, stop_after in (("whole", None), ("cut", 1), ("cut", None)):
        result, _ = run(recipe, records, tmp_path / name, stage="grpo", init=(model,), steps=3,
                        stop_after=stop_after)  # fmt: skip
    assert result.finished
    lines = {name: lines_of(tmp_path / name / "metrics.jsonl") for name in ("whole", "cut")}
    assert [line["step"] for line in lines["whole"]] == [1, 2, 3]
    for line in lines["whole"]:
        assert 0 <= line["reward"] <= 1
        assert 0 <= line["frac_reward_zero_std"] <= 1
        assert line["kl"] >= -1e-6
    assert [a["loss_hex"] for a in lines["cut"]] == [a["loss_hex"] for a in lines["whole"]]
    whole, cut = (load_file(tmp_path / n / "model/model.safetensors") for n in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    before = load_file(model / "model.safetensors")
    assert any(not torch.equal(whole[name], before[name]) for name in whole)


def test_probabilities_of_answers_are_those_of_training(recipe, start, tmp_path):
    import torch

    from spatial_engine.scoring.reward import reward
    from spatialmllm.data.batches import collate
    from spatialmllm.training.callbacks import StopRequest
    from spatialmllm.training.grpo import SpatialGRPOTrainer, askable
    from spatialmllm.training.sft import TrainRequest, make_model, prepare

    records, model = start
    request = TrainRequest((str(records),), recipe, tmp_path, init=(model,), stage="grpo")
    prepared = prepare(request)
    rows, _ = askable(prepared)
    trainer = SpatialGRPOTrainer(
        make_model(prepared), prepared, rows, reward, StopRequest(), lambda _: None
    )
    first = next(r for r in rows if prepared.records[r].images)
    chosen = [first, rows[-1], first]  # two of one prompt, as a group has them
    trainer._rows = chosen
    samples = [prepared.builder.sample([prepared.records[row]], prepared.records) for row in chosen]
    count = [sum(label != -100 for label in sample.labels) for sample in samples]
    prompts = [
        prepared.builder.sample([prepared.records[row]], prepared.records, answers=False)
        for row in chosen
    ]
    longest = max(len(p.ids) for p in prompts)
    width = max(len(s.ids) - len(p.ids) for s, p in zip(samples, prompts, strict=True))
    ids = torch.full((3, longest + width), prepared.config.ids.pad)
    mask = torch.zeros_like(ids)
    for k, (sample, prompt) in enumerate(zip(samples, prompts, strict=True)):
        place = slice(longest - len(prompt.ids), longest - len(prompt.ids) + len(sample.ids))
        ids[k, place], mask[k, place] = torch.tensor(sample.ids), 1
    logps, entropies, _ = trainer._get_per_token_logps_and_entropies(
        trainer.model, ids, mask, width, batch_size=2, compute_entropy=True
    )
    assert entropies.shape == logps.shape == (3, width)
    for k, sample in enumerate(samples):
        batch = collate([sample], prepared.config)
        with torch.no_grad():
            loss = float(trainer.model(**batch).loss)
        mine = float((logps[k].detach() * mask[k, -width:]).sum())
        assert mine == pytest.approx(-loss * count[k], rel=1e-4)
    assert torch.allclose(logps[0], logps[2], atol=1e-5)


def test_rewards_lead_the_model_to_what_earns_them(recipe, start, tmp_path):
    """Whatever else is said, a given word is worth 1: after a few steps it is said more often."""
    from spatialmllm.training.callbacks import StopRequest
    from spatialmllm.training.grpo import train_grpo
    from spatialmllm.training.sft import TrainRequest, prepare

    records, model = start
    longer = replace(
        recipe, schedule=replace(recipe.schedule, max_steps=10, shape="constant"),
        optimiser=replace(recipe.optimiser, lr=1e-2, lr_projector=1e-2),
        reward=replace(recipe.reward, kl=0.0),
    )  # fmt: skip
    request = TrainRequest((str(records),), longer, tmp_path / "rl", init=(model,), stage="grpo")

    def worth(answers, solutions):
        return [float("1" in answer or "left" in answer) for answer in answers]

    train_grpo(prepare(request), StopRequest(), lambda _: None, rewards=worth)
    lines = lines_of(tmp_path / "rl/metrics.jsonl")
    earned = [line["reward"] for line in lines]
    assert sum(earned[-3:]) > sum(earned[:3])
    assert "kl" not in lines[0]


def test_a_cold_start_learns_from_its_own_best_answers(recipe, start, tmp_path):
    records, model = start
    rule = replace(recipe.reward, keep_reward=0.1, temperature=1.5)
    result, events = run(replace(recipe, reward=rule), records, tmp_path / "cold",
                         stage="cold-start", init=(model,), steps=2)  # fmt: skip
    assert result.finished
    kept = lines_of(tmp_path / "cold/kept.jsonl")
    sampled = lines_of(tmp_path / "cold/sampled.jsonl")
    assert len(kept) == len(sampled)
    assert all(len(line["answers"]) == 4 for line in sampled)
    answers = {line["id"]: line["answers"] for line in sampled}
    said = [k for k in kept if k["said"] is not None]
    assert said
    assert all(k["said"] in answers[k["id"]] and k["reward"] >= 0.1 for k in said)
    assert all(k["mean"] <= k["reward"] or not math.isclose(k["mean"], 1) for k in kept)
    assert f"{len(said)} of {len(kept)} records" in next(e.text for e in events if e.kind == "kept")


def test_what_is_kept_of_a_prompt():
    from spatialmllm.training.cold_start import chosen
    from spatialmllm.training.recipe import RewardRecipe

    rule = RewardRecipe(keep_reward=0.5, keep_share=0.5)
    assert chosen("a", ["x", "y", "z", "w"], [0.2, 0.9, 0.6, 0.1], rule).said == "y"
    assert chosen("a", ["x", "y"], [0.2, 0.4], rule).said is None
    assert chosen("a", ["x", "y"], [0.2, 0.4], rule).mean == pytest.approx(0.3)
    ties = {chosen(f"r{k}", ["x", "y"], [1.0, 1.0], rule).said for k in range(20)}
    assert ties == {"x", "y"}


def test_stages_that_need_a_model_say_so(recipe, start, tmp_path):
    from spatialmllm.training.manifest import RequestError

    records, model = start
    for stage in ("grpo", "cold-start"):
        with pytest.raises(RequestError, match="give --init DIR"):
            run(recipe, records, tmp_path / "x", stage=stage)
    odd = replace(recipe, schedule=replace(recipe.schedule, micro_batch=8, global_batch=8),
                  reward=replace(recipe.reward, prompts=3, answers=3))  # fmt: skip
    with pytest.raises(ValueError, match="no multiple of schedule"):
        run(odd, records, tmp_path / "y", stage="grpo", init=(model,))
