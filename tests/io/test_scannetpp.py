# SPDX-License-Identifier: Apache-2.0
"""ScanNet++: the phone's stream of depth in both encodings, the camera's pictures, the scan."""

from __future__ import annotations

import json
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.depth_stream import read_stream_depth
from spatialcore.io.images import open_image
from spatialcore.io.open import open_source
from spatialcore.io.survey import survey
from spatialcore.lens import Lens
from spatialcore.types import Camera, Scene
from tests.phones import SENSOR, depth_bin, dslr, held, put, scannetpp
from tests.rays import shoot, walk

pytest.importorskip("av")
pytest.importorskip("lz4")


def _open(path: Path, **options: int) -> Scene:
    opened = pickle.loads(pickle.dumps(open_source(path, **options))).open("0a1b")
    assert isinstance(opened, Scene)
    return opened


@pytest.mark.parametrize("encoding", ["blocks", "running", "files"])
def test_phone(tmp_path: Path, encoding: str) -> None:
    scannetpp(tmp_path / "data/0a1b", held(6), encoding=encoding)
    put(tmp_path / "splits/nvs_sem_val.txt", "0a1b\n")
    scene = _open(tmp_path)
    assert (scene.kind, scene.split, scene.metric) == ("scannetpp", "val", True)
    assert [f.reason for f in scene.frames] == [""] * 6
    np.testing.assert_array_equal(scene.world_up, [0, 0, 1])
    assert (scene.color.size, scene.depth_size) == ((48, 64), (192, 256))
    # K is for 1920x1440 and follows the pictures.
    np.testing.assert_allclose(scene.color.K[:2, 2], [47 - SENSOR.K[1, 2], SENSOR.K[0, 2]])
    frame = scene.frames[4]
    names = ("rgb/frame_000004.jpg#", "depth/frame_000004.png#")
    if encoding != "files":
        names = ("rgb.mkv#frame=4&", "depth.bin#frame=4&")
    assert (frame.image, frame.depth) == tuple(f"0a1b/iphone/{n}rotate=90" for n in names)
    np.testing.assert_allclose(frame.world_from_cam, walk(6)[4], atol=1e-12)
    assert frame.time == pytest.approx(3.5 + 4 / 60)
    for number in (4, 1, 5):  # backwards as well
        metres = scene.read_depth(scene.frames[number]) * scene.depth_scale
        level = shoot(walk(6)[number], scene.depth).depth
        np.testing.assert_allclose(metres, level, atol=6e-4)
    seen = np.asarray(open_image(scene.root, str(frame.image))).astype(float)
    errors = [np.abs(seen - shoot(pose, scene.color).colour).mean() for pose in walk(6)]
    assert int(np.argmin(errors)) == 4


def test_scan(tmp_path: Path) -> None:
    folder = scannetpp(tmp_path / "0a1b", held(6), encoding="files")
    scene = _open(folder)
    # What was cut away is no object; of two objects that share a segment the later has it.
    assert [(o.object_id, o.category) for o in scene.objects] == [
        (1, "table"), (3, "cabinet"), (4, "trash can"), (77, "chair"),
    ]  # fmt: skip
    assert scene.read_cloud is not None
    cloud = scene.read_cloud()
    assert set(np.unique(cloud.instance)) == {-1, 1, 3, 4, 77}
    chair = cloud.points_world[cloud.instance == 77]
    assert (chair >= np.array([3.0, 2.7, 0.0]) - 1e-4).all()
    assert (chair <= np.array([3.5, 3.2, 0.95]) + 1e-4).all()
    put(folder / "scans/segments.json", '{"segIndices": [1, 2]}')
    with pytest.raises(SceneFormatError) as error:
        _open(folder)
    assert error.value.code == "annotation_bad"
    (folder / "scans/segments.json").unlink()
    assert _open(folder).objects == ()


@pytest.mark.parametrize("encoding", ["blocks", "running"])
def test_maps_and_poses_agree(tmp_path: Path, encoding: str) -> None:
    scannetpp(tmp_path / "0a1b", held(6), encoding=encoding)
    (report,) = survey(open_source(tmp_path))
    assert (report.usable_count, report.object_count, report.error) == (6, 4, "")
    assert report.agreement is not None
    assert report.agreement > 0.97


@pytest.mark.parametrize("undistorted", [False, True])
def test_camera(tmp_path: Path, undistorted: bool) -> None:
    lens = None if undistorted else Lens("fisheye", (0.05, 0.01))
    camera = Camera(SENSOR.K, *SENSOR.size, lens)
    dslr(tmp_path / "data/0a1b", held(5, 0, camera), undistorted=undistorted)
    scene = _open(tmp_path)
    assert (scene.kind, scene.color.lens) == ("scannetpp_dslr", lens)
    assert [f.reason for f in scene.frames] == [""] * 5
    np.testing.assert_allclose(scene.color.K, SENSOR.K, atol=1e-9)
    np.testing.assert_allclose(scene.frames[3].world_from_cam, walk(5)[3], atol=1e-9)
    assert len(scene.objects) == 4
    metres = scene.read_depth(scene.frames[3]) * scene.depth_scale
    np.testing.assert_allclose(metres, shoot(walk(5)[3], camera).depth, atol=6e-4)


def test_both_in_one_folder(tmp_path: Path) -> None:
    folder = scannetpp(tmp_path / "0a1b", held(3), encoding="files")
    dslr(folder, held(3, 0))
    assert _open(folder).kind == "scannetpp"
    assert open_source(f"scannetpp_dslr:{folder}").open("0a1b").kind == "scannetpp_dslr"


def test_frames_that_lack_something(tmp_path: Path) -> None:
    folder = scannetpp(tmp_path / "0a1b", held(6), encoding="files")
    path = folder / "iphone/pose_intrinsic_imu.json"
    rows = json.loads(path.read_text())
    del rows["frame_000000"]["aligned_pose"]
    rows["frame_000001"]["intrinsic"] = [[1, 2], [3, 4]]
    rows["frame_000002"]["aligned_pose"][1][1] = "one"
    rows["frame_000003"]["aligned_pose"][0][3] = float("inf")
    (folder / "iphone/rgb/frame_000004.jpg").unlink()
    (folder / "iphone/depth/frame_000005.png").unlink()
    rows["other"] = {}
    rows["frame_000012"] = rows["frame_000005"]
    put(path, json.dumps(rows))
    wanted = {0: "pose_missing", 1: "intrinsic_missing", 2: "pose_missing", 3: "pose_nonfinite",
              4: "image_missing", 5: "depth_missing", 12: "image_missing"}  # fmt: skip
    assert {f.index: f.reason for f in _open(folder).frames} == wanted
    assert [f.index for f in _open(folder, stride=2).frames] == [0, 2, 4, 12]


@pytest.mark.parametrize("text", ["", "[1]", '{"frame_000000": 3}', "[" * 9999, "{}"])
def test_poses_that_lie(tmp_path: Path, text: str) -> None:
    folder = scannetpp(tmp_path / "0a1b", held(2), encoding="files")
    put(folder / "iphone/pose_intrinsic_imu.json", text)
    with pytest.raises(SceneFormatError):
        _open(folder)


MAPS = [np.full((192, 256), 0.5 + 0.01 * k, np.float32) for k in range(150)]


def test_a_running_stream_is_entered_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "depth.bin"
    path.write_bytes(depth_bin(MAPS, "running"))
    for number in (149, 3, 70, 71, 64, 0, 130):
        np.testing.assert_array_equal(read_stream_depth(path, number, (256, 192)), MAPS[number])
    with pytest.raises(SceneFormatError) as error:
        read_stream_depth(path, 150, (256, 192))
    assert error.value.code == "depth_missing"
    np.testing.assert_array_equal(read_stream_depth(path, 149, (256, 192)), MAPS[149])


def test_streams_that_lie(tmp_path: Path) -> None:
    blocks, running = depth_bin(MAPS[:4], "blocks"), depth_bin(MAPS[:4], "running")
    short = zlib.compressobj(wbits=-15)
    packed = short.compress(bytes(100)) + short.flush()
    bomb = zlib.compressobj(wbits=-15)
    large = bomb.compress(bytes(64 << 20)) + bomb.flush()
    cases = {
        b"": 0, b"abc": 0, b"\xff" * 5000: 0, running[:200]: 3, blocks[:-3]: 3, packed: 0,
        struct.pack("<I", len(packed)) + packed: 0,
        struct.pack("<I", len(large)) + large: 0,
        struct.pack("<I", 1 << 31) + blocks: 0, running[:100] + b"\xff" * 100 + running[200:]: 3,
    }  # fmt: skip
    for number, (content, asked) in enumerate(cases.items()):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(content)
        with pytest.raises(SceneFormatError) as error:
            read_stream_depth(path, asked, (256, 192))
        assert error.value.code in ("depth_bad", "depth_missing")
    with pytest.raises(SceneFormatError) as error:
        read_stream_depth(tmp_path / "none.bin", 0, (256, 192))
    assert error.value.code == "file_missing"


@pytest.mark.parametrize("undistorted", [False, True])
def test_pictures_that_are_called_bad(tmp_path: Path, undistorted: bool) -> None:
    folder = tmp_path / "data/0a1b"
    dslr(folder, held(5, 0), undistorted=undistorted)
    name = "transforms_undistorted.json" if undistorted else "transforms.json"
    path = folder / "dslr/nerfstudio" / name
    stored = json.loads(path.read_text()) if path.is_file() else {}
    stored["frames"] = [{"file_path": f"DSC{k:05d}.JPG", "is_bad": k == 1} for k in range(3)]
    stored["test_frames"] = [{"file_path": "DSC00004.JPG", "is_bad": True}, {"is_bad": True}, 7]
    put(path, json.dumps(stored))
    scene = open_source(tmp_path / "data").open("0a1b")
    assert [f.reason for f in scene.frames] == ["", "image_flagged", "", "", "image_flagged"]
