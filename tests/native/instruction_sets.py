# SPDX-License-Identifier: Apache-2.0
"""Instruction sets that this machine lacks, emulated: `python -m tests.native.instruction_sets`.

Builds the CPU kernels without Python and runs every operation on random inputs, edges and NaN:

    simde    the AVX-512 loops with SIMDe's functions, which are plain C
    aarch64  baseline and NEON under qemu
    bochs    the machine code of this build on an emulated Ice Lake (tests.native.bare_machine)

Every set of every machine has to give the same hash for the same operation. Exits 1 where one does
not. What it needs: cmake, g++ and, on Debian, `libsimde-dev`, or `g++-aarch64-linux-gnu` and
`qemu-user`, or the packages that `bare_machine` names. Names as arguments choose.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.native.bare_machine import boot, cannot_boot

SOURCE = Path(__file__).with_name("isa")
SIMDE_FOLDERS = ("/usr/include", "/usr/local/include", "/opt/homebrew/include")

Hashes = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Target:
    """One way to build and run the program."""

    name: str
    sets: tuple[str, ...]
    """What it has to run, slowest first."""
    tools: tuple[str, ...]
    runner: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


TARGETS = {
    "host": Target("host", ("baseline",), ("cmake", "g++")),
    "simde": Target("simde", ("baseline", "avx512"), ("cmake", "g++")),
    "aarch64": Target(
        "aarch64",
        ("baseline", "neon"),
        ("cmake", "aarch64-linux-gnu-g++", "qemu-aarch64"),
        ("qemu-aarch64",),
        (
            "-DCMAKE_SYSTEM_NAME=Linux",
            "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
            "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++",
        ),
    ),
    "bochs": Target("bochs", ("baseline", "avx2", "avx512"), ("cmake", "g++")),
}


def simde_folder() -> str:
    """The include folder that has SIMDe, from `SIMDE_INCLUDE` or the usual places; or ""."""
    folders = [os.environ.get("SIMDE_INCLUDE", ""), *SIMDE_FOLDERS]
    return next((f for f in folders if f and Path(f, "simde/x86/avx512.h").exists()), "")


def cannot_run(name: str) -> str:
    """Why a target is impossible on this machine, or ""."""
    missing = [tool for tool in TARGETS[name].tools if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} not installed"
    if name == "bochs":
        return cannot_boot()
    if name != "simde":
        return ""
    if platform.machine() not in ("x86_64", "AMD64"):
        return "the AVX-512 files are compiled on x86-64"
    return "" if simde_folder() else "SIMDe is not installed: set SIMDE_INCLUDE"


def build(name: str, folder: Path, *more: str) -> Path:
    """Configure, with `more` options of cmake, and build the program of a target; its path."""
    options = [*TARGETS[name].options, *more]
    if name == "simde":
        options.append(f"-DSPATIALCORE_SIMDE={simde_folder()}")
    _run("cmake", "-S", str(SOURCE), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release", *options)
    _run("cmake", "--build", str(folder), "--parallel", str(len(os.sched_getaffinity(0))))
    return folder / "isa_bits"


def hashes(name: str, program: Path) -> Hashes:
    """The hash of every operation by instruction set; "all" has the operations without sets."""
    said = boot(program) if name == "bochs" else _run(*TARGETS[name].runner, str(program))
    found: Hashes = {}
    for line in said.splitlines():
        set_name, operation, value = line.split()
        found.setdefault(set_name, {})[operation] = value
    return found


def differences(found: Hashes) -> list[str]:
    """Operations of a set that differ from the baseline's, as "set operation"."""
    baseline = found["baseline"]
    return [
        f"{name} {operation}"
        for name, of_set in found.items()
        if name != "all"
        for operation, value in of_set.items()
        if baseline[operation] != value
    ]


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def main(arguments: list[str]) -> int:
    """Compare the named targets, all by default, with each other."""
    failed, reference = 0, None
    for name in ["host", *(arguments or [one for one in TARGETS if one != "host"])]:
        if reason := cannot_run(name):
            print(f"{name}: skipped, {reason}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = hashes(name, build(name, Path(folder)))
        reference = reference or found
        wrong = differences(found)
        for set_name in ("baseline", "all"):
            values = found[set_name].items()
            wrong += [
                f"{set_name} {op}" for op, value in values if reference[set_name][op] != value
            ]
        lacking = set(TARGETS[name].sets) - set(found)
        count = len(found["baseline"]) + len(found["all"])
        print(f"{name}: {count} operations by {', '.join(s for s in found if s != 'all')}")
        print("\n".join(f"  differs: {one}" for one in wrong) or "  every bit equal")
        failed |= bool(wrong or lacking)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
