# SPDX-License-Identifier: Apache-2.0
"""Objects without the strays of their masks: known boxes, two derivations, captured books."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spatial_engine.reference.clusters import largest_cluster, trimmed
from spatialcore.index.clusters import clusters_of, without_strays
from spatialcore.index.index import Index, build_index
from spatialcore.io.open import open_source
from spatialcore.types import Cloud
from tests.seeds import fresh_seeds

VOXEL = 0.01
SEEDS = fresh_seeds(6)


def shell(rng: np.random.Generator, size: np.ndarray) -> np.ndarray:
    """A reading in every voxel of the faces of a box, as a cloud from depth has them."""
    grid = np.stack(np.meshgrid(*(np.arange(0, s, VOXEL) for s in size), indexing="ij"), axis=-1)
    cells = grid.reshape(-1, 3)
    last = np.ceil(size / VOXEL - 1e-9) * VOXEL - VOXEL
    faces = (np.isclose(cells, 0) | np.isclose(cells, last)).any(axis=1)
    return (cells[faces] + rng.uniform(0.1, 0.9, (faces.sum(), 3)) * VOXEL).astype(np.float32)


def sides(points: np.ndarray) -> np.ndarray:
    return np.ptp(points, axis=0)


@pytest.mark.parametrize("seed", SEEDS)
def test_strays_are_left_out_and_the_box_is_its_own_size(seed: int) -> None:
    """Three per cent of strays, up to a metre behind, in lines as silhouettes leave them."""
    rng = np.random.default_rng(seed)
    size = rng.integers(8, 30, 3) * VOXEL
    box = shell(rng, size)
    few = max(4, len(box) // 33)
    at, reach = box[rng.integers(0, len(box), few)], rng.uniform(0.05, 1.0, (few, 1))
    strays = (at + reach * np.array([0.0, 1.0, 0.2])).astype(np.float32)
    points = np.concatenate([box, strays])
    found = clusters_of(points, VOXEL)
    assert found.sure
    assert (np.abs(sides(points[found.kept]) - sides(box)) <= 2 * VOXEL).all()
    assert found.kept[: len(box)].mean() > 0.95
    assert sides(points).max() > sides(box).max() + VOXEL


@pytest.mark.parametrize("seed", SEEDS)
def test_two_derivations_keep_the_same_points(seed: int) -> None:
    """Blobs, lines and planes, one or several, few or many points; and objects side by side."""
    rng = np.random.default_rng(seed)
    pieces = [
        rng.normal(0, 1, (int(rng.integers(1, 300)), 3)) * rng.uniform(0, 0.06, 3)
        + rng.uniform(-0.3, 0.3, 3)
        for _ in range(rng.integers(1, 5))
    ]
    points = np.concatenate(pieces).astype(np.float32)
    kept, sure = largest_cluster(points, VOXEL)
    found = clusters_of(points, VOXEL)
    assert (set(np.flatnonzero(found.kept).tolist()), found.sure) == (kept, sure)
    instance = rng.integers(-1, 3, len(points)).astype(np.int32)
    again = trimmed(Cloud(points, instance), VOXEL).instance
    assert np.array_equal(without_strays(points, instance, VOXEL), again)


def test_two_pieces_of_weight_are_both_kept_and_not_sure() -> None:
    """A sofa that something hides in the middle: which piece is it?"""
    rng = np.random.default_rng(5)
    one = shell(rng, np.array([0.2, 0.3, 0.2]))
    two = shell(rng, np.array([0.2, 0.15, 0.2])) + np.array([0, 0.5, 0], np.float32)
    points = np.concatenate([one, two])
    assert not clusters_of(points, VOXEL).sure
    instance = np.zeros(len(points), np.int32)
    assert np.array_equal(without_strays(points, instance, VOXEL), instance)
    crumb = two[:20]
    assert clusters_of(np.concatenate([one, crumb]), VOXEL).sure


@pytest.mark.real
def test_captured_books_and_boxes_have_the_sizes_of_their_packages(
    real_path: Path, tmp_path: Path
) -> None:
    """Nominal: tissue box 111 x 111 x 133 mm, joke book 171 mm high, stems 305 mm long.

    By all labelled points the box is 353 mm long and the book 245 mm.
    """
    source = open_source(real_path / "rgbd/apc_shelf_0000")
    build_index([source], tmp_path)
    (name,) = Index.open(tmp_path).scenes()
    rows = {r.category: r.box_size for r in Index.open(tmp_path).open_scene(*name).objects}
    box = rows["kleenex tissue box"]
    assert sorted(box[:2])[1] == pytest.approx(0.111, rel=0.05)
    assert box[2] == pytest.approx(0.133, rel=0.05)
    assert rows["laugh out loud joke book"][2] == pytest.approx(0.171, rel=0.05)
    assert rows["creativity chenille stems"].max() == pytest.approx(0.305, rel=0.12)
    assert max(size.max() for size in rows.values()) < 0.31
