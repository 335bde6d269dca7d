# SPDX-License-Identifier: Apache-2.0
"""The spatial encoder against an independent float64 computation written with plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

MEAN, STD = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))


def _norm(x, w, name, eps):
    mean = x.mean(-1, keepdims=True)
    var = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * w[f"{name}.weight"] + w[f"{name}.bias"]


def _linear(x, w, name):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def _erf_gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def _turned(head, y, x, base=100.0):
    """Each half of the head as complex numbers, turned by y and by x."""
    out = np.empty_like(head)
    half = head.shape[-1] // 2
    for start, position in ((0, y), (half, x)):
        quarter = half // 2
        for k in range(quarter):
            number = head[start + k] + 1j * head[start + quarter + k]
            number *= np.exp(1j * position * base ** (-2 * k / half))
            out[start + k], out[start + quarter + k] = number.real, number.imag
    return out


def _block(x, w, name, heads, *, eps, positions=None):
    """x (tokens, C); positions (tokens, 2) of (y, x) or None for a block without q/k norm."""
    tokens, dim = x.shape
    size = dim // heads
    qkv = _linear(_norm(x, w, f"{name}.norm1", eps), w, f"{name}.attn.qkv")
    mixed = np.empty((tokens, dim))
    for h in range(heads):
        q, k, v = (qkv[:, i * dim + h * size : i * dim + (h + 1) * size] for i in range(3))
        if positions is not None:
            q = _norm(q, w, f"{name}.attn.q_norm", 1e-5)
            k = _norm(k, w, f"{name}.attn.k_norm", 1e-5)
            q = np.stack([_turned(row, *at) for row, at in zip(q, positions, strict=True)])
            k = np.stack([_turned(row, *at) for row, at in zip(k, positions, strict=True)])
        scores = q @ k.T / math.sqrt(size)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed[:, h * size : (h + 1) * size] = weights / weights.sum(-1, keepdims=True) @ v
    x = x + w[f"{name}.ls1.gamma"] * _linear(mixed, w, f"{name}.attn.proj")
    hidden = _erf_gelu(_linear(_norm(x, w, f"{name}.norm2", eps), w, f"{name}.mlp.fc1"))
    return x + w[f"{name}.ls2.gamma"] * _linear(hidden, w, f"{name}.mlp.fc2")


def _dino(frame, w, config):
    """frame (3, H, W) in [0, 1] -> (h * w, C)."""
    pixels = (frame - MEAN[:, None, None]) / STD[:, None, None]
    rows, columns = frame.shape[1] // 14, frame.shape[2] // 14
    kernel = w["patch_embed.patch_embed.proj.weight"]
    patches = []
    for r in range(rows):
        for c in range(columns):
            window = pixels[:, r * 14 : r * 14 + 14, c * 14 : c * 14 + 14]
            patches.append(np.tensordot(kernel, window, 3) + w["patch_embed.patch_embed.proj.bias"])
    grid = config.img_size // 14
    stored = w["patch_embed.pos_embed"][0, 1:].reshape(grid, grid, -1)
    resampled = np.stack(
        [
            np.asarray(
                Image.fromarray(stored[..., c].astype(np.float32)).resize(
                    (columns, rows), Image.Resampling.BICUBIC
                )
            )
            for c in range(stored.shape[-1])
        ],
        axis=-1,
    ).reshape(rows * columns, -1)
    cls = w["patch_embed.cls_token"][0] + w["patch_embed.pos_embed"][0, :1]
    x = np.concatenate([cls, w["patch_embed.register_tokens"][0], np.array(patches) + resampled])
    for i in range(config.patch_embed_depth):
        x = _block(x, w, f"patch_embed.blocks.{i}", config.patch_embed_heads, eps=1e-6)
    return _norm(x, w, "patch_embed.norm", 1e-6)[1 + config.num_register_tokens :]


def _reference(frames, w, config):
    """frames (S, 3, H, W) -> (S, tokens, 2 C) after the last pair of blocks."""
    rows, columns = frames.shape[2] // 14, frames.shape[3] // 14
    at = [(0, 0)] * (1 + config.num_register_tokens)
    at += [(r + 1, c + 1) for r in range(rows) for c in range(columns)]
    x = []
    for i, frame in enumerate(frames):
        which = 0 if i == 0 else 1
        special = [w["camera_token"][0, which], w["register_token"][0, which]]
        x.append(np.concatenate([*special, _dino(frame, w, config)]))
    for layer in range(config.depth):
        x = [
            _block(f, w, f"frame_blocks.{layer}", config.num_heads, eps=1e-5, positions=at)
            for f in x
        ]
        joined = _block(
            np.concatenate(x),
            w,
            f"global_blocks.{layer}",
            config.num_heads,
            eps=1e-5,
            positions=at * len(frames),
        )
        out = joined.reshape(len(frames), len(at), -1)
        result = np.concatenate([np.stack(x), out], axis=-1)
        x = list(out)
    return result


@pytest.fixture(scope="module")
def encoder():
    import torch

    from spatialmllm.config import SpatialEncoderConfig
    from spatialmllm.model.vggt.aggregator import Aggregator

    config = SpatialEncoderConfig(
        img_size=56, embed_dim=16, depth=2, num_heads=2, patch_embed_depth=2, patch_embed_heads=2
    )
    model = Aggregator(config)
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        parameter.data.normal_(std=0.5, generator=generator)
    return model.eval()


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (2, 6)])
def test_equals_the_plain_computation(encoder, rows, columns):
    import torch

    frames = torch.rand(2, 3, rows * 14, columns * 14, generator=torch.Generator().manual_seed(5))
    weights = {n: p.detach().double().numpy() for n, p in encoder.named_parameters()}
    expected = _reference(frames.double().numpy(), weights, encoder.config)
    with torch.no_grad():
        ((got,),) = encoder([frames[None]])
    np.testing.assert_allclose(got[0].numpy(), expected, rtol=2e-4, atol=2e-4)


def test_layers_are_returned_as_asked_and_batches_do_not_mix(encoder):
    import torch

    frames = torch.rand(2, 2, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ((first, last),) = encoder([frames], (0, -1))
        ((alone,), (other,)) = encoder([frames[1:], frames[:, :1]], (1,))
    assert first.shape == last.shape == (2, 2, 5 + 4, 32)
    assert not torch.equal(first, last)
    torch.testing.assert_close(last[1:], alone, rtol=1e-5, atol=1e-5)
    assert other.shape == (2, 1, 5 + 4, 32)
    with pytest.raises(ValueError, match="do not divide"):
        encoder([torch.zeros(1, 1, 3, 30, 28)])
    with pytest.raises(ValueError, match="layers"):
        encoder([frames], (2,))


def test_merge_order_equals_a_slow_loop():
    import torch

    from spatialmllm.model.merge import pixel_shuffle

    t, h, w, dim = 2, 4, 6, 3
    features = torch.arange(2 * t * h * w * dim, dtype=torch.float32).view(2 * t, h * w, dim)
    merged = pixel_shuffle(features, h, w)
    assert merged.shape == (t * 2 * 3, 8 * dim)
    for time in range(t):
        for row in range(h // 2):
            for column in range(w // 2):
                token = merged[(time * 2 + row) * 3 + column]
                for sh in range(2):
                    for sw in range(2):
                        for d in range(dim):
                            for tm in range(2):
                                patch = (2 * row + sh) * w + 2 * column + sw
                                at = ((sh * 2 + sw) * dim + d) * 2 + tm
                                assert token[at] == features[2 * time + tm, patch, d]


def test_stills_stand_in_both_places_of_their_pair():
    import torch

    from spatialmllm.model.merge import pair_frames

    features = torch.arange(6.0).view(6, 1, 1)
    grids = [(1, 4, 4), (2, 4, 4), (1, 4, 4)]
    paired = pair_frames(features, grids, [True, False, True])
    assert paired.flatten().tolist() == [0, 0, 1, 2, 3, 4, 5, 5]
    assert pair_frames(features[:4], [(2, 4, 4)], [False]) is not None
    with pytest.raises(ValueError, match="need 5 frames, the context has 6"):
        pair_frames(features, grids[1:], [False, True])
