# SPDX-License-Identifier: Apache-2.0
"""The C++ of the CPU for machines that are not at hand: `python -m tests.native.cross`.

Compiles every kernel, the renderer and the bindings for another system with the cross compiler of
the package `ziglang` (clang), each file with the flags that csrc/cpu/CMakeLists.txt gives its set:

    linux    AArch64 with NEON, against musl; where qemu is installed, the kernels also run and
             have to give the bits of this machine (tests.native.instruction_sets)
    macos    arm64 with NEON: compiled only
    windows  x86-64 with AVX2 and AVX-512, MinGW: compiled only; bindings against the facts of
             windows_python.h, since Python's own headers are those of this system

Warnings are errors. Exits 1 where a file does not compile. Names as arguments choose.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CPU = ROOT / "csrc/cpu"
HERE = Path(__file__).parent
FLAGS = ("-std=c++17", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Wextra", "-Werror")
EMULATORS = ("qemu-aarch64", "qemu-aarch64-static")
PROGRAM = ("isa_bits", "occlusion_bits", "set_bits", "portable_bits")


@dataclass(frozen=True)
class Target:
    """One system and processor."""

    triple: str
    sets: tuple[str, ...]
    """Instruction sets above the baseline, as csrc/cpu/CMakeLists.txt names them."""
    baseline: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    """More options of the bindings."""


TARGETS = {
    "linux": Target("aarch64-linux-musl", ("NEON",)),
    "macos": Target("aarch64-macos", ("NEON",)),
    "windows": Target(
        "x86_64-windows-gnu",
        ("AVX2", "AVX512"),
        ("-march=x86_64_v2",),
        ("-include", str(HERE / "windows_python.h")),
    ),
}
ALL_SETS = ("AVX2", "AVX512", "NEON")


def compiler() -> list[str]:
    """The command that starts the cross compiler; [] where it is not installed."""
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "c++"]
    zig = shutil.which("zig")
    return [zig, "c++"] if zig else []


def cannot_compile() -> str:
    """Why nothing can be compiled here, or ""."""
    missing = [] if importlib.util.find_spec("pybind11") else ["pybind11"]
    missing += [] if compiler() else ["ziglang"]
    return f"{', '.join(missing)} not installed: pip install {' '.join(missing)}" if missing else ""


def flags_of(name: str) -> list[str]:
    """Options of an instruction set as csrc/cpu/CMakeLists.txt has them."""
    text = (CPU / "CMakeLists.txt").read_text()
    [found] = re.findall(rf"set\(SPATIALCORE_{name}_FLAGS (.*?)\s*CACHE", text, re.DOTALL)
    flags: list[str] = []
    for word in found.replace('""', "").split():
        inherited = re.fullmatch(r"\$\{SPATIALCORE_(\w+)_FLAGS\}", word)
        flags += flags_of(inherited[1]) if inherited else [word]
    return flags


def kernels(target: Target) -> dict[Path, list[str]]:
    """Options of every file of the CPU kernels and the renderer that the target builds."""
    define = [f"-DSPATIALCORE_{name}" for name in target.sets]
    jobs = {}
    for source in sorted(
        [*CPU.glob("*.cpp"), *CPU.glob("isa/*.cpp"), *CPU.glob("../render/*.cpp")]
    ):
        [own] = [s for s in ALL_SETS if source.stem.endswith(f"_{s.lower()}")] or [""]
        if own and own not in target.sets:
            continue
        options = flags_of(own) if own else []
        jobs[source.resolve()] = ["-O2", "-Wno-psabi", *target.baseline, *define, *options]
    return jobs


def bindings(target: Target) -> dict[Path, list[str]]:
    """Options of every file of the bindings; those of CUDA need its toolkit's build."""
    import pybind11

    include = [pybind11.get_include(), sysconfig.get_path("include")]
    system = [word for folder in include for word in ("-isystem", folder)]
    options = ["-O0", *system, *target.python, '-DSPATIALCORE_VERSION="0"']
    sources = sorted((ROOT / "csrc/bindings").glob("*.cpp"))
    return {source: options for source in sources if source.name != "cuda.cpp"}


def compile_all(target: Target, jobs: dict[Path, list[str]], folder: Path) -> list[str]:
    """What the compiler says of each file that fails; objects go to `folder` as NAME.o."""
    folder.mkdir(parents=True, exist_ok=True)
    base = [*compiler(), "-target", target.triple, *FLAGS]
    base += [f"-I{ROOT / 'csrc/include'}", f"-I{ROOT / 'csrc'}", "-c"]

    def one(job: tuple[Path, list[str]]) -> str:
        source, options = job
        made = folder / f"{source.stem}.o"
        command = [*base, *options, str(source), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        failed = done.returncode or not made.exists()
        return f"{source.relative_to(ROOT)}: {done.stdout}{done.stderr}" if failed else ""

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return [said for said in pool.map(one, jobs.items()) if said]


def emulator() -> str:
    """What runs a program of `linux` here, or ""."""
    return next((path for name in EMULATORS if (path := shutil.which(name))), "")


def run(target: Target, kernel_objects: Path, folder: Path) -> str:
    """Links the program of tests/native/isa with compiled kernels; what it prints under qemu."""
    jobs = {HERE / f"isa/{name}.cpp": ["-O2"] for name in PROGRAM}
    if failed := compile_all(target, jobs, folder):
        raise RuntimeError("\n".join(failed))
    program = folder / "isa_bits"
    objects = [str(path) for path in [*kernel_objects.glob("*.o"), *folder.glob("*.o")]]
    link = [*compiler(), "-target", target.triple, "-static", *objects, "-o", str(program)]
    said = ""
    for command in (link, [emulator(), str(program)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}")
        said = done.stdout
    return said


def differences(said: str, here: str) -> list[str]:
    """Operations of another machine whose hash is not that of this machine's baseline."""
    expected = {}
    for line in here.splitlines():
        name, operation, value = line.split()
        if name in ("all", "baseline"):
            expected[operation] = value
    found = [line.split() for line in said.splitlines()]
    return [f"{name} {op}" for name, op, value in found if expected.get(op) != value]


def compare(objects: Path, folder: Path) -> list[str]:
    """Runs `linux` beside a build of this machine; what differs."""
    from tests.native import instruction_sets

    program = instruction_sets.build("host", folder / "host")
    done = subprocess.run([str(program)], capture_output=True, text=True, check=True)
    said = run(TARGETS["linux"], objects, folder / "program")
    print(f"  {len(said.splitlines())} hashes under {Path(emulator()).name}")
    return differences(said, done.stdout)


def main(names: list[str]) -> int:
    """Compile for the named targets, all by default."""
    if reason := cannot_compile():
        print(reason)
        return 1
    wrong: list[str] = []
    for name in names or TARGETS:
        target = TARGETS[name]
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            for part, jobs in (("kernels", kernels(target)), ("bindings", bindings(target))):
                failed = compile_all(target, jobs, folder / part)
                print(f"{name}: {len(jobs) - len(failed)} of {len(jobs)} {part} compiled")
                print("".join(failed), end="")
                wrong += failed
            if name != "linux" or wrong:
                continue
            if not emulator():
                print(f"  compiled only: no {EMULATORS[0]} on this machine")
                continue
            differ = compare(folder / "kernels", folder)
            print("\n".join(f"  differs: {one}" for one in differ) or "  every bit equal")
            wrong += differ
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
