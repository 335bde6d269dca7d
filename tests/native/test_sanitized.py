# SPDX-License-Identifier: Apache-2.0
"""The CUDA kernels on the host under AddressSanitizer and ThreadSanitizer: what compute-sanitizer's
memcheck and racecheck look for, without a GPU. Planted mistakes show that they would be reported.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.native.build import build_sanitized, cannot_build

pytestmark = [
    pytest.mark.slow,  # `make sanitize` runs it too
    pytest.mark.skipif(bool(cannot_build()), reason=cannot_build()),
]


class Program:
    """tests/native/sanitized.cpp, built for one sanitizer."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, what: str) -> tuple[int, str]:
        # setarch -R: ThreadSanitizer of gcc 12 refuses some layouts of randomised addresses.
        done = subprocess.run(
            ["setarch", "-R", str(self._path), what],
            env={"ASAN_OPTIONS": "detect_leaks=0", "TSAN_OPTIONS": "exitcode=66"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr


def built(folder: Path, sanitizer: str) -> Program:
    try:
        return Program(build_sanitized(folder, sanitizer))
    except RuntimeError as error:
        if f"lib{sanitizer[0]}san" in str(error):
            pytest.skip(f"g++ has no -fsanitize={sanitizer} here")
        raise


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return built(tmp_path_factory.mktemp("asan"), "address")


@pytest.fixture(scope="module")
def thread(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return built(tmp_path_factory.mktemp("tsan"), "thread")


@pytest.mark.parametrize("what", ["kernels", "reverse"])
def test_address_sanitizer_finds_nothing(address: Program, what: str) -> None:
    assert address(what) == (0, "finished\n")


@pytest.mark.parametrize("what", ["kernels", "reverse"])
def test_thread_sanitizer_finds_nothing(thread: Program, what: str) -> None:
    assert thread(what) == (0, "finished\n")


@pytest.mark.parametrize(
    ("what", "kind"),
    [("shared-overrun", "global-buffer-overflow"), ("global-overrun", "heap-buffer-overflow")],
)
def test_address_sanitizer_reports_a_planted_overrun(
    address: Program, what: str, kind: str
) -> None:
    code, said = address(what)
    assert code != 0
    assert kind in said
    assert "reverse_kernel" in said


def test_thread_sanitizer_reports_a_planted_race(thread: Program) -> None:
    code, said = thread("missing-barrier")
    assert code == 66
    assert "data race" in said
    assert "reverse_kernel" in said
