# SPDX-License-Identifier: Apache-2.0
"""Matterport3D: a tiny building in both forms, its cameras, boxes, splits and damage."""

import numpy as np
import pytest
from PIL import Image

from spatialcore.errors import SceneFormatError
from spatialcore.index import SceneIndex, build_index
from spatialcore.io.intrinsics import scaled_K
from spatialcore.io.open import open_source
from spatialcore.lens import Lens
from spatialcore.types import Camera
from tests import rays
from tests.fabricate import png16

NAME = "17DRP5sb8fy"
COUNT = 6
CAMERA = rays.pinhole(160, 128)
LENS = Lens("opencv", (0.02, -0.01, 0.001, 0.0, 0.0))


def words(values):
    return " ".join(repr(float(v)) for v in np.ravel(values))


def write_pictures(folder, kind, shots):
    for name in (f"{kind}_color_images", f"{kind}_depth_images"):
        (folder / name).mkdir(parents=True)
    for k, shot in enumerate(shots):
        picture = folder / f"{kind}_color_images/ab{k}_i1_{k}.jpg"
        Image.fromarray(shot.colour).save(picture, quality=95)
        units = np.rint(shot.depth * 4000).astype(np.uint16)
        (folder / f"{kind}_depth_images/ab{k}_d1_{k}.png").write_bytes(png16(units))


def write_undistorted(root):
    folder = root / NAME
    shots = rays.shots([CAMERA] * COUNT)
    write_pictures(folder, "undistorted", shots)
    K = scaled_K(CAMERA.K, 8, 8)
    # Of the release: cy 513.798 raw and 509.202 undistorted of one camera add up to row 1023.
    K[1, 2] = 1023 - K[1, 2]
    lines = [
        "dataset matterport",
        f"n_images {COUNT}",
        "depth_directory undistorted_depth_images",
        "color_directory undistorted_color_images",
        "",
        f"intrinsics_matrix {words(K)}",
    ]
    for k, shot in enumerate(shots):
        pose = shot.world_from_cam.copy()
        pose[:3, 1:3] *= -1
        if k == COUNT - 1:
            lines.append(f"intrinsics_matrix {words(K + np.diag([8.0, 8.0, 0.0]))}")
        lines.append(f"scan ab{k}_d1_{k}.png ab{k}_i1_{k}.jpg {words(pose)}")
    (folder / "undistorted_camera_parameters").mkdir()
    (folder / f"undistorted_camera_parameters/{NAME}.conf").write_text("\n".join(lines))
    return folder, shots


def write_raw(root):
    folder = root / NAME
    shots = rays.shots([Camera(CAMERA.K, 160, 128, LENS)] * COUNT)
    write_pictures(folder, "matterport", shots)
    for name in ("matterport_camera_poses", "matterport_camera_intrinsics"):
        (folder / name).mkdir()
    fx, fy, cx, cy = CAMERA.K[[0, 1, 0, 1], [0, 1, 2, 2]]
    for k, shot in enumerate(shots):
        np.savetxt(folder / f"matterport_camera_poses/ab{k}_pose_1_{k}.txt", shot.world_from_cam)
        numbers = (160, 128, fx, fy, cx, cy, 0.02, -0.01, 0.001, 0, 0)
        path = folder / f"matterport_camera_intrinsics/ab{k}_intrinsics_1.txt"
        path.write_text(words(numbers))
    return folder, shots


def write_house(folder):
    lines = ["ASCII 1.1", f"H {NAME} {NAME} 6 0 0", "C 0 1 chair 5 chair 0 0 0 0 0",
             "C 1 2 coffee#table 5 table 0 0 0 0 0", "C 2 3 nothing 0 void 0 0 0 0 0",
             "C x y z"]  # fmt: skip
    rows = []
    for k, (_, low, high, _) in enumerate(rays.BOXES):
        radii = np.subtract(high, low) / 2
        middle = np.add(high, low) / 2
        # The axes are turned by a quarter, so that the radii are too.
        rows.append(f"O {k} 0 {(1, 0, 0, 2, 0)[k]} {words(middle)} 0 1 0 -1 0 0 "
                    f"{words(radii[[1, 0, 2]])} 0 0 0 0 0 0 0 0")  # fmt: skip
    rows += ["O 7 0 0 1 2", f"O 8 0 0 {words(np.ones(12) * 0)} 0", f"O 9 0 -1 {words(np.ones(12))}"]
    (folder / "house_segmentations").mkdir()
    (folder / f"house_segmentations/{NAME}.house").write_text("\n".join([*lines, *rows]))


@pytest.mark.parametrize("write", [write_undistorted, write_raw])
def test_a_building(tmp_path, write):
    folder, shots = write(tmp_path / "scans")
    write_house(folder)
    (tmp_path / "tasks/benchmark").mkdir(parents=True)
    (tmp_path / "tasks/benchmark/scenes_train.txt").write_text("other\n")
    (tmp_path / "tasks/benchmark/scenes_val.txt").write_text(f"{NAME}\n")
    source = open_source(tmp_path / "scans")
    assert (source.kind, source.scene_ids()) == ("matterport3d", (NAME,))
    scene = source.open(NAME)
    assert [f.reason for f in scene.frames] == [""] * COUNT
    assert [f.name for f in scene.frames] == [f"ab{k}_i1_{k}" for k in range(COUNT)]
    assert (scene.metric, scene.split, scene.world_up.tolist()) == (True, "val", [0, 0, 1])
    np.testing.assert_allclose(scene.color.K, CAMERA.K, atol=1e-9)
    assert scene.color.lens == (LENS if write is write_raw else None)
    for frame, shot in zip(scene.frames, shots, strict=True):
        np.testing.assert_allclose(frame.world_from_cam, shot.world_from_cam, atol=1e-9)
        metres = scene.read_depth(frame) * scene.depth_scale
        np.testing.assert_allclose(metres, shot.depth, atol=2e-4)
    names = {o.object_id: o.raw_category for o in scene.objects}
    assert names == {0: "coffee table", 1: "chair", 2: "chair", 4: "chair"}
    assert "objects_without_box=2" in scene.notes
    for item in scene.objects:
        _, low, high, _ = rays.BOXES[item.object_id]
        np.testing.assert_allclose(np.concatenate(item.box.bounds), [*low, *high], atol=1e-9)
    build_index([source], tmp_path / "index")
    index = SceneIndex.open(tmp_path / "index/matterport3d" / NAME)
    assert {o.category for o in index.objects} == {"coffee table", "chair"}


def test_a_matrix_holds_for_the_lines_below_it(tmp_path):
    write_undistorted(tmp_path)
    scene = open_source(tmp_path).open(NAME)
    assert scene.color_of(scene.frames[0]).K[0, 0] == pytest.approx(CAMERA.K[0, 0])
    assert scene.color_of(scene.frames[-1]).K[0, 0] == pytest.approx(CAMERA.K[0, 0] + 1)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("scan ab1_d1_1.png", "scan ../ab1_d1_1.png", "path_escape"),
        ("scan ab1_d1_1.png", "scan none.png", "depth_missing"),
        ("ab1_i1_1.jpg ", "ab1_i1_1.jpg nan ", "pose_unreadable"),
        ("ab1_i1_1.jpg ", "ab1_i1_1.jpg 1 2 3 ", "pose_unreadable"),
        ("ab1_i1_1.jpg ", "none.jpg ", "image_missing"),
    ],
)
def test_damaged_lines_mask_their_frame(tmp_path, old, new, reason):
    folder, _ = write_undistorted(tmp_path)
    conf = folder / f"undistorted_camera_parameters/{NAME}.conf"
    conf.write_text(conf.read_text().replace(old, new))
    scene = open_source(tmp_path).open(NAME)
    assert [f.reason for f in scene.frames] == ["", reason, *[""] * (COUNT - 2)]


def test_damaged_files_of_raw_frames(tmp_path):
    folder, _ = write_raw(tmp_path)
    (folder / "matterport_camera_poses/ab0_pose_1_0.txt").write_text("1 2 three")
    (folder / "matterport_camera_intrinsics/ab1_intrinsics_1.txt").write_text("160 128")
    (folder / "matterport_camera_intrinsics/ab2_intrinsics_1.txt").unlink()
    scene = open_source(tmp_path).open(NAME)
    wanted = ["pose_unreadable", "intrinsic_missing", "intrinsic_missing"]
    assert [f.reason for f in scene.frames][:3] == wanted


def test_refusals(tmp_path):
    folder, _ = write_undistorted(tmp_path)
    conf = folder / f"undistorted_camera_parameters/{NAME}.conf"
    text = conf.read_text()
    conf.write_text("dataset matterport\n")
    with pytest.raises(SceneFormatError, match="lists no pictures"):
        open_source(tmp_path).open(NAME)
    conf.write_text(text.replace("intrinsics_matrix", "intrinsics"))
    with pytest.raises(SceneFormatError, match="6 intrinsic_missing"):
        open_source(tmp_path).open(NAME)
    conf.write_text(text)
    write_house(folder)
    house = folder / f"house_segmentations/{NAME}.house"
    row = next(line for line in house.read_text().splitlines() if line.startswith("O 0 "))
    house.write_text(f"{house.read_text()}\n{row}\n")
    with pytest.raises(SceneFormatError, match="object 0 twice") as error:
        open_source(tmp_path).open(NAME)
    assert error.value.code == "house_bad"


def test_raw_names_of_two_digits_are_read_and_others_are_said(tmp_path):
    folder, _ = write_raw(tmp_path)
    for kind, form in (("color", "ab{0}_i1_{1}.jpg"), ("depth", "ab{0}_d1_{1}.png")):
        images = folder / f"matterport_{kind}_images"
        for k in range(COUNT):
            (images / form.format(k, k)).rename(images / form.format(0, 12 - k))
    poses = folder / "matterport_camera_poses"
    for k in range(COUNT):
        (poses / f"ab{k}_pose_1_{k}.txt").rename(poses / f"ab0_pose_1_{12 - k}.txt")
    (poses / "ab0_pose_top.txt").write_text("1")
    scene = open_source(tmp_path).open(NAME)
    turns = sorted(12 - k for k in range(COUNT))
    assert [f.name for f in scene.frames] == [f"ab0_i1_{turn}" for turn in turns]
    assert all(f.valid for f in scene.frames)
    assert "poses_not_read=1" in scene.notes
