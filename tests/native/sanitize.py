# SPDX-License-Identifier: Apache-2.0
"""The CPU kernels under sanitizers: `python -m tests.native.sanitize [address thread]`.

Builds `csrc/cpu` with AddressSanitizer and UndefinedBehaviorSanitizer, or with ThreadSanitizer,
links it with ordinary bindings, and runs the tests of the operations on it in place of the
installed extension. Exits 1 where a test fails or a sanitizer reports anything.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pybind11

ROOT = Path(__file__).resolve().parents[2]
MODULE_VARIABLE = "SPATIALCORE_TEST_CPU_MODULE"
SANITIZERS = {"address": "address,undefined", "thread": "thread"}
TESTS = tuple(
    f"tests/{name}.py"
    for name in (
        *(
            "ops/test_occlusion",
            "ops/test_depth_streams",
            "ops/test_pixel_maps",
            "ops/test_overlap",
        ),
        *("ops/test_coverage", "ops/test_projection", "index/test_askable", "index/test_cloud"),
        *("ops/test_morton", "ops/test_rigidity", "ops/test_bitmask"),
        *("io/test_inflate", "io/test_depth_png"),
    )
)
# A plugin, so that the module is in place before any test imports the package.
PLUGIN = "tests.native.sanitized_cpu"


def build_module(folder: Path, sanitizer: str) -> Path:
    """Configure and build the extension with a sanitizer; its path."""
    configure = [
        *("cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja"),
        *("-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1"),
        *("-DSKBUILD_PROJECT_NAME=spatialcore", "-DSKBUILD_PROJECT_VERSION=0.0.0"),
        *("-DSPATIALCORE_CUDA=OFF", f"-DSPATIALCORE_SANITIZE={SANITIZERS[sanitizer]}"),
        *(f"-Dpybind11_DIR={pybind11.get_cmake_dir()}", f"-DPython_EXECUTABLE={sys.executable}"),
    ]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", str(folder), "--target", "_cpu"], check=True)
    return folder / f"_cpu{sysconfig.get_config_var('EXT_SUFFIX')}"


def run_tests(module: Path, sanitizer: str, tests: list[str]) -> int:
    """Run the tests on `module`; 0 when all pass and the sanitizer was silent.

    Reports go to files: pytest would swallow what a passing test writes.
    """
    log = module.parent / "report"
    for old in module.parent.glob("report.*"):
        old.unlink()
    common = f"log_path={log}:exitcode=66"
    environment = os.environ | {
        MODULE_VARIABLE: str(module),
        # The sanitizer comes first, and the C++ library early enough for it to see exceptions.
        "LD_PRELOAD": " ".join(map(_library, (f"lib{sanitizer[0]}san.so", "libstdc++.so"))),
        "ASAN_OPTIONS": f"{common}:detect_leaks=0",
        "UBSAN_OPTIONS": f"{common}:print_stacktrace=1",
        # A test forks after threads ran, which the pool allows.
        "TSAN_OPTIONS": f"{common}:die_after_fork=0",
        # The threads of other libraries meet at barriers that the sanitizer does not know.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    pytest = [sys.executable, "-m", "pytest", "-q", "-x", "-p", PLUGIN, "-p", "no:cacheprovider"]
    # setarch -R: ThreadSanitizer of gcc 12 refuses some layouts of randomised addresses.
    command = ["setarch", "-R", *pytest, "-m", "not slow", *tests]
    code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    reports = sorted(module.parent.glob("report.*"))
    for report in reports:
        sys.stderr.write(report.read_text(errors="replace")[:20_000])
    return 1 if code or reports else 0


def _library(name: str) -> str:
    command = ["g++", f"-print-file-name={name}"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return found.stdout.strip()


def main(arguments: list[str]) -> int:
    """Build and test with each named sanitizer, both by default; arguments with `/` are tests."""
    tests = [a for a in arguments if "/" in a] or list(TESTS)
    chosen = [a for a in arguments if "/" not in a] or list(SANITIZERS)
    failed = 0
    for sanitizer in chosen:
        module = build_module(ROOT / f"build/sanitize-{sanitizer}", sanitizer)
        failed |= run_tests(module, sanitizer, tests)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
