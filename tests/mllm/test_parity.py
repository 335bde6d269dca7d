# SPDX-License-Identifier: Apache-2.0
"""The figures of the published code, recorded once, and ours on weights that anyone can draw.

`parity.npz` holds ids, labels, logits and loss that the published code gave on a CPU for the
weights and the clip in `../shared/data/parity`; they are compared where those lie. Beside them are
figures that our code gave, when it agreed with the published one, for weights and inputs that a
frozen generator draws: they need no other file, and guard every part in every suite.

    python tests/mllm/test_parity.py FOLDER     # writes parity.npz again
"""

from __future__ import annotations

import importlib.util
import sys
from math import prod
from pathlib import Path

import numpy as np
import pytest

RECORDED = Path(__file__).with_name("parity.npz")
PUBLISHED = ("ids", "labels", "logits", "loss")
GRID = (2, 6, 8)


@pytest.fixture(scope="module")
def recorded():
    with np.load(RECORDED, allow_pickle=False) as stored:
        return dict(stored)


def test_the_published_code_gives_these_logits(recorded, real_path):
    import torch

    from spatialmllm.checkpoints import load
    from spatialmllm.data.positions import sequence_positions, time_stride

    folder = real_path / "parity"
    if not folder.is_dir():
        pytest.skip("the published figures' weights are not here")
    with np.load(folder / "expected.npz") as stored:
        rows, frames = (torch.from_numpy(stored[name]) for name in ("rows", "frames"))
        assert all(np.array_equal(stored[name], recorded[name]) for name in PUBLISHED)
    model = load(folder).eval()
    ids = torch.from_numpy(recorded["ids"])
    made = sequence_positions(
        recorded["ids"][0], [GRID], (190, 191), stride=time_stride(model.settings)
    )
    batch = {
        "input_ids": ids, "attention_mask": torch.ones_like(ids),
        "position_ids": torch.from_numpy(made.ids)[:, None], "pixel_values": rows,
        "grid_thw": torch.tensor([GRID]), "frames": [frames], "context_rows": [1],
        "still": [False],
    }  # fmt: skip
    with torch.no_grad():
        logits = model(**batch).logits.numpy()
        loss = float(model(**batch, labels=torch.from_numpy(recorded["labels"])).loss)
    # 1.3e-6 on one machine; another library of matrices may round otherwise.
    np.testing.assert_allclose(logits, recorded["logits"], atol=5e-6, rtol=0)
    assert loss == pytest.approx(float(recorded["loss"]), abs=2e-6)
    assert float(np.abs(recorded["logits"]).max()) > 0.1


@pytest.mark.parametrize("part", ["logits", "aggregator", "cameras", "depth", "points", "clip"])
def test_each_part_gives_what_it_gave(recorded, part, tiny):
    # Another library of matrices rounds otherwise; a wrong order or axis is off by far more.
    made = figures(tiny)[part]
    assert made.size > 20
    np.testing.assert_allclose(made, recorded[f"own_{part}"], rtol=2e-4, atol=2e-5)


def test_the_sampler_chooses_the_frames_it_chose(recorded):
    assert np.array_equal(chosen_frames(), recorded["own_chosen"])


def test_the_positions_are_those_of_the_published_clip(recorded):
    from spatialmllm.data.positions import sequence_positions

    made = sequence_positions(recorded["ids"][0], [GRID], (190, 191), stride=1.0)
    assert np.array_equal(made.ids, recorded["own_positions"])
    # Another stride of time gives other ids, and other logits.
    other = sequence_positions(recorded["ids"][0], [GRID], (190, 191), stride=2.0)
    assert not np.array_equal(made.ids, other.ids)


def drawn(module, seed):
    """Fill a module's parameters from a generator whose numbers never change."""
    import torch

    dice = np.random.RandomState(seed)
    with torch.no_grad():
        for _, parameter in sorted(module.named_parameters()):
            fan_in = prod(parameter.shape[1:]) if parameter.ndim > 1 else 9
            values = dice.standard_normal(tuple(parameter.shape)) * fan_in**-0.5
            parameter.copy_(torch.from_numpy(values))
    return module.eval()


def figures(tiny):
    """A few numbers of every part, for drawn weights and a drawn clip of four frames."""
    import torch

    from spatialmllm.data.batches import Sample, collate
    from spatialmllm.data.preprocessing import Medium
    from spatialmllm.model.model import build
    from spatialmllm.model.vggt.config import HeadsConfig, VGGTConfig
    from spatialmllm.model.vggt.model import VGGT

    dice = np.random.RandomState(3)
    clip = Medium(dice.randint(0, 256, (4, 56, 84, 3)).astype(np.uint8), still=False)
    config = tiny(64, "mlp_add")
    model = drawn(build(config), 5)
    ids = [1, 20, 21, config.ids.vision_start, *[config.ids.video] * clip.token_count,
           config.ids.vision_end, 30, 31, 32, 33]  # fmt: skip
    batch = collate([Sample(ids, [-100] * len(ids), (clip,))], config)
    del batch["labels"]
    encoder = drawn(VGGT(VGGTConfig(
        tiny(64).spatial.__class__(
            img_size=56, embed_dim=16, depth=4, num_heads=2, patch_embed_depth=1,
            patch_embed_heads=2, layer_scale_init=1.0,
        ),
        HeadsConfig(camera_depth=2, camera_heads=2, layers=(0, 1, 2, 3),
                    channels=(8, 12, 16, 20), features=24),
    )), 6)  # fmt: skip
    frames = batch["frames"][0]
    with torch.no_grad():
        logits = model(**batch).logits[0, -4:]
        tokens = model.aggregator([frames[None]], (-1,))[0][0][0, :, 5:8, :16]
        seen = encoder(frames[None])
    return {
        "logits": logits.numpy(),
        "aggregator": tokens.numpy(),
        "cameras": seen.cam_from_world[0].numpy(),
        "depth": seen.depth[0, :, ::14, ::14].numpy(),
        "points": seen.points_world[0, :, ::14, ::14].numpy(),
        "clip": batch["pixel_values"][::8, ::100].numpy(),
    }


def chosen_frames():
    """Frames of twelve drawn walks of 20 frames, 5 of each."""
    from spatialmllm.geometry import PointMaps
    from spatialmllm.sampling import select_frames

    dice = np.random.RandomState(11)
    rows = []
    for _ in range(12):
        middle = np.cumsum(dice.standard_normal((20, 1, 1, 3)), axis=0)
        points = (middle + dice.standard_normal((20, 6, 8, 3)) * 0.7).astype(np.float32)
        confidence = dice.uniform(1, 2, (20, 6, 8)).astype(np.float32)
        maps = PointMaps(points, confidence, np.abs(points[..., 2]) + 1)
        made = select_frames(20, 5, "space_aware", geometry=lambda _, maps=maps: maps)
        rows.append(made.order)
    return np.array(rows)


def _write(source: Path) -> None:
    """Record again: the published figures as they are, and ours as they are now."""
    from spatialmllm.data.positions import sequence_positions

    spec = importlib.util.spec_from_file_location("tiny", Path(__file__).with_name("conftest.py"))
    conftest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conftest)
    with np.load(source / "expected.npz") as stored:
        published = {name: stored[name] for name in PUBLISHED}
    own = {f"own_{name}": value for name, value in figures(conftest.make_tiny).items()}
    own["own_chosen"] = chosen_frames()
    own["own_positions"] = sequence_positions(
        published["ids"][0], [GRID], (190, 191), stride=1.0
    ).ids
    np.savez_compressed(RECORDED, **published, **own)


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
