# SPDX-License-Identifier: Apache-2.0
"""Masks and boxes that a person adds: read beside any layout, and what the index makes of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from spatial_engine.reference.cloud import in_boxes
from spatialcore.box import OrientedBox
from spatialcore.errors import SceneFormatError
from spatialcore.index import SceneIndex, build_index
from spatialcore.index.objects import box_of_points, points_in_boxes
from spatialcore.io.object_files import read_mask
from spatialcore.io.open import open_source
from spatialcore.types import Cloud, Object3D
from tests import rays
from tests.fabricate import png16

COUNT = 8
SHOTS = rays.shots([rays.pinhole(96, 72)] * COUNT)


def write_nerfstudio(folder):
    (folder / "images").mkdir(parents=True)
    frames = []
    for k, shot in enumerate(SHOTS):
        Image.fromarray(shot.colour).save(folder / f"images/{k:03d}.png")
        np.save(folder / f"images/{k:03d}.npy", shot.depth.astype(np.float32))
        pose = shot.world_from_cam.copy()
        pose[:3, 1:3] *= -1
        frames.append({
            "file_path": f"images/{k:03d}.png", "depth_file_path": f"images/{k:03d}.npy",
            "transform_matrix": pose.tolist(),
        })  # fmt: skip
    K = SHOTS[0].camera.K
    camera = {"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2] + 0.5, "cy": K[1, 2] + 0.5}
    stored = {**camera, "w": 96, "h": 72, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(stored))
    (folder / "scene_meta.json").write_text('{"world_up": [0, 0, 1]}')
    return folder


def listed(boxes):
    """`objects.json` of the furniture, numbered from 1."""
    rows = []
    for k, (name, low, high, _) in enumerate(rays.BOXES, start=1):
        row = {"instance": k, "name": name, "colour": "not ours"}
        if boxes:
            row["box"] = {
                "center": np.add(low, high).__truediv__(2).tolist(),
                "size": np.subtract(high, low).tolist(),
            }
        rows.append(row)
    return {"objects": rows}


def write_masks(folder, names, mode):
    for name, shot in zip(names, SHOTS, strict=True):
        ids = np.maximum(shot.instance, 0)
        path = folder / "instance" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if mode == "16":
            path.write_bytes(png16(ids.astype(np.uint16)))
            continue
        image = Image.fromarray(ids.astype(np.uint8))
        if mode == "palette":
            image = image.convert("P")
            image.putpalette(list(range(256)) * 3)
        image.save(path)


def indexed(root, out):
    build_index([open_source(root)], out)
    scene = SceneIndex.open(out / "nerfstudio" / "room")
    return scene, {o.category: o for o in scene.objects}


@pytest.mark.parametrize("mode", ["16", "8", "palette"])
def test_masks_beside_any_layout(tmp_path, mode):
    folder = write_nerfstudio(tmp_path / "in" / "room")
    names = [f"{k:03d}.png" if k % 2 else f"images/{k:03d}.png" for k in range(COUNT)]
    write_masks(folder, names, mode)
    (folder / "objects.json").write_text(json.dumps(listed(boxes=False)))
    scene = open_source(tmp_path / "in").open("room")
    assert [o.category for o in scene.objects] == [name for name, *_ in rays.BOXES]
    for frame, shot in zip(scene.frames, SHOTS, strict=True):
        ids = scene.read_instance(frame)
        assert ids.dtype == np.int32
        np.testing.assert_array_equal(ids, shot.instance)
    assert folder / "objects.json" in scene.inputs
    assert folder / "instance" / names[0] in scene.inputs
    found = indexed(tmp_path / "in", tmp_path / "index")[1]
    assert {"table", "cabinet", "chair"} <= set(found)
    assert found["table"].box_center[2] < 0.75


def test_missing_and_damaged_masks_are_said(tmp_path):
    folder = write_nerfstudio(tmp_path / "in" / "room")
    write_masks(folder, [f"{k:03d}.png" for k in range(COUNT)], "8")
    (folder / "objects.json").write_text(json.dumps(listed(boxes=False)))
    (folder / "instance/003.png").unlink()
    Image.new("L", (10, 10)).save(folder / "instance/004.png")
    Image.new("RGB", (96, 72)).save(folder / "instance/005.png")
    (folder / "instance/006.png").write_bytes(b"no image")
    content = (folder / "instance/007.png").read_bytes()
    (folder / "instance/007.png").write_bytes(content[: len(content) // 2])
    scene = open_source(tmp_path / "in").open("room")
    assert "instance_missing=1" in scene.notes
    report = build_index([open_source(tmp_path / "in")], tmp_path / "index")
    assert report.reasons["frame_without_labels"] == 5
    wrong = ("has no mask of frame 003", "has shape", "colour type 2", "is not a PNG", "decoded")
    for k, what in enumerate(wrong, start=3):
        with pytest.raises(SceneFormatError, match=what):
            scene.read_instance(scene.frames[k])


def test_frames_of_one_name_have_masks_under_their_folders(tmp_path):
    folder = write_nerfstudio(tmp_path / "room")
    stored = json.loads((folder / "transforms.json").read_text())
    for row in stored["frames"]:
        name = row["file_path"]
        side = folder / "left" if name < "images/004.png" else folder / "right"
        side.mkdir(exist_ok=True)
        path = side / f"{int(name[7:10]) % 4}.png"
        (folder / name).rename(path)
        row["file_path"] = path.relative_to(folder).as_posix()
    (folder / "transforms.json").write_text(json.dumps(stored))
    write_masks(folder, [f"{'left' if k < 4 else 'right'}/{k % 4}.png" for k in range(8)], "8")
    Image.new("L", (96, 72), 9).save(folder / "instance/1.png")  # of which of the two?
    scene = open_source(tmp_path).open("room")
    assert [f.name for f in scene.frames] == [*"0123", *"0123"]
    for frame, shot in zip(scene.frames, SHOTS, strict=True):
        np.testing.assert_array_equal(scene.read_instance(frame), shot.instance)


def test_boxes_name_the_points_in_them(tmp_path):
    folder = write_nerfstudio(tmp_path / "in" / "room")
    (folder / "objects.json").write_text(json.dumps(listed(boxes=True)))
    scene, found = indexed(tmp_path / "in", tmp_path / "index")
    assert set(found) == {name for name, *_ in rays.BOXES}
    points, instance = np.asarray(scene.points), np.asarray(scene.instance)
    for k, (_, low, high, _) in enumerate(rays.BOXES, start=1):
        mine = points[instance == k]
        assert len(mine) > 10
        assert (mine > np.array(low) - 0.01).all()
        assert (mine < np.array(high) + 0.01).all()
    assert found["table"].box_size[2] == pytest.approx(0.74, abs=0.03)
    # The floor that the furniture stands on is nobody's.
    assert not (instance[(points[:, 2] < 0.015)] > 0).any()


@pytest.mark.parametrize(
    ("box", "what"),
    [
        ({"center": [0, 0], "size": [1, 1, 1]}, "center"),
        ({"center": [0, 0, 0], "size": [1, -1, 1]}, "negative"),
        ({"center": [0, 0, 0], "size": [1, 1, 1], "rotation": [2, 0, 0, 0, 1, 0, 0, 0, 1]}, "R"),
        ({"center": [0, 0, 0]}, "size"),
        ([1, 2], "box"),
    ],
)
def test_boxes_that_are_none_are_refused(tmp_path, box, what):
    folder = write_nerfstudio(tmp_path / "room")
    rows = {"objects": [{"instance": 1, "name": "chair", "box": box}]}
    (folder / "objects.json").write_text(json.dumps(rows))
    with pytest.raises(SceneFormatError, match=what) as error:
        open_source(tmp_path).open("room")
    assert error.value.code == "objects_bad"


def test_a_scene_without_a_scale_takes_its_boxes_along(tmp_path):
    folder = write_nerfstudio(tmp_path / "room")
    (folder / "objects.json").write_text(json.dumps(listed(boxes=True)))
    (folder / "scene_meta.json").write_text('{"world_up": [0, 0, 1], "metric": false}')
    scene = open_source(tmp_path).open("room")
    np.testing.assert_allclose(
        scene.objects[0].box.size, np.array([1, 1.2, 0.75]) * scene.depth_scale
    )
    np.testing.assert_allclose(scene.objects[0].box.center[2], 0.375 * scene.depth_scale)


def box_object(number, center, size):
    return Object3D(number, "thing", "thing", OrientedBox(center, size, np.eye(3)))


def test_who_gets_a_point():
    points = np.array(
        [[0, 0, 0], [0.9, 0, 0], [0, 0, -0.99], [1.005, 0, 0], [5, 5, 5], [0, 1.02, 0],
         [0.3, 0, 0], [np.nan, 0, 0]],
        np.float32,
    )  # fmt: skip
    instance = np.array([-1, -1, -1, -1, -1, -1, 7, -1], np.int32)
    objects = (
        box_object(1, (0, 0, 0), (2, 2, 2)),
        box_object(2, (0, 0, 0), (0.8, 0.8, 0.8)),  # the smaller one has what both hold
        box_object(7, (5, 5, 5), (1, 1, 1)),  # has a point by its mask: its box counts for nothing
        Object3D(9, "no box", "no box"),
    )
    # The third stands on the lowest face, the fourth is within 1 cm of a side, the sixth is not.
    wanted = [2, 1, -1, 1, -1, -1, 7, -1]
    assert points_in_boxes(objects, points, instance, np.eye(4), True).tolist() == wanted
    assert in_boxes(objects, Cloud(points, instance), np.eye(4), True).instance.tolist() == wanted
    wanted[2] = 1
    assert points_in_boxes(objects, points, instance, np.eye(4), False).tolist() == wanted
    turn = np.eye(4)
    turn[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    moved = np.stack([-points[:, 1], points[:, 0], points[:, 2]], axis=1)
    assert points_in_boxes(objects, moved, instance, turn, False).tolist() == wanted


def test_a_box_on_its_head_stands_on_its_lowest_face():
    box = OrientedBox((0, 0, 0.5), (1, 2, 1), np.diag([1.0, -1.0, -1.0]))
    held = box_of_points(box, np.eye(4), True)
    np.testing.assert_allclose(held.bounds, [[-0.51, -1.01, 0.02], [0.51, 1.01, 1.01]])
    flat = box_of_points(replace(box, size=np.array([1, 2, 0.02])), np.eye(4), True)
    np.testing.assert_allclose(flat.bounds[0][2], 0.5)  # half of a rug's height, not all of it


def test_index_and_reference_agree_on_many_boxes():
    rng = np.random.default_rng(3)
    points = rng.uniform(-1, 1, (4000, 3)).astype(np.float32)
    instance = np.where(rng.random(4000) < 0.3, 3, -1).astype(np.int32)
    objects = tuple(
        box_object(k, rng.uniform(-1, 1, 3), rng.uniform(0.01, 1, 3)) for k in range(1, 30)
    )
    ours = points_in_boxes(objects, points, instance, np.eye(4), True)
    theirs = in_boxes(objects, Cloud(points, instance), np.eye(4), True).instance
    np.testing.assert_array_equal(ours, theirs)
    assert len(np.unique(ours)) > 20


def test_masks_of_another_file_kind(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(SceneFormatError, match="not a PNG") as error:
        read_mask(tmp_path / "a.png")
    assert error.value.code == "instance_bad"
