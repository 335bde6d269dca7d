# SPDX-License-Identifier: Apache-2.0
"""`spatialcore doctor`: the kernels tested, and why a backend cannot run."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import spatialcore
from spatialcore import _cpu, _dispatch, _libraries
from spatialcore.commands import doctor, doctor_checks
from tests.native.host import HostTorch, torch_as_gpu


def test_every_kernel_is_tested_on_every_instruction_set(capsys: pytest.CaptureFixture[str]):
    assert doctor.main(["--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"]
    tested = {(c["operation"], c["place"]) for c in report["checks"]}
    assert {place for _, place in tested} >= set(_cpu.isas())
    assert len({operation for operation, _ in tested}) == 6
    assert doctor.main(["--isa", "vax"]) == 2


def test_a_wrong_kernel_is_named_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    operations = doctor_checks._operations()
    wrong = dict(operations, overlap=lambda b: operations["overlap"](b) + (b == "cpu"))
    monkeypatch.setattr(doctor_checks, "_operations", lambda *_: wrong)
    assert doctor.main(["--isa", "baseline"]) == 1
    [line] = [text for text in capsys.readouterr().out.splitlines() if "overlap" in text]
    assert "NO" in line


def test_the_kernels_of_a_device_are_tested_too(
    kernels_on_host: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip("torch", reason="torch is not installed")
    without_triton = _dispatch.unavailable_reason
    monkeypatch.setattr(
        _dispatch, "unavailable_reason", lambda o, f, b: b == "triton" or without_triton(o, f, b)
    )
    monkeypatch.setattr(_libraries, "open_device", lambda name: HostTorch())
    with torch_as_gpu(kernels_on_host):
        checks = list(doctor_checks.run_device_checks())
    assert [c.place for c in checks] == ["cuda"] * 5
    assert all(c.passed for c in checks)
    words = np.array([[1 << 63]], np.uint64)
    assert doctor_checks._same(words.view(np.int64), words)


class Extension(ModuleType):
    def __init__(self) -> None:
        super().__init__("spatialcore._cuda_ext")
        self.unavailable_reason = lambda: "no NVIDIA driver"
        self.runtime_version = lambda: 13020
        self.devices = list


@pytest.mark.parametrize(("extension", "line"), [
    (Extension(), "built with runtime 13.2; cannot run: no NVIDIA driver"),
    (None, "the extension cannot be loaded"),
])  # fmt: skip
def test_a_build_that_cannot_run_says_why(
    extension: Any, line: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(doctor, "cuda_is_built", lambda: True)
    monkeypatch.setitem(__import__("sys").modules, "spatialcore._cuda_ext", extension)
    if extension is None:
        monkeypatch.delattr(spatialcore, "_cuda_ext", raising=False)
    else:
        monkeypatch.setattr(spatialcore, "_cuda_ext", extension, raising=False)
    state = doctor.cuda_state()
    assert not state["available"]
    assert line in doctor._device_line(state)


def test_a_build_without_cuda_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "cuda_is_built", lambda: False)
    assert doctor._device_line(doctor.cuda_state()) == "built without CUDA"
