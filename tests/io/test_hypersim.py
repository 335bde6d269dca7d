# SPDX-License-Identifier: Apache-2.0
"""Hypersim: a tiny room of the layout, its tilted camera, ranges, instances and damage."""

import csv
import math

import numpy as np
import pytest
from PIL import Image

from spatialcore.errors import SceneFormatError
from spatialcore.index import SceneIndex, build_index
from spatialcore.io.hypersim import is_room, pinhole_of
from spatialcore.io.nyu40 import NYU40
from spatialcore.io.open import open_source
from tests import rays

UNIT = 0.0254  # an inch
# ai_037_002 of the release: from picture to rays, and from camera to the clip space.
FROM_PICTURE = np.array([
    [0.579607251426182, 0, -0.06955286861651404],
    [0, 0.4346865334657201, 0.09273312506660672],
    [0, 0.004054126980668954, -1.003909173803896],
])  # fmt: skip
PROJECTION = np.array([
    [1.7253062268275619, 0.001113868662274642, -0.11942983282195321, 0],
    [0, 2.2985281393428907, 0.21231970279458348, 0],
    [0, 0.009282239059762895, -0.9952486290951505, 0],
])  # fmt: skip
W, H = 96, 72
HALF = math.tan(math.pi / 6)
STRAIGHT = np.array([[HALF, 0, 0], [0, HALF * H / W, 0], [0, 0, -1.0]])
COUNT = 6
LABELS = ("table", "chair", "cabinet", "otherprop", "lamp")


def save(path, array):
    h5py = pytest.importorskip("h5py")
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("dataset", data=array, compression="gzip")


def write_table(path, rows):
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def parameters(name, picture, size=(W, H), metres=UNIT):
    row = {"scene_name": name, "settings_output_img_width": float(size[0]),
           "settings_output_img_height": float(size[1]),
           "settings_units_info_meters_scale": metres}  # fmt: skip
    return row | {f"M_cam_from_uv_{r}{c}": picture[r, c] for r in range(3) for c in range(3)}


def write_room(root, picture=STRAIGHT, semantic=True):
    """`ai_001_001` with two cameras, whose maps are those of the room of tests.rays."""
    room = root / "ai_001_001"
    pinhole = pinhole_of(picture, (W, H), root)
    camera = pinhole.intrinsics.camera((W, H))
    shots = rays.shots([camera] * COUNT)
    x, y = ((np.mgrid[:H, :W][1 - k] - camera.K[k, 2]) / camera.K[k, k] for k in (0, 1))
    for k, shot in enumerate(shots):
        name, number = f"cam_{k // 3:02d}", 5 * (k % 3)
        stem = f"frame.{number:04d}"
        preview = room / f"images/scene_{name}_final_preview/{stem}.tonemap.jpg"
        preview.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(shot.colour).save(preview, quality=95)
        maps = room / f"images/scene_{name}_geometry_hdf5"
        distance = (shot.depth * np.sqrt(x * x + y * y + 1)).astype(np.float16)
        save(maps / f"{stem}.depth_meters.hdf5", distance)
        if semantic:
            save(maps / f"{stem}.semantic_instance.hdf5", shot.instance.astype(np.int16))
            classes = np.array([NYU40.index(n) + 1 for n in LABELS] + [-1])
            save(maps / f"{stem}.semantic.hdf5", classes[np.maximum(shot.instance, 0) - 1])
    for c in range(2):
        mine = [s.world_from_cam for s in shots[3 * c : 3 * c + 3]]
        turns = [p[:3, :3] @ pinhole.turn.T * [1, -1, -1] for p in mine]
        folder = room / f"_detail/cam_{c:02d}"
        save(folder / "camera_keyframe_orientations.hdf5", np.array(turns))
        save(folder / "camera_keyframe_positions.hdf5", np.array([p[:3, 3] for p in mine]) / UNIT)
        save(folder / "camera_keyframe_frame_indices.hdf5", np.array([0, 5, 10]))
    rows = [{"parameter_name": "meters_per_asset_unit", "parameter_value": UNIT}]
    write_table(room / "_detail/metadata_scene.csv", rows)
    write_table(root / "metadata_camera_parameters.csv", [parameters("ai_001_001", picture)])
    return room, shots


def test_a_tilted_camera_is_a_turned_pinhole():
    camera, turn = pinhole_of(FROM_PICTURE, (1024, 768), "x")
    K = camera.K
    assert K[0, 0] == pytest.approx(887.5354, abs=1e-4)
    assert K[1, 1] == pytest.approx(K[0, 0], rel=1e-6)  # square pixels, once the tilt is out
    rng = np.random.default_rng(1)
    points = rng.uniform((-1, -0.8, -6), (1, 0.8, -2), (50, 3))  # OpenGL
    clip = points @ PROJECTION[:, :3].T
    u, v = clip[:, 0] / clip[:, 2], clip[:, 1] / clip[:, 2]
    wanted = np.stack([(u + 1) / 2 * 1024 - 0.5, (1 - v) / 2 * 768 - 0.5], axis=1)
    seen = (points * [1, -1, -1]) @ turn @ K.T
    np.testing.assert_allclose(seen[:, :2] / seen[:, 2:], wanted, atol=1e-6)


@pytest.mark.parametrize("picture", [STRAIGHT, FROM_PICTURE])
def test_a_room(tmp_path, picture):
    room, shots = write_room(tmp_path, picture)
    assert is_room(room)
    source = open_source(tmp_path)
    assert (source.kind, source.scene_ids()) == ("hypersim", ("ai_001_001",))
    scene = source.open("ai_001_001")
    assert [f.reason for f in scene.frames] == [""] * COUNT
    assert [f.index for f in scene.frames] == [0, 5, 10, 10000, 10005, 10010]
    assert scene.frames[4].name == "cam_01_0005"
    assert (scene.metric, scene.world_up.tolist(), scene.notes) == (True, [0, 0, 1], ())
    np.testing.assert_allclose(scene.color.K, shots[0].camera.K, atol=1e-9)
    for frame, shot in zip(scene.frames, shots, strict=True):
        np.testing.assert_allclose(frame.world_from_cam, shot.world_from_cam, atol=1e-9)
        np.testing.assert_allclose(scene.read_depth(frame), shot.depth, rtol=1e-3)
        np.testing.assert_array_equal(scene.read_instance(frame), shot.instance)
    assert {o.object_id: o.raw_category for o in scene.objects} == dict(enumerate(LABELS, 1))
    report = build_index([source], tmp_path / "index")
    assert not report.skipped
    index = SceneIndex.open(tmp_path / "index/hypersim/ai_001_001")
    assert {"table", "cabinet"} <= {o.category for o in index.objects}


def test_depth_is_read_as_z_also_at_the_corner(tmp_path):
    room, _ = write_room(tmp_path, semantic=False)
    save(room / "images/scene_cam_00_geometry_hdf5/frame.0000.depth_meters.hdf5",
         np.full((H, W), 2.0, np.float16))  # fmt: skip
    scene = open_source(tmp_path).open("ai_001_001")
    z = scene.read_depth(scene.frames[0])
    # 60 degrees: half a width is tan 30 of the distance, less half a pixel.
    x, y = HALF * (1 - 1 / W), HALF * (H - 1) / W
    assert z[0, 0] == pytest.approx(2 / math.sqrt(1 + x * x + y * y), rel=1e-6)
    assert (scene.objects, scene.read_instance) == ((), None)


def test_tables_that_are_not_there(tmp_path):
    room, _ = write_room(tmp_path, semantic=False)
    (tmp_path / "metadata_camera_parameters.csv").unlink()
    scene = open_source(tmp_path).open("ai_001_001")
    assert scene.notes == ("camera_assumed", "intrinsic_scaled")
    assert scene.color.K[0, 0] == pytest.approx(W / 2 / HALF)
    (room / "_detail/metadata_scene.csv").unlink()
    with pytest.raises(SceneFormatError, match="how long an asset unit is") as error:
        open_source(tmp_path).open("ai_001_001")
    assert error.value.code == "scale_missing"


def test_split_lists_and_missing_previews(tmp_path):
    room, _ = write_room(tmp_path, semantic=False)
    row = {"scene_name": "ai_001_001", "camera_name": "cam_00", "split_partition_name": "val"}
    write_table(tmp_path / "metadata_images_split_scene_v1.csv", [row])
    (room / "images/scene_cam_00_final_preview/frame.0005.tonemap.jpg").unlink()
    (room / "images/scene_cam_01_geometry_hdf5/frame.0000.depth_meters.hdf5").unlink()
    scene = open_source(tmp_path).open("ai_001_001")
    assert scene.split == "val"
    assert [f.reason for f in scene.frames] == ["", "image_missing", "", "depth_missing", "", ""]


@pytest.mark.parametrize(
    ("name", "array", "what"),
    [
        ("orientations", np.zeros((3, 3)), "n x 3 x 3"),
        ("positions", np.zeros((2, 3)), "2 positions for 3"),
        ("frame_indices", np.zeros((3, 1)), "not n"),
        ("positions", None, "not a readable HDF5"),
    ],
)
def test_damaged_keyframes(tmp_path, name, array, what):
    room, _ = write_room(tmp_path, semantic=False)
    path = room / f"_detail/cam_01/camera_keyframe_{name}.hdf5"
    if array is None:
        path.write_bytes(path.read_bytes()[:300])
    else:
        save(path, array)
    with pytest.raises(SceneFormatError, match=what):
        open_source(tmp_path).open("ai_001_001")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"M_cam_from_uv_00": "wide"}, "M_cam_from_uv_00"),
        ({"M_cam_from_uv_00": 0}, "is none"),
        ({"M_cam_from_uv_00": -0.5}, "mirrored"),
        ({"M_cam_from_uv_01": 0.2}, "skewed"),
        ({"settings_output_img_width": 1e30}, "out of range"),
        ({"settings_output_img_width": 0}, "0x72"),
    ],
)
def test_camera_tables_that_are_none(tmp_path, change, what):
    write_room(tmp_path, semantic=False)
    row = parameters("ai_001_001", STRAIGHT) | change
    write_table(tmp_path / "metadata_camera_parameters.csv", [row])
    with pytest.raises(SceneFormatError, match=what):
        open_source(tmp_path).open("ai_001_001")


def test_damaged_instances_are_said(tmp_path):
    room, _ = write_room(tmp_path)
    maps = room / "images/scene_cam_00_geometry_hdf5"
    save(maps / "frame.0000.semantic_instance.hdf5", np.zeros((3, 3), np.int16))
    (maps / "frame.0005.semantic_instance.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n")
    (maps / "frame.0010.semantic_instance.hdf5").unlink()
    scene = open_source(tmp_path).open("ai_001_001")
    assert scene.notes == ("instance_missing=1", "instance_bad=2")
    assert {"table", "chair", "cabinet"} <= {o.category for o in scene.objects}
    for k, what in enumerate(("has shape", "not a readable", "no instance map")):
        with pytest.raises(SceneFormatError, match=what):
            scene.read_instance(scene.frames[k])


def test_a_room_without_pictures_says_where_they_are_looked_for(tmp_path):
    room, _ = write_room(tmp_path, semantic=False)
    for path in room.rglob("*.tonemap.jpg"):
        path.unlink()
    source = open_source(tmp_path)
    with pytest.raises(SceneFormatError, match=r"_final_preview/frame\.[0-9]{4}\.tonemap\.jpg"):
        source.open(source.scene_ids()[0])
