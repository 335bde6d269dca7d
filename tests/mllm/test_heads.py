# SPDX-License-Identifier: Apache-2.0
"""Heads of the spatial encoder: by hand, then against a float64 computation with plain loops."""

from __future__ import annotations

import json
import math
from math import prod

import numpy as np
import pytest

PUBLIC_TENSORS, PUBLIC_PARAMETERS = 1797, 1_256_537_516
TRACK_TENSORS, TRACK_PARAMETERS = 394, 65_941_396


def small_config(**heads):
    from spatialmllm.config import SpatialEncoderConfig
    from spatialmllm.model.vggt.config import HeadsConfig, VGGTConfig

    return VGGTConfig(
        SpatialEncoderConfig(
            img_size=56, embed_dim=16, depth=4, num_heads=2, patch_embed_depth=1,
            patch_embed_heads=2, layer_scale_init=1.0, initializer_range=0.1,
        ),
        HeadsConfig(**{"camera_depth": 2, "camera_heads": 2, "layers": (0, 1, 2, 3),
                       "channels": (8, 12, 16, 20), "features": 24, **heads}),
    )  # fmt: skip


@pytest.fixture(scope="module")
def encoder():
    import torch

    from spatialmllm.model.vggt.model import VGGT

    model = VGGT(small_config()).eval()
    generator = torch.Generator().manual_seed(7)
    for parameter in model.parameters():
        # Matrices keep the size of what they act on, so that no exponential overflows.
        fan_in = prod(parameter.shape[1:]) if parameter.ndim > 1 else 9
        parameter.data.normal_(std=fan_in**-0.5, generator=generator)
    return model


def _weights(module):
    return {name: p.detach().double().numpy() for name, p in module.named_parameters()}


# Names and shapes


@pytest.fixture(scope="module")
def full_size():
    import torch

    from spatialmllm.model.vggt.config import VGGTConfig
    from spatialmllm.model.vggt.model import VGGT

    with torch.device("meta"):
        return VGGT(VGGTConfig())


def test_full_size_heads_have_exactly_the_public_names_and_shapes(full_size, layouts):
    got = {name: tuple(p.shape) for name, p in full_size.named_parameters()}
    expected = {n: s for n, s in layouts.vggt().items() if not n.startswith("track_head.")}
    assert got == expected
    assert len(got) + TRACK_TENSORS == PUBLIC_TENSORS
    assert sum(map(prod, got.values())) + TRACK_PARAMETERS == PUBLIC_PARAMETERS


def _header_only(path, shapes):
    """A safetensors file of full size whose tensors are a hole in the file: no disk is used."""
    header, at = {}, 0
    for name, shape in shapes.items():
        end = at + 4 * prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)


@pytest.mark.parametrize("prefix", ["", "spatial_encoder.vggt_model."])
def test_a_file_of_vggt_1b_is_matched_strictly(full_size, layouts, tmp_path, prefix):
    """All 1,797 names and shapes through the loader, from a file of 5 GB without content."""
    from spatialmllm.checkpoints import CheckpointFormatError
    from spatialmllm.checkpoints.files import WeightFiles
    from spatialmllm.checkpoints.vggt import match_vggt

    shapes = {prefix + name: shape for name, shape in layouts.vggt().items()}
    if prefix:
        shapes |= {"visual.merger.ln_q.weight": (1280,), "model.norm.weight": (2048,)}
    _header_only(tmp_path / "model.safetensors", shapes)
    found = match_vggt(full_size, [WeightFiles(tmp_path)])
    assert len(found.taken) == PUBLIC_TENSORS - TRACK_TENSORS
    assert len(found.left_out) == len(shapes) - len(found.taken)
    del shapes[f"{prefix}depth_head.norm.weight"]
    shapes[f"{prefix}camera_head.trunk.9.norm1.weight"] = (2048,)
    shapes[f"{prefix}point_head.norm.bias"] = (7,)
    _header_only(tmp_path / "model.safetensors", shapes)
    with pytest.raises(CheckpointFormatError) as error:
        match_vggt(full_size, [WeightFiles(tmp_path)])
    assert "1 missing: spatial_encoder.vggt_model.depth_head.norm.weight" in str(error.value)
    assert "1 unexpected: " in str(error.value)
    assert "point_head.norm.bias (7,), the model has (2048,)" in str(error.value)


def test_what_is_saved_is_loaded(encoder, tmp_path):
    import torch

    from spatialmllm.checkpoints.vggt import load_vggt, save_vggt

    save_vggt(encoder, tmp_path / "vggt")
    again = load_vggt(tmp_path / "vggt")
    assert again.config == encoder.config
    frames = torch.rand(1, 2, 3, 28, 42, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pairs = zip(encoder.parameters(), again.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
        # A mapped file places tensors elsewhere in memory, which may change the last bit of a sum.
        made = tuple(encoder(frames)), tuple(again(frames))
        torch.testing.assert_close(*made, rtol=1e-4, atol=1e-4)
        cameras = load_vggt(tmp_path / "vggt", heads=("camera",))
        assert cameras.heads == ("camera",)
        made = cameras(frames)
    assert made.depth is None
    assert made.points_world is None
    with torch.no_grad():
        same = encoder(frames, ("camera",))
    torch.testing.assert_close(made.K, same.K, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="not built"):
        cameras(frames, ("depth",))


# Cameras


def _norm(x, w, name, eps=1e-5):
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    return scaled if name is None else scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def _linear(x, w, name):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def _gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def _block(x, w, name, heads):
    dim = x.shape[-1]
    size = dim // heads
    qkv = _linear(_norm(x, w, f"{name}.norm1"), w, f"{name}.attn.qkv")
    mixed = np.empty_like(x)
    for h in range(heads):
        q, k, v = (qkv[:, i * dim + h * size : i * dim + (h + 1) * size] for i in range(3))
        scores = np.exp(q @ k.T / math.sqrt(size))
        mixed[:, h * size : (h + 1) * size] = scores / scores.sum(-1, keepdims=True) @ v
    x = x + w[f"{name}.ls1.gamma"] * _linear(mixed, w, f"{name}.attn.proj")
    hidden = _gelu(_linear(_norm(x, w, f"{name}.norm2"), w, f"{name}.mlp.fc1"))
    return x + w[f"{name}.ls2.gamma"] * _linear(hidden, w, f"{name}.mlp.fc2")


def test_camera_head_equals_the_plain_computation(encoder):
    import torch

    head, config = encoder.camera_head, encoder.config.heads
    w = _weights(head)
    given = torch.randn(1, 3, 32, generator=torch.Generator().manual_seed(2))
    tokens = _norm(given[0].double().numpy(), w, "token_norm")
    raw = None
    expected = []
    for _ in range(config.camera_rounds):
        before = np.repeat(w["empty_pose_tokens"][0], 3, axis=0) if raw is None else raw
        embedded = _linear(before, w, "embed_pose")
        silu = embedded / (1 + np.exp(-embedded))
        shift, scale, gate = np.split(_linear(silu, w, "poseLN_modulation.1"), 3, axis=-1)
        x = tokens + gate * (_norm(tokens, w, None, 1e-6) * (1 + scale) + shift)
        for i in range(config.camera_depth):
            x = _block(x, w, f"trunk.{i}", config.camera_heads)
        hidden = _gelu(_linear(_norm(x, w, "trunk_norm"), w, "pose_branch.fc1"))
        correction = _linear(hidden, w, "pose_branch.fc2")
        raw = correction if raw is None else raw + correction
        expected.append(np.concatenate([raw[:, :7], np.maximum(raw[:, 7:], 0)], axis=1))
    with torch.no_grad():
        got = head(given)
    assert len(got) == 4
    np.testing.assert_allclose(torch.stack(got)[:, 0].numpy(), expected, rtol=2e-4, atol=2e-4)


# Dense heads


def test_activations_by_hand():
    import torch

    from spatialmllm.model.vggt.heads import activate

    raw = torch.tensor([-2.0, 0.0, 1.0, 0.5]).view(4, 1, 1)
    values, confidence = activate(raw, "inv_log")
    expected = [-(math.e**2 - 1), 0, math.e - 1]
    np.testing.assert_allclose(values.flatten().numpy(), expected, rtol=1e-6)
    assert confidence.item() == pytest.approx(1 + math.exp(0.5))
    np.testing.assert_allclose(activate(raw[2:], "exp")[0].numpy(), [[[math.e]]], rtol=1e-6)
    assert activate(raw, "relu")[0].flatten().tolist() == [0, 0, 1]
    assert activate(raw, "linear")[0].flatten().tolist() == [-2, 0, 1]
    with pytest.raises(ValueError, match="activation must be one of"):
        activate(raw, "tanh")


def test_position_grid_by_hand():
    """Two rows and three columns of a picture of 4:3; the half diagonal is 1."""
    import torch

    from spatialmllm.model.vggt.heads import position_grid

    grid = position_grid(8, 2, 3, 4 / 3, device=torch.device("cpu")).double().numpy()
    assert grid.shape == (8, 2, 3)
    for row, y in enumerate((-0.6 / 2, 0.6 / 2)):
        for column, x in enumerate((-0.8 * 2 / 3, 0.0, 0.8 * 2 / 3)):
            expected = [f(value * rate) for value in (x, y) for f in (math.sin, math.cos)
                        for rate in (1, 0.1)]  # fmt: skip
            np.testing.assert_allclose(grid[:, row, column], expected, atol=1e-6)


def _conv(x, w, name, *, pad=0, stride=1):
    """x (C, h, w), by a loop over the kernel."""
    kernel = w[f"{name}.weight"]
    bias = w.get(f"{name}.bias", np.zeros(len(kernel)))
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    size = kernel.shape[-1]
    rows = (x.shape[1] - size) // stride + 1
    columns = (x.shape[2] - size) // stride + 1
    out = np.repeat(bias, rows * columns).reshape(-1, rows, columns)
    for i in range(size):
        for j in range(size):
            window = x[:, i : i + rows * stride : stride, j : j + columns * stride : stride]
            out = out + np.tensordot(kernel[:, :, i, j], window, 1)
    return out


def _spread(x, w, name):
    """Transposed convolution whose stride is its size: every pixel becomes a block."""
    kernel = w[f"{name}.weight"]  # (in, out, s, s)
    size = kernel.shape[-1]
    out = np.zeros((kernel.shape[1], x.shape[1] * size, x.shape[2] * size))
    for r in range(x.shape[1]):
        for c in range(x.shape[2]):
            block = np.tensordot(x[:, r, c], kernel, 1)
            out[:, r * size : (r + 1) * size, c * size : (c + 1) * size] = block
    return out + w[f"{name}.bias"][:, None, None]


def _resized(x, size):
    """Bilinear, corners kept."""
    made = x
    for axis, count in ((1, size[0]), (2, size[1])):
        old = made.shape[axis]
        at = np.arange(count) * (old - 1) / max(1, count - 1)
        low = np.minimum(at.astype(int), max(0, old - 2))
        part = (at - low).reshape([-1 if a == axis else 1 for a in range(3)])
        high = np.minimum(low + 1, old - 1)
        made = made.take(low, axis) * (1 - part) + made.take(high, axis) * part
    return made


def _placed(x, aspect):
    channels, rows, columns = x.shape
    quarter = channels // 4
    diagonal = math.sqrt(aspect**2 + 1)
    out = x.copy()
    for r in range(rows):
        for c in range(columns):
            place = (aspect / diagonal * (2 * c + 1 - columns) / columns,
                     1 / diagonal * (2 * r + 1 - rows) / rows)  # fmt: skip
            for half, value in enumerate(place):
                for k in range(quarter):
                    angle = value / 100 ** (k / quarter)
                    out[half * 2 * quarter + k, r, c] += 0.1 * math.sin(angle)
                    out[half * 2 * quarter + quarter + k, r, c] += 0.1 * math.cos(angle)
    return out


def _unit(x, w, name):
    x = np.maximum(x, 0)
    inner = np.maximum(_conv(x, w, f"{name}.conv1", pad=1), 0)
    return x + _conv(inner, w, f"{name}.conv2", pad=1)


def _dense(layers, w, rows, columns):
    """layers: four of (rows * columns, D) -> raw channels (C, H, W)."""
    aspect = columns / rows
    maps = []
    for i, tokens in enumerate(layers):
        x = _norm(tokens, w, "norm").T.reshape(-1, rows, columns)
        x = _placed(_conv(x, w, f"projects.{i}"), aspect)
        if i < 2:
            x = _spread(x, w, f"resize_layers.{i}")
        elif i == 3:
            x = _conv(x, w, "resize_layers.3", pad=1, stride=2)
        maps.append(_conv(x, w, f"scratch.layer{i + 1}_rn", pad=1))
    x = maps[3]
    for i in (4, 3, 2, 1):
        at = f"scratch.refinenet{i}"
        if i < 4:
            x = x + _unit(maps[i - 1], w, f"{at}.resConfUnit1")
        size = maps[i - 2].shape[1:] if i > 1 else [2 * side for side in maps[0].shape[1:]]
        x = _conv(_resized(_unit(x, w, f"{at}.resConfUnit2"), size), w, f"{at}.out_conv")
    x = _resized(_conv(x, w, "scratch.output_conv1", pad=1), (14 * rows, 14 * columns))
    x = np.maximum(_conv(_placed(x, aspect), w, "scratch.output_conv2.0", pad=1), 0)
    return _conv(x, w, "scratch.output_conv2.2")


@pytest.mark.parametrize(("rows", "columns"), [(2, 3), (3, 2)])
@pytest.mark.parametrize("name", ["depth", "point"])
def test_dense_heads_equal_the_plain_computation(encoder, name, rows, columns):
    import torch

    from spatialmllm.model.vggt.heads import ACTIVATIONS

    head = getattr(encoder, f"{name}_head")
    generator = torch.Generator().manual_seed(3)
    layers = [torch.randn(1, 2, rows * columns, 32, generator=generator) for _ in range(4)]
    with torch.no_grad():
        values, confidence = head(layers, 14 * rows, 14 * columns)
        one_by_one = head(layers, 14 * rows, 14 * columns, at_once=1)
    assert values.shape == (1, 2, 14 * rows, 14 * columns, 1 if name == "depth" else 3)
    torch.testing.assert_close((values, confidence), one_by_one, rtol=1e-5, atol=1e-5)
    w = _weights(head)
    for frame in range(2):
        raw = _dense([x[0, frame].double().numpy() for x in layers], w, rows, columns)
        expected = ACTIVATIONS[head.activation](torch.from_numpy(raw[:-1])).numpy()
        np.testing.assert_allclose(
            values[0, frame].movedim(-1, 0).numpy(), expected, rtol=2e-3, atol=2e-3
        )
        np.testing.assert_allclose(
            confidence[0, frame].numpy(), 1 + np.exp(raw[-1]), rtol=2e-3, atol=2e-3
        )
    assert {"depth": "exp", "point": "inv_log"}[name] == head.activation


def test_heads_read_the_layers_they_are_told(encoder):
    """Depth of the whole model = its head on the aggregator's own layers."""
    import torch

    frames = torch.rand(1, 3, 3, 28, 28, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        made = encoder(frames)
        (layers,) = encoder.aggregator([frames], (0, 1, 2, 3))
        depth, _ = encoder.depth_head([x[:, :, 5:] for x in layers], 28, 28)
    torch.testing.assert_close(made.depth, depth.squeeze(-1))
    assert made.cam_from_world.shape == (1, 3, 4, 4)
    assert made.K.shape == (1, 3, 3, 3)
    assert (made.depth_confidence >= 1).all()
    rotation = made.cam_from_world[..., :3, :3]
    torch.testing.assert_close(
        rotation @ rotation.mT, torch.eye(3).expand_as(rotation), rtol=1e-4, atol=1e-4
    )
    with pytest.raises(ValueError, match="a list of 4"):
        small_config(layers=(0, 1))
