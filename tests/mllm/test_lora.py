# SPDX-License-Identifier: Apache-2.0
"""Low-rank adapters: trained, stopped and continued, saved beside their base, merged on loading."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.fabricate import data_set

pytest.importorskip("peft")

STEPS = 6
SETTINGS = (
    f"schedule.max_steps={STEPS}", "schedule.global_batch=4", "schedule.micro_batch=4",
    "schedule.save_every=3", "schedule.warmup_share=0.2", "processor.width=56",
    "processor.height=56", 'optimiser.freeze=["vision", "spatial"]',
)  # fmt: skip
ADAPTED = ("lora.rank=4", "lora.alpha=8")


@pytest.fixture(scope="module")
def folder(toy, fabricated, tmp_path_factory):
    held_out = [
        replace(record, split="val", space=f"other {record.space}", id=f"{record.id}v")
        for record in toy.records[:4]
    ]
    return data_set(tmp_path_factory.mktemp("records") / "out", toy.root, [*toy.records, *held_out])


@pytest.fixture(scope="module")
def train(folder):
    from spatialmllm.training.callbacks import StopRequest
    from spatialmllm.training.recipe import load_recipe
    from spatialmllm.training.sft import TrainRequest
    from spatialmllm.training.sft import prepare as prepare_run
    from spatialmllm.training.sft import train as run

    def train(out, *settings, init=None, stop_after=None):
        recipe = load_recipe("tiny", [*SETTINGS, *settings])
        request = TrainRequest((str(folder),), recipe, out, init=() if init is None else (init,))
        stop = StopRequest()

        def sink(event):
            if event.kind == "step" and event.step == stop_after:
                stop.ask("the test stops here")

        run(prepare_run(request), stop, sink)
        lines = (out / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["loss_hex"] for line in lines]

    return train


@pytest.fixture(scope="module")
def base(train, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "base"
    train(out, "schedule.max_steps=2")
    return out / "model"


@pytest.fixture(scope="module")
def adapted(train, base, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "adapted"
    return out, train(out, *ADAPTED, init=base)


def _tensors(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_only_adapters_and_what_is_not_frozen_move(base, adapted):
    import torch

    out, losses = adapted
    assert len(losses) == STEPS
    before, after = _tensors(base), _tensors(out / "model")
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith(("connector.", "visual.merger.")) for name in moved)
    names = {path.name for path in (out / "model/adapter").iterdir()}
    assert names == {"adapter_config.json", "adapter_model.safetensors"}
    # A checkpoint holds what is trained, and not the frozen rest.
    (checkpoint,) = {path.name for path in out.glob("checkpoint-*")} - {"checkpoint-3"}
    files = {path.name for path in (out / checkpoint).iterdir()}
    assert "trained.safetensors" in files
    assert "model" not in files


def test_a_stopped_run_continues_in_every_bit(train, base, adapted, tmp_path):
    out, whole = adapted
    begun = train(tmp_path / "cut", *ADAPTED, init=base, stop_after=3)
    assert begun == whole[: len(begun)]
    assert len(begun) < STEPS
    assert train(tmp_path / "cut", *ADAPTED, init=base) == whole
    for folder in ("model", "model/adapter"):
        first, second = (
            {p.name: p.read_bytes() for p in (run / folder).iterdir() if p.is_file()}
            for run in (out, tmp_path / "cut")
        )
        assert first == second


def test_loading_merges_what_training_computed(folder, base, adapted):
    """Logits of the loaded model = those of the wrapped one; each weight = W + (alpha / r) B A."""
    import torch
    from safetensors.torch import load_file

    from spatialmllm.checkpoints import load
    from spatialmllm.checkpoints.adapter import AdapterConfig
    from spatialmllm.data.batches import SampleBuilder, collate
    from spatialmllm.data.records import RecordSet, parse_folder
    from spatialmllm.data.tokens import ChatTokenizer
    from spatialmllm.training.lora import add_adapter
    from spatialmllm.training.recipe import LORA_TARGETS

    model_folder = adapted[0] / "model"
    merged = load(model_folder).eval()
    parts = load_file(model_folder / "adapter/adapter_model.safetensors")
    plain = _tensors(model_folder)
    name = "model.layers.1.mlp.down_proj"
    a, b = (parts[f"base_model.model.{name}.lora_{x}.weight"].double().numpy() for x in "AB")
    assert a.shape == (4, 192)
    assert np.abs(b).max() > 0
    expected = plain[f"{name}.weight"].double().numpy() + 8 / 4 * b @ a
    got = dict(merged.named_parameters())[f"{name}.weight"].detach().numpy()
    np.testing.assert_allclose(got, expected, atol=1e-6)

    wrapped = load(base)
    add_adapter(wrapped, AdapterConfig(4, 8.0, LORA_TARGETS), 0)
    state = {**plain, **{
        k.removeprefix("base_model.model.").replace(".weight", ".default.weight"): v
        for k, v in parts.items()
    }}  # fmt: skip
    with torch.no_grad():
        for key, parameter in wrapped.named_parameters():
            parameter.copy_(state[key.replace(".base_layer.", ".")])
    records = RecordSet.open([parse_folder(str(folder))])
    builder = SampleBuilder(merged.settings, ChatTokenizer.from_file(model_folder))
    batch = collate([builder.sample([records[0]], records)], merged.settings)
    labels = batch.pop("labels")
    with torch.no_grad():
        torch.testing.assert_close(
            merged(**batch).logits, wrapped.eval()(**batch).logits, rtol=1e-4, atol=1e-4
        )
    assert (labels != -100).any()


def test_it_starts_as_its_base_and_depends_on_the_seed_alone(base):
    import torch

    from spatialmllm.checkpoints import load
    from spatialmllm.checkpoints.adapter import AdapterConfig, split_adapter
    from spatialmllm.training.lora import add_adapter

    def wrapped(seed):
        model = load(base).freeze(["vision", "spatial"])
        add_adapter(model, AdapterConfig(2, 4.0, ("q_proj",)), seed)
        return model

    state = torch.get_rng_state()
    first, again, other = wrapped(1), wrapped(1), wrapped(2)
    assert torch.equal(state, torch.get_rng_state())
    parts = [split_adapter(m.named_parameters()) for m in (first, again, other)]
    assert parts[0][0].keys() == {name for name, _ in load(base).named_parameters()}
    key = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    assert torch.equal(parts[0][1][key], parts[1][1][key])
    assert not torch.equal(parts[0][1][key], parts[2][1][key])
    assert all(not t.any() for name, t in parts[0][1].items() if "lora_B" in name)
    trained = {n for n, p in first.named_parameters() if p.requires_grad}
    assert {n for n in trained if n.startswith("model.")} == {
        f"model.layers.{i}.self_attn.q_proj.lora_{x}.default.weight" for i in (0, 1) for x in "AB"
    }
    first.train()
    assert first.model.training
    assert not first.visual.blocks.training
    with pytest.raises(ValueError, match=r"[Tt]arget modules"):
        add_adapter(load(base), AdapterConfig(2, 4.0, ("nowhere",)), 0)


def test_an_adapted_model_answers_and_is_a_start(folder, base, adapted, train, tmp_path, capsys):
    from spatialmllm.checkpoints import load
    from spatialmllm.commands.ask import main as ask
    from spatialmllm.commands.eval import main as evaluate

    model = str(adapted[0] / "model")
    code = evaluate(["--model", model, "--records", str(folder), "-o", str(tmp_path / "results"),
                     "--max-new-tokens", "3", "--json"])  # fmt: skip
    assert code == 0
    assert json.loads(capsys.readouterr().out)["n"] == 4
    assert ask(["--model", model, "--question", "How many squares are there?", "--json",
                "--max-new-tokens", "2"]) == 0  # fmt: skip
    capsys.readouterr()
    # Training on starts from the merged weights, with or without another adapter.
    train(tmp_path / "next", "schedule.max_steps=1", "optimiser.lr=0", "optimiser.lr_projector=0",
          init=adapted[0] / "model")  # fmt: skip
    first = dict(load(model).named_parameters())
    second = dict(load(tmp_path / "next/model").named_parameters())
    assert all((first[name] - second[name]).abs().max() < 1e-6 for name in first)
    assert not (tmp_path / "next/model/adapter").exists()


def test_adapters_that_do_not_fit_are_refused(adapted, tmp_path):
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    from spatialmllm.checkpoints import CheckpointFormatError, load

    model = tmp_path / "model"
    shutil.copytree(adapted[0] / "model", model)
    file, config = (
        model / "adapter/adapter_model.safetensors",
        model / "adapter/adapter_config.json",
    )
    whole = load_file(file)
    key = "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"
    for damage, said in (
        ({key: torch.zeros(4, 7)}, "do not fit"),
        ({"base_model.model.model.layers.9.mlp.up_proj.lora_A.weight": torch.zeros(4, 128)},
         "adapts nothing"),
    ):  # fmt: skip
        save_file({**whole, **damage}, file)
        with pytest.raises(CheckpointFormatError, match=said):
            load(model)
    save_file({name: t for name, t in whole.items() if name != key}, file)
    with pytest.raises(CheckpointFormatError, match="do not fit"):
        load(model)
    config.write_text('{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "use_rslora": true}')
    with pytest.raises(CheckpointFormatError, match="plain form"):
        load(model)


def test_the_shipped_recipe_trains_what_it_says():
    from spatialmllm.checkpoints.adapter import AdapterConfig
    from spatialmllm.config import SpatialMLLMConfig
    from spatialmllm.model.model import build_meta, parameter_counts
    from spatialmllm.training.lora import add_adapter
    from spatialmllm.training.recipe import load_recipe, recipe_from

    recipe = load_recipe("multispa-lora")
    assert recipe_from(recipe.to_json(), recipe.name) == recipe
    model = build_meta(SpatialMLLMConfig()).freeze(recipe.optimiser.freeze)
    lora = recipe.lora
    add_adapter(model, AdapterConfig(lora.rank, lora.alpha, lora.targets), 0)
    # 36 layers; rank 16 on q, o (2048 to 2048), k, v (to 256), gate, up, down (11008).
    per_layer = 2 * 16 * (2048 + 2048) + 2 * 16 * (2048 + 256) + 3 * 16 * (2048 + 11008)
    assert parameter_counts(model)["decoder"] == (36 * per_layer, 3_085_938_688)
    assert parameter_counts(model)["connector"] == (302_024_704, 0)
