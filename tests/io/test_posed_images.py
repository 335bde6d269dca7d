# SPDX-License-Identifier: Apache-2.0
"""Exported posed images: both layouts, kept frames, masks, orientation, instances."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.layouts import kinds
from spatialcore.io.open import open_source
from spatialcore.types import Scene
from tests.fabricate import (
    COLOR_K,
    DEPTH_K,
    LOST_POSE,
    annotate,
    depth_map,
    jpeg,
    level_pose,
    matrix_text,
    padded,
    png16,
    posed_scene,
)


def folder_layout(folder: Path, count: int = 4) -> None:
    for part in ("color", "depth", "pose", "intrinsic"):
        (folder / part).mkdir(parents=True)
    for i in range(count):
        (folder / "color" / f"{i}.jpg").write_bytes(jpeg())
        (folder / "depth" / f"{i}.png").write_bytes(png16(depth_map()))
        (folder / "pose" / f"{i}.txt").write_text(matrix_text(level_pose()))
    (folder / "intrinsic" / "intrinsic_color.txt").write_text(matrix_text(padded(COLOR_K)))
    (folder / "intrinsic" / "intrinsic_depth.txt").write_text(matrix_text(padded(DEPTH_K)))


def only_scene(path: Path, **options: object) -> Scene:
    source = open_source(path, **options)
    (scene_id,) = source.scene_ids()
    return source.open(scene_id)


def test_flat_layout(tmp_path: Path) -> None:
    posed_scene(tmp_path / "room_a", meta={"world_up": [0, 1, 0], "metric": False})
    scene = pickle.loads(pickle.dumps(only_scene(tmp_path)))
    assert (scene.source, scene.id, scene.space, scene.split) == (
        "posed_images", "room_a", "room_a", None,
    )  # fmt: skip
    assert [f.index for f in scene.frames] == list(range(6))
    assert scene.frames[2].image == "room_a/posed_images/00002.jpg"
    np.testing.assert_array_equal(scene.color.K, COLOR_K)
    np.testing.assert_array_equal(scene.depth.K, DEPTH_K)
    assert (scene.color.size, scene.depth_size, scene.depth_scale) == ((32, 24), (16, 12), 0.001)
    np.testing.assert_array_equal(scene.world_up, [0, 1, 0])
    assert not scene.metric
    np.testing.assert_array_equal(scene.read_depth(scene.frames[3]), depth_map(base=1003))


def test_layout_by_folder_sorts_by_number(tmp_path: Path) -> None:
    folder_layout(tmp_path / "scene0001_02", 12)
    scene = only_scene(tmp_path)
    assert [f.name for f in scene.frames] == [str(i) for i in range(12)]
    assert scene.space == "scene0001"
    np.testing.assert_array_equal(scene.depth.K, DEPTH_K)
    assert scene.world_up is None
    assert "up_unknown" in scene.notes


def test_folders_of_spar(tmp_path: Path) -> None:
    """SPAR-7M-RGBD has image_color/ and image_depth/ beside pose/ and intrinsic/."""
    folder_layout(tmp_path / "scene0001_02", 3)
    for part in ("color", "depth"):
        (tmp_path / "scene0001_02" / part).rename(tmp_path / "scene0001_02" / f"image_{part}")
    scene = only_scene(tmp_path)
    assert [f.reason for f in scene.frames] == [""] * 3
    assert scene.frames[2].depth == "scene0001_02/image_depth/2.png"


def test_same_uris_however_it_is_opened(tmp_path: Path) -> None:
    frames = posed_scene(tmp_path / "room")
    uris = {only_scene(p).frames[0].image for p in (tmp_path, tmp_path / "room", frames)}
    assert uris == {"room/posed_images/00000.jpg"}
    assert only_scene(f"posed_images:{tmp_path}").id == "room"


def test_kept_by_number_in_the_name_so_gaps_shift_nothing(tmp_path: Path) -> None:
    frames = posed_scene(tmp_path / "room", 12)
    for suffix in ("jpg", "png", "txt"):
        (frames / f"00003.{suffix}").unlink()
    scene = only_scene(tmp_path, stride=5)
    assert [(f.index, f.name) for f in scene.frames] == [(0, "00000"), (5, "00005"), (10, "00010")]


def test_names_that_are_not_numbers_take_their_row(tmp_path: Path) -> None:
    frames = posed_scene(tmp_path / "room", 3)
    for path in [p for p in frames.iterdir() if p.stem.isdigit()]:
        path.rename(frames / f"frame-{int(path.stem) * 10:06d}{path.suffix}")
    scene = only_scene(tmp_path)
    assert [(f.index, f.name) for f in scene.frames] == [
        (0, "frame-000000"), (1, "frame-000010"), (2, "frame-000020"),
    ]  # fmt: skip


def test_missing_and_bad_files_mask_the_frame(tmp_path: Path) -> None:
    frames = posed_scene(tmp_path / "room", 11)
    (frames / "00001.txt").unlink()
    (frames / "00002.png").unlink()
    (frames / "00003.jpg").unlink()
    (frames / "00004.txt").write_text(matrix_text(LOST_POSE))
    (frames / "00005.txt").write_text("1 2 three")
    (frames / "00006.jpg").write_bytes(b"")
    (frames / "00007.png").write_bytes(jpeg())
    (frames / "00008.jpg").write_bytes(jpeg((64, 48)))
    (frames / "00009.png").write_bytes(png16(depth_map((4, 4))))
    (frames / "00010.txt").write_text(matrix_text(np.diag([1.0, 1, -1, 1])))
    scene = only_scene(tmp_path)
    assert [f.reason for f in scene.frames] == [
        "", "pose_missing", "depth_missing", "image_missing", "pose_nonfinite", "pose_unreadable",
        "image_bad", "depth_bad", "image_size_differs", "depth_size_differs", "pose_mirrored",
    ]  # fmt: skip
    assert scene.frames[8].color is None
    assert scene.color.size == (32, 24)


def test_missing_intrinsic_says_what_is_needed(tmp_path: Path) -> None:
    frames = posed_scene(tmp_path / "room")
    (frames / "intrinsic.txt").unlink()
    with pytest.raises(SceneFormatError, match=r"intrinsic\.txt") as error:
        only_scene(tmp_path)
    assert error.value.code == "intrinsic_missing"


@pytest.mark.parametrize("word", ["auto", "0,0,2", "z", "+z"])
def test_world_up_option(tmp_path: Path, word: str) -> None:
    posed_scene(tmp_path / "room", meta={"world_up": [0, 1, 0]})
    scene = only_scene(tmp_path, world_up=word)
    np.testing.assert_allclose(scene.world_up, [0, 0, 1], atol=1e-12)
    assert scene.up_estimated == (word == "auto")


def test_world_up_is_not_estimated_from_cameras_that_disagree(tmp_path: Path) -> None:
    frames = posed_scene(tmp_path / "room", 2)
    upside_down = level_pose() @ np.diag([-1.0, -1, 1, 1])
    (frames / "00001.txt").write_text(matrix_text(upside_down))
    scene = only_scene(tmp_path, world_up="auto")
    assert scene.world_up is None
    assert "up_estimate_refused" in scene.notes


def test_world_up_option_must_make_sense(tmp_path: Path) -> None:
    posed_scene(tmp_path / "room")
    for word in ("up", "0,0,0", "1,2", "--z", "nan,0,1"):
        with pytest.raises(ValueError, match="world up"):
            open_source(tmp_path, world_up=word)


def test_mesh_and_objects_beside_the_frames(tmp_path: Path) -> None:
    posed_scene(tmp_path / "scene0000_00")
    annotate(tmp_path / "scene0000_00", "scene0000_00")
    scene = only_scene(tmp_path)
    assert [o.object_id for o in scene.objects] == [0, 7, 12]
    assert scene.read_cloud().instance.tolist() == [0, 0, 7, 7, 7, 7, 12, 12]
    assert scene.aligned_from_world[0, 3] == 1


def test_instance_images(tmp_path: Path) -> None:
    posed_scene(tmp_path / "bin")
    (tmp_path / "bin/instance").mkdir()
    ids = np.zeros((24, 32), np.uint16)
    ids[3:5] = 2
    (tmp_path / "bin/instance/00001.png").write_bytes(png16(ids))
    rows = {"objects": [{"instance": 2, "name": "Books"}]}
    (tmp_path / "bin/objects.json").write_text(json.dumps(rows))
    scene = only_scene(tmp_path)
    assert [(o.object_id, o.category) for o in scene.objects] == [(2, "book")]
    instance = scene.read_instance(scene.frames[1])
    assert instance.dtype == np.int32
    assert (instance == 2).sum() == 64
    assert (instance == -1).sum() == 24 * 32 - 64


def test_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SceneFormatError, match=r"empty folder") as error:
        open_source(tmp_path)
    assert all(kind in error.value.hint for kind in (*kinds(), "docs/inputs.md", "KIND:PATH"))
    (tmp_path / "kitchen").mkdir()
    with pytest.raises(SceneFormatError, match=r"is not there \(did you mean 'kitchen' in .*\)"):
        open_source(tmp_path / "kitchens" / "scans")
    with pytest.raises(SceneFormatError, match=r"is not there \(.* has no 'nowhere'\)"):
        open_source(tmp_path / "nowhere")
    (tmp_path / "kitchen").rmdir()
    with pytest.raises(SceneFormatError, match=r"looked for scannet: <id>/<id>\.sens"):
        open_source(f"scannet:{tmp_path}")


def test_scene_without_a_usable_image(tmp_path: Path) -> None:
    frames = posed_scene(tmp_path / "room", 2)
    for path in frames.glob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(
        SceneFormatError, match=r"readable depth map: 2 depth_bad.*png is not a PNG"
    ) as error:
        only_scene(tmp_path)
    assert error.value.code == "no_usable_frames"


@pytest.mark.real
def test_captured_scenes(real_path: Path) -> None:
    source = open_source(real_path / "rgbd")
    assert source.scene_ids() == ("apc_shelf_0000", "hololens_office_000")
    shelf, office = (source.open(scene_id) for scene_id in source.scene_ids())
    assert (len(shelf.frames), len(office.frames)) == (15, 96)
    assert all(f.valid for f in (*shelf.frames, *office.frames))
    np.testing.assert_array_equal(shelf.world_up, [0, 0, 1])
    np.testing.assert_array_equal(office.world_up, [0, 1, 0])
    assert [o.object_id for o in shelf.objects] == [1, 2, 3, 4]
    assert (office.color.size, office.depth_size) == ((540, 360), (540, 360))
    share = np.mean([(office.read_depth(f) > 0).mean() for f in office.frames[::8]])
    assert 0.55 < share < 0.75
    ids = np.unique(shelf.read_instance(shelf.frames[0]))
    assert set(ids.tolist()) <= {-1, 1, 2, 3, 4}
    estimated = open_source(real_path / "rgbd/hololens_office_000", world_up="auto")
    up = estimated.open("hololens_office_000")
    if up.up_estimated:
        assert up.world_up @ np.array([0, 1, 0]) > 0.9


@pytest.mark.real
def test_copied_scene_opens_alike(real_path: Path, tmp_path: Path) -> None:
    shutil.copytree(real_path / "rgbd/apc_shelf_0000", tmp_path / "apc_shelf_0000")
    here = only_scene(tmp_path)
    there = only_scene(real_path / "rgbd/apc_shelf_0000")
    assert [f.image for f in here.frames] == [f.image for f in there.frames]
