# SPDX-License-Identifier: Apache-2.0
"""Point maps from the heads of the spatial encoder, from a file, and through `frames`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def encoder():
    from spatialmllm.config import SpatialEncoderConfig
    from spatialmllm.model.vggt.config import HeadsConfig, VGGTConfig
    from spatialmllm.model.vggt.model import VGGT

    sizes = SpatialEncoderConfig(
        img_size=56, embed_dim=16, depth=4, num_heads=2, patch_embed_depth=1, patch_embed_heads=2,
        layer_scale_init=1.0, initializer_range=0.1,
    )  # fmt: skip
    heads = HeadsConfig(
        camera_depth=1, camera_heads=2, layers=(0, 1, 2, 3), channels=(8, 8, 8, 8), features=8
    )
    return VGGT(VGGTConfig(sizes, heads)).reset(3).eval()


class _Told:
    """An encoder that answers with a known geometry instead of looking."""

    heads = ("camera", "depth", "point")

    def __init__(self, encoder, cam_from_world, K, depth):
        self.config, self.aggregator = encoder.config, encoder.aggregator
        self._known = cam_from_world, K, depth

    def __call__(self, frames, heads):
        import torch

        from spatialmllm.model.vggt.model import Geometry

        self.size = tuple(frames.shape)
        m, K, depth = (torch.from_numpy(np.asarray(x, np.float32))[None] for x in self._known)
        return Geometry(m, K, depth, 1 + depth, None, None)


def test_depth_and_cameras_become_world_points(encoder):
    """Exact geometry in gives exact points out, at integer pixel centres and after thinning."""
    import torch

    from spatialmllm.model.vggt.cameras import decode_cameras, encode_cameras
    from spatialmllm.model.vggt.geometry import from_vggt

    rng = np.random.default_rng(0)
    rows, columns = 28, 42
    K = np.array([[40, 0, (columns - 1) / 2], [0, 30, (rows - 1) / 2], [0, 0, 1.0]])
    world_from_cam = np.tile(np.eye(4), (2, 1, 1))
    world_from_cam[1, :3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    world_from_cam[1, :3, 3] = (1, 2, 3)
    depth = rng.uniform(1, 4, (2, rows, columns))
    encoded = encode_cameras(
        torch.from_numpy(np.linalg.inv(world_from_cam)),
        torch.from_numpy(np.stack([K, K])), rows, columns,
    )  # fmt: skip
    told = _Told(encoder, *(x.numpy() for x in decode_cameras(encoded, rows, columns)), depth)
    image = Image.new("RGB", (84, 56))
    maps = from_vggt(told, lambda _: image, long_side=42, max_side=14)([4, 9])
    assert told.size == (1, 2, 3, 28, 42)
    assert maps.points_world.shape == (2, 10, 14, 3)
    for frame, row, column in ((0, 0, 0), (1, 9, 13), (1, 4, 6)):
        v, u = 3 * row, 3 * column
        d = depth[frame, v, u]
        cam = np.array([(u - K[0, 2]) / 40 * d, (v - K[1, 2]) / 30 * d, d, 1])
        expected = (world_from_cam[frame] @ cam)[:3]
        np.testing.assert_allclose(maps.points_world[frame, row, column], expected, atol=1e-4)
        assert maps.confidence[frame, row, column] == pytest.approx(1 + d, rel=1e-5)


@pytest.mark.parametrize("source", ["depth", "point_head"])
def test_every_point_source_chooses_frames(encoder, source):
    from spatialmllm.model.vggt.geometry import from_vggt
    from spatialmllm.sampling import select_frames

    rng = np.random.default_rng(1)
    pictures = [Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8)) for _ in range(6)]
    provider = from_vggt(encoder, pictures.__getitem__, point_source=source, long_side=42)
    chosen = select_frames(6, 3, "space_aware", geometry=provider)
    assert len(chosen.indices) == 3
    assert 0 < chosen.covered <= 1
    maps = provider([0, 1])
    assert maps.points_world.shape == (2, 28, 42, 3)
    assert (maps.confidence >= 1).all()
    assert np.isnan(maps.depth).all() == (source == "point_head")


def test_missing_heads_and_unknown_sources(encoder):
    from spatialmllm.model.vggt.geometry import from_vggt, input_size
    from spatialmllm.model.vggt.model import VGGT

    with pytest.raises(ValueError, match="needs the heads"):
        from_vggt(VGGT(encoder.config, ("camera",)), lambda _: None)
    with pytest.raises(ValueError, match="point_source must be"):
        from_vggt(encoder, lambda _: None, point_source="guess")
    with pytest.raises(ValueError, match="unknown heads"):
        VGGT(encoder.config, ("track",))
    assert input_size(640, 480, 518, 14) == (518, 392)
    assert input_size(10, 1000, 518, 14) == (14, 518)
    assert input_size(50, 50, 50, 14) == (42, 42)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    from spatialcore.sample.build import make_sample
    from spatialcore.sample.config import SampleConfig

    out = tmp_path_factory.mktemp("scenes") / "demo"
    for _ in make_sample(out, SampleConfig(rooms=1, clips=0, frames=20), workers=1):
        pass
    return next(p for p in out.rglob("*") if p.is_dir() and "scannet" in p.name)


def _frames(scenes, capsys, *options):
    from spatialmllm.commands.frames import main

    code = main([str(scenes), "--frames", "3", "--json", *map(str, options)])
    printed = capsys.readouterr()
    return code, [json.loads(line) for line in printed.out.splitlines()], printed.err


def test_the_command_takes_every_geometry(scenes, encoder, tmp_path, capsys):
    from spatialcore.io.open import open_source
    from spatialmllm.checkpoints.vggt import save_vggt
    from spatialmllm.geometry import from_depth

    name = open_source(str(scenes)).scene_ids()[0]
    scene = open_source(str(scenes)).open(name)
    code, by_depth, _ = _frames(scenes, capsys)
    assert code == 0
    maps = from_depth(scene)(range(len(scene.frames)))
    np.savez(tmp_path / f"{name}.npz", **maps._asdict())
    for path, only in ((tmp_path, ()), (tmp_path / f"{name}.npz", ("--scenes", name))):
        code, by_file, _ = _frames(scenes, capsys, "--geometry", path, *only)
        assert code == 0
        assert by_file == by_depth
    save_vggt(encoder, tmp_path / "vggt")
    for source in ("depth", "point_head"):
        code, seen, _ = _frames(scenes, capsys, "--geometry", "vggt", "--model", tmp_path / "vggt",
                                "--point-source", source, "--max-candidates", "4")  # fmt: skip
        assert code == 0
        assert len(seen[0]["frames"]) == 3
        assert 0 < seen[0]["selection"]["covered"] <= 1


def test_geometry_that_cannot_be_had_is_a_usage_error(scenes, tmp_path, capsys):
    for options, said in (
        (("--geometry", "vggt"), "needs --model"),
        (("--geometry", tmp_path / "gone.npz"), "is not there"),
        (("--geometry", "vggt", "--model", tmp_path), "no model.safetensors"),
        (("--geometry", tmp_path), "no such file"),
    ):
        code, _, error = _frames(scenes, capsys, *options)
        assert code == 2
        assert said in error
    np.savez(tmp_path / "short.npz", points_world=np.zeros((2, 3, 3, 3)))
    from spatialcore.io.open import open_source

    name = open_source(str(scenes)).scene_ids()[0]
    code, _, error = _frames(scenes, capsys, "--geometry", tmp_path / "short.npz", "--scenes", name)
    assert code == 3
    assert "2 point maps" in error
