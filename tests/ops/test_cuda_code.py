# SPDX-License-Identifier: Apache-2.0
"""The CUDA kernels as compiled: registers, stack, spills, and the instructions they need.

Ceilings: a 256-thread block of 128 registers leaves two blocks on a multiprocessor of 65,536; the
float64 pairs hold 16 previous distances and 16 sums, 64 registers of state, and get one.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NVCC = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
ARCHITECTURES = (80, 90, 100)
# file -> (kernel, most registers, most bytes of stack): the list of doubtful sums of "exact" is
# indexed at run time, once a pair, and so lies in memory.
KERNELS = {
    "projection": [("projection_kernel", 64, 0)],
    "occlusion": [("occlusion_kernel", 112, 0)],
    "askable": [("askable_kernel", 96, 0)],
    "overlap": [("overlap_kernel", 112, 0), ("clear_kernel", 32, 0)],
    "overlap_tensor_core": [("overlap_mma_kernel", 112, 0)],
    "rigidity": [
        ("rigidity_kernelIfLb0ELi1E", 64, 0),
        ("rigidity_kernelIfLb0ELi4E", 96, 0),
        ("rigidity_kernelIfLb1ELi1E", 80, 0),
        ("rigidity_kernelIfLb1ELi4E", 128, 64),
        ("rigidity_kernelIdLb0ELi1E", 80, 0),
        ("rigidity_kernelIdLb0ELi4E", 152, 0),
    ],
}
# PTX that must be there.
EXPECTED = {
    "projection": ["div.rn.f64", "mul.rn.f64"],
    "occlusion": ["rcp.rn.f32", "cvt.rni.f32.f32", "div.rn.f64", "mul.rn.f64", "cvt.rni.f64.f64"],
    "askable": ["div.rn.f64", "mul.rn.f64", "cvt.rni.f64.f64", "sqrt.rn.f64"],
    "overlap": ["popc.b64"],
    "overlap_tensor_core": ["mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc"],
    "rigidity": ["sqrt.rn.f64", "sqrt.rn.f32"],
}
# SASS that must be there. sm_100 has no one-bit product: its compiler emulates it with IMMA.
MACHINE_CODE = {
    ("overlap", 80): r"\bPOPC\b",
    ("overlap", 90): r"\bPOPC\b",
    ("overlap", 100): r"\bPOPC\b",
    ("overlap_tensor_core", 80): r"\bBMMA\.168256\.AND\.POPC",
    ("overlap_tensor_core", 90): r"\bBMMA\.168256\.AND\.POPC",
    ("overlap_tensor_core", 100): r"\bIMMA\.",
}

pytestmark = [
    pytest.mark.slow,  # a guard of one compiler's code
    pytest.mark.skipif(NVCC is None, reason="nvcc is not installed"),
]


def compile_kernel(folder: Path, name: str, arch: int) -> str:
    """Compile as the build does; returns what ptxas says of every kernel."""
    flags = ["-std=c++17", "--fmad=false", "--expt-relaxed-constexpr", f"-arch=compute_{arch}"]
    include = [f"-I{ROOT / 'csrc/include'}", f"-I{ROOT / 'kernels'}"]
    ptx, cubin = folder / f"{name}.{arch}.ptx", folder / f"{name}.{arch}.cubin"
    source = ROOT / f"kernels/cuda/{name}.cu"
    ptxas = Path(str(NVCC)).with_name("ptxas")
    for command in (
        [str(NVCC), *flags, *include, "-ptx", "-o", ptx, source],
        [ptxas, "--fmad=false", f"-arch=sm_{arch}", "-v", ptx, "-o", cubin],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[tuple[str, int], str]]:
    """Folder of the PTX and cubins, and what ptxas said of each."""
    folder = tmp_path_factory.mktemp("cuda")
    cases = [(name, arch) for name in KERNELS for arch in ARCHITECTURES]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        said = pool.map(lambda case: compile_kernel(folder, *case), cases)
        return folder, dict(zip(cases, said, strict=True))


def cuobjdump() -> str | None:
    """The disassembler: beside nvcc, or in Triton's wheel."""
    beside = shutil.which("cuobjdump") or shutil.which(str(Path(str(NVCC)).with_name("cuobjdump")))
    spec = importlib.util.find_spec("triton")
    if beside or spec is None or spec.origin is None:
        return beside
    return shutil.which(str(Path(spec.origin).parent / "backends/nvidia/bin/cuobjdump"))


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("name", KERNELS)
def test_registers_and_spills(
    code: tuple[Path, dict[tuple[str, int], str]], name: str, arch: int
) -> None:
    said = code[1][name, arch]
    found = re.findall(
        r"Function properties for (\S+)\s+(\d+) bytes stack frame, (\d+) bytes spill stores, "
        r"(\d+) bytes spill loads.*?Used (\d+) registers",
        said,
        re.S,
    )
    assert found, said
    for kernel, stack, stores, loads, registers in found:
        [(_, most, most_stack)] = [case for case in KERNELS[name] if case[0] in kernel]
        assert (stores, loads) == ("0", "0"), kernel
        assert int(registers) <= most, kernel
        assert int(stack) <= most_stack, kernel


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("name", KERNELS)
def test_nothing_is_fused_or_approximate(
    code: tuple[Path, dict[tuple[str, int], str]], name: str, arch: int
) -> None:
    """In PTX: the expansions of division and root use fused operations in machine code, and may."""
    ptx = (code[0] / f"{name}.{arch}.ptx").read_text()
    assert not re.search(r"\b(fma|mad)\.\S*f(32|64)", ptx)
    assert not re.search(r"\.(approx|full|ftz)\b", ptx)
    assert not re.search(r"\b(mul|add|sub)\.f(32|64)", ptx), "ptxas may fuse what has no .rn"
    assert not [instruction for instruction in EXPECTED[name] if instruction not in ptx]


@pytest.mark.parametrize(("name", "arch"), MACHINE_CODE)
def test_machine_code_has_the_fast_instruction(
    code: tuple[Path, dict[tuple[str, int], str]], name: str, arch: int
) -> None:
    tool = cuobjdump()
    if tool is None:
        pytest.skip("cuobjdump is neither beside nvcc nor in a Triton wheel")
    done = subprocess.run(
        [tool, "-sass", code[0] / f"{name}.{arch}.cubin"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert re.search(MACHINE_CODE[name, arch], done.stdout)
