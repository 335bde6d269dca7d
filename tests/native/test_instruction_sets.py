# SPDX-License-Identifier: Apache-2.0
"""Instruction sets that this machine may lack give the bits of those that it has, and the extension
asks for no more than x86-64-v2.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spatialcore import _cpu
from tests.native.instruction_sets import TARGETS, Hashes, build, cannot_run, differences, hashes

ROOT = Path(__file__).resolve().parents[2]
ISA = ROOT / "csrc/cpu/isa"

X86 = "neon" not in _cpu.isas()


def flags_of(name: str) -> set[str]:
    """What a set adds to those before it: "avx2" for -mavx2."""
    cmake = (ROOT / "csrc/cpu/CMakeLists.txt").read_text()
    [flags] = re.findall(rf"set\(SPATIALCORE_{name}_FLAGS (.*?) ?CACHE", cmake, re.DOTALL)
    return set(re.findall(r"-m(?!prefer)(\w+)", flags))


FLAGS = {name: flags_of(name) for name in ("AVX2", "AVX512")}
ALL = {"AVX2": FLAGS["AVX2"], "AVX512": FLAGS["AVX2"] | FLAGS["AVX512"]}

# The first machine with all of x86-64-v2, and nothing more.
OLD = ("qemu-x86_64", "-cpu", "Nehalem")
HERE = """
import numpy as np
from spatialcore import BitMask, _cpu, pairwise_overlap
assert _cpu.isas() == ["baseline"], _cpu.isas()
mask = BitMask.from_bool(np.arange(3 * 70).reshape(3, 70) % 3 == 0)
print(pairwise_overlap(mask).intersection.tolist())
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Hashes:
    if reason := cannot_run("host"):
        pytest.skip(reason)
    return hashes("host", build("host", tmp_path_factory.mktemp("host")))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["simde", "aarch64", "bochs"])
def test_every_set_gives_the_same_bits(host: Hashes, name: str, tmp_path: Path) -> None:
    if reason := cannot_run(name):
        pytest.skip(reason)
    found = hashes(name, build(name, tmp_path / name))
    assert set(found) >= {*TARGETS[name].sets, "all"}
    assert differences(host) == []
    assert differences(found) == []
    assert found["baseline"] == host["baseline"]
    assert found["all"] == host["all"]


@pytest.mark.skipif(shutil.which(OLD[0]) is None, reason="qemu-user is not installed")
@pytest.mark.skipif(not X86, reason="not x86-64")
def test_the_extension_runs_on_x86_64_v2() -> None:
    command = [*OLD, sys.executable, "-c", HERE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[[24")


def test_flags_are_what_the_machine_is_asked_for() -> None:
    """Each `-m` of a set has its question in detect.cpp, and no other."""
    detect = (ISA / "detect.cpp").read_text()
    for name, inherited in (("AVX2", set[str]()), ("AVX512", {"AVX2"})):
        [asked] = re.findall(rf"case Isa::k{name.title()}:(.*?);\n", detect, re.DOTALL)
        assert set(re.findall(r'supports\("(\w+)"\)', asked)) == FLAGS[name]
        assert {s.upper() for s in re.findall(r"machine_has\(Isa::k(\w+)\)", asked)} == inherited


@pytest.mark.slow
@pytest.mark.skipif(bool(cannot_run("host")), reason=cannot_run("host"))
@pytest.mark.skipif(not X86, reason="not x86-64")
def test_a_compiler_without_the_flags_builds_the_rest(tmp_path: Path) -> None:
    """gcc 7 knows neither x86-64-v2 nor the popcount of vectors."""
    old = tmp_path / "old-g++"
    old.write_text(
        "#!/bin/sh\n"
        'case "$*" in *avx512vpopcntdq*|*x86-64-v2*) echo "unrecognized option" >&2; exit 1;;\n'
        'esac\nexec g++ "$@"\n'
    )
    old.chmod(0o755)
    program = build("host", tmp_path / "host", f"-DCMAKE_CXX_COMPILER={old}")
    found = hashes("host", program)
    assert "avx512" not in found
    assert set(found) == {"all", *_cpu.isas()} - {"avx512"}
    assert differences(found) == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
@pytest.mark.skipif(not X86, reason="not x86-64")
@pytest.mark.parametrize("name", ["AVX2", "AVX512"])
def test_no_function_of_a_set_can_stand_in_for_another(name: str, tmp_path: Path) -> None:
    """A shared inline function would be linked once, from any file: it may not exist."""
    sources = sorted(ISA.glob(f"*_{name.lower()}.cpp"))
    assert len(sources) >= 4
    command = ["g++", "-std=c++17", "-O2", "-w", "-march=x86-64-v2", *(f"-m{f}" for f in ALL[name])]
    command += [f"-I{ROOT / 'csrc/include'}", f"-I{ROOT / 'csrc'}", "-c", "-o"]
    for source in sources:
        made = tmp_path / f"{source.stem}.o"
        subprocess.run([*command, str(made), str(source)], check=True)
        listed = subprocess.run(["nm", "-C", str(made)], capture_output=True, text=True, check=True)
        shared = re.findall(r"^\w* +[WVu] (.+)$", listed.stdout, re.MULTILINE)
        strange = [s for s in shared if f"_{name.lower()}" not in s and "DW.ref" not in s]
        assert strange == [], source.name
