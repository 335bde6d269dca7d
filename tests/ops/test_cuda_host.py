# SPDX-License-Identifier: Apache-2.0
"""The CUDA kernels, run on the host by fibers, against the float64 reference, bit for bit."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import spatialcore
from spatialcore import BitMask, DepthRule, PixelMap
from spatialcore.occlusion import visible_points
from spatialcore.overlap import pairwise_overlap
from spatialcore.projection import project_points
from tests.native.build import MODULE, build, cannot_build

pytestmark = pytest.mark.skipif(bool(cannot_build()), reason=cannot_build())


class Numpy:
    """The array library of the host build; outputs start as 0xFF so that nothing is left unset."""

    def address(self, array: Any) -> int:
        assert array.flags.c_contiguous
        return int(array.ctypes.data)

    def empty(self, shape: tuple[int, ...], dtype: str, like: Any) -> Any:
        array = np.empty(shape, dtype)
        array.view(np.uint8)[...] = 0xFF
        return array

    def upload(self, rows: Sequence[Sequence[int]], like: Any) -> Any:
        return np.array(rows, dtype=np.int64)

    def convert(self, array: Any, dtype: str) -> Any:
        return np.ascontiguousarray(array, dtype=dtype)

    def device(self, array: Any) -> int:
        return 0

    def stream(self, array: Any) -> int:
        return 0


def load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def cuda(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """`spatialcore._cuda` over the host build of its kernels."""
    host = load(MODULE, build(tmp_path_factory.mktemp("simt")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "spatialcore._cuda_ext", host)
        patch.setattr(spatialcore, "_cuda_ext", host, raising=False)
        module = load("cuda_on_host", Path(spatialcore.__file__).with_name("_cuda.py"))
    vars(module)["library"] = lambda array: Numpy()
    return module


def poses(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out = np.tile(np.eye(4), (count, 1, 1))
    for m in out:
        q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        m[:3, :3] = q * np.sign(np.linalg.det(q))
        m[:3, 3] = rng.uniform(-1, 1, 3)
    return out


K = np.array([[300.0, 0, 160], [0, 310.0, 119.5], [0, 0, 1]])


@pytest.mark.parametrize("point_count", [0, 1, 63, 257, 700])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_projection(cuda: ModuleType, point_count: int, dtype: type) -> None:
    rng = np.random.default_rng(point_count)
    points = rng.uniform(-4, 4, (point_count, 3)).astype(dtype)
    points[::17] = np.nan
    cams = poses(19, 3)
    cams[4, 0, 3] = np.inf
    uv, depth = cuda.project_points(points, np.tile(K, (19, 1, 1)), cams)
    with np.errstate(all="ignore"):
        expected = project_points(points, K, cams, backend="reference")
    np.testing.assert_array_equal(uv, expected.uv)
    np.testing.assert_array_equal(depth, expected.depth)


@pytest.mark.parametrize("rule", [DepthRule.tolerance(), DepthRule.strict()])
@pytest.mark.parametrize("pixel_map", [PixelMap.identity(), PixelMap(0.5, -0.2, 0.5, 0.3)])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("spread", [0.05, 4.0])
@pytest.mark.parametrize(("frame_count", "point_count"), [(1, 1), (3, 63), (40, 700), (33, 0)])
def test_occlusion(
    cuda: ModuleType,
    rule: DepthRule,
    pixel_map: PixelMap,
    dtype: type,
    spread: float,
    frame_count: int,
    point_count: int,
) -> None:
    """Spread points and tight blocks, so that frames cull some blocks, all, or none."""
    rng = np.random.default_rng(frame_count + point_count)
    centres = rng.uniform(-3, 3, (point_count // 256 + 1, 3)).repeat(256, 0)[:point_count]
    points = (centres + rng.uniform(-spread, spread, (point_count, 3))).astype(np.float32)
    points[5::97] = np.inf
    cams = poses(frame_count, 5)
    if frame_count > 2:
        cams[2, 1, 1] = np.nan
    h, w = (120, 160) if pixel_map.ax == 0.5 else (240, 320)
    raw = rng.integers(0, 5000, (frame_count, h, w))
    depth = raw.astype(np.uint16) if dtype is np.uint16 else (raw * 1e-3).astype(np.float32)
    scale = 0.001 if dtype is np.uint16 else 1.0
    words = cuda.visible_points(
        points, np.tile(K, (frame_count, 1, 1)), cams, depth,
        image_size=(320, 240), depth_scale=scale, depth_from_image=pixel_map, rule=rule,
    )  # fmt: skip
    with np.errstate(all="ignore"):
        expected = visible_points(
            points, K, cams, depth, image_size=(320, 240), depth_scale=scale,
            depth_from_image=pixel_map, rule=rule, backend="reference",
        )  # fmt: skip
    np.testing.assert_array_equal(words, expected.words)


def random_mask(frame_count: int, point_count: int, seed: int = 0) -> BitMask:
    rng = np.random.default_rng(seed)
    return BitMask.from_bool(rng.random((frame_count, point_count)) < 0.3)


@pytest.mark.parametrize(("frames", "points"), [(0, 5), (1, 1), (3, 63), (17, 257), (70, 1300)])
@pytest.mark.parametrize("tensor_core", [False, True])
def test_overlap(
    cuda: ModuleType, frames: int, points: int, tensor_core: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda, "TENSOR_CORE_FRAMES", 0 if tensor_core else 1 << 30)
    mask = random_mask(frames, points)
    expected = pairwise_overlap(mask, backend="reference").intersection
    np.testing.assert_array_equal(cuda.pairwise_overlap(mask), expected)


def test_overlap_batch(cuda: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    masks = [random_mask(f, p, f) for f, p in [(5, 64), (70, 200), (1, 1), (33, 900)]]
    for frames in (0, 1 << 30):
        monkeypatch.setattr(cuda, "TENSOR_CORE_FRAMES", frames)
        for mask, got in zip(masks, cuda.pairwise_overlaps(masks), strict=True):
            expected = pairwise_overlap(mask, backend="reference").intersection
            np.testing.assert_array_equal(got, expected)


def clip(steps: int, tracks: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out = rng.normal(size=(steps, tracks, 3)) + rng.normal(size=(1, tracks, 3))
    out[rng.random((steps, tracks)) < 0.1] = np.nan
    out[:, : tracks // 3] = out[:1, : tracks // 3] if steps else 0  # a part that is at rest
    return out


def reference_change(tracks: np.ndarray, noise_floor: float) -> np.ndarray:
    """The definition, pair by pair: t ascending, nothing fused."""
    steps, count = tracks.shape[:2]
    sums = []
    for i in range(count):
        for j in range(i + 1, count):
            d = tracks[:, i] - tracks[:, j]
            distance = np.sqrt((d[:, 0] * d[:, 0] + d[:, 1] * d[:, 1]) + d[:, 2] * d[:, 2])
            total = 0.0
            for change in np.abs(np.diff(distance)) if steps else ():
                total += float(change) if change > noise_floor else 0.0
            sums.append(total)
    return np.array(sums, dtype=np.float64)


@pytest.mark.parametrize(("steps", "tracks"), [(0, 3), (1, 2), (7, 1), (9, 63), (5, 130)])
def test_distance_change_is_bit_equal(cuda: ModuleType, steps: int, tracks: int) -> None:
    got = cuda.accumulate_distance_change(clip(steps, tracks), 0.01, "float64")
    np.testing.assert_array_equal(got, reference_change(clip(steps, tracks), 0.01))


def test_distance_change_flips_no_decision(cuda: ModuleType) -> None:
    """Steps that land on the noise floor to within float32's error."""
    rng = np.random.default_rng(3)
    tracks = np.zeros((40, 70, 3))
    tracks[:, :, 0] = 3 * np.arange(70)
    tracks[:, ::2, 0] += 0.01 * (np.arange(40) % 2)[:, None] * (1 + rng.normal(size=35) * 1e-8)
    expected = reference_change(tracks, 0.01)
    exact = cuda.accumulate_distance_change(tracks, 0.01, "exact")
    assert np.abs(exact - expected).max() < 1e-4
    assert np.abs(cuda.accumulate_distance_change(tracks, 0.01, "float32") - expected).max() > 0.005


def test_distance_change_batch(cuda: ModuleType) -> None:
    clips = [clip(6, 20, 1), clip(3, 90, 2), clip(4, 1, 3)]
    got = cuda.accumulate_distance_changes(clips, 0.01, "float64")
    for tracks, change in zip(clips, got, strict=True):
        np.testing.assert_array_equal(change, reference_change(tracks, 0.01))
