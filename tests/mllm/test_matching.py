# SPDX-License-Identifier: Apache-2.0
"""The matching part: its correlation against plain loops, in a model, and in files."""

from __future__ import annotations

import json
import math
import secrets
from dataclasses import replace

import numpy as np
import pytest

from tests.fabricate import data_set

PREFIX = "spatial_encoder.vggt_model.aggregator.matching."


@pytest.fixture(scope="module")
def config(toy):
    return replace(toy.config, spatial=replace(toy.config.spatial, matching=16))


def _matching(channels=16, dim=32, seed=0):
    import torch

    from spatialmllm.model.vggt.matching import Matching

    made = Matching(channels, dim)
    made.reset(torch.Generator().manual_seed(seed))
    return made


def _frames(seed, *shape):
    import torch

    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_correlation_is_that_of_plain_loops():
    import torch

    from spatialmllm.model.vggt.matching import Descriptors

    seed = secrets.randbits(30)
    rng = np.random.default_rng(seed)
    height, width, channels = 3, 4, 16
    here, there = rng.normal(size=(2, channels, height, width))
    depths = rng.normal(size=(2, height, width))
    here /= np.linalg.norm(here, axis=0)
    there /= np.linalg.norm(there, axis=0)
    matching = _matching().double()
    matching.log_sharpness.data.fill_(0.3)

    def packed(unit, depth):
        return Descriptors(torch.from_numpy(unit)[None], torch.from_numpy(depth)[None])

    found = matching.correlate(packed(here, depths[0]), packed(there, depths[1]))

    cells = [(y, x) for y in range(height) for x in range(width)]
    for a, (ya, xa) in enumerate(cells):
        scores = [10 * math.exp(0.3) * here[:, ya, xa] @ there[:, y, x] for y, x in cells]
        total = sum(map(math.exp, scores))
        shares = [math.exp(s) / total for s in scores]
        dx = sum(p * (x - xa) / width for p, (_, x) in zip(shares, cells, strict=True))
        dy = sum(p * (y - ya) / width for p, (y, _) in zip(shares, cells, strict=True))
        back = []
        for y, x in cells:
            column = [10 * math.exp(0.3) * here[:, yb, xb] @ there[:, y, x] for yb, xb in cells]
            back.append(math.exp(column[a]) / sum(map(math.exp, column)))
        want = {
            "displacement": (dx, dy),
            "confidence": sum(p * q for p, q in zip(shares, back, strict=True)),
            "peak": max(shares),
            "matched": sum(p * depths[1][y, x] for p, (y, x) in zip(shares, cells, strict=True)),
        }
        for name, value in want.items():
            got = getattr(found, name)[0, a].detach().numpy()
            assert np.allclose(got, value, rtol=1e-10, atol=1e-12), (seed, a, name)


def test_a_frame_is_compared_with_the_first_of_its_own_context():
    import torch

    matching = _matching()
    frames = _frames(secrets.randbits(30), 6, 3, 56, 70)
    both = matching(frames, 3, 4, 5)
    assert both.shape == (6, 20, 32)
    for start in (0, 3):
        alone = matching(frames[start : start + 3], 3, 4, 5)
        assert torch.allclose(both[start : start + 3], alone, atol=1e-5)
    assert torch.allclose(both[3], matching(frames[3:4], 1, 4, 5)[0], atol=1e-5)
    # Another first frame says something else about the frames after it, and only about those.
    changed = matching(torch.cat([frames[1:2], frames[1:]]), 3, 4, 5)
    assert not torch.allclose(changed[2], both[2], atol=1e-2)
    assert torch.allclose(changed[3:], both[3:], atol=1e-5)


def test_a_shifted_picture_is_found_where_it_went():
    """Without any training: a picture of noise moved by two places is displaced by two places."""
    import torch

    matching = _matching(channels=64)
    matching.log_sharpness.data.fill_(1.5)
    wide = torch.nn.functional.avg_pool2d(_frames(3, 1, 3, 64, 160), 5, stride=1, padding=2) * 4
    first, second = (
        wide[..., 16:128],
        wide[..., 0:112],
    )  # the second camera looks 16 px further left
    described = matching.describe(torch.cat([first, second]))
    pair = [
        type(described)(described.unit[i : i + 1], described.log_depth[i : i + 1]) for i in (0, 1)
    ]
    found = matching.correlate(pair[1], pair[0])
    moved = found.displacement.unflatten(1, (8, 14))[0, 1:-1, 3:-2].detach().numpy()
    assert np.abs(np.median(moved[..., 0]) + 2 / 14) < 0.01
    assert np.abs(np.median(moved[..., 1])) < 0.01
    assert found.confidence.unflatten(1, (8, 14))[0, 1:-1, 3:-2].median() > 0.5


def test_sides_that_are_no_multiple_of_the_stride():
    matching = _matching()
    assert matching(_frames(0, 2, 3, 42, 70), 2, 3, 5).shape == (2, 15, 32)


def test_channels_are_checked():
    from spatialmllm.config import SpatialEncoderConfig

    with pytest.raises(ValueError, match="matching 24 is not a multiple of 16"):
        SpatialEncoderConfig(matching=24)


def _batch(toy, config, count=3):
    from spatialmllm.data.batches import SampleBuilder, collate

    builder = SampleBuilder(config, toy.tokenizer)
    shown = [record for record in toy.records if len(record.images) == 2][:count]
    return collate([builder.sample([record], toy.images) for record in shown], config)


def test_gradients_reach_every_parameter(toy, config):
    from spatialmllm.model.model import build

    model = build(config, seed=1)
    model(**_batch(toy, config)).loss.backward()
    for name, parameter in model.aggregator.matching.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_gradients_are_those_of_central_differences():
    import torch

    matching = _matching().double()
    frames, weights = _frames(5, 4, 3, 28, 42).double(), _frames(6, 4, 6, 32).double()
    parameters = list(matching.parameters())

    def value():
        return (matching(frames, 2, 2, 3) * weights).sum()

    grads = torch.autograd.grad(value(), parameters)
    length = math.sqrt(sum(float(g.square().sum()) for g in grads))
    found, step = [], 1e-6
    with torch.no_grad():
        for sign in (1, -2):
            for p, g in zip(parameters, grads, strict=True):
                p.add_(g, alpha=sign * step / length)
            found.append(float(value()))
    assert (found[0] - found[1]) / (2 * step) == pytest.approx(length, rel=1e-5)


def test_all_other_parameters_start_as_without_it(toy, config):
    import torch

    from spatialmllm.model.model import build, parameter_counts

    plain, matched = build(toy.config, seed=4), build(config, seed=4)
    names = dict(matched.named_parameters())
    for name, parameter in plain.named_parameters():
        assert torch.equal(parameter, names.pop(name)), name
    assert names
    assert all(name.startswith(PREFIX) for name in names)
    assert parameter_counts(matched)["matching"][0] == sum(p.numel() for p in names.values())


def test_it_is_frozen_alone_or_with_its_encoder(config):
    from spatialmllm.model.model import build

    model = build(config)
    frozen = {n for n, p in model.freeze(["matching"]).named_parameters() if not p.requires_grad}
    assert {n for n in frozen if not n.endswith("mask_token")} == {
        n for n, _ in model.named_parameters() if n.startswith(PREFIX)
    }
    model.freeze(["spatial"])
    assert not any(p.requires_grad for p in model.aggregator.matching.parameters())


def test_files_hold_it_and_public_files_do_not(toy, config, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    from spatialmllm.checkpoints import CheckpointFormatError, load, save
    from spatialmllm.model.model import build

    batch = _batch(toy, config)
    batch.pop("labels")
    model = build(config, seed=2).eval()
    save(model, tmp_path / "with", tokenizer_json=toy.tokenizer.to_json())
    again = load(tmp_path / "with").eval()
    assert again.settings.spatial.matching == 16
    with torch.no_grad():
        # Values are equal; where they lie in memory may move a sum by a bit.
        assert torch.allclose(model(**batch).logits, again(**batch).logits, atol=1e-5)
    kept = dict(again.named_parameters())
    assert all(torch.equal(p, kept[name]) for name, p in model.named_parameters())

    plain = build(toy.config, seed=2).eval()
    save(plain, tmp_path / "without", tokenizer_json=toy.tokenizer.to_json())
    assert json.loads((tmp_path / "without/config.json").read_text())["spatial_config"][
        "matching"
    ] is None  # fmt: skip
    assert not any("matching" in n for n in load_file(tmp_path / "without/model.safetensors"))
    # A model without it refuses weights that have it, and one with it those that lack it ...
    with pytest.raises(CheckpointFormatError, match=r"unexpected: .*aggregator\.matching"):
        load(tmp_path / "with", config=toy.config)
    with pytest.raises(CheckpointFormatError, match=r"missing: .*aggregator\.matching"):
        load(tmp_path / "without", config=config)
    # ... unless it may start anew: then it is silent at first.
    fresh = load(tmp_path / "without", config=config, init_connector=True).eval()
    with torch.no_grad():
        assert torch.allclose(plain(**batch).logits, fresh(**batch).logits, atol=1e-5)
    # A part of it is not taken for all of it.
    weights = load_file(tmp_path / "with/model.safetensors")
    del weights[f"{PREFIX}fc1.weight"]
    save_file(weights, tmp_path / "with/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointFormatError, match=r"fc1\.weight"):
        load(tmp_path / "with", init_connector=True)


def test_a_stopped_run_with_it_continues_bit_for_bit(toy, config, tmp_path):
    from spatialmllm.training.callbacks import StopRequest
    from spatialmllm.training.recipe import load_recipe
    from spatialmllm.training.sft import TrainRequest, prepare, train

    folder = data_set(tmp_path / "records", toy.root, toy.records)
    recipe = load_recipe(
        "tests/mllm/smallest.toml",
        ["model.spatial.matching=16", "optimiser.freeze=[]", "schedule.max_steps=4"],
    )

    def losses(name, stop_after=None):
        stop = StopRequest()

        def sink(event):
            if event.kind == "step" and event.step == stop_after:
                stop.ask("stop")

        train(prepare(TrainRequest((str(folder),), recipe, tmp_path / name)), stop, sink)
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["loss_hex"] for line in lines]

    whole = losses("whole")
    assert len(losses("cut", stop_after=2)) < 4
    assert losses("cut") == whole
    first, second = (tmp_path / n / "model/model.safetensors" for n in ("whole", "cut"))
    assert first.read_bytes() == second.read_bytes()
