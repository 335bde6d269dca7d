# SPDX-License-Identifier: Apache-2.0
"""Raw scans: frames by original index, masks with reasons, objects, alignment, splits."""

from __future__ import annotations

import io
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spatialcore.errors import SceneFormatError
from spatialcore.io.images import image_bytes, open_image
from spatialcore.io.open import open_source
from spatialcore.io.sens import open_sens
from tests.fabricate import (
    COLOR_K,
    DEPTH_K,
    LABELS,
    LOST_POSE,
    depth_map,
    jpeg,
    level_pose,
    scannet_scan,
    sens_frames,
)

SCAN = "scene0000_00"


def test_scan_opens_whole(tmp_path: Path) -> None:
    scannet_scan(tmp_path / "scans")
    (tmp_path / "scannetv2-labels.combined.tsv").write_text(LABELS)
    (tmp_path / "scannetv2_val.txt").write_text(f"{SCAN}\n")
    source = pickle.loads(pickle.dumps(open_source(tmp_path)))
    assert (source.kind, source.key, source.scene_ids()) == ("scannet", "scannet", (SCAN,))
    scene = source.open(SCAN)
    assert (scene.space, scene.split, scene.kind) == ("scene0000", "val", "scannet")
    assert [f.index for f in scene.frames] == [0, 5, 10]
    assert [f.name for f in scene.frames] == ["00000", "00005", "00010"]
    assert all(f.valid for f in scene.frames)
    np.testing.assert_array_equal(scene.color.K, COLOR_K)
    np.testing.assert_array_equal(scene.depth.K, DEPTH_K)
    assert (scene.color.size, scene.depth_size, scene.depth_scale) == ((32, 24), (16, 12), 0.001)
    assert scene.frames[1].image == f"scans/{SCAN}/{SCAN}.sens#frame=5"
    assert scene.frames[1].time == pytest.approx(5 * 0.033333)
    np.testing.assert_allclose(scene.frames[1].world_from_cam, level_pose(0.5, 0.25), atol=1e-6)
    np.testing.assert_array_equal(scene.read_depth(scene.frames[1]), depth_map(base=905))
    np.testing.assert_array_equal(scene.world_up, [0, 0, 1])
    assert scene.aligned_from_world[1, 3] == 2
    assert image_bytes(scene.root, scene.frames[1].image) == jpeg(shade=50)
    assert open_image(scene.root, scene.frames[1].image).size == (32, 24)


def test_objects_keep_gaps_and_the_later_group_wins(tmp_path: Path) -> None:
    scannet_scan(tmp_path)
    (tmp_path / "scannetv2-labels.combined.tsv").write_text(LABELS)
    scene = open_source(tmp_path).open(SCAN)
    assert [(o.object_id, o.category) for o in scene.objects] == [
        (0, "chair"), (7, "bookshelf"), (12, "weird things"),
    ]  # fmt: skip
    cloud = scene.read_cloud()
    assert cloud.instance.tolist() == [0, 0, 7, 7, 7, 7, 12, 12]
    assert cloud.points_world[7].tolist() == pytest.approx([2.1, 2.2, 2.3])
    assert cloud.colour[0].tolist() == [1, 2, 3]
    assert {"unknown_categories=1", "empty_objects=1"} <= set(scene.notes)


def test_bad_frames_are_masked_with_reasons(tmp_path: Path) -> None:
    frames = sens_frames(7)
    pose, color, depth = frames[0]
    frames[1] = (LOST_POSE, color, depth)
    frames[2] = (pose, b"", depth)
    frames[3] = (pose, b"rubbish", depth)
    frames[4] = (pose, jpeg((8, 8)), depth)
    frames[5] = (pose, color, b"")
    frames[6] = (pose * 2, color, depth)
    scannet_scan(tmp_path, frames=frames)
    scene = open_source(tmp_path, stride=1).open(SCAN)
    assert [f.reason for f in scene.frames] == [
        "", "pose_nonfinite", "image_missing", "image_bad", "image_size_differs", "depth_missing",
        "pose_not_rigid",
    ]  # fmt: skip
    with pytest.raises(SceneFormatError, match="no depth"):
        scene.read_depth(scene.frames[5])


@pytest.mark.parametrize("declared", [0, 3, 12, 1 << 40, 1 << 63, (1 << 64) - 1])
@pytest.mark.parametrize("inertial", [0, 5])
def test_bytes_are_believed_not_the_count(tmp_path: Path, declared: int, inertial: int) -> None:
    path = scannet_scan(tmp_path, declared=declared, inertial=inertial)
    assert len(open_sens(path)) == 11
    notes = open_source(tmp_path).open(SCAN).notes
    assert f"frame_count_wrong={declared}, holds 11" in notes


def test_truncated_scan_keeps_whole_frames(tmp_path: Path) -> None:
    path = scannet_scan(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    count = len(open_sens(path))
    assert 3 <= count <= 6
    scene = open_source(path, stride=1).open(SCAN)
    assert len(scene.frames) == count
    np.testing.assert_array_equal(scene.read_depth(scene.frames[2]), depth_map(base=902))


def test_raw_and_png_payloads(tmp_path: Path) -> None:
    frames = [(p, c, depth_map(base=900).tobytes()) for p, c, _ in sens_frames(2)]
    path = scannet_scan(tmp_path, frames=frames, depth_compression=0)
    np.testing.assert_array_equal(open_sens(path).depth(1), depth_map(base=900))


@pytest.mark.parametrize(
    "payload",
    [
        zlib.compress(bytes(1 << 22)),
        zlib.compress(depth_map().tobytes()[:-2]),
        zlib.compress(depth_map().tobytes() + b"\0\0"),
        zlib.compress(depth_map())[:-3],
        b"not deflate at all",
    ],
)
def test_payload_that_is_no_depth_image(tmp_path: Path, payload: bytes) -> None:
    pose, color, _ = sens_frames(1)[0]
    scannet_scan(tmp_path, frames=[(pose, color, payload)])
    scene = open_source(tmp_path).open(SCAN)
    with pytest.raises(SceneFormatError) as error:
        scene.read_depth(scene.frames[0])
    assert error.value.code == "depth_bad"


def test_shift_other_than_a_thousand(tmp_path: Path) -> None:
    scannet_scan(tmp_path, shift=4000.0)
    assert open_source(tmp_path).open(SCAN).depth_scale == 1 / 4000


def test_one_scan_has_the_same_uris_however_it_is_opened(tmp_path: Path) -> None:
    path = scannet_scan(tmp_path)
    uris = {open_source(p).open(SCAN).frames[0].image for p in (tmp_path, path.parent, path)}
    assert uris == {f"{SCAN}/{SCAN}.sens#frame=0"}


def test_a_frame_of_another_scan_is_not_found(tmp_path: Path) -> None:
    scannet_scan(tmp_path)
    for uri in (f"{SCAN}/{SCAN}.sens#frame=99", f"{SCAN}/{SCAN}.sens#frame=-1", f"{SCAN}/x.sens#f"):
        with pytest.raises(SceneFormatError):
            open_image(tmp_path, uri)


@pytest.mark.parametrize("form", ["ascii", "binary_big_endian"])
def test_a_mesh_of_another_format_is_the_same_mesh(tmp_path: Path, form: str) -> None:
    """Annotation tools save the mesh anew, most of them as text."""
    path = scannet_scan(tmp_path)
    stored = open_source(path).open("scene0000_00").read_cloud()
    mesh = path.with_name("scene0000_00_vh_clean_2.ply")
    rows = [(*p, *c, 255) for p, c in zip(stored.points_world, stored.colour, strict=True)]
    head = mesh.read_bytes().partition(b"end_header\n")[0]
    head = head.replace(b"element face 2", b"element face 0")
    if form == "ascii":
        body = "".join(" ".join(str(v) for v in row) + "\n" for row in rows).encode()
    else:
        body = b"".join(struct.pack(">fffBBBB", *row) for row in rows)
    mesh.write_bytes(head.replace(b"binary_little_endian", form.encode()) + b"end_header\n" + body)
    scene = open_source(path).open("scene0000_00")
    assert len(scene.objects) == 3
    for field in ("points_world", "instance", "colour"):
        np.testing.assert_array_equal(getattr(scene.read_cloud(), field), getattr(stored, field))


def test_scan_without_annotation(tmp_path: Path) -> None:
    path = scannet_scan(tmp_path)
    for file in path.parent.iterdir():
        if file != path:
            file.unlink()
    scene = open_source(tmp_path).open(SCAN)
    assert scene.read_cloud is None
    assert scene.objects == ()
    assert scene.aligned_from_world is None
    assert scene.split is None


def test_jpeg_bytes_pass_unchanged(tmp_path: Path) -> None:
    scannet_scan(tmp_path)
    stored = image_bytes(tmp_path, f"{SCAN}/{SCAN}.sens#frame=3")
    assert Image.open(io.BytesIO(stored)).format == "JPEG"
    assert stored == jpeg(shade=30)
