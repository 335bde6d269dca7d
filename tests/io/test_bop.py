# SPDX-License-Identifier: Apache-2.0
"""BOP: a tiny scene of the layout, its millimetres, objects matched over images, and damage."""

import json

import numpy as np
import pytest
from PIL import Image

from spatialcore.errors import SceneFormatError
from spatialcore.index import SceneIndex, build_index
from spatialcore.io.bop_objects import _YCBV
from spatialcore.io.open import open_source
from spatialcore.types import invert_pose
from tests import rays
from tests.fabricate import png16

COUNT = 6
SHOTS = rays.shots([rays.pinhole(96, 72)] * COUNT)
UNIT = 0.1  # millimetres
# Two trash cans of one model: the furniture's third box is the second one.
MODELS = {1: 7, 2: 5, 3: 7, 4: 2, 5: 9}
WORDS = {"7": "bin", "5": "chair", "2": "mug"}  # 9 has none


def standing(k):
    """world_from_model of a piece of furniture: a quarter turn about z, at its lowest corner."""
    pose = np.eye(4)
    pose[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    pose[:3, 3] = rays.BOXES[k - 1][1]
    return pose


def write_scene(root, masks=True, words=WORDS, split="train_real"):
    folder = root / split / "000003"
    for name in ("rgb", "depth", "mask_visib"):
        (folder / name).mkdir(parents=True)
    cameras, truth = {}, {}
    for k, shot in enumerate(SHOTS):
        number = 2 * k + 1
        Image.fromarray(shot.colour).save(folder / f"rgb/{number:06d}.png")
        units = np.rint(shot.depth / (UNIT * 0.001)).astype(np.uint16)
        (folder / f"depth/{number:06d}.png").write_bytes(png16(units))
        cam_from_world = invert_pose(shot.world_from_cam)
        cameras[str(number)] = {
            "cam_K": shot.camera.K.ravel().tolist(), "depth_scale": UNIT,
            "cam_R_w2c": cam_from_world[:3, :3].ravel().tolist(),
            "cam_t_w2c": (cam_from_world[:3, 3] * 1000).tolist(),
        }  # fmt: skip
        # The list is in another order in each image, and leaves out what is not seen.
        order = [n for n in np.roll(range(1, 6), k).tolist() if (shot.instance == n).any()]
        truth[str(number)] = []
        for row, n in enumerate(order):
            pose = cam_from_world @ standing(n)
            truth[str(number)].append({
                "obj_id": MODELS[n], "cam_R_m2c": pose[:3, :3].ravel().tolist(),
                "cam_t_m2c": (pose[:3, 3] * 1000 + 0.5 * (-1) ** k).tolist(),
            })  # fmt: skip
            if masks:
                drawn = Image.fromarray(255 * (shot.instance == n).astype(np.uint8))
                drawn.save(folder / f"mask_visib/{number:06d}_{row:06d}.png")
    (folder / "scene_camera.json").write_text(json.dumps(cameras))
    (folder / "scene_gt.json").write_text(json.dumps(truth))
    (folder / "scene_meta.json").write_text('{"world_up": [0, 0, 1]}')
    info = {}
    for n, model in MODELS.items():
        x, y, z = np.subtract(*rays.BOXES[n - 1][2:0:-1]) * 1000
        # In the model's axes: its x is the world's y, its y the world's -x.
        info[str(model)] = {"diameter": 1, "min_x": 0, "min_y": -x, "min_z": 0,
                            "size_x": y, "size_y": x, "size_z": z}  # fmt: skip
    (root / "models").mkdir()
    (root / "models/models_info.json").write_text(json.dumps(info))
    if words:
        (root / "models/names.json").write_text(json.dumps(words))
    return folder


def furniture_of(scene):
    """Object id -> number of the furniture, by what the masks of all images draw."""
    found = {}
    for frame, shot in zip(scene.frames, SHOTS, strict=True):
        ids = scene.read_instance(frame)
        for number in np.unique(ids[ids >= 0]).tolist():
            drawn = np.unique(shot.instance[ids == number]).tolist()
            assert found.setdefault(number, drawn[0]) == drawn[0]
            assert len(drawn) == 1
            np.testing.assert_array_equal(ids == number, shot.instance == drawn[0])
    return found


def test_a_scene(tmp_path):
    write_scene(tmp_path)
    source = open_source(tmp_path)
    assert (source.kind, source.scene_ids()) == ("bop", ("000003",))
    scene = source.open("000003")
    assert [(f.index, f.reason) for f in scene.frames] == [(2 * k + 1, "") for k in range(COUNT)]
    assert scene.depth_scale == pytest.approx(0.0001)
    assert (scene.metric, scene.split, scene.notes) == (True, "train", ("models_unnamed=1",))
    np.testing.assert_allclose(scene.color.K, SHOTS[0].camera.K)
    for frame, shot in zip(scene.frames, SHOTS, strict=True):
        np.testing.assert_allclose(frame.world_from_cam, shot.world_from_cam, atol=1e-9)
        metres = scene.read_depth(frame) * scene.depth_scale
        np.testing.assert_allclose(metres, shot.depth, atol=1e-4)
    found = furniture_of(scene)
    assert sorted(found.values()) == [1, 2, 3, 4]
    for item in scene.objects:
        number = found[item.object_id]
        _, low, high, _ = rays.BOXES[number - 1]
        assert item.raw_category == WORDS[str(MODELS[number])]
        np.testing.assert_allclose(item.box.bounds[0], low, atol=2e-3)
        if number != 1:  # the model of the first has the size of the third
            np.testing.assert_allclose(item.box.bounds[1], high, atol=2e-3)
    build_index([source], tmp_path / "index")
    index = SceneIndex.open(tmp_path / "index/bop/000003")
    assert sorted(o.category for o in index.objects) == ["bin", "bin", "chair", "mug"]


def test_without_masks_objects_are_boxes(tmp_path):
    write_scene(tmp_path, masks=False)
    source = open_source(tmp_path)
    assert source.open("000003").read_instance is None
    build_index([source], tmp_path / "index")
    index = SceneIndex.open(tmp_path / "index/bop/000003")
    assert sorted(o.category for o in index.objects) == ["bin", "bin", "chair", "mug"]
    chair = next(o for o in index.objects if o.category == "chair")
    np.testing.assert_allclose(chair.box_size[2], 0.95, atol=0.03)


def test_models_of_known_sets_have_words(tmp_path):
    write_scene(tmp_path / "ycbv", words=None, split="test")
    scene = open_source(tmp_path / "ycbv" / "test").open("000003")
    words = sorted(o.category for o in scene.objects)
    assert words == sorted(_YCBV[MODELS[k] - 1] for k in range(1, 6))
    assert "mustard bottle" in words
    assert scene.split is None


def test_without_words_a_persons_labels_count(tmp_path):
    folder = write_scene(tmp_path, words=None)
    scene = open_source(tmp_path).open("000003")
    assert (scene.objects, scene.notes) == ((), ("models_unnamed=5",))
    box = {"center": [4.1, 1.8, 0.37], "size": [1, 1.2, 0.75]}
    rows = {"objects": [{"instance": 1, "name": "table", "box": box}]}
    (folder / "objects.json").write_text(json.dumps(rows))
    assert [o.category for o in open_source(tmp_path).open("000003").objects] == ["table"]


def test_scenes_without_camera_poses_say_so(tmp_path):
    folder = write_scene(tmp_path)
    rows = json.loads((folder / "scene_camera.json").read_text())
    for row in rows.values():
        del row["cam_R_w2c"]
    (folder / "scene_camera.json").write_text(json.dumps(rows))
    with pytest.raises(SceneFormatError, match="not where cameras stand") as error:
        open_source(tmp_path).open("000003")
    assert error.value.code == "extrinsics_missing"


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("scene_camera.json", "[]", "numbers as keys"),
        ("scene_camera.json", '{"x": 1}', "numbers as keys"),
        ("scene_camera.json", '{"12345678901": {}}', "ten digits"),
        ("scene_camera.json", '{"1": {"depth_scale": [1]}}', "one depth_scale"),
        ("scene_camera.json", '{"1": {"depth_scale": 1}, "2": {"depth_scale": 2}}', "one depth"),
        ("scene_camera.json", "{}", "one depth_scale"),
        ("scene_camera.json", "[" * 100_000, "not JSON"),
        ("scene_gt.json", "3", "numbers as keys"),
        ("../../models/names.json", '{"1": 4}', "mug"),
    ],
)
def test_malformed_files(tmp_path, name, content, what):
    folder = write_scene(tmp_path)
    (folder / name).write_text(content)
    with pytest.raises(SceneFormatError, match=what):
        open_source(tmp_path).open("000003")


def test_malformed_rows_leave_out_themselves(tmp_path):
    folder = write_scene(tmp_path)
    rows = json.loads((folder / "scene_camera.json").read_text())
    rows["1"]["cam_K"] = [1, 2]
    rows["3"]["cam_t_w2c"] = "far"
    rows["5"] = 7
    (folder / "scene_camera.json").write_text(json.dumps(rows))
    truth = json.loads((folder / "scene_gt.json").read_text())
    truth["7"] = [3, {"obj_id": "bin"}, {"obj_id": 5, "cam_R_m2c": [1e99] * 9}]
    truth["9"] = {"obj_id": 1}
    (folder / "scene_gt.json").write_text(json.dumps(truth))
    Image.new("L", (4, 4)).save(folder / "mask_visib/000011_000000.png")
    scene = open_source(tmp_path).open("000003")
    reasons = ["intrinsic_missing", "pose_missing", "intrinsic_missing", "", "", ""]
    assert [f.reason for f in scene.frames] == reasons
    with pytest.raises(SceneFormatError, match="has shape"):
        scene.read_instance(scene.frames[5])
