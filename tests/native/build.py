# SPDX-License-Identifier: Apache-2.0
"""Builds the CUDA kernels for the host: the same .cu files, every CUDA thread a fiber."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pybind11

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ("projection", "occlusion", "askable", "overlap", "overlap_tensor_core", "rigidity")
MODULE = "_cuda_host"
INCLUDE = (
    ROOT / "csrc/include",
    ROOT / "kernels",
    ROOT / "tests/native",
    Path(pybind11.get_include()),
    Path(sysconfig.get_path("include")),
)
FLAGS = [
    "-std=c++17",
    "-fPIC",
    "-ffp-contract=off",
    "-Wall",
    "-DSPATIALCORE_SIMT_HOST",
    f"-DSPATIALCORE_CUDA_MODULE={MODULE}",
    *(f"-I{path}" for path in INCLUDE),
]


def cannot_build() -> str:
    """Why the host build is impossible on this machine, or ""."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return "the host layer switches stacks on x86-64 only"
    return "" if shutil.which("g++") else "g++ is not installed"


def build(folder: Path) -> Path:
    """Compile the Python module into `folder`: the kernels' files and the bindings side by side."""
    module = folder / f"{MODULE}{sysconfig.get_config_var('EXT_SUFFIX')}"
    jobs = [(source, [*FLAGS, "-O1", "-g"]) for source in _kernel_files()]
    # The bindings are not what is tested, and take three times as long as all kernels together.
    jobs.append((ROOT / "csrc/bindings/cuda.cpp", [*FLAGS, "-O0"]))
    jobs.append((ROOT / "tests/native/device_host.cpp", [*FLAGS, "-O0"]))
    _link(folder, jobs, ["-shared", "-o", str(module)])
    return module


def build_sanitized(folder: Path, sanitizer: str) -> Path:
    """The program of tests/native/sanitized.cpp; `sanitizer` is "address" or "thread"."""
    program = folder / f"sanitized_{sanitizer}"
    sanitize = [f"-fsanitize={sanitizer}", "-fno-omit-frame-pointer"]
    sources = [*_kernel_files(), ROOT / "tests/native/sanitized.cpp"]
    jobs = [(source, [*FLAGS, "-O1", "-g", *sanitize]) for source in sources]
    _link(folder, jobs, [*sanitize, "-o", str(program)])
    return program


def _kernel_files() -> list[Path]:
    return [ROOT / f"kernels/cuda/{name}.cu" for name in KERNELS]


def _link(folder: Path, jobs: list[tuple[Path, list[str]]], options: list[str]) -> None:
    """Compile every file into an object, as many at once as there are cores, and link them."""

    def compile_one(job: tuple[Path, list[str]]) -> str:
        source, flags = job
        made = folder / f"{source.stem}.{'-'.join(source.parts[-3:-1])}.o"
        _run("g++", *flags, "-x", "c++", "-c", str(source), "-o", str(made))
        return str(made)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        objects = list(pool.map(compile_one, jobs))
    switch = ["-x", "assembler", str(ROOT / "tests/native/simt_switch.S"), "-x", "none"]
    _run("g++", *switch, *objects, *options)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
