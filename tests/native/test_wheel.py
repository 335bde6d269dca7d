# SPDX-License-Identifier: Apache-2.0
"""A wheel with the CUDA kernels, on a machine that shows no GPU: it imports and says why not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NVCC = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NVCC is None, reason="nvcc is not installed"),
]

# The wheel's files come before the installation that runs the tests.
USE = """
import json, sys
sys.meta_path[:] = [f for f in sys.meta_path if "Editable" not in type(f).__name__
                    and "ScikitBuild" not in type(f).__name__]
sys.path.insert(0, sys.argv[1])
import spatialcore
from spatialcore import _cuda_ext, _libraries
from spatialcore.commands import doctor, index
assert spatialcore.__file__.startswith(sys.argv[1]), spatialcore.__file__
try:
    _libraries.open_device("cuda")
except spatialcore.BackendUnavailable as error:
    refused = error.reason
state = doctor.cuda_state()
code = index.main([sys.argv[2], "-o", sys.argv[3], "--device", "cuda"])
print(json.dumps({"reason": _cuda_ext.unavailable_reason(), "refused": refused,
                  "devices": _cuda_ext.devices(), "line": doctor._device_line(state),
                  "state": state, "code": code}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a wheel built with CUDA for every target."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index",
        "-w", str(folder), "-C", f"build-dir={folder / 'build'}", ".",
    ]  # fmt: skip
    environment = os.environ | {"SPATIALCORE_CUDA": "ON"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [made] = folder.glob("*.whl")
    with zipfile.ZipFile(made) as archive:
        archive.extractall(folder / "files")
    return folder / "files"


def test_it_imports_and_says_why_it_cannot_run(
    wheel: Path, tmp_path: Path, sample_dir: Path
) -> None:
    scenes, out = sample_dir / "scannet", tmp_path / "index"
    done = subprocess.run(
        [sys.executable, "-c", USE, str(wheel), str(scenes), str(out)],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["reason"] == said["refused"] != ""
    assert said["devices"] == []
    assert said["state"]["built"]
    assert not said["state"]["available"]
    assert said["line"].startswith("built with runtime ")
    assert "cannot run: " + said["reason"] in said["line"]
    assert said["code"] == 1
    assert "backend 'cuda' is not available: " + said["reason"] in done.stderr
    assert not out.exists()


def test_it_holds_every_compiled_module(wheel: Path) -> None:
    made = {path.name.partition(".")[0] for path in (wheel / "spatialcore").glob("*.so")}
    assert made == {"_cpu", "_render", "_cuda_ext"}


def test_it_links_to_no_driver_and_no_library_of_arrays(wheel: Path) -> None:
    [extension] = (wheel / "spatialcore").glob("_cuda_ext*.so")
    done = subprocess.run(["ldd", str(extension)], capture_output=True, text=True, check=True)
    assert not [name for name in ("libcuda", "torch", "cupy", "nvrtc") if name in done.stdout]


def test_it_holds_code_for_three_targets(wheel: Path) -> None:
    tool = shutil.which("cuobjdump") or shutil.which(str(Path(str(NVCC)).with_name("cuobjdump")))
    if tool is None:
        triton = pytest.importorskip("triton", reason="cuobjdump is not installed")
        tool = str(Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump")
    [extension] = (wheel / "spatialcore").glob("_cuda_ext*.so")
    run = [tool, "--list-elf", "--list-ptx", str(extension)]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert all(f"sm_{arch}" in done.stdout for arch in (80, 90, 100))
    assert ".ptx" in done.stdout
