# SPDX-License-Identifier: Apache-2.0
"""Triton kernels without a GPU: interpreted against the reference, and compiled ahead of time.

Each needs a process of its own: whether kernels are interpreted is decided when they are imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("triton", reason="triton is not installed")

ROOT = Path(__file__).resolve().parents[2]

OVERLAP = """
import numpy as np, torch
from spatialcore import BitMask, pairwise_overlap
rng = np.random.default_rng(0)
for frames, points in [(0, 5), (1, 1), (3, 63), (17, 257), (33, 1300)]:
    mask = BitMask.from_bool(rng.random((frames, points)) < 0.3)
    expected = pairwise_overlap(mask, backend="reference")
    words = torch.from_numpy(mask.words.view(np.int64).copy())
    got = pairwise_overlap(BitMask(words, points), backend="triton")
    assert np.array_equal(got.intersection.numpy().astype(np.uint32), expected.intersection)
    assert np.array_equal(got.iou.numpy(), expected.iou), (frames, points)
print("equal")
"""

OCCLUSION = """
import itertools
import numpy as np, torch
from spatialcore import PixelMap, visible_points
from tests.ops.scenes import IMAGE_SIZE, MAPS, RULES, random_view

def check(points, frames, dtype, depth_dtype, rule, pixel_map, origin=0.0):
    view = random_view(points + frames, points, frames, dtype=dtype, depth_dtype=depth_dtype,
                       sort=True, origin=origin)
    view.points_world[5::97] = np.inf
    view.points_world[7::89, 1] = np.nan
    if frames > 2:
        view.cam_from_world[2, 1, 1] = np.nan
    scale = 0.001 if depth_dtype is np.uint16 else None
    maps = MAPS[pixel_map] if pixel_map in MAPS else [
        PixelMap(0.25, 0.1 * f, 0.25 - 0.001 * f, -0.2) for f in range(frames)]
    settings = dict(image_size=IMAGE_SIZE, depth_scale=scale, depth_from_image=maps,
                    rule=RULES[rule])
    arrays = view.points_world, view.K, view.cam_from_world, view.depth
    with np.errstate(all="ignore"):
        expected = visible_points(*arrays, backend="reference", **settings)
    got = visible_points(*map(torch.from_numpy, arrays), backend="triton", **settings)
    words = got.words.numpy().view(np.uint64)
    assert np.array_equal(words, expected.words), (points, frames, dtype, rule, pixel_map)
    return int(expected.counts().sum())

KINDS = itertools.cycle([(np.float32, np.uint16), (np.float64, np.float32)])
seen = sum(
    check(points, frames, *next(KINDS), rule, pixel_map)
    for (points, frames), rule, pixel_map in itertools.product([(1, 1), (700, 4)], RULES, MAPS)
)
seen += check(63, 2, *next(KINDS), "tolerance", "intrinsics")
assert seen > 20, seen
for count in (1, 5, 33):
    check(130, count, np.float32, np.uint16, "tolerance", "one of each frame")
check(0, 3, np.float32, np.uint16, "strict", "sizes")
check(90, 0, np.float32, np.uint16, "strict", "sizes")
check(130, 33, np.float32, np.uint16, "tolerance", "intrinsics")  # past a tile of frames
check(260, 3, np.float32, np.uint16, "strict", "intrinsics", origin=1000.0)
print("equal")
"""

TIES = """
# Points that land on halves of pixels, on image borders and on the edge of the depth rule.
import numpy as np, torch
from spatialcore import DepthRule, PixelMap, visible_points
K = np.array([[64.0, 0, 32], [0, 64.0, 16], [0, 0, 1]])
u, v = np.meshgrid(np.arange(-1, 65, 0.5), np.array([0.0, 0.5, 1.5, 31.5, 32.0]))
z = np.array([1.0, 1.25, 2.0])
points = np.stack([(u[..., None] - 32) / 64 * z, (v[..., None] - 16) / 64 * z,
                   np.broadcast_to(z, (*u.shape, 3))], -1).reshape(-1, 3)
depth = (np.arange(32 * 64).reshape(1, 32, 64) % 5 * 0.5).astype(np.float32)
for rule in (DepthRule.tolerance(0.25, 0.25), DepthRule.strict()):
    for pixel_map in (PixelMap.identity(), PixelMap(0.5, 0.25, 1.0, -0.5)):
        settings = dict(image_size=(64, 32), depth_from_image=pixel_map, rule=rule)
        arrays = points, K, np.eye(4)[None], depth
        expected = visible_points(*arrays, backend="reference", **settings)
        got = visible_points(*map(torch.from_numpy, arrays), backend="triton", **settings)
        assert np.array_equal(got.words.numpy().view(np.uint64), expected.words)
        assert 0 < expected.counts()[0] < len(points)
print("equal")
"""

RIGIDITY = """
import numpy as np, torch
from spatialcore import accumulate_distance_change

def change(tracks, backend, **more):
    given = torch.from_numpy(tracks) if backend == "triton" else tracks
    return np.asarray(accumulate_distance_change(given, backend=backend, **more))

rng = np.random.default_rng(0)
for steps, count, dtype in [(0, 3, float), (1, 2, float), (7, 1, float), (9, 63, float),
                            (5, 70, np.float32)]:
    tracks = rng.normal(size=(steps, count, 3)).astype(dtype)
    tracks[rng.random((steps, count)) < 0.1] = np.nan
    tracks[rng.random((steps, count)) < 0.05, 1] = np.inf
    expected = change(tracks, "reference")
    assert np.array_equal(change(tracks, "triton"), expected), (steps, count)
    for precision in ("exact", "float32"):
        got = change(tracks, "triton", precision=precision)
        assert np.allclose(got, expected, atol=1e-4), (steps, count, precision)

# Steps that land on the noise floor to within float32's error: exact flips no decision.
tracks = np.zeros((30, 40, 3))
tracks[:, :, 0] = 3 * np.arange(40)
tracks[:, ::2, 0] += 0.01 * (np.arange(30) % 2)[:, None] * (1 + rng.normal(size=20) * 1e-8)
expected = change(tracks, "reference")
assert np.abs(change(tracks, "triton", precision="exact") - expected).max() < 1e-4
assert np.abs(change(tracks, "triton", precision="float32") - expected).max() > 0.005
far = np.array([[[0.0, 0, 0], [1e20, 0, 0]], [[0, 0, 0], [2e20, 0, 0]]])
assert change(far, "triton", precision="exact")[0] == change(far, "reference")[0]
print("equal")
"""

COMPILED = """
import re, subprocess, sys
from pathlib import Path
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from spatialcore._triton import occlusion, overlap, rigidity

TOOLS = Path(triton.__file__).parent / "backends/nvidia/bin"
SCENE = {"point_count": "i32", "K": "*fp64", "cam_from_world": "*fp64", "frame_count": "i32",
         "settings": "*fp64", "maps": "*fp64", "map_stride": "i32", "halves": "*i32"}
TRACKS = {"tracks": "*fp64", "step_count": "i32", "track_count": "i32", "noise_floor": "*fp64",
          "change": "*fp64", "pairs": "*i32", "listed": "*i64"}
SEES = {"BLOCK": occlusion.BLOCK, "FRAMES": occlusion.FRAMES, "MARGIN": occlusion.CULL_MARGIN,
        "ROUND": occlusion.ROUND_TO_WHOLE}
SUMS = {"BLOCK": rigidity.BLOCK, "ERROR": rigidity.ERROR_UNITS, "SQUARES": rigidity.LARGEST}
EXACT64 = {"mul.rn.f64", "add.rn.f64", "sub.rn.f64", "sqrt.rn.f64"}
# (kernel, argument types, constants, most registers, instructions that must be there)
CASES = [
    (overlap._overlap_kernel,
     {"words": "*i32", "intersection": "*i32", "frame_count": "i32", "half_count": "i32"},
     {"BLOCK": overlap.BLOCK, "STEP": overlap.STEP}, 168, {"popc.b32"}),
    (occlusion._occlusion_kernel, SCENE | {"points": "*fp32", "depth": "*u16"},
     SEES | {"STRICT": False}, 168, {"mul.rn.f64", "add.rn.f64", "div.rn.f64"}),
    (occlusion._occlusion_kernel, SCENE | {"points": "*fp64", "depth": "*fp32"},
     SEES | {"STRICT": True}, 168, {"mul.rn.f64", "add.rn.f64", "div.rn.f64"}),
    (rigidity._change_kernel, TRACKS, SUMS | {"SINGLE": False, "LIST": False}, 168, EXACT64),
    (rigidity._change_kernel, TRACKS, SUMS | {"SINGLE": True, "LIST": False}, 168,
     {"sqrt.rn.f32"}),
    (rigidity._change_kernel, TRACKS, SUMS | {"SINGLE": True, "LIST": True}, 168,
     {"sqrt.rn.f32", "atom.global"}),
    (rigidity._redo_kernel, TRACKS, {"BLOCK": rigidity.REDO_BLOCK}, 64, EXACT64),
]
cubin = Path(sys.argv[1]) / "kernel.cubin"
for arch in map(int, sys.argv[2:]):
    for kernel, types, constants, most, expected in CASES:
        source = ASTSource(kernel, types | dict.fromkeys(constants, "constexpr"), constants)
        options = {"num_warps": 4, "enable_fp_fusion": False}
        made = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)
        where = (kernel.__name__, arch)
        ptx = made.asm["ptx"]
        assert not re.search(r"\\bfma\\.", ptx), (where, "a product is fused with a sum")
        assert not re.search(r"\\.(approx|full)\\.", ptx), (where, "an approximate operation")
        # Without .rn ptxas may fuse the two by itself.
        assert not re.search(r"\\b(mul|add|sub)\\.f(32|64)", ptx), (where, "rounding is not fixed")
        missing = [name for name in expected if name not in ptx]
        assert not missing, (where, missing)
        assert not re.search(r"\\b(ld|st)\\.local", ptx), (where, "local memory")
        assert made.metadata.shared <= 48 * 1024, where
        cubin.write_bytes(made.asm["cubin"])
        usage = subprocess.run([TOOLS / "cuobjdump", "-res-usage", cubin], check=True,
                               capture_output=True, text=True)
        found = re.search(r"REG:(\\d+).*LOCAL:(\\d+)", usage.stdout + usage.stderr)
        assert found, usage
        assert int(found[1]) <= most, (where, found[0])
        assert int(found[2]) == 0, (where, "spills", found[0])
print("compiled")
"""

ON_THE_HOST = """
import torch
from spatialcore import (BackendUnavailable, BitMask, accumulate_distance_change,
                         pairwise_overlap, project_points, visible_points)
one = torch.zeros((1, 3))
K, pose, depth = torch.eye(3), torch.eye(4)[None], torch.zeros((1, 2, 2))
for call in (
    lambda: pairwise_overlap(BitMask(torch.zeros((2, 1), dtype=torch.int64), 3), backend="triton"),
    lambda: visible_points(one, K, pose, depth, image_size=(2, 2), backend="triton"),
    lambda: visible_points(one, K, pose, iter(()), image_size=(2, 2), backend="triton"),
    lambda: accumulate_distance_change(torch.zeros((2, 2, 3)), backend="triton"),
    lambda: project_points(one, K, pose, backend="triton"),
):
    try:
        call()
    except BackendUnavailable as error:
        print(error.reason)
"""


def run(code: str, folder: Path, *arguments: str, interpret: bool = False) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(folder)
    if interpret:
        environment["TRITON_INTERPRET"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "code", [OVERLAP, OCCLUSION, TIES, RIGIDITY], ids=["overlap", "occlusion", "ties", "rigidity"]
)
def test_interpreted_kernels_equal_the_reference(code: str, tmp_path: Path) -> None:
    assert run(code, tmp_path, interpret=True) == "equal"


@pytest.mark.parametrize(
    "arch",
    [pytest.param("80", marks=pytest.mark.slow), "90", pytest.param("100", marks=pytest.mark.slow)],
)
def test_kernels_compile_for_every_target(arch: str, tmp_path: Path) -> None:
    """Registers, spills, and that nothing is fused or approximate."""
    assert run(COMPILED, tmp_path, arch) == "compiled"


def test_what_triton_cannot_run_is_refused_with_the_reason(tmp_path: Path) -> None:
    reasons = run(ON_THE_HOST, tmp_path).splitlines()
    assert len(reasons) == 5
    assert all("TRITON_INTERPRET=1" in reasons[k] for k in (0, 1, 3))
    assert reasons[2] == "depth must be one tensor, not an iterable"
    assert reasons[4] == "project_points has no kernel there"
