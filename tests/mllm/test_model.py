# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest


@pytest.fixture
def batch(toy):
    from spatialmllm.data.batches import SampleBuilder, collate

    builder = SampleBuilder(toy.config, toy.tokenizer)
    return collate([builder.sample([toy.records[i]], toy.images) for i in (0, 2)], toy.config)


@pytest.fixture
def model(toy):
    from spatialmllm.model.model import build

    return build(toy.config, seed=1)


def test_gradients_reach_every_part_when_nothing_is_frozen(model, batch):
    from spatialmllm.model.model import PARTS

    model.freeze([]).train()
    model(**batch).loss.backward()
    reached = {
        part
        for name, p in model.named_parameters()
        for part, prefixes in PARTS.items()
        if name.startswith(prefixes) and p.grad is not None and p.grad.abs().sum() > 0
    }
    assert reached == PARTS.keys() - {"matching"}  # which is off
    unused = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert unused == []


@pytest.mark.parametrize("part", ["vision", "merger", "spatial", "connector", "decoder"])
def test_frozen_parts_have_no_gradient_and_stay_in_evaluation_mode(model, batch, part):
    from spatialmllm.model.model import PARTS

    model.freeze([part]).train()
    model(**batch).loss.backward()
    for name, parameter in model.named_parameters():
        if name.startswith(PARTS[part]):
            assert parameter.grad is None, name
            assert not parameter.requires_grad
    for name, module in model.named_modules():
        inside = f"{name}.".startswith(PARTS[part])
        if inside:
            assert not module.training, name
    others = [p for n, p in model.named_parameters() if not n.startswith(PARTS[part])]
    assert any(p.grad is not None for p in others)
    model.eval()
    assert not any(m.training for m in model.modules())


def test_a_frozen_encoder_builds_no_graph(model, batch):
    from spatialmllm.model.contexts import encode_contexts

    model.freeze(["spatial", "vision", "merger"]).train()
    features = encode_contexts(model, batch["frames"])
    assert not any(f.requires_grad for f in features)
    with pytest.raises(ValueError, match="unknown parts"):
        model.freeze(["head"])


def test_the_loss_is_the_mean_over_supervised_tokens(model, batch):
    import torch

    labels = batch.pop("labels")
    with torch.no_grad():
        logits = model(**batch).logits.float()
        expected = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
        )
        got = model(**batch, labels=labels).loss
        count = int((labels != -100).sum())
        scaled = model(**batch, labels=labels, num_items_in_batch=2 * count).loss
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(scaled * 2, got, rtol=1e-6, atol=1e-6)


def test_pads_change_nothing(model, batch, toy):
    import torch

    model.eval()
    labels = batch.pop("labels")
    with torch.no_grad():
        plain = model(**batch).logits
        extra = 7
        wide = {key: value for key, value in batch.items() if key != "places"}
        for key, fill in (("input_ids", toy.config.ids.pad), ("attention_mask", 0)):
            pad = torch.full((2, extra), fill)
            wide[key] = torch.cat([batch[key], pad], dim=1)
        ones = torch.ones(3, 2, extra, dtype=torch.long)
        wide["position_ids"] = torch.cat([batch["position_ids"], ones], dim=2)
        padded = model(**wide).logits[:, :-extra]
    real = batch["attention_mask"].bool()
    assert labels.shape == real.shape
    torch.testing.assert_close(padded[real], plain[real], rtol=1e-5, atol=3e-6)


def test_counts_must_match(model, batch):
    ids = batch["input_ids"].clone()
    ids[0, (ids[0] == model.settings.ids.image).nonzero()[0]] = 5
    batch["input_ids"] = ids
    del batch["places"]  # made for the ids as they were
    with pytest.raises(ValueError, match="11 visual placeholders, 12 visual tokens"):
        model(**batch)


def test_without_connector_no_spatial_encoder_is_built(toy, batch):
    from spatialmllm.model.model import build

    plain = build(toy.config.without_spatial_encoder(), seed=1)
    assert plain.aggregator is None
    assert not any("spatial" in n or "connector" in n for n, _ in plain.named_parameters())
    kept = {k: v for k, v in batch.items() if k not in ("frames", "context_rows", "still")}
    assert plain(**kept).loss.isfinite()


def test_checkpointing_changes_no_gradient(toy, batch):
    import torch

    from spatialmllm.model.model import build

    gradients = []
    for enabled in (False, True):
        model = build(toy.config, seed=1).freeze([]).train()
        model.set_checkpointing(enabled)
        model(**batch).loss.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-5, atol=1e-7)


def test_zero_initialised_connector_starts_as_the_base_model(toy, batch):
    from dataclasses import replace

    import torch

    from spatialmllm.model.model import build

    connector = replace(toy.config.connector, zero_init_last=True)
    model = build(replace(toy.config, connector=connector), seed=1).eval()
    base = build(toy.config.without_spatial_encoder(), seed=1).eval()
    base.load_state_dict(model.state_dict(), strict=False)
    batch.pop("labels")
    kept = {k: v for k, v in batch.items() if k not in ("frames", "context_rows", "still")}
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, base(**kept).logits)


def test_configurations_survive_their_file(toy):
    from spatialmllm.config import SpatialMLLMConfig

    again = SpatialMLLMConfig.from_json(toy.config.to_json(), toy.config.processor)
    assert again == toy.config
    plain = toy.config.without_spatial_encoder()
    assert SpatialMLLMConfig.from_json(plain.to_json(), plain.processor) == plain


def test_importing_the_package_no_torch():
    import subprocess
    import sys

    code = "import sys, spatialmllm, spatialmllm.config, spatialmllm.data.preprocessing, \
spatialmllm.data.positions; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
