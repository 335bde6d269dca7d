# SPDX-License-Identifier: Apache-2.0
"""The CUDA kernels, run on the host by fibers, against the float64 reference, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from spatialcore import BitMask, DepthRule, DepthViews, PixelMap
from spatialcore.occlusion import checked_views, visible_points
from spatialcore.overlap import pairwise_overlap
from spatialcore.projection import project_points
from tests.native.build import cannot_build
from tests.native.host import HostCupy, cuda_module, torch_as_gpu
from tests.ops.scenes import IMAGE_SIZE, MAPS, RULES, random_view

pytestmark = pytest.mark.skipif(bool(cannot_build()), reason=cannot_build())


@pytest.fixture(scope="module")
def cuda(kernels_on_host: Path) -> ModuleType:
    """`spatialcore._cuda` over the host build, with numpy arrays in place of cupy's."""
    return cuda_module(kernels_on_host, HostCupy())


@pytest.fixture
def torch_gpu(kernels_on_host: Path) -> Iterator[ModuleType]:
    """torch, whose tensors count as tensors on a GPU."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with torch_as_gpu(kernels_on_host):
        yield torch


def poses(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out = np.tile(np.eye(4), (count, 1, 1))
    for m in out:
        q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        m[:3, :3] = q * np.sign(np.linalg.det(q))
        m[:3, 3] = rng.uniform(-1, 1, 3)
    return out


def words_on(cuda: ModuleType, *arrays: Any, rule: DepthRule, **settings: Any) -> Any:
    return cuda.visible_points(DepthViews(*arrays, **settings), rule=rule)


K = np.array([[300.0, 0, 160], [0, 310.0, 119.5], [0, 0, 1]])


@pytest.mark.parametrize("point_count", [0, 1, 63, 257, 700])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_projection(cuda: ModuleType, point_count: int, dtype: type) -> None:
    rng = np.random.default_rng(point_count)
    points = rng.uniform(-4, 4, (point_count, 3)).astype(dtype)
    points[::17] = np.nan
    cams = poses(19, 3)
    cams[4, 0, 3] = np.inf
    uv, depth = cuda.project_points(points, K, cams)
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
    words = words_on(
        cuda, points, np.tile(K, (frame_count, 1, 1)), cams, depth,
        image_size=(320, 240), depth_scale=scale, depth_from_image=pixel_map, rule=rule,
    )  # fmt: skip
    with np.errstate(all="ignore"):
        expected = visible_points(
            points, K, cams, depth, image_size=(320, 240), depth_scale=scale,
            depth_from_image=pixel_map, rule=rule, backend="reference",
        )  # fmt: skip
    np.testing.assert_array_equal(words, expected.words)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("pixel_map", MAPS)
@pytest.mark.parametrize("origin", [0.0, 1000.0])
def test_occlusion_near_and_far_from_the_origin(
    cuda: ModuleType, rule: str, pixel_map: str, origin: float
) -> None:
    """A kilometre away float32 would be off by 6 cm, were it not relative to each block."""
    view = random_view(7, 900, 5, sort=True, origin=origin)
    settings = {
        "image_size": IMAGE_SIZE, "depth_scale": 0.001, "depth_from_image": MAPS[pixel_map],
        "rule": RULES[rule],
    }  # fmt: skip
    arrays = view.points_world, view.K, view.cam_from_world, view.depth
    expected = visible_points(*arrays, backend="reference", **settings)
    np.testing.assert_array_equal(words_on(cuda, *arrays, **settings), expected.words)
    assert expected.counts().any()


@pytest.mark.parametrize("shift", [0.0, 1e-7, -1e-7, 3e-6, -3e-6])
def test_occlusion_on_and_beside_every_edge(cuda: ModuleType, shift: float) -> None:
    """Halves of pixels, image borders and the edges of both rules, hit and missed by a hair."""
    k = np.array([[64.0, 0, 32], [0, 64.0, 16], [0, 0, 1]])
    u, v = np.meshgrid(np.arange(-1, 65, 0.5), np.array([0.0, 0.5, 1.5, 31.5, 32.0]))
    z = np.array([1.0, 1.25, 2.0])
    points = np.stack([(u[..., None] - 32) / 64 * z, (v[..., None] - 16) / 64 * z,
                       np.broadcast_to(z, (*u.shape, 3))], -1).reshape(-1, 3) + shift  # fmt: skip
    depth = (np.arange(32 * 64).reshape(1, 32, 64) % 5 * 0.5).astype(np.float32)
    for rule in (DepthRule.tolerance(0.25, 0.25), DepthRule.strict()):
        for pixel_map in (PixelMap.identity(), PixelMap(0.5, 0.25, 1.0, -0.5)):
            settings: dict[str, Any] = {
                "image_size": (64, 32), "depth_scale": 1.0, "depth_from_image": pixel_map,
                "rule": rule,
            }  # fmt: skip
            arrays = points, k, np.eye(4)[None], depth
            expected = visible_points(*arrays, backend="reference", **settings)
            np.testing.assert_array_equal(words_on(cuda, *arrays, **settings), expected.words)
            assert 0 < expected.counts()[0] < len(points)


@pytest.mark.parametrize(("change", "value"), [
    ("pose", 1e200), ("pose", np.inf), ("K", 1e150), ("K", np.nan), ("scale", 1e-300),
    ("point", 1e25), ("map", 1e12),
])  # fmt: skip
def test_sizes_beyond_the_bound_of_float32_are_decided_in_float64(
    cuda: ModuleType, change: str, value: float
) -> None:
    view = random_view(3, 300, 4, dtype=np.float64)
    pixel_map = PixelMap(value, 0.0, 1.0, 0.0) if change == "map" else PixelMap.identity()
    if change == "pose":
        view.cam_from_world[1, 0, 3] = value
    if change == "point":
        view.points_world[17] = value
    k = np.tile(view.K, (4, 1, 1)) if view.K.ndim == 2 else view.K.copy()
    if change == "K":
        k[2, 0, 0] = value
    settings: dict[str, Any] = {
        "image_size": IMAGE_SIZE, "depth_scale": value if change == "scale" else 0.001,
        "depth_from_image": pixel_map, "rule": DepthRule.tolerance(),
    }  # fmt: skip
    arrays = view.points_world, k, view.cam_from_world, view.depth
    if change != "map":
        h, w = view.depth.shape[1:]
        settings["depth_from_image"] = PixelMap.from_sizes(IMAGE_SIZE, (w, h))
    with np.errstate(all="ignore"):
        expected = visible_points(*arrays, backend="reference", **settings)
    np.testing.assert_array_equal(words_on(cuda, *arrays, **settings), expected.words)


def random_mask(frame_count: int, point_count: int, seed: int = 0) -> BitMask:
    rng = np.random.default_rng(seed)
    return BitMask.from_bool(rng.random((frame_count, point_count)) < 0.3)


@pytest.mark.parametrize(
    ("frames", "points"), [(0, 5), (1, 1), (3, 63), (17, 257), (70, 1300), (66, 9000), (2, 70000)]
)
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
        for mask, got in zip(masks, cuda.pairwise_overlap_batch(masks), strict=True):
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


@pytest.mark.parametrize(
    ("steps", "tracks"), [(0, 3), (1, 2), (7, 1), (19, 63), (5, 130), (2, 160)]
)
def test_distance_change_is_bit_equal(cuda: ModuleType, steps: int, tracks: int) -> None:
    got = cuda.accumulate_distance_change(clip(steps, tracks), 0.01, "float64")
    np.testing.assert_array_equal(got, reference_change(clip(steps, tracks), 0.01))


@pytest.mark.parametrize("count", [70, 140])  # one pair a thread, and 16
def test_distance_change_flips_no_decision(cuda: ModuleType, count: int) -> None:
    """Steps that land on the noise floor to within float32's error."""
    rng = np.random.default_rng(3)
    tracks = np.zeros((40, count, 3))
    tracks[:, :, 0] = 3 * np.arange(count)
    near = 1 + rng.normal(size=count // 2) * 1e-8
    tracks[:, ::2, 0] += 0.01 * (np.arange(40) % 2)[:, None] * near
    expected = reference_change(tracks, 0.01)
    exact = cuda.accumulate_distance_change(tracks, 0.01, "exact")
    assert np.abs(exact - expected).max() < 1e-4
    assert np.abs(cuda.accumulate_distance_change(tracks, 0.01, "float32") - expected).max() > 0.005


def test_distance_change_batch(cuda: ModuleType) -> None:
    clips = [clip(6, 20, 1), clip(3, 90, 2), clip(4, 1, 3)]
    got = cuda.accumulate_distance_change_batch(clips, 0.01, "float64")
    for tracks, change in zip(clips, got, strict=True):
        np.testing.assert_array_equal(change, reference_change(tracks, 0.01))


def scene(frame_count: int, point_count: int, dtype: type, spread: float = 2.0) -> DepthViews:
    rng = np.random.default_rng(frame_count)
    centres = rng.uniform(-3, 3, (point_count // 256 + 1, 3)).repeat(256, 0)[:point_count]
    points = (centres + rng.uniform(-spread, spread, (point_count, 3))).astype(np.float32)
    depth = rng.integers(0, 5000, (frame_count, 24, 32))
    depth = depth.astype(dtype) if dtype is np.uint16 else (depth * 1e-3).astype(dtype)
    scale = 0.001 if dtype is np.uint16 else None
    return DepthViews(
        points, K, poses(frame_count, 8), depth, (320, 240), scale, PixelMap(0.1, 0.0, 0.1, 0.0)
    )


def with_maps_of_each(given: DepthViews) -> DepthViews:
    """The scene with other intrinsics and another pixel map in every frame."""
    count = len(given.cam_from_world)
    cameras = np.stack([K * [[1 + 0.02 * f], [1 - 0.01 * f], [1]] for f in range(count)])
    maps = tuple(PixelMap(0.1, 0.01 * f, 0.1 + 0.001 * f, -0.5) for f in range(count))
    return given._replace(K=cameras, depth_from_image=maps)


SCENES = [
    scene(3, 63, np.uint16),
    with_maps_of_each(scene(40, 700, np.uint16)),
    scene(1, 300, np.float32),
]


def test_scenes_of_all_sizes_and_types_are_two_launches(cuda: ModuleType) -> None:
    got = cuda.visible_points_batch(SCENES, rule=DepthRule())
    for given, words in zip(SCENES, got, strict=True):
        expected = visible_points(**given._asdict(), backend="reference")
        np.testing.assert_array_equal(words, expected.words)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_maps_of_each_frame(cuda: ModuleType, dtype: type) -> None:
    given = with_maps_of_each(scene(35, 500, dtype))
    expected = visible_points(**given._asdict(), backend="reference")
    got = cuda.visible_points(given, rule=DepthRule())
    np.testing.assert_array_equal(got, expected.words)
    assert expected != visible_points(
        **given._replace(depth_from_image=given.map_of(0))._asdict(), backend="reference"
    )


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_askable_points_are_those_of_the_cpu(cuda: ModuleType, dtype: type, each: bool) -> None:
    from spatialcore.index.askable import askable_points, askable_rule
    from spatialcore.index.rules import AskableGuards

    given = scene(35, 500, dtype)
    given = with_maps_of_each(given) if each else given
    seen = visible_points(**given._asdict(), rule=DepthRule.strict())
    guards = AskableGuards(agreement_absolute_m=2.0, edge_absolute_m=1.5)
    rule = askable_rule(guards, given.image_size, (32, 24))._replace(disc_radius=3.5)
    expected = askable_points(checked_views(given), seen, rule)
    assert 0 < expected.counts().sum() < seen.counts().sum()
    np.testing.assert_array_equal(cuda.askable_points(given, seen, rule), expected.words)


def on_torch(torch: Any, given: DepthViews) -> DepthViews:
    arrays = [torch.from_numpy(np.ascontiguousarray(a)) for a in given[:4]]
    return DepthViews(*arrays, *given[4:])


def test_public_operations_take_torch_and_give_torch(torch_gpu: Any) -> None:
    from spatialcore import (
        accumulate_distance_change,
        accumulate_distance_change_batch,
        overlapping_pairs,
        pairwise_overlap_batch,
        visible_points_batch,
    )

    torch, host = torch_gpu, [visible_points(**s._asdict()) for s in SCENES]
    masks = visible_points_batch([on_torch(torch, s) for s in SCENES])
    for mask, expected in zip(masks, host, strict=True):
        assert isinstance(mask.words, torch.Tensor)
        assert mask.to_host() == expected
    one = on_torch(torch, SCENES[1])
    strided = one._replace(depth=one.depth.transpose(1, 2).contiguous().transpose(1, 2))
    assert visible_points(**strided._asdict()).to_host() == host[1]
    for got, expected in zip(pairwise_overlap_batch(masks), host, strict=True):
        wanted = pairwise_overlap(expected)
        np.testing.assert_array_equal(got.intersection.numpy(), wanted.intersection)
        np.testing.assert_array_equal(got.iou.numpy(), wanted.iou)
    blocks, wanted = list(overlapping_pairs(masks[1])), list(overlapping_pairs(host[1]))
    for column, expected in zip(zip(*blocks, strict=True), zip(*wanted, strict=True), strict=True):
        np.testing.assert_array_equal(torch.cat(column).numpy(), np.concatenate(expected))
    uv, depth = project_points(one.points_world, one.K, one.cam_from_world)
    wanted = project_points(*SCENES[1][:3])
    np.testing.assert_array_equal(uv.numpy(), wanted.uv)
    np.testing.assert_array_equal(depth.numpy(), wanted.depth)
    clips = [torch.from_numpy(clip(6, n)).requires_grad_() for n in (20, 70)]
    for tracks, sums in zip(clips, accumulate_distance_change_batch(clips), strict=True):
        np.testing.assert_array_equal(accumulate_distance_change(tracks).numpy(), sums.numpy())
        np.testing.assert_array_equal(sums, reference_change(tracks.detach().numpy(), 0.01))


def test_nothing_is_one_launch_of_nothing(torch_gpu: Any) -> None:
    from spatialcore import (
        accumulate_distance_change_batch,
        pairwise_overlap_batch,
        visible_points_batch,
    )

    assert visible_points_batch([], backend="cuda") == []
    assert pairwise_overlap_batch([], backend="cuda") == []
    assert accumulate_distance_change_batch([], backend="cuda") == []
    empty = BitMask(torch_gpu.zeros((0, 2), dtype=torch_gpu.int64), 70)
    assert tuple(pairwise_overlap(empty).iou.shape) == (0, 0)
