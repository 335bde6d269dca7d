# SPDX-License-Identifier: Apache-2.0
"""The C++ of the CPU for AArch64, macOS and Windows, by a cross compiler that is a package."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.native import cross, instruction_sets


@pytest.mark.parametrize("name", cross.TARGETS)
def test_every_file_of_the_cpu_has_a_target(name: str) -> None:
    """Nothing is left out but the loops of another processor, each under its own set's flags."""
    jobs = cross.kernels(cross.TARGETS[name])
    there = {*cross.CPU.rglob("*.cpp"), *(cross.ROOT / "csrc/render").glob("*.cpp")}
    foreign = ("_neon",) if name == "windows" else ("_avx2", "_avx512")
    assert set(jobs) == {path for path in there if not path.stem.endswith(foreign)}
    wide = [path for path, options in jobs.items() if "-mavx512f" in options]
    assert {path.stem for path in wide} == {p.stem for p in jobs if p.stem.endswith("_avx512")}
    assert all("-mavx2" in jobs[path] for path in wide)


def test_a_hash_that_is_not_this_machines_is_named() -> None:
    here = "baseline overlap 1a\navx2 overlap 1a\nall decode 2b\n"
    there = "baseline overlap 1a\nneon overlap 1b\nall decode 2b\nall cloud 3c\n"
    assert cross.differences(there, here) == ["neon overlap", "all cloud"]


@pytest.mark.slow
@pytest.mark.skipif(bool(cross.cannot_compile()), reason=cross.cannot_compile())
@pytest.mark.parametrize("name", cross.TARGETS)
def test_everything_compiles(name: str, tmp_path: Path) -> None:
    target = cross.TARGETS[name]
    assert cross.compile_all(target, cross.kernels(target), tmp_path / "kernels") == []
    assert cross.compile_all(target, cross.bindings(target), tmp_path / "bindings") == []


@pytest.mark.slow
@pytest.mark.skipif(bool(cross.cannot_compile()), reason=cross.cannot_compile())
@pytest.mark.skipif(not cross.emulator(), reason="qemu-user is not installed")
def test_aarch64_gives_the_bits_of_this_machine(tmp_path: Path) -> None:
    if reason := instruction_sets.cannot_run("host"):
        pytest.skip(reason)
    target = cross.TARGETS["linux"]
    assert cross.compile_all(target, cross.kernels(target), tmp_path / "kernels") == []
    assert cross.compare(tmp_path / "kernels", tmp_path) == []
