# SPDX-License-Identifier: Apache-2.0
"""Builds the CUDA kernels for the host: the same .cu files, every CUDA thread a fiber."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pybind11

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ("projection", "occlusion", "overlap", "overlap_tensor_core", "rigidity")
MODULE = "_cuda_host"


def cannot_build() -> str:
    """Why the host build is impossible on this machine, or ""."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return "the host layer switches stacks on x86-64 only"
    return "" if shutil.which("g++") else "g++ is not installed"


def build(folder: Path, sanitizer: str = "") -> Path:
    """Compile the module into `folder`; `sanitizer` is "", "address" or "thread"."""
    import sysconfig

    module = folder / f"{MODULE}{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = [
        ROOT / "csrc/include",
        ROOT / "kernels",
        ROOT / "tests/native",
        Path(pybind11.get_include()),
        Path(sysconfig.get_path("include")),
    ]
    flags = ["-std=c++17", "-O1", "-g", "-fPIC", "-shared", "-ffp-contract=off", "-Wall"]
    if sanitizer:
        flags += [f"-fsanitize={sanitizer}", "-fno-omit-frame-pointer"]
    sources = [ROOT / f"kernels/cuda/{name}.cu" for name in KERNELS]
    sources += [ROOT / "csrc/bindings/cuda.cpp", ROOT / "tests/native/device_host.cpp"]
    command = [
        "g++", *flags, "-DSPATIALCORE_SIMT_HOST", f"-DSPATIALCORE_CUDA_MODULE={MODULE}",
        *(f"-I{path}" for path in include),
        "-x", "c++", *map(str, sources),
        "-x", "assembler", str(ROOT / "tests/native/simt_switch.S"),
        "-o", str(module),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, text=True)
    return module
