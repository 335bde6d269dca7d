# SPDX-License-Identifier: Apache-2.0
"""What the compiler makes of the tiles whose speed hangs on it: operands stay in registers."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.native.test_instruction_sets import ALL, ROOT, X86

TOOLS = [tool for tool in ("g++", "objdump", "c++filt") if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.slow,  # a guard of one compiler's code
    pytest.mark.skipif(bool(TOOLS), reason=f"{', '.join(TOOLS)} not installed"),
    pytest.mark.skipif(not X86, reason="not x86-64"),
]


def loops_of(operation: str, name: str, folder: Path) -> list[list[str]]:
    """The instructions of every innermost loop of a file, as the build compiles it."""
    made = folder / f"{operation}.o"
    source = ROOT / f"csrc/cpu/isa/{operation}_{name.lower()}.cpp"
    flags = ["-std=c++17", "-O3", "-fPIC", "-w", "-ffp-contract=off", "-fno-math-errno"]
    flags += ["-march=x86-64-v2", *(f"-m{flag}" for flag in ALL[name])]
    flags += [f"-I{ROOT / 'csrc/include'}", f"-I{ROOT / 'csrc'}"]
    subprocess.run(["g++", *flags, "-c", str(source), "-o", str(made)], check=True)
    command = ["objdump", "-d", "--no-show-raw-insn", str(made)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    code = re.findall(r"^ +([0-9a-f]+):\t(.*)$", listed, re.MULTILINE)
    line_of = {address: line for line, (address, _) in enumerate(code)}
    jumps = [(line, re.match(r"j\w+ +([0-9a-f]+)", text)) for line, (_, text) in enumerate(code)]
    spans = [(line_of[j[1]], line) for line, j in jumps if j and line_of.get(j[1], line) < line]
    inner = [s for s in spans if not any(s != o and s[0] <= o[0] and o[1] <= s[1] for o in spans)]
    return [[text for _, text in code[first : last + 1]] for first, last in inner]


def count(loop: list[str], pattern: str) -> int:
    return sum(bool(re.search(pattern, text)) for text in loop)


def test_avx512_overlap_reads_each_row_once(tmp_path: Path) -> None:
    tiles = [loop for loop in loops_of("overlap", "AVX512", tmp_path) if count(loop, "vpopcntq")]
    assert len(tiles) == 2  # dense and sparse
    for tile in tiles:
        assert [count(tile, f"^{op}") for op in ("vpand", "vpopcntq", "vpaddq")] == [16, 16, 16]
        assert count(tile, r"\(.*zmm|zmm.*\(") == 8
        assert count(tile, r"%r[sb]p.*mm|mm.*%r[sb]p") == 0


def test_avx2_overlap_keeps_its_sums(tmp_path: Path) -> None:
    loops = loops_of("overlap", "AVX2", tmp_path)
    steps = [loop for loop in loops if count(loop, "^vpshufb") == 12]
    assert len(steps) == 1
    assert count(steps[0], "^vpaddb") == 12
    assert count(steps[0], r"\(%r[sb]p") == 0


@pytest.mark.parametrize("name", ["AVX2", "AVX512"])
def test_float64_distances_keep_their_sums(name: str, tmp_path: Path) -> None:
    wide = "ymm" if name == "AVX2" else "zmm"
    loops = loops_of("rigidity", name, tmp_path)
    steps = [loop for loop in loops if count(loop, f"^vsqrtpd.*{wide}")]
    sums = [loop for loop in steps if count(loop, "^vcmpgt")]
    assert len(sums) == 1
    assert count(sums[0], f"^vsqrtpd.*{wide}") == 4
    assert count(sums[0], r"\(%r[sb]p") == 0


def test_avx512_occlusion_stores_no_register_away(tmp_path: Path) -> None:
    loops = loops_of("occlusion", "AVX512", tmp_path)
    steps = [loop for loop in loops if count(loop, "^vrndscaleps.*zmm")]
    assert len(steps) >= 3
    for step in steps:  # what it packs is indexed; a spill is not
        assert count(step, r"^vmov\w+ %[xyz]mm\d+,-?(0x\w+)?\(%r[sb]p\)") == 0
    assert not any(count(loop, "gather") for loop in loops)
