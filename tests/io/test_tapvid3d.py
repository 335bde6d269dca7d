# SPDX-License-Identifier: Apache-2.0
"""Clips: keys and aliases, missing readings, extrinsics, splits, stored images."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.images import image_bytes, open_image
from spatialcore.io.open import open_source, open_sources
from spatialcore.io.options import ReadOptions
from spatialcore.types import Track3D
from tests.fabricate import clip_arrays, jpeg, write_npz


def open_clip(path: Path, options: ReadOptions | None = None) -> Track3D:
    source = open_source(path, options)
    return source.open(source.scene_ids()[0])


def test_clip_opens_whole(tmp_path: Path) -> None:
    arrays = clip_arrays()
    write_npz(tmp_path / "walk.npz", arrays)
    source = pickle.loads(pickle.dumps(open_source(tmp_path)))
    clip = source.open("walk")
    assert (clip.source, clip.id, clip.space, clip.split) == ("tapvid3d", "walk", "walk", None)
    np.testing.assert_array_equal(clip.tracks_cam, arrays["tracks_XYZ"].astype(np.float64))
    assert clip.tracks_cam.dtype == np.float64
    assert clip.visible.all()
    assert clip.camera.size == (32, 24)
    assert clip.frames[2].image == "walk.npz#images_jpeg_bytes/2"
    np.testing.assert_allclose(clip.frames[3].world_from_cam[:3, 3], [0.03, 0, 0], atol=1e-7)
    assert image_bytes(clip.root, clip.frames[2].image) == jpeg(shade=2)
    assert open_image(clip.root, clip.frames[2].image).size == (32, 24)


def test_documented_key_names_are_read_and_reported(tmp_path: Path) -> None:
    arrays = clip_arrays()
    arrays["tracks_xyz"] = arrays.pop("tracks_XYZ")
    arrays["intrinsics"] = arrays.pop("fx_fy_cx_cy")
    clip = open_clip(write_npz(tmp_path / "walk.npz", arrays))
    assert "key tracks_xyz read as tracks_XYZ" in clip.notes
    assert "key intrinsics read as fx_fy_cx_cy" in clip.notes


def test_missing_readings_and_short_tracks(tmp_path: Path) -> None:
    arrays = clip_arrays(steps=10, count=5)
    tracks = arrays["tracks_XYZ"]
    tracks[3, 0] = 0
    tracks[4, 0] = np.nan
    tracks[:3, 1] = 0
    tracks[2, 2, 2] = -1
    clip = open_clip(write_npz(tmp_path / "walk.npz", arrays))
    assert clip.short_track_count == 1
    assert clip.track_index.tolist() == [0, 2, 3, 4]
    missing = np.isnan(clip.tracks_cam).all(axis=2)
    assert np.argwhere(missing).tolist() == [[2, 1], [3, 0], [4, 0]]
    assert not clip.visible[missing].any()
    tracks[:5] = 0
    with pytest.raises(SceneFormatError) as error:
        open_clip(write_npz(tmp_path / "still.npz", arrays))
    assert error.value.code == "tracks_too_few"


def test_extrinsics_are_never_guessed(tmp_path: Path) -> None:
    arrays = clip_arrays()
    del arrays["extrinsics_w2c"]
    path = write_npz(tmp_path / "walk.npz", arrays)
    with pytest.raises(SceneFormatError) as error:
        open_clip(path)
    assert error.value.code == "extrinsics_missing"
    static = open_clip(path, ReadOptions(static_camera=True))
    assert static.static_camera
    np.testing.assert_array_equal(static.cam_from_world, np.tile(np.eye(4), (5, 1, 1)))
    assert open_clip(write_npz(tmp_path / "pstudio" / "juggle_3.npz", arrays)).static_camera


def test_collections_spaces_and_splits(tmp_path: Path) -> None:
    for name in ("pstudio/basketball_3", "pstudio/juggle_3", "adt/Walk_seq1_2", "drivetrack/d_1"):
        write_npz(tmp_path / f"{name}.npz", clip_arrays())
    (tmp_path / "adt_val.txt").write_text("Walk_seq1\n")
    source = open_source(tmp_path)
    assert source.scene_ids() == ("Walk_seq1_2", "basketball_3", "d_1", "juggle_3")
    found = {
        i: (source.open(i).space, source.open(i).split) for i in source.scene_ids() if i != "d_1"
    }
    assert found == {
        "Walk_seq1_2": ("Walk_seq1", "val"),
        "basketball_3": ("basketball", "val"),
        "juggle_3": ("juggle", "train"),
    }
    with pytest.raises(SceneFormatError) as error:
        source.open("d_1")
    assert error.value.code == "source_not_allowed"
    allowed = open_source(tmp_path / "drivetrack", ReadOptions(allow_source=("drivetrack",)))
    assert allowed.open("d_1").source == "drivetrack"


def test_a_common_root_is_a_source_for_each_collection(tmp_path: Path) -> None:
    """Keys, splits and the rule on missing extrinsics go by collection, as if each were opened."""
    root = tmp_path / "set" / "clips"
    still = clip_arrays()
    del still["extrinsics_w2c"]
    write_npz(root / "adt" / "Walk_seq1_2.npz", clip_arrays())
    write_npz(root / "adt" / "Walk_seq2_0.npz", still)
    write_npz(root / "pstudio" / "juggle_3.npz", still)
    write_npz(root / "pstudio" / "Walk_seq2_0.npz", still)  # one id in two collections
    (root / "adt_val.txt").write_text("Walk_seq1\n")
    adt, pstudio = open_sources(root)
    assert (adt.key, adt.root, pstudio.key) == ("adt", root / "adt", "pstudio")
    walk = adt.open("Walk_seq1_2")
    assert (walk.source, walk.split, walk.static_camera) == ("adt", "val", False)
    assert open_image(walk.root, walk.frames[2].image).size == (32, 24)
    with pytest.raises(SceneFormatError) as error:
        adt.open("Walk_seq2_0")
    assert error.value.code == "extrinsics_missing"
    juggle = pstudio.open("juggle_3")
    assert (juggle.source, juggle.split, juggle.static_camera) == ("pstudio", "train", True)
    again = open_source(f"tapvid3d:{adt.root}", ReadOptions(), key=adt.key)
    assert again.open("Walk_seq1_2").split == "val"
    # Below a folder of sources the collections stay apart; clips beside them are a third source.
    assert [s.key for s in open_sources(root.parent)] == ["adt", "pstudio"]
    write_npz(root / "walk.npz", clip_arrays())
    assert [s.key for s in open_sources(root)] == ["tapvid3d", "adt", "pstudio"]
    assert open_sources(root)[0].scene_ids() == ("walk",)


def test_a_key_makes_one_source_of_all_collections(tmp_path: Path) -> None:
    for name in ("pstudio/juggle_3", "adt/Walk_seq1_2"):
        write_npz(tmp_path / f"{name}.npz", clip_arrays())
    (clips,) = open_sources(tmp_path, key="clips")
    assert (clips.key, clips.scene_ids()) == ("clips", ("Walk_seq1_2", "juggle_3"))
    assert clips.open("juggle_3").static_camera


def test_images_behind_fixed_offsets(tmp_path: Path) -> None:
    arrays = clip_arrays()
    images = list(arrays["images_jpeg_bytes"])
    arrays["images_jpeg_bytes"] = np.frombuffer(b"".join(images), np.uint8)
    arrays["images_jpeg_offsets"] = np.cumsum([0, *map(len, images)])
    clip = open_clip(write_npz(tmp_path / "walk.npz", arrays))
    assert [image_bytes(clip.root, f.image) for f in clip.frames] == images
    arrays["images_jpeg_offsets"] = arrays["images_jpeg_offsets"][::-1]
    with pytest.raises(SceneFormatError, match="offsets"):
        open_clip(write_npz(tmp_path / "back.npz", arrays))


def test_clip_without_images_needs_a_size(tmp_path: Path) -> None:
    arrays = clip_arrays()
    del arrays["images_jpeg_bytes"]
    with pytest.raises(SceneFormatError, match="image size is not known"):
        open_clip(write_npz(tmp_path / "walk.npz", arrays))
    arrays["image_hw"] = np.array([24, 32])
    arrays["fps"] = np.float64(25)
    clip = open_clip(write_npz(tmp_path / "hall.npz", arrays))
    assert clip.camera.size == (32, 24)
    assert clip.frames[1].image is None
    assert clip.frames[1].time == 0.04


def test_lost_camera_masks_its_frame(tmp_path: Path) -> None:
    arrays = clip_arrays()
    arrays["extrinsics_w2c"][2] = -np.inf
    arrays["images_jpeg_bytes"][3] = b"no image"
    clip = open_clip(write_npz(tmp_path / "walk.npz", arrays))
    assert [f.reason for f in clip.frames] == ["", "", "pose_nonfinite", "image_bad", ""]


@pytest.mark.parametrize("missing", ["tracks_XYZ", "visibility", "fx_fy_cx_cy"])
def test_missing_key_is_named(tmp_path: Path, missing: str) -> None:
    arrays = clip_arrays()
    del arrays[missing]
    with pytest.raises(SceneFormatError, match=missing):
        open_clip(write_npz(tmp_path / "walk.npz", arrays))


@pytest.mark.real
def test_captured_clips(real_path: Path) -> None:
    source = open_source(real_path / "tracks")
    assert source.scene_ids() == ("hololens_static_000_024", "mocap_box_lift")
    office, lift = (source.open(clip) for clip in source.scene_ids())
    assert office.tracks_cam.shape[0] == 24
    assert office.tracks_cam.shape[1] + office.short_track_count == 256
    assert open_image(office.root, office.frames[17].image).size == (540, 360)
    assert lift.tracks_cam.shape == (145, 51, 3)
    assert lift.short_track_count == 0
    assert np.isnan(lift.tracks_cam[..., 2]).sum() == 73
    assert lift.camera.size == (640, 480)
    assert lift.frames[0].image is None
