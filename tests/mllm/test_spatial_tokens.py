# SPDX-License-Identifier: Apache-2.0
"""Which layers the spatial features come from, how eight become one, and the fused tokens."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest


def _random(module, seed=0):
    import torch

    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data.normal_(std=0.5, generator=generator)
    return module


def test_layers_are_mixed_by_softmax_after_their_norms():
    import torch

    from spatialmllm.model.connectors import LayerMix

    mix = _random(LayerMix(6, 3))
    layers = [torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    logits = mix.logits.detach().double().numpy()
    shares = np.exp(logits) / np.exp(logits).sum()
    expected = np.zeros((2, 5, 6))
    for share, norm, x in zip(shares, mix.norms, layers, strict=True):
        x = x.double().numpy()
        root = np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
        expected += share * x / root * norm.weight.detach().double().numpy()
    with torch.no_grad():
        np.testing.assert_allclose(mix(layers).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_conv_merge_equals_a_slow_loop():
    """Frame-major: the first frame's channels come first, and no frame enters another's."""
    import torch

    from spatialmllm.model.connectors import ConvMerge, PairedFeatures

    t, h, w, dim, out = 2, 4, 6, 3, 5
    merge = _random(ConvMerge(dim, out))
    features = torch.randn(2 * t, h * w, dim, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        got = merge(PairedFeatures(features, h, w)).numpy()
    assert got.shape == (t * 2 * 3, 2 * out)
    kernel, bias = (p.detach().double().numpy() for p in (merge.conv.weight, merge.conv.bias))
    gain, shift = (p.detach().double().numpy() for p in (merge.norm.weight, merge.norm.bias))
    f = features.double().numpy().reshape(t, 2, h, w, dim)
    for time in range(t):
        for row in range(h // 2):
            for column in range(w // 2):
                token = got[(time * 2 + row) * 3 + column]
                for pair in range(2):
                    block = f[time, pair, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                    x = np.einsum("ocij,ijc->o", kernel, block) + bias
                    x = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * gain + shift
                    np.testing.assert_allclose(
                        token[pair * out : (pair + 1) * out], x, rtol=1e-4, atol=1e-5
                    )


@pytest.fixture(scope="module")
def media(toy):
    from spatialmllm.data.preprocessing import still

    processor = toy.config.processor
    return [still(toy.images.image(toy.records[2], k), processor) for k in range(2)]


def _built(toy, **options):
    from spatialmllm.model.model import build

    return build(
        replace(toy.config, connector=replace(toy.config.connector, **options)), seed=1
    ).eval()


def test_an_even_mix_of_equal_layers_is_that_layer(toy):
    """One layer adds no parameter; several add a norm each and one weight each."""
    one, two = _built(toy), _built(toy, layers=(0, -1))
    extra = {name for name, _ in two.named_parameters()} - {n for n, _ in one.named_parameters()}
    assert extra == {"connector.mix.logits", *(f"connector.mix.norms.{i}.weight" for i in (0, 1))}
    assert two.connector.mix.logits.tolist() == [0, 0]
    assert two.connector.mix.norms[0].weight.tolist() == [1] * 64


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("mlp_add", {"layers": (0, 1)}),
        ("mlp_add", {"merge": "conv"}),
        ("gated", {"merge": "conv", "merge_dim": 24, "layers": (-2, -1)}),
        ("cross_attention", {"layers": (1, 0)}),
    ],
)
def test_every_choice_trains_and_survives_its_file(toy, tmp_path, kind, options):
    import torch

    from spatialmllm.checkpoints import load, save
    from spatialmllm.data.batches import SampleBuilder, collate

    model = _built(toy, kind=kind, **options)
    builder = SampleBuilder(model.settings, toy.tokenizer)
    batch = collate([builder.sample([toy.records[i]], toy.images) for i in (0, 2)], model.settings)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(2):  # what starts at zero lets gradients through from the second step on
        model(**batch).loss.backward()
        optimizer.step()
        missing = [n for n, p in model.connector.named_parameters() if p.grad is None]
        assert not missing
    named = [n for n, p in model.connector.named_parameters() if p.grad.abs().sum() > 0]
    assert "mix.logits" in named or "layers" not in options
    assert "merge.conv.weight" in named or "merge" not in options
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.settings == model.settings
    pairs = zip(model.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_choices_that_do_not_fit_are_refused(toy, tiny):
    from spatialmllm.config import ConnectorConfig, SpatialMLLMConfig

    with pytest.raises(ValueError, match="is not one of pixel_shuffle, conv"):
        ConnectorConfig(merge="mean")
    with pytest.raises(ValueError, match="unmerged"):
        ConnectorConfig(kind="cross_attention", merge="conv")
    with pytest.raises(ValueError, match="stands twice"):
        ConnectorConfig(layers=(1, 1))
    with pytest.raises(ValueError, match=r"connector layers \(4,\) of 2"):
        tiny(layers=(4,))
    flat = json.loads(json.dumps(tiny(layers=(0,)).to_json()))
    assert flat["connector_config"]["spatial_embeds_layer_idx"] == 0
    assert SpatialMLLMConfig.from_json(flat).connector.layers == (0,)


def test_spatial_tokens_are_what_the_decoder_gets(toy, media):
    import torch

    from spatialmllm import spatial_tokens
    from spatialmllm.data.batches import SampleBuilder, collate
    from spatialmllm.data.preprocessing import Medium

    model = _built(toy)
    tokens = spatial_tokens(model, media)
    assert [tuple(x.shape) for x in tokens] == [(1, 2, 2, 64)] * 2
    sample = SampleBuilder(model.settings, toy.tokenizer).sample([toy.records[2]], toy.images)
    batch = collate([sample], model.settings)
    names = ("pixel_values", "grid_thw", "frames", "context_rows", "still")
    with torch.no_grad():
        whole = model.encode_visual(**{name: batch[name] for name in names})
    torch.testing.assert_close(torch.cat([x.flatten(0, 2) for x in tokens]), whole)
    # Alone an image has another context; the two-dimensional tower does not mind.
    assert not torch.allclose(spatial_tokens(model, media[1:])[0], tokens[1])
    plain = type(model)(toy.config.without_spatial_encoder()).reset(1).eval()
    alone, together = spatial_tokens(plain, media[1:])[0], spatial_tokens(plain, media)[1]
    torch.testing.assert_close(alone, together)
    clip = Medium(np.concatenate([m.frames for m in media] * 2), still=False)
    assert tuple(spatial_tokens(model, [clip])[0].shape) == (2, 2, 2, 64)
    assert spatial_tokens(model, []) == []
