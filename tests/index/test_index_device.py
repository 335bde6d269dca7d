# SPDX-License-Identifier: Apache-2.0
"""`index --device cuda`: the same files, the pipeline's order, and what is said without a GPU.

The kernels run on the host (tests/native); torch tensors on the CPU stand for those on a GPU.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import spatialcore
from spatialcore import BackendUnavailable, _libraries
from spatialcore.commands import index as command
from spatialcore.index import make as pool
from spatialcore.index import visibility
from spatialcore.index.index import IndexConfig, build_index
from spatialcore.index.rules import load_rules
from tests.index.scenes import MemorySource, room_scene
from tests.native.host import Done, HostTorch, torch_as_gpu


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def mixed_depth(scene: Any) -> Any:
    """Maps of two dtypes, so that a batch is two copies and its rows come out of order."""
    read = scene.read_depth

    def read_depth(frame: Any) -> Any:
        depth = read(frame)
        return depth.astype(np.float32) if frame.index % 2 else depth

    return dataclasses.replace(scene, read_depth=read_depth, depth_scale=scene.depth_scale)


@pytest.mark.parametrize("change", [lambda s: s, mixed_depth], ids=["one dtype", "two dtypes"])
@pytest.mark.parametrize(("recipe", "mesh"), [("default", True), ("multispa-paper", False)])
def test_the_index_of_a_device_is_the_index_of_the_cpu(
    kernels_on_host: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recipe: str,
    mesh: bool,
    change: Callable[[Any], Any],
) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.setattr(visibility, "_DEVICE_BATCH", 3)
    monkeypatch.setattr(visibility, "_IN_FLIGHT", 1)
    monkeypatch.setattr(pool, "open_device", lambda name: HostTorch())
    scene = change(room_scene(mesh=mesh))
    config = IndexConfig(load_rules(recipe))
    build_index([MemorySource({scene.id: scene})], tmp_path / "cpu", config)
    waited = Done.waited
    with torch_as_gpu(kernels_on_host):
        report = build_index(
            [MemorySource({scene.id: scene})], tmp_path / "gpu", config, device="cuda"
        )
    assert Done.waited > waited, "copies in flight are bounded"
    assert report.built == (("rooms", scene.id),)
    made, expected = files(tmp_path / "gpu"), files(tmp_path / "cpu")
    assert made == expected
    assert len(np.load(tmp_path / "gpu/rooms" / scene.id / "visible.npy")) == 4


def test_a_missing_device_is_said_before_anything_is_written(tmp_path: Path) -> None:
    source = MemorySource({"room0_00": room_scene()})
    with pytest.raises(BackendUnavailable, match="cuda"):
        build_index([source], tmp_path / "index", device="cuda:63")
    for name in ("gpu", "cuda:", "cuda:x", "cuda0", ""):
        with pytest.raises(ValueError, match="device must be 'cpu', 'cuda' or 'cuda:N'"):
            build_index([source], tmp_path / "index", device=name)
    assert not (tmp_path / "index").exists()


def test_the_command_ends_with_one_and_the_reason(
    tmp_path: Path, sample_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "index"
    arguments = [str(sample_dir / "scannet"), "-o", str(out), "--device", "cuda:63"]
    assert command.main(arguments) == 1
    assert "backend 'cuda' is not available" in capsys.readouterr().err
    assert command.main([*arguments[:-1], "gpu"]) == 2
    assert "device must be" in capsys.readouterr().err
    assert not out.exists()


class Extension(ModuleType):
    """`spatialcore._cuda_ext` of a machine with two devices, or with a reason to have none."""

    def __init__(self, reason: str) -> None:
        super().__init__("spatialcore._cuda_ext")
        self.unavailable_reason = lambda: reason
        self.devices = lambda: [{}, {}]


def library(cuda_available: bool) -> ModuleType:
    module = ModuleType("library")
    module.cuda = ModuleType("cuda")  # type: ignore[attr-defined]
    module.cuda.is_available = lambda: cuda_available  # type: ignore[attr-defined]
    module.device = lambda name: name  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(
    ("name", "reason", "torch", "cupy", "expected"),
    [
        ("cuda:1", "", True, True, "Torch"),
        ("cuda", "", False, True, "Cupy"),
        ("cuda", "", None, True, "Cupy"),
        ("cuda", "", False, None, "neither torch nor cupy"),
        ("cuda:2", "", True, True, "there is no device 2; this machine has 2"),
        ("cuda", "cudaErrorInsufficientDriver", True, True, "cudaErrorInsufficientDriver"),
    ],
)
def test_a_device_is_opened_by_the_library_that_can(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    reason: str,
    torch: bool | None,
    cupy: bool | None,
    expected: str,
) -> None:
    modules = {
        "spatialcore._cuda_ext": Extension(reason),
        "torch": None if torch is None else library(torch),
        "cupy": None if cupy is None else library(cupy),
    }
    monkeypatch.setattr(_libraries, "find_spec", modules.get)
    for key, module in modules.items():
        monkeypatch.setitem(sys.modules, key, module)
    monkeypatch.setattr(spatialcore, "_cuda_ext", modules["spatialcore._cuda_ext"], raising=False)
    if expected in ("Torch", "Cupy"):
        assert type(_libraries.open_device(name)).__name__ == expected
    else:
        with pytest.raises(BackendUnavailable, match=expected):
            _libraries.open_device(name)


def test_the_report_of_the_command_does_not_name_the_device(
    tmp_path: Path, sample_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What made an index is no part of it: it may be resumed on another device."""
    arguments = [str(sample_dir / "tapvid3d"), "-o", str(tmp_path / "index"), "--json"]
    assert command.main([*arguments, "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["built"] > 0
    assert "cpu" not in (tmp_path / "index/index.json").read_text()
