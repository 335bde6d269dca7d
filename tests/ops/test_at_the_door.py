# SPDX-License-Identifier: Apache-2.0
"""Arrays as people have them: sizes from the maps, float64 depth, torch on the CPU, bool masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import spatialcore as sc

K = np.array([[50.0, 0.0, 31.5], [0.0, 50.0, 23.5], [0.0, 0.0, 1.0]])


def _room(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, three poses and depth maps as float64; some points are behind the wall."""
    random = np.random.default_rng(seed)
    points = random.uniform(-1, 1, (500, 3)) + np.array([0, 0, 2.5])
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, :3, 3] = random.uniform(-0.2, 0.2, (3, 3))
    return points, poses, random.uniform(2.0, 3.0, (3, 48, 64))


def test_plain_arrays_give_the_bits_of_the_strict_form() -> None:
    points, poses, depth = _room(np.random.SeedSequence().entropy % 2**32)
    strict = sc.visible_points(points, K, poses, depth.astype(np.float32), image_size=(64, 48))
    assert 0 < strict.counts().sum() < strict.to_bool().size
    for maps in (depth, list(depth), iter(depth), (m for m in depth.astype(np.float32))):
        assert sc.visible_points(points, K, poses, maps) == strict
    with pytest.raises(ValueError, match="image_size is required"):
        sc.visible_points(points, K, poses, depth, depth_from_image=sc.PixelMap.identity())
    with pytest.raises(ValueError, match="no map"):
        sc.visible_points(points, K, poses, [])
    seen = strict.to_bool()
    np.testing.assert_array_equal(sc.pairwise_overlap(seen).iou, sc.pairwise_overlap(strict).iou)
    with pytest.raises(TypeError, match="BitMask"):
        sc.pairwise_overlap(seen.astype(np.float32))


def test_torch_on_the_cpu_gives_the_same_bits() -> None:
    torch = pytest.importorskip("torch")
    points, poses, depth = _room(7)
    strict = sc.visible_points(points, K, poses, depth)
    found = sc.visible_points(*map(torch.from_numpy, (points, K, poses, depth)))
    assert found == strict
    with pytest.raises(TypeError, match=r"bfloat16 has no numpy counterpart; pass tensor.float"):
        sc.visible_points(torch.from_numpy(points).to(torch.bfloat16), K, poses, depth)
    overlap = sc.pairwise_overlap(torch.from_numpy(strict.to_bool()))
    np.testing.assert_array_equal(overlap.intersection, sc.pairwise_overlap(strict).intersection)


def test_a_scene_is_opened_by_its_path_and_is_one_line(sample_dir: Path) -> None:
    names = sorted(path.name for path in (sample_dir / "scannet" / "scans").iterdir())
    scene = sc.open(sample_dir / "scannet" / "scans" / names[0])
    assert scene.id == names[0]
    assert repr(scene).startswith(f"Scene(scannet/{names[0]}: ")
    assert len(repr(scene)) < 100
    with pytest.raises(ValueError, match=f"name one as its `scene`: {names[0]}"):
        sc.open(sample_dir / "scannet")
    with pytest.raises(ValueError, match="did you mean"):
        sc.open(sample_dir / "scannet", names[0][:-1])
    clip = next((sample_dir / "tapvid3d").rglob("*.npz"))
    assert repr(sc.open(clip)).startswith("Track3D(")
