# SPDX-License-Identifier: Apache-2.0
"""Questions from phone captures: turned pictures change nothing, and every layout verifies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spatial_engine.commands import generate, verify
from spatial_engine.dataset.dataset import OpenedRecord, open_records
from spatialcore.io.upright import turned_camera, turned_map
from tests.phones import (
    arkit_annotation,
    arkitscenes_video,
    dslr,
    held,
    polycam,
    record3d,
    scannetpp,
    stray,
)
from tests.rays import Shot, pinhole, walk

CAMERA = pinhole(160, 120)


def _asked(source: Path, out: Path, limit: int) -> list[OpenedRecord]:
    command = [str(source), "-o", str(out), "--limit", str(limit), "--workers", "1"]
    assert generate.main(command) == 0
    assert verify.main([str(out), "--all"]) == 0
    return list(open_records(out))


def test_a_sideways_capture_is_asked_what_an_upright_one_is(tmp_path: Path) -> None:
    """The same pictures, once as the sensor lay and once turned on disk."""
    side = held(12, 90, CAMERA)
    upright = [
        Shot(*(turned_map(m, 90) for m in s[:3]), pose, turned_camera(CAMERA, 90))
        for s, pose in zip(side, walk(12), strict=True)
    ]
    found = []
    for name, shots in (("side", side), ("upright", upright)):
        folder = arkitscenes_video(tmp_path / name / "4001", shots)
        shutil.rmtree(folder / "confidence")  # which marks one corner, as it is stored
        arkit_annotation(folder)
        found.append(_asked(tmp_path / name, tmp_path / f"{name}_out", 300))
    assert len(found[0]) == len(found[1]) > 100
    for one, other in zip(*found, strict=True):
        a, b = one.record, other.record
        assert (a.id, a.question, a.answer, a.frames) == (b.id, b.question, b.answer, b.frames)
        for first, second in zip(a.images, b.images, strict=True):
            assert first.uri == f"{second.uri}#rotate=90"
            assert (first.marks, first.width) == (second.marks, second.width)
    turned, plain = found[0][0].images(), found[1][0].images()
    for first, second in zip(turned, plain, strict=True):
        np.testing.assert_array_equal(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize(
    ("write", "needs"),
    [
        (polycam, "numpy"),
        (stray, "av"),
        (record3d, "liblzfse"),
        (scannetpp, "lz4"),
        (dslr, "scipy"),
    ],
)
def test_every_layout_is_asked_and_verified(
    tmp_path: Path, write: Callable[[Path, list[Shot]], Path], needs: str
) -> None:
    pytest.importorskip(needs)
    if write is scannetpp:
        pytest.importorskip("av")
    write(tmp_path / "in/cap", held(10, 0 if write is dslr else 90, CAMERA))
    records = _asked(tmp_path / "in", tmp_path / "out", 60)
    assert len(records) > 20
    assert {picture.size for picture in records[0].images()} == {
        (160, 120) if write is dslr else (120, 160)
    }
