# SPDX-License-Identifier: Apache-2.0
"""Rates of this machine that bound the loops, by the instruction set that a loop is compiled for.

`ceilings.cpp` is compiled once for each set with the flags that csrc/cpu/CMakeLists.txt gives it.
A share above 100 % would say that the ceiling is none, so `share` refuses it.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import tempfile
import weakref
from pathlib import Path

from spatialcore import _cpu

_CMAKE = Path(__file__).parents[2] / "csrc" / "cpu" / "CMakeLists.txt"
NAMES = ("overlap_bits", "sqrt_float32", "sqrt_float64", "read_bytes", "copy_bytes")


def flags_of(isa: str) -> list[str]:
    """What the compiler is told for a set of x86-64."""
    if isa == "baseline":
        return ["-march=x86-64-v2"]
    [text] = re.findall(
        rf"set\(SPATIALCORE_{isa.upper()}_FLAGS (.*?) ?CACHE", _CMAKE.read_text(), re.DOTALL
    )
    inherited = flags_of("avx2")[1:] if isa == "avx512" else []
    return ["-march=x86-64-v2", *inherited, *re.findall(r"-m[\w=-]+", text)]


class Ceilings:
    """The best rate seen of every ceiling that was asked for; None without a compiler or x86."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp())
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._compiler = shutil.which("c++")
        self._programs: dict[str, Path] = {}
        self.rates: dict[tuple[str, str], float] = {}
        """(name, instruction set) -> units a second."""

    def rate(self, name: str, isa: str = "") -> float | None:
        """Units a second of one core: bits of pairs, roots or bytes; the best set by default."""
        if self._compiler is None or platform.machine() not in ("x86_64", "AMD64"):
            return None
        key = (name, isa or _cpu.isas()[-1])
        if key not in self.rates:
            self.rates[key] = 0.0
            self.refresh([key])
        return self.rates[key]

    def refresh(self, keys: list[tuple[str, str]] | None = None) -> None:
        """Measure again and keep the better of both, since other work slows some runs."""
        for name, isa in keys or list(self.rates):
            said = subprocess.run(
                [self._program(isa), name], check=True, capture_output=True, text=True
            )
            self.rates[name, isa] = max(self.rates[name, isa], float(said.stdout))

    def _program(self, isa: str) -> Path:
        if isa not in self._programs:
            program = self._folder / isa
            source = Path(__file__).with_name("ceilings.cpp")
            command = [self._compiler, "-std=c++17", "-O2", *flags_of(isa), str(source)]
            subprocess.run([*map(str, command), "-o", program], check=True)
            self._programs[isa] = program
        return self._programs[isa]

    def as_json(self) -> dict[str, float]:
        """The rates under "name, set"."""
        return {f"{name}, {isa}": rate for (name, isa), rate in self.rates.items()}


def share(name: str, rate: float, ceiling: float) -> float:
    """`rate` over its ceiling; exits above 1."""
    if rate > ceiling:
        raise SystemExit(f"{name} runs at {rate / ceiling:.0%} of its ceiling: that is none")
    return rate / ceiling
