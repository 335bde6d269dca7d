# SPDX-License-Identifier: Apache-2.0
"""MultiScan: a tiny scan, its streams, its boxes in another world, splits and damage."""

from __future__ import annotations

import contextlib
import json
import pickle
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.images import open_image
from spatialcore.io.multiscan import MultiscanSource
from spatialcore.io.open import open_source
from spatialcore.io.survey import survey_scene
from spatialcore.types import Scene, invert_pose
from tests.phones import ARKIT_FROM_ROOM, OPENGL, held, put, resized, video
from tests.rays import BOXES, pinhole, shoot, walk

pytestmark = pytest.mark.skipif(find_spec("av") is None, reason="PyAV is not installed")

SCAN = "scene_00007_01"
COUNT = 8
SIZE = (32, 24)
# The aligned world: the room's, turned about the vertical and moved.
ALIGNED_FROM_ROOM = np.array([[0.0, -1, 0, 2], [1, 0, 0, -1], [0, 0, 1, -1.3], [0, 0, 0, 1]])


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


def columns(matrix: np.ndarray) -> list[float]:
    return np.asarray(matrix).T.ravel().tolist()


def write_scan(
    root: Path, *, unit: str = "m", turn: float = 0, count: int = COUNT, name: str = SCAN
) -> Path:
    folder = root / name
    shots = held(count, turn, pinhole(64, 48))
    lines, maps, levels = [], [], []
    for k, shot in enumerate(shots):
        pose = ARKIT_FROM_ROOM @ shot.world_from_cam @ OPENGL
        lines.append(json.dumps({
            "transform": columns(pose), "intrinsics": columns(shot.camera.K),
            "timestamp": 5000 + k, "quaternion": [1, 0, 0, 0], "exposure_duration": 9,
        }))  # fmt: skip
        depth = shoot(shot.world_from_cam, resized(shot.camera, SIZE[0])).depth
        stored = depth.astype("<f2") if unit == "m" else np.rint(depth * 1000).astype("<u2")
        level = np.full(depth.shape, 2, np.uint8)
        level[0, 0] = 0
        maps.append(stored.tobytes())
        levels.append(level.tobytes())
    put(folder / f"{name}.jsonl", "\n".join(lines) + "\n")
    put(folder / f"{name}.depth.zlib", deflated(b"".join(maps)))
    put(folder / f"{name}.confidence.zlib", deflated(b"".join(levels)))
    video(folder / f"{name}.mp4", [shot.colour for shot in shots])
    put(folder / f"{name}.json", json.dumps({
        "depth_unit": unit, "scene": {"type": "Kitchen"},
        "streams": [
            {"file_extension": "mp4", "resolution": [48, 64], "encoding": "h264"},
            {"file_extension": "depth.zlib", "resolution": [SIZE[1], SIZE[0]]},
            {"file_extension": "confidence.zlib"},
        ],
    }))  # fmt: skip
    arkit_from_aligned = ARKIT_FROM_ROOM @ invert_pose(ALIGNED_FROM_ROOM)
    put(folder / f"{name}.align.json",
        json.dumps({"coordinate_transform": columns(arkit_from_aligned)}))  # fmt: skip
    put(folder / f"{name}.annotations.json", json.dumps({"objects": objects()}))
    return folder


def objects() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for k, (label, low, high, _) in enumerate(BOXES, start=1):
        middle = ALIGNED_FROM_ROOM @ [*np.add(low, high) / 2, 1]
        axes = ALIGNED_FROM_ROOM[:3, :3].T  # rows: the room's axes in the aligned world
        rows.append({
            "objectId": k, "label": f"{label.replace(' ', '_')}.{k}", "mobilityType": "fixed",
            "obb": {"centroid": middle[:3].tolist(), "axesLengths": np.subtract(high, low).tolist(),
                    "normalizedAxes": axes.ravel().tolist()},
        })  # fmt: skip
    rows.append({**rows[0], "objectId": 40, "label": "remove.1"})
    rows.append({"objectId": 41, "label": "sofa.1", "obb": None})
    return rows


def opened(root: Path, **options: int) -> Scene:
    source = pickle.loads(pickle.dumps(open_source(root, **options)))
    assert (source.kind, source.scene_ids()) == ("multiscan", (SCAN,))
    scene = source.open(SCAN)
    assert isinstance(scene, Scene)
    return scene


@pytest.mark.parametrize(("unit", "turn"), [("m", 0), ("mm", 0), ("m", 90)])
def test_a_scan(tmp_path: Path, unit: str, turn: float) -> None:
    write_scan(tmp_path, unit=unit, turn=turn)
    put(tmp_path / "benchmark/scans_split.csv", f"scanId,split\n{SCAN},test\nscene_00008_00,\n")
    scene = opened(tmp_path)
    assert [f.reason for f in scene.frames] == [""] * COUNT
    assert (scene.space, scene.split, scene.metric) == ("scene_00007", "val", True)
    assert scene.world_up.tolist() == [0, 1, 0]
    assert scene.color.size == ((64, 48) if turn == 0 else (48, 64))
    frame = scene.frames[5]
    np.testing.assert_allclose(frame.world_from_cam, ARKIT_FROM_ROOM @ walk(COUNT)[5], atol=1e-12)
    depth = scene.read_depth(frame) * scene.depth_scale
    assert (depth == 0).sum() == 1  # of low confidence
    level = shoot(walk(COUNT)[5], scene.depth).depth
    np.testing.assert_allclose(np.where(depth > 0, depth, level), level, atol=4e-3)
    seen = np.asarray(open_image(scene.root, str(frame.image))).astype(float)
    errors = [np.abs(seen - shoot(pose, scene.color).colour).mean() for pose in walk(COUNT)]
    assert int(np.argmin(errors)) == 5
    assert [o.category for o in scene.objects] == [name for name, *_ in BOXES]
    for item, (_, low, high, _) in zip(scene.objects, BOXES, strict=True):
        corners = np.array([ARKIT_FROM_ROOM[:3, :3] @ p for p in (low, high)])
        wanted = [*corners.min(axis=0), *corners.max(axis=0)]
        np.testing.assert_allclose(np.concatenate(item.box.bounds), wanted, atol=1e-9)
    report = survey_scene(open_source(tmp_path), SCAN)
    assert report.agreement > 0.95


def test_maps_out_of_order(tmp_path: Path) -> None:
    write_scan(tmp_path, unit="mm")
    scene = opened(tmp_path)
    rng = np.random.default_rng()
    for k in rng.permutation(COUNT).tolist():
        level = shoot(walk(COUNT)[k], scene.depth).depth
        depth = scene.read_depth(scene.frames[k]) / 1000
        np.testing.assert_allclose(np.where(depth > 0, depth, level), level, atol=6e-4)


def test_an_alignment_the_other_way(tmp_path: Path) -> None:
    folder = write_scan(tmp_path)
    before = opened(tmp_path).objects[0].box
    turned = ALIGNED_FROM_ROOM @ invert_pose(ARKIT_FROM_ROOM)
    put(folder / f"{SCAN}.align.json", json.dumps({"coordinate_transform": columns(turned)}))
    np.testing.assert_allclose(opened(tmp_path).objects[0].box.corners, before.corners, atol=1e-9)


def test_what_is_missing_masks_its_frame(tmp_path: Path) -> None:
    folder = write_scan(tmp_path)
    path = folder / f"{SCAN}.jsonl"
    lines = path.read_text().splitlines()
    stored = json.loads(lines[1])
    del stored["intrinsics"]
    lines[:4] = ["[[[", json.dumps(stored), "{}", "null"]
    put(path, "\n".join([*lines, lines[-1]]))
    (folder / f"{SCAN}.align.json").unlink()
    scene = opened(tmp_path)
    wanted = ["pose_unreadable", "intrinsic_missing", "pose_missing", "pose_missing"]
    assert [f.reason for f in scene.frames] == [*wanted, *[""] * 4, "image_missing"]
    assert not scene.objects
    assert "align_missing" in scene.notes
    assert f"video_frames={COUNT}, cameras={COUNT + 1}" in scene.notes


@pytest.mark.parametrize(("suffix", "text"), [
    (".json", "{}"), (".json", '{"streams": [{"file_extension": "depth.zlib"}]}'),
    (".json", '{"depth_unit": "ft", "streams": [{"file_extension": "depth.zlib",'
              ' "resolution": [24, 32]}]}'),
    (".align.json", "{}"), (".align.json", json.dumps({"coordinate_transform": [1.0] * 16})),
    (".align.json", json.dumps({"coordinate_transform": columns(np.eye(4))})),
    (".annotations.json", "[]"), (".annotations.json", '{"objects": [{"objectId": "x"}]}'),
])  # fmt: skip
def test_malformed_files_are_refused_in_words(tmp_path: Path, suffix: str, text: str) -> None:
    put(write_scan(tmp_path) / f"{SCAN}{suffix}", text)
    with pytest.raises(SceneFormatError, match=rf"{SCAN}\{suffix}"):
        opened(tmp_path)


@pytest.mark.parametrize("suffix", [".depth.zlib", ".confidence.zlib", ".jsonl", ".mp4"])
def test_damage_is_typed(tmp_path: Path, suffix: str) -> None:
    path = write_scan(tmp_path) / f"{SCAN}{suffix}"
    whole, rng = path.read_bytes(), np.random.default_rng()
    source = MultiscanSource(tmp_path, (("scan", SCAN),))
    for _ in range(12):
        damaged = bytearray(whole)
        damaged[int(rng.integers(len(damaged)))] = int(rng.integers(256))
        path.write_bytes(bytes(damaged[: int(rng.integers(1, len(damaged)))]))
        with contextlib.suppress(SceneFormatError):  # anything else fails the test
            scene = source.open("scan")
            for frame in scene.frames:
                with contextlib.suppress(SceneFormatError):
                    scene.read_depth(frame)
