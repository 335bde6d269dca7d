# SPDX-License-Identifier: Apache-2.0
"""Every device kernel on a real GPU against the CPU, bit for bit; skipped where there is none.

`benchmarks/gpu.py` runs this file and turns a skip into a failure (SPATIALCORE_REQUIRE_GPU=1).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spatialcore import (
    BackendUnavailable,
    BitMask,
    DepthRule,
    DepthViews,
    PixelMap,
    accumulate_distance_change,
    accumulate_distance_change_batch,
    overlapping_pairs,
    pairwise_overlap,
    pairwise_overlap_batch,
    project_points,
    visible_points,
    visible_points_batch,
)
from spatialcore._libraries import Cupy, Library, Torch, on_host, open_device


def why_not() -> str:
    try:
        open_device("cuda")
    except BackendUnavailable as error:
        return error.reason
    return ""


REQUIRED = bool(os.environ.get("SPATIALCORE_REQUIRE_GPU"))
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(bool(why_not()) and not REQUIRED, reason=f"no GPU: {why_not()}"),
]
K = np.array([[300.0, 0, 160], [0, 310.0, 119.5], [0, 0, 1]])
RULES = [DepthRule.tolerance(), DepthRule.strict()]


@pytest.fixture(params=["torch", "cupy"])
def gpu(request: pytest.FixtureRequest) -> Library:
    """Each installed library on device 0."""
    if find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return Torch("cuda:0") if request.param == "torch" else Cupy(0)


@pytest.fixture
def torch() -> Iterator[Any]:
    """torch that raises where one of its calls waits for the GPU."""
    module = pytest.importorskip("torch", reason="torch is not installed")
    if not module.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    yield module
    module.cuda.set_sync_debug_mode("default")


def put(lib: Library, array: Any) -> Any:
    return lib.upload([np.ascontiguousarray(array)])[0]


def poses(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out = np.tile(np.eye(4), (count, 1, 1))
    for m in out:
        q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        m[:3, :3] = q * np.sign(np.linalg.det(q))
        m[:3, 3] = rng.uniform(-1, 1, 3)
    return out


def scene(
    frame_count: int, point_count: int, dtype: type = np.uint16, kind: type = np.float32
) -> DepthViews:
    rng = np.random.default_rng(frame_count + point_count)
    centres = rng.uniform(-3, 3, (point_count // 256 + 1, 3)).repeat(256, 0)[:point_count]
    points = (centres + rng.uniform(-1, 1, (point_count, 3))).astype(kind)
    points[5::97] = np.inf
    cams = poses(frame_count, 5)
    if frame_count > 2:
        cams[2, 1, 1] = np.nan
    raw = rng.integers(0, 5000, (frame_count, 120, 160))
    depth = raw.astype(np.uint16) if dtype is np.uint16 else (raw * 1e-3).astype(np.float32)
    scale = 0.001 if dtype is np.uint16 else None
    return DepthViews(points, K, cams, depth, (320, 240), scale, PixelMap(0.5, -0.2, 0.5, 0.3))


def placed(lib: Library, given: DepthViews) -> DepthViews:
    return DepthViews(*(put(lib, a) for a in given[:4]), *given[4:])


def random_mask(frame_count: int, point_count: int) -> BitMask:
    rng = np.random.default_rng(frame_count)
    return BitMask.from_bool(rng.random((frame_count, point_count)) < 0.3)


def clip(steps: int, tracks: int) -> np.ndarray:
    rng = np.random.default_rng(tracks)
    out = rng.normal(size=(steps, tracks, 3)) + rng.normal(size=(1, tracks, 3))
    out[rng.random((steps, tracks)) < 0.1] = np.nan
    return out


def same(got: Any, expected: np.ndarray) -> bool:
    values = on_host(got)
    if values.dtype != expected.dtype:
        values = values.view(expected.dtype)
    return np.array_equal(values, expected, equal_nan=values.dtype.kind == "f")


@pytest.mark.parametrize("point_count", [0, 1, 63, 257, 5000])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_projection(gpu: Library, point_count: int, kind: type) -> None:
    given = scene(19, point_count, kind=kind)
    with np.errstate(all="ignore"):
        expected = project_points(*given[:3], backend="reference")
    got = project_points(*placed(gpu, given)[:3])
    assert same(got.uv, expected.uv)
    assert same(got.depth, expected.depth)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(("frames", "points"), [(1, 1), (3, 63), (40, 20_000), (33, 0)])
def test_occlusion(
    gpu: Library, rule: DepthRule, dtype: type, kind: type, frames: int, points: int
) -> None:
    given = scene(frames, points, dtype, kind)
    with np.errstate(all="ignore"):
        expected = visible_points(**given._asdict(), rule=rule, backend="reference")
    got = visible_points(**placed(gpu, given)._asdict(), rule=rule)
    assert got.device == "cuda:0"
    assert got.to_host() == expected


@pytest.mark.parametrize(
    ("frames", "points"), [(0, 5), (1, 1), (17, 257), (70, 1300), (66, 90_000), (300, 20_000)]
)
@pytest.mark.parametrize("tensor_core", [False, True])
def test_overlap(
    gpu: Library, frames: int, points: int, tensor_core: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spatialcore import _cuda

    monkeypatch.setattr(_cuda, "TENSOR_CORE_FRAMES", 0 if tensor_core else 1 << 30)
    mask = random_mask(frames, points)
    expected = pairwise_overlap(mask)
    got = pairwise_overlap(BitMask(put(gpu, mask.words), points))
    assert same(got.intersection, expected.intersection)
    assert same(got.iou, expected.iou)


@pytest.mark.parametrize(("steps", "tracks"), [(0, 3), (1, 2), (7, 1), (9, 63), (40, 500)])
def test_distance_change(gpu: Library, steps: int, tracks: int) -> None:
    host = clip(steps, tracks)
    expected = accumulate_distance_change(host)
    given = put(gpu, host) if host.size else gpu.zeros(host.shape, "float64")
    assert same(accumulate_distance_change(given), expected)
    exact = on_host(accumulate_distance_change(given, precision="exact"))
    assert np.allclose(exact, expected, atol=1e-4, rtol=0)


def test_batches_are_the_single_calls(gpu: Library) -> None:
    scenes = [scene(3, 63), scene(40, 5000), scene(2, 300, np.float32)]
    masks = [visible_points(**given._asdict()) for given in scenes]
    for got, expected in zip(
        visible_points_batch([placed(gpu, given) for given in scenes]), masks, strict=True
    ):
        assert got.to_host() == expected
    on_gpu = [BitMask(put(gpu, mask.words), mask.point_count) for mask in masks]
    for overlap, mask in zip(pairwise_overlap_batch(on_gpu), masks, strict=True):
        assert same(overlap.intersection, pairwise_overlap(mask).intersection)
    clips = [clip(6, n) for n in (20, 90, 2)]
    for sums, tracks in zip(
        accumulate_distance_change_batch([put(gpu, c) for c in clips]), clips, strict=True
    ):
        assert same(sums, accumulate_distance_change(tracks))


def test_masks_answer_on_the_gpu(gpu: Library) -> None:
    host = random_mask(37, 1000)
    mask = BitMask(put(gpu, host.words), 1000)
    for name in ("counts", "any_frame", "any_point", "to_bool"):
        assert same(getattr(mask, name)(), getattr(host, name)()), name
    assert same(mask.indices(3), host.indices(3))
    assert same(mask.common(3, 4), host.common(3, 4))
    assert same(mask.at([0, 999]), host.at([0, 999]))
    assert mask.transpose().to_host() == host.transpose()
    assert (mask & mask[:]).to_host() == host
    assert BitMask.from_bool(mask.to_bool()).to_host() == host
    blocks = [on_host(column) for column in next(iter(overlapping_pairs(mask)))]
    for got, expected in zip(blocks, next(iter(overlapping_pairs(host))), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_strided_arrays_and_other_streams(torch: Any) -> None:
    given = scene(9, 3000)
    expected = visible_points(**given._asdict())
    lib = Torch("cuda:0")
    arrays = placed(lib, given)
    strided = arrays._replace(
        points_world=arrays.points_world.T.contiguous().T,
        depth=arrays.depth.transpose(1, 2).contiguous().transpose(1, 2),
    )
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        got = visible_points(**strided._asdict())
        counts = got.counts()
    stream.synchronize()
    assert got.to_host() == expected
    assert same(counts, expected.counts())


def chain(arrays: DepthViews, tracks: Any) -> tuple[Any, ...]:
    """Everything that has to run without waiting."""
    mask = visible_points(**arrays._asdict())
    overlap = pairwise_overlap(mask)
    sums = [accumulate_distance_change(tracks, precision=p) for p in ("float64", "exact")]
    return (mask.words, mask.counts(), mask.any_point(), overlap.iou, *sums,
            *project_points(*arrays[:3]))  # fmt: skip


def test_nothing_waits(torch: Any) -> None:
    """torch's own synchronising calls raise, and a CUDA graph holds no other."""
    lib = Torch("cuda:0")
    arrays, tracks = placed(lib, scene(9, 3000)), put(lib, clip(9, 63))
    expected = [on_host(a) for a in chain(arrays, tracks)]
    torch.cuda.set_sync_debug_mode("error")
    visible_points_batch([arrays, arrays])
    accumulate_distance_change_batch([tracks, tracks])
    got = chain(arrays, tracks)
    torch.cuda.set_sync_debug_mode("default")
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(on_host(a), b)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = chain(arrays, tracks)
    graph.replay()
    for a, b in zip(captured, expected, strict=True):
        np.testing.assert_array_equal(on_host(a), b)


def test_offsets_past_two_to_the_31(torch: Any) -> None:
    """The last frames of a depth stack of 2.2e9 readings."""
    given = scene(2, 500)
    h, w = 1024, 1024
    frame_count = (1 << 31) // (h * w) + 3
    if torch.cuda.mem_get_info()[0] < 3 * frame_count * h * w * 2:
        pytest.skip("too little memory on the GPU")
    lib = Torch("cuda:0")
    depth = torch.zeros((frame_count, h, w), dtype=torch.uint16, device="cuda:0")
    rng = np.random.default_rng(0)
    last = rng.integers(0, 5000, (2, h, w)).astype(np.uint16)
    depth.view(torch.int16)[-2:] = put(lib, last.view(np.int16))
    settings: dict[str, Any] = {
        "image_size": (320, 240), "depth_scale": 0.001,
        "depth_from_image": PixelMap(3.2, 0.0, 4.2, 0.0),
    }  # fmt: skip
    cams = np.tile(given.cam_from_world[:1], (frame_count, 1, 1))
    got = visible_points(put(lib, given.points_world), put(lib, K), put(lib, cams), depth,
                         **settings)  # fmt: skip
    expected = visible_points(given.points_world, K, cams[-2:], last, **settings)
    assert expected.counts().sum() > 10
    assert got[-2:].to_host() == expected
    assert not on_host(got[:-2].any_frame()).any()


OPERATIONS: dict[str, Callable[[Library, str | None], Any]] = {
    "occlusion": lambda lib, b: (
        visible_points(
            **(placed(lib, scene(35, 5000)) if b else scene(35, 5000))._asdict(), backend=b
        ).words
    ),
    "overlap": lambda lib, b: (
        pairwise_overlap(
            BitMask(put(lib, random_mask(70, 1300).words), 1300) if b else random_mask(70, 1300),
            backend=b,
        ).intersection
    ),
    "rigidity": lambda lib, b: accumulate_distance_change(
        put(lib, clip(20, 90)) if b else clip(20, 90), backend=b
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_triton(torch: Any, name: str) -> None:
    pytest.importorskip("triton", reason="triton is not installed")
    operation = OPERATIONS[name]
    assert same(operation(Torch("cuda:0"), "triton"), operation(Torch("cuda:0"), None))


def test_the_index_of_the_gpu_is_the_index_of_the_cpu(gpu: Library, tmp_path: Path) -> None:
    from spatialcore.index.index import build_index
    from spatialcore.io.open import open_sources
    from spatialcore.sample import SampleConfig, make_sample

    config = SampleConfig(rooms=1, clips=1, preset="tiny", layouts=("scannet", "tapvid3d"))
    for _ in make_sample(tmp_path / "set", config):
        pass
    for place in ("cpu", "cuda"):
        sources = [
            source
            for layout in config.layouts
            for source in open_sources(str(tmp_path / "set" / layout))
        ]
        build_index(sources, tmp_path / place, device=place)
    files = {p.relative_to(tmp_path / "cpu") for p in (tmp_path / "cpu").rglob("*") if p.is_file()}
    assert len(files) > 10
    for name in files:
        assert (tmp_path / "cuda" / name).read_bytes() == (tmp_path / "cpu" / name).read_bytes()
