# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest

IDENTITIES = ("gated", "concat", "cross_attention")


def _configured(toy, kind):
    return replace(toy.config, connector=replace(toy.config.connector, kind=kind))


@pytest.fixture
def batch(toy):
    from spatialmllm.data.batches import SampleBuilder, collate

    builder = SampleBuilder(toy.config, toy.tokenizer)
    return collate([builder.sample([toy.records[i]], toy.images) for i in (0, 2)], toy.config)


@pytest.mark.parametrize("kind", IDENTITIES)
def test_starts_exactly_as_the_base_model_and_then_learns(toy, batch, kind):
    import torch

    from spatialmllm.model.model import build

    model = build(_configured(toy, kind), seed=1).eval()
    base = build(toy.config.without_spatial_encoder(), seed=1).eval()
    base.load_state_dict(model.state_dict(), strict=False)
    labels = batch.pop("labels")
    plain = {k: v for k, v in batch.items() if k not in ("frames", "context_rows", "still")}
    with torch.no_grad():
        expected = base(**plain).logits
        assert torch.equal(model(**batch).logits, expected)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(2):
        model(**batch, labels=labels).loss.backward()
        # Every parameter has a gradient, if a zero one: data parallelism waits for each.
        assert all(p.grad is not None for p in model.connector.parameters())
        optimizer.step()
    with torch.no_grad():
        assert not torch.equal(model(**batch).logits, base(**plain).logits)
    assert any(p.grad.abs().sum() > 0 for p in model.aggregator.parameters() if p.grad is not None)


def test_mlp_add_by_hand():
    import torch

    from spatialmllm.model.connectors import MlpAdd

    connector = MlpAdd(4, 2, 3, zero_init_last=False)
    connector.reset(torch.Generator().manual_seed(0))
    s, x = torch.tensor([[1.0, -2.0, 3.0, 0.5]]), torch.tensor([[1.0, 2.0, 3.0]])
    normed = s / torch.sqrt((s**2).mean() + 1e-6)
    hidden = normed @ connector.mlp[0].weight.T
    erf = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    expected = x + erf @ connector.mlp[2].weight.T
    torch.testing.assert_close(connector.add(x, s), expected)
    assert connector.mlp[0].bias.abs().sum() == 0


def test_cross_attention_sees_its_own_pair_only():
    import torch

    from spatialmllm.model.connectors import CrossAttention, PairedFeatures

    generator = torch.Generator().manual_seed(0)
    connector = CrossAttention(6, 16)
    for parameter in connector.parameters():
        parameter.data.normal_(std=0.5, generator=generator)
    visual = torch.randn(6 + 4, 16, generator=generator)
    first = torch.randn(4, 12, 6, generator=generator)  # two pairs of 2 x 6 patches
    second = torch.randn(2, 16, 6, generator=generator)  # one pair of 4 x 4
    contexts = [PairedFeatures(first, 2, 6), PairedFeatures(second, 4, 4)]
    with torch.no_grad():
        plain = connector(visual, contexts)
        changed = first.clone()
        changed[3] += 1
        moved = connector(visual, [PairedFeatures(changed, 2, 6), contexts[1]])
    assert torch.equal(plain[:3], moved[:3])
    assert not torch.allclose(plain[3:6], moved[3:6])
    assert torch.equal(plain[6:], moved[6:])


@pytest.mark.parametrize("kind", IDENTITIES)
def test_other_connectors_survive_their_file(toy, tmp_path, kind):
    import torch

    from spatialmllm.checkpoints import load, save
    from spatialmllm.model.model import build

    model = build(_configured(toy, kind), seed=3)
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.settings.connector.kind == kind
    pairs = zip(model.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_spread_of_the_matrices_is_the_configured_one(toy):
    import torch

    from spatialmllm.config import SpatialMLLMConfig
    from spatialmllm.model.model import build

    chosen = replace(toy.config.connector, kind="mlp_add", initializer_range=0.12)
    wide = replace(toy.config, connector=chosen)
    assert SpatialMLLMConfig.from_json(wide.to_json()).connector == chosen
    published = replace(toy.config, connector=replace(chosen, initializer_range=0.02))
    for made, plain in zip(
        build(wide, seed=3).connector.mlp.parameters(),
        build(published, seed=3).connector.mlp.parameters(),
        strict=True,
    ):
        # The same draws, six times as wide; biases are zero in both.
        torch.testing.assert_close(made, 6 * plain, rtol=1e-6, atol=0)
