# SPDX-License-Identifier: Apache-2.0
"""Record3D: an archive of pictures and LZFSE streams, K by columns, poses of ARKit's camera."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.images import open_image
from spatialcore.io.lzfse import decode_lzfse, lzfse_length
from spatialcore.io.open import open_source
from spatialcore.io.survey import survey
from spatialcore.types import Scene
from tests.phones import ARKIT_FROM_ROOM, SENSOR, held, put, record3d
from tests.rays import shoot, walk

liblzfse = pytest.importorskip("liblzfse")


def _open(path: Path) -> Scene:
    opened = pickle.loads(pickle.dumps(open_source(path))).open("cap")
    assert isinstance(opened, Scene)
    return opened


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("newer", [True, False])
def test_recording(tmp_path: Path, packed: bool, newer: bool) -> None:
    place = record3d(tmp_path / "cap", held(5), packed=packed, newer=newer)
    scene = _open(place)
    assert (scene.kind, scene.metric, scene.depth_scale) == ("record3d", True, 1.0)
    assert [f.reason for f in scene.frames] == [""] * 5
    np.testing.assert_array_equal(scene.world_up, [0, 1, 0])
    assert (scene.color.size, scene.depth_size) == ((48, 64), (24, 32))
    np.testing.assert_allclose(scene.color.K[:2, 2], [47 - SENSOR.K[1, 2], SENSOR.K[0, 2]])
    frame = scene.frames[3]
    assert frame.image == ("cap.r3d#rgbd/3.jpg&rotate=90" if packed else "cap/rgbd/3.jpg#rotate=90")
    assert (frame.time is not None) is newer
    np.testing.assert_allclose(frame.world_from_cam, ARKIT_FROM_ROOM @ walk(5)[3], atol=1e-12)
    depth, level = scene.read_depth(frame), shoot(walk(5)[3], scene.depth).depth
    assert depth.dtype == np.float32
    assert (depth[0, 23] == 0) is np.bool_(newer)
    np.testing.assert_allclose(np.where(depth > 0, depth, level), level, atol=1e-5)
    picture = open_image(scene.root, str(frame.image))
    wanted = shoot(walk(5)[3], scene.color).colour.astype(float)
    assert np.abs(np.asarray(picture) - wanted).mean() < 12


def test_maps_and_poses_agree(tmp_path: Path) -> None:
    record3d(tmp_path / "cap", held(8))
    (report,) = survey(open_source(tmp_path))
    assert (report.id, report.usable_count, report.error) == ("cap", 8, "")
    assert report.agreement is not None
    assert report.agreement > 0.95


def test_frames_that_lack_something(tmp_path: Path) -> None:
    folder = record3d(tmp_path / "cap", held(4), packed=False)
    (folder / "rgbd/0.jpg").unlink()
    (folder / "rgbd/1.depth").unlink()
    stored = json.loads((folder / "metadata").read_text())
    stored["poses"][2][0] = float("nan")
    put(folder / "metadata", json.dumps(stored))
    assert [f.reason for f in _open(folder).frames] == [
        "image_missing", "depth_missing", "pose_nonfinite", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"w": None}, {"h": -4}, {"w": "64"}, {"K": [1.0] * 8}, {"K": None}, {"K": ["a"] * 9},
        {"poses": 3}, {"poses": [[1, 2]]}, {"poses": [[10**400] * 7]}, {"poses": []},
        {"w": 7, "h": 1000}, {"dw": 60_000, "dh": 60_000},
    ],
)  # fmt: skip
def test_metadata_that_lies(tmp_path: Path, fields: dict[str, object]) -> None:
    folder = record3d(tmp_path / "cap", held(2), packed=False)
    put(folder / "metadata", json.dumps(json.loads((folder / "metadata").read_text()) | fields))
    with pytest.raises(SceneFormatError):
        _open(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"[" * 100_000, b"\xff\xfe"])
def test_metadata_that_is_none(tmp_path: Path, content: bytes) -> None:
    folder = record3d(tmp_path / "cap", held(2), packed=False)
    put(folder / "metadata", content)
    with pytest.raises(SceneFormatError):
        _open(folder)


def test_streams_that_lie(tmp_path: Path) -> None:
    folder = record3d(tmp_path / "cap", held(2), packed=False, newer=True)
    scene = _open(folder)
    for content in (b"", b"bvx$", liblzfse.compress(bytes(8)), liblzfse.compress(bytes(1 << 22))):
        put(folder / "rgbd/1.depth", content)
        with pytest.raises(SceneFormatError) as error:
            scene.read_depth(scene.frames[1])
        assert error.value.code == "depth_bad"
    put(folder / "rgbd/0.conf", liblzfse.compress(bytes(5)))
    with pytest.raises(SceneFormatError) as error:
        scene.read_depth(scene.frames[0])
    assert error.value.code == "confidence_bad"
    put(tmp_path / "cap.r3d", b"no archive")
    with pytest.raises(SceneFormatError):
        open_source(tmp_path / "cap.r3d").open("cap")
    with zipfile.ZipFile(tmp_path / "cap.r3d", "w") as archive:
        archive.writestr("metadata", "{}")
    with pytest.raises(SceneFormatError) as error:
        open_source(tmp_path / "cap.r3d").open("cap")
    assert error.value.code == "metadata_bad"


def test_blocks_tell_the_length_before_anything_is_allocated() -> None:
    path = Path("any")
    rng = np.random.default_rng(5)
    for raw in (b"ab", bytes(300_000), rng.bytes(4_000), np.arange(99_999, dtype="<f4").tobytes()):
        packed = liblzfse.compress(raw)
        assert lzfse_length(packed) == len(raw)
        assert decode_lzfse(packed, len(raw), path) == raw
        for cut in (0, 3, len(packed) // 2, len(packed) - 1):
            assert lzfse_length(packed[:cut]) is None
    huge = b"bvx-" + struct.pack("<I", (1 << 32) - 1) + b"bvx$"
    assert lzfse_length(huge) is None
    outcomes = set()
    for _ in range(300):
        damaged = bytearray(packed)
        damaged[int(rng.integers(len(packed)))] ^= 1 << int(rng.integers(8))
        try:
            outcomes.add(len(decode_lzfse(bytes(damaged), len(raw), path)))
        except SceneFormatError as error:
            outcomes.add(error.code)
    assert outcomes == {len(raw), "depth_bad"}
