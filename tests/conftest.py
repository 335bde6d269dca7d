# SPDX-License-Identifier: Apache-2.0
"""Fixtures that every test may use."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.seeds  # noqa: F401 - sets the seed of the run before its processes start

# A fault of ours is a traceback here, not a sentence: no test may take it for a proper refusal.
os.environ["SPATIALCORE_TRACEBACK"] = "1"

# Under nohup the children would ignore it, too, and what is sent to them would never arrive.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

ROOT = Path(__file__).resolve().parent.parent


# Files of minutes, longest first: one that began last would run alone on one of two processors.
_LONG = (
    "test_ray", "test_distributed", "test_chaos", "test_stress", "test_dying_workers", "test_pages",
    "test_full_disks", "test_hostile_corpus", "test_determinism", "test_hidden_objects",
    "test_budgets", "test_limit", "test_one_scene_many_forms", "test_triton", "test_real_scenes",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, the others in the order they were found in."""
    first = {name: place for place, name in enumerate(_LONG)}
    items.sort(key=lambda item: first.get(item.path.stem, len(first)))


@pytest.fixture(scope="session", autouse=True)
def _one_process_unless_asked() -> Iterator[None]:
    """A verb without --workers works in this process: two more take longer to start than to work.

    What runs in processes says so (`--workers 2`), or is a command of its own.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spatialcore.workers.available_processors", lambda: 1)
        yield


@pytest.fixture(scope="session")
def real_path() -> Path:
    """Folder of captured scenes and tracks; skips, or fails where `make test-real` asks for it."""
    path = Path(os.environ.get("SPATIALCORE_REAL_DATA", ROOT / "../shared/data")).resolve()
    if not path.is_dir():
        message = "captured scenes are absent: set SPATIALCORE_REAL_DATA"
        if os.environ.get("SPATIALCORE_REQUIRE_REAL"):
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="session")
def sample_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small complete sample set: 2 rooms of 60 frames and 2 clips in all three layouts."""
    from spatialcore.sample import SampleConfig, make_sample

    root = tmp_path_factory.mktemp("sample") / "set"
    for _ in make_sample(
        root, SampleConfig(rooms=2, clips=2, frames=60, clip_frames=24, tracks=96)
    ):
        pass
    return root


@pytest.fixture(scope="session")
def kernels_on_host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CUDA kernels and their bindings, built for the host (tests/native)."""
    from tests.native.build import build, cannot_build

    if cannot_build():
        pytest.skip(cannot_build())
    return build(tmp_path_factory.mktemp("simt"))
