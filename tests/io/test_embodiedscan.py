# SPDX-License-Identifier: Apache-2.0
"""EmbodiedScan's pickled annotation and OpenSpatial's scene tables over the same tiny room."""

from __future__ import annotations

import codecs
import contextlib
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.spatial.transform import Rotation

from spatialcore.errors import SceneFormatError
from spatialcore.io.embodiedscan_infos import infos_of, read_infos
from spatialcore.io.nine_numbers import box_of_nine, rotation_zxy
from spatialcore.io.open import open_source, open_sources
from spatialcore.io.pickled_values import Packed, as_array, read_pickled
from spatialcore.io.survey import survey_scene
from spatialcore.types import Scene, invert_pose
from tests.fabricate import matrix_text, padded
from tests.phones import halved, jpg, millimetres, put
from tests.rays import BOXES, Shot, pinhole, shoot, walk

CAMERA, COUNT = pinhole(96, 72), 6
# The scanner's world: turned, tilted and moved against the room's own axes.
ALIGNED_FROM_WORLD = np.eye(4)
ALIGNED_FROM_WORLD[:3, :3] = Rotation.from_euler("ZXY", [0.4, 0.02, -0.03]).as_matrix()
ALIGNED_FROM_WORLD[:3, 3] = (0.3, -1.2, 0.1)
LABELS = {"chair": 17, "table": 3, "cabinet": 204, "trash can": 9, "lamp": 40}


def room() -> list[Shot]:
    return [shoot(pose, CAMERA) for pose in walk(COUNT)]


def nine(k: int, angles: tuple[float, float, float] = (0, 0, 0)) -> list[float]:
    _, low, high, _ = BOXES[k]
    return [*(np.add(low, high) / 2).tolist(), *np.subtract(high, low).tolist(), *angles]


def images_of(root: Path, folder: str, units: float = 1) -> list[dict[str, Any]]:
    """Files of the room below a collection's folder, and their rows; maps have half the size."""
    rows = []
    for k, shot in enumerate(room()):
        base = f"{folder}/{k:05d}"
        put(root / f"{base}.jpg", jpg(shot.colour))
        small = shoot(shot.world_from_cam, halved(CAMERA))
        put(root / f"{base}.png", millimetres(small._replace(depth=small.depth * units)))
        cam2global = np.asarray(invert_pose(ALIGNED_FROM_WORLD)) @ shot.world_from_cam
        rows.append({"img_path": f"{base}.jpg", "depth_path": f"{base}.png",
                     "cam2global": cam2global, "visible_instance_ids": [0, 1]})  # fmt: skip
    return rows


def write_infos(root: Path, *, split: str = "train", protocol: int = 4) -> Path:
    rows = images_of(root, "scannet/posed_images/scene0191_00")
    instances = [
        {"bbox_3d": nine(k), "bbox_label_3d": LABELS[box[0]], "bbox_id": 70 - k}
        for k, box in enumerate(BOXES)
    ]
    instances += [{"bbox_3d": [1, 2], "bbox_label_3d": 3, "bbox_id": 7},
                  {"bbox_3d": nine(0), "bbox_label_3d": 999, "bbox_id": 8}]  # fmt: skip
    scene = {
        "sample_idx": "scannet/scene0191_00", "axis_align_matrix": ALIGNED_FROM_WORLD,
        "cam2img": padded(CAMERA.K), "depth_cam2img": padded(halved(CAMERA).K).astype(np.float32),
        "images": rows, "instances": instances,
    }  # fmt: skip
    regions = images_of(root, "matterport3d/2n8kARJN3HM/matterport_color_images", 4)
    for row in regions:
        row["cam2img"] = CAMERA.K.tolist()
    region = {"sample_idx": "matterport3d/2n8kARJN3HM/region2", "images": regions,
              "axis_align_matrix": ALIGNED_FROM_WORLD.tolist(), "instances": []}  # fmt: skip
    stored = {"metainfo": {"categories": LABELS}, "data_list": [scene, region, {"images": 5}]}
    put(root / f"embodiedscan_infos_{split}.pkl", pickle.dumps(stored, protocol))
    return root / f"embodiedscan_infos_{split}.pkl"


def check_room(scene: Scene, count: int = 5) -> None:
    assert [f.reason for f in scene.frames] == [""] * COUNT
    assert (scene.metric, scene.world_up.tolist()) == (True, [0, 0, 1])
    np.testing.assert_array_equal(scene.aligned_from_world, np.eye(4))
    for frame, shot in zip(scene.frames, room(), strict=True):
        np.testing.assert_allclose(frame.world_from_cam, shot.world_from_cam, atol=1e-6)
        np.testing.assert_allclose(scene.color_of(frame).K, CAMERA.K, atol=1e-6)
    assert len(scene.objects) == count
    for item in scene.objects:
        _, low, high, _ = next(box for box in BOXES if box[0] == item.category)
        corners = item.box.corners
        np.testing.assert_allclose([corners.min(axis=0), corners.max(axis=0)], [low, high])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("split", ["train", "val"])
def test_infos(tmp_path: Path, protocol: int, split: str) -> None:
    write_infos(tmp_path, split=split, protocol=protocol)
    (source,) = open_sources(tmp_path)  # the folders of the collections are parts of its scenes
    assert source.kind == "embodiedscan"
    assert source.scene_ids() == ("2n8kARJN3HM_region2", "scene0191_00")
    scene = source.open("scene0191_00")
    check_room(scene)
    assert (scene.split, scene.space) == (split, "scene0191")
    assert {o.object_id for o in scene.objects} == {71 - k for k in range(5)}
    assert "objects_without_box=2" in scene.notes
    assert scene.depth.K[0, 0] == pytest.approx(CAMERA.K[0, 0] / 2, rel=1e-6)
    assert survey_scene(source, "scene0191_00").agreement > 0.97
    region = source.open("2n8kARJN3HM_region2")
    assert (region.space, region.depth_scale) == ("2n8kARJN3HM", 1 / 4000)
    assert survey_scene(source, region.id).agreement > 0.97
    named = open_source(tmp_path / f"embodiedscan_infos_{split}.pkl")
    assert named.files == source.files


def test_rows_that_lack_something_mask_their_frame(tmp_path: Path) -> None:
    path = write_infos(tmp_path)
    stored = pickle.loads(path.read_bytes())
    rows = stored["data_list"][0]["images"]
    rows[0]["cam2global"] = "lost"
    rows[1]["img_path"] = "../../etc/passwd"
    rows[2]["depth_path"] = "scannet/none.png"
    rows[3]["cam2img"] = padded(CAMERA.K * 3).tolist()
    del stored["data_list"][0]["axis_align_matrix"]
    path.write_bytes(pickle.dumps(stored))
    scene = open_source(tmp_path).open("scene0191_00")
    assert [f.reason for f in scene.frames[:3]] == ["pose_missing", "path_escape", "depth_missing"]
    assert scene.frames[3].reason == "principal_point_outside"


class Runs:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


@pytest.mark.parametrize("value", [
    Runs(), {"data_list": [Runs()]}, {"data_list": np.array([Runs()], dtype=object)},
    Path("x"), {"data_list": [{"sample_idx": range(3)}]},
])  # fmt: skip
def test_code_is_never_run(tmp_path: Path, monkeypatch, value: object) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "embodiedscan_infos_train.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(SceneFormatError) as error:
        read_pickled(path)
    assert error.value.code == "archive_unsafe"
    assert not (tmp_path / "ran").exists()
    source = open_source(tmp_path)
    with pytest.raises(SceneFormatError):
        source.open(source.scene_ids()[0])


def test_arrays_of_strangers_are_checked(tmp_path: Path) -> None:
    rng = np.random.default_rng()
    path = tmp_path / "a.pkl"
    columns = np.asfortranarray(rng.random((3, 4)))
    swapped = rng.random((2, 2)).astype(">f4")
    for array in (columns.copy("C"), rng.integers(9, size=(4, 2)), columns, swapped, np.float64(2)):
        for protocol in range(2, 6):
            path.write_bytes(pickle.dumps(array, protocol))
            found = as_array(read_pickled(path), np.shape(array))
            np.testing.assert_array_equal(found, array)
    false = Packed()
    for shape, dtype, content in (
        ((1 << 40,), "<f8", b""), ((2,), "<f8", bytes(8)), ((1,), "O", b"1"), ("ab", "<f8", b""),
        ((1,), 5, bytes(8)), ((-1,), "<f8", b""),
    ):  # fmt: skip
        false.shape, false.dtype, false.content = shape, dtype, content
        assert as_array(false, (1,)) is None
    assert as_array([[1, 2], [3]], (2, 2)) is None
    assert as_array([True, 1], (2,)) is None
    assert as_array([[1, 2.5], [3, 4]], (2, 2)).tolist() == [[1, 2.5], [3, 4]]


def test_damaged_infos_are_typed(tmp_path: Path) -> None:
    path = write_infos(tmp_path)
    whole, rng = path.read_bytes(), np.random.default_rng()
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(4):
            damaged[int(rng.integers(len(damaged)))] = int(rng.integers(256))
        path.write_bytes(bytes(damaged[: int(rng.integers(1, len(damaged)))]))
        with contextlib.suppress(SceneFormatError):  # anything else fails the test
            msgspec.msgpack.encode(infos_of(read_pickled(path), path))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SceneFormatError) as error:
        read_infos(path)
    assert error.value.code == "archive_bad"


def shared(depth: int) -> list[Any]:
    """Lists of one list within each other: few bytes stored, 4 to the `depth` once written out."""
    rows: list[Any] = []
    for _ in range(depth):
        rows = [rows] * 4
    return rows


@pytest.mark.parametrize("stored", [
    b"\x80\x04Nr" + struct.pack("<I", 1 << 30) + b".",  # a memo with a number of a thousand million
    pickle.dumps({"data_list": [{"sample_idx": "a", "images": [{"img_path": "x" * 4_000}] * 999}]}),
])  # fmt: skip
def test_bombs_are_refused(tmp_path: Path, stored: bytes) -> None:
    path = tmp_path / "embodiedscan_infos_train.pkl"
    path.write_bytes(stored)
    with pytest.raises(SceneFormatError) as error:
        read_infos(path)
    assert error.value.code == "archive_bomb"


def test_what_stands_for_a_text_is_one(tmp_path: Path) -> None:
    """`str` of lists within lists would be of 4 ** 40 characters."""

    class Encoded:
        def __reduce__(self) -> Any:
            return codecs.encode, (shared(40), "latin1")

    path = tmp_path / "embodiedscan_infos_train.pkl"
    path.write_bytes(pickle.dumps({"data_list": [Encoded()]}))
    with pytest.raises(SceneFormatError) as error:
        read_pickled(path)
    assert error.value.code == "archive_unsafe"


def test_nine_numbers_are_turned_about_z_x_y() -> None:
    rng = np.random.default_rng()
    for _ in range(20):
        angles = rng.uniform(-3, 3, 3)
        wanted = Rotation.from_euler("ZXY", angles).as_matrix()
        np.testing.assert_allclose(rotation_zxy(angles), wanted, atol=1e-12)
    assert box_of_nine(np.array([0, 0, 0, 1, 1, -1, 0, 0, 0.0])) is None
    assert box_of_nine(np.full(9, np.nan)) is None


def write_table(root: Path, place: str = "per_scene/part-0.parquet", **fields: Any) -> Path:
    """A table of one scene; each picture lists the boxes that it shows."""
    rows = images_of(root, "scannet/posed_images/scene0191_00")
    poses = []
    for k, shot in enumerate(room()):
        poses.append(f"scannet/poses/{k:05d}_pose.txt")
        put(root / poses[-1], "\n".join(" ".join(f"{x:.9f}" for x in r) for r in shot[3]))
    put(root / "scannet/K.txt", matrix_text(padded(CAMERA.K)))
    boxes = [[nine(j) for j in range(5) if (j + k) % 3] for k in range(COUNT)]
    tags = [[BOXES[j][0] for j in range(5) if (j + k) % 3] for k in range(COUNT)]
    row = {
        "dataset": "scannet", "scene_id": "scene0191_00", "num_images": COUNT,
        "image": [r["img_path"] for r in rows], "depth_map": [r["depth_path"] for r in rows],
        "pose": poses, "intrinsic": ["scannet/K.txt"] * COUNT, "depth_scale": [1000] * COUNT,
        "obj_tags": tags, "bboxes_3d_world_coords": boxes,
    }  # fmt: skip
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([{**row, **fields}]), path)
    return path


@pytest.mark.parametrize(
    "place", ["per_scene/part-0.parquet", "a.parquet", "x/per_scene/a.parquet"]
)
def test_tables(tmp_path: Path, place: str) -> None:
    path = write_table(tmp_path, place)
    source = open_source(path)
    assert (source.kind, source.scene_ids(), source.root) == (
        "openspatial",
        ("scene0191_00",),
        tmp_path,
    )
    # The pictures of the collections are its scenes', and no sources of their own.
    assert [s.kind for s in open_sources(tmp_path)] == ["openspatial"]
    assert open_sources(tmp_path)[0].refused == ()
    scene = source.open("scene0191_00")
    check_room(scene)
    assert (scene.space, scene.depth_scale) == ("scene0191", 0.001)
    np.testing.assert_allclose(scene.depth.K, halved(CAMERA).K, atol=1e-6)
    assert survey_scene(source, "scene0191_00").agreement > 0.97


def test_tables_that_lie(tmp_path: Path) -> None:
    for fields, code in (({"depth_scale": [1000] * 5 + [4000]}, "metadata_bad"),
                         ({"image": ["none.jpg"] * COUNT}, "no_usable_frames"),
                         ({"intrinsic": ["no.txt"] * COUNT}, "intrinsic_missing")):  # fmt: skip
        path = write_table(tmp_path, "a.parquet", **fields)
        with pytest.raises(SceneFormatError) as error:
            open_source(path).open("scene0191_00")
        assert error.value.code == code
    path = write_table(tmp_path, "a.parquet", is_metric_depth=False)
    assert not open_source(path).open("scene0191_00").metric
    path = write_table(tmp_path, "a.parquet", bboxes_3d_world_coords=[[[1.0, 2.0]]] * COUNT)
    scene = open_source(path).open("scene0191_00")
    assert scene.objects == ()
    put(tmp_path / "b.parquet", "PAR1 no table PAR1")
    pq.write_table(pa.table({"id": [1], "image": ["a"]}), tmp_path / "c.parquet")
    with pytest.raises(SceneFormatError):
        open_source(tmp_path / "b.parquet")
    with pytest.raises(SceneFormatError):
        open_source(tmp_path / "c.parquet")
    path = write_table(tmp_path, "a.parquet")
    whole, rng = path.read_bytes(), np.random.default_rng()
    for _ in range(40):
        damaged = bytearray(whole)
        damaged[int(rng.integers(len(damaged)))] = int(rng.integers(256))
        path.write_bytes(bytes(damaged[: int(rng.integers(1, len(damaged)))]))
        with contextlib.suppress(SceneFormatError):  # anything else fails the test
            open_source(f"openspatial:{path}").open("scene0191_00")
