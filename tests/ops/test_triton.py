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

INTERPRETED = """
import numpy as np, torch
from spatialcore import BitMask, pairwise_overlap
rng = np.random.default_rng(0)
for frames, points in [(0, 5), (1, 1), (3, 63), (17, 257), (33, 1300)]:
    mask = BitMask.from_bool(rng.random((frames, points)) < 0.3)
    expected = pairwise_overlap(mask, backend="reference").intersection
    words = torch.from_numpy(mask.words.view(np.int64).copy())
    got = pairwise_overlap(BitMask(words, points), backend="triton").intersection
    assert np.array_equal(got.numpy().astype(np.uint32), expected), (frames, points)
print("equal")
"""

COMPILED = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from spatialcore._triton.overlap import BLOCK, STEP, _overlap_kernel
types = {"words": "*i32", "intersection": "*i32", "frame_count": "i32", "half_count": "i32",
         "BLOCK": "constexpr", "STEP": "constexpr"}
for arch in (80, 90, 100):
    source = ASTSource(_overlap_kernel, types, {"BLOCK": BLOCK, "STEP": STEP})
    made = triton.compile(source, target=GPUTarget("cuda", arch, 32))
    assert made.asm["cubin"]
    assert "popc.b32" in made.asm["ptx"], "the shifts are no longer recognised"
    assert ".local" not in made.asm["ptx"], "spills"
    assert made.metadata.shared <= 96 * 1024
print("compiled")
"""

ON_THE_HOST = """
import torch
from spatialcore import BitMask, BackendUnavailable, pairwise_overlap
try:
    pairwise_overlap(BitMask(torch.zeros((2, 1), dtype=torch.int64), 3), backend="triton")
except BackendUnavailable as error:
    print(error.reason)
"""


def run(code: str, folder: Path, interpret: bool) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(folder)
    if interpret:
        environment["TRITON_INTERPRET"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_interpreted_kernels_equal_the_reference(tmp_path: Path) -> None:
    assert run(INTERPRETED, tmp_path, interpret=True) == "equal"


def test_kernels_compile_for_every_target(tmp_path: Path) -> None:
    assert run(COMPILED, tmp_path, interpret=False) == "compiled"


def test_host_tensors_are_refused_with_the_reason(tmp_path: Path) -> None:
    assert "TRITON_INTERPRET=1" in run(ON_THE_HOST, tmp_path, interpret=False)
