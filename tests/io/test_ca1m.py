# SPDX-License-Identifier: Apache-2.0
"""CA-1M: a tiny capture as an archive and as a folder, its boxes, its up direction and damage."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.ca1m import Ca1mSource, upright_axis
from spatialcore.io.images import open_image
from spatialcore.io.open import open_source
from spatialcore.io.survey import survey_scene
from spatialcore.types import Camera, Scene
from tests import rays
from tests.phones import halved, millimetres, png, put

VIDEO = "42898570"
COUNT = 6
# Pictures are turned upright one by one: the last two of the capture are in portrait.
CAMERAS = [*[rays.pinhole(128, 96)] * (COUNT - 2), *[rays.pinhole(96, 128)] * 2]
SHOTS = rays.shots(CAMERAS)
STAMPS = [6845700000000 + 100000000 * k for k in range(COUNT)]
TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # of the boxes about the vertical


def matrix(values: np.ndarray) -> bytes:
    return json.dumps(np.asarray(values).tolist()).encode()


def contents(scanned: bool = True) -> dict[str, bytes]:
    """Files of the capture by their names below the video's folder."""
    files: dict[str, bytes] = {}
    for stamp, shot in zip(STAMPS, SHOTS, strict=True):
        wide, gt = f"{stamp}.wide", f"{stamp}.gt"
        quarter = halved(halved(shot.camera))
        files |= {
            f"{wide}/image.png": png(shot.colour),
            f"{wide}/image/K.json": matrix(shot.camera.K),
            f"{wide}/depth.png": millimetres(rays.shoot(shot.world_from_cam, quarter)),
            f"{wide}/depth/K.json": matrix(quarter.K),
            f"{wide}/T_gravity.json": matrix(np.eye(3)),
            f"{wide}/instances.json": b"[]",
            f"{stamp}._wide/image/size": b"[128, 96]",
            f"{gt}/RT.json": matrix(shot.world_from_cam),
        }
        if scanned:
            half = halved(shot.camera)
            laser = rays.shoot(shot.world_from_cam, half)
            laser.depth[0, 0] = 0
            files |= {f"{gt}/depth.png": millimetres(laser), f"{gt}/depth/K.json": matrix(half.K)}
    rows = []
    for name, low, high, _ in rays.BOXES:
        size, middle = np.subtract(high, low), np.add(high, low) / 2
        rows.append({"id": f"x-{name}", "category": name, "position": middle.tolist(),
                     "scale": size[[1, 0, 2]].tolist(), "R": TURN.tolist(),
                     "caption": "a thing"})  # fmt: skip
    rows.append({**rows[0], "category": "door_frame"})
    rows.append({"category": "sofa", "position": [0, 0], "scale": [1, 1, 1], "R": []})
    files["world.gt/instances.json"] = json.dumps(rows).encode()
    return files


def write_tar(path: Path, files: dict[str, bytes], video: str = VIDEO) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{video}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_capture(root: Path, *, packed: bool = True, scanned: bool = True) -> Path:
    """The archive under its published name, or the folder that it unpacks to."""
    if packed:
        return write_tar(root / f"ca1m-val-{VIDEO}.tar", contents(scanned))
    for name, content in contents(scanned).items():
        put(root / VIDEO / name, content)
    return root / VIDEO


def opened(root: Path) -> Scene:
    source = pickle.loads(pickle.dumps(open_source(root)))
    assert source.kind == "ca1m"
    scene = source.open(source.scene_ids()[0])
    assert isinstance(scene, Scene)
    return scene


@pytest.mark.parametrize("packed", [True, False])
def test_a_capture(tmp_path: Path, packed: bool) -> None:
    write_capture(tmp_path, packed=packed)
    (tmp_path / "metadata.csv").write_text(f"video_id,visit_id\n{VIDEO},421380.0\n")
    scene = opened(tmp_path)
    assert scene.id == (f"ca1m-val-{VIDEO}" if packed else VIDEO)
    assert (scene.space, scene.split) == ("421380", "val" if packed else None)
    assert [f.reason for f in scene.frames] == [""] * COUNT
    assert [f.time for f in scene.frames] == pytest.approx([s / 1e9 for s in STAMPS])
    assert (scene.metric, scene.world_up.tolist()) == (True, [0, 0, 1])
    for frame, shot in zip(scene.frames, SHOTS, strict=True):
        np.testing.assert_allclose(frame.world_from_cam, shot.world_from_cam, atol=1e-12)
        camera, lens = frame.color or scene.color, frame.depth_camera or scene.depth
        np.testing.assert_allclose(camera.K, shot.camera.K)
        np.testing.assert_allclose(lens.K, halved(shot.camera).K)
        depth = scene.read_depth(frame) / 1000
        assert depth[0, 0] == 0
        level = rays.shoot(shot.world_from_cam, halved(shot.camera)).depth
        np.testing.assert_allclose(np.where(depth > 0, depth, level), level, atol=6e-4)
        seen = np.asarray(open_image(scene.root, str(frame.image)))
        np.testing.assert_array_equal(seen, shot.colour)
    assert [o.category for o in scene.objects] == [name for name, *_ in rays.BOXES]
    for item, (_, low, high, _) in zip(scene.objects, rays.BOXES, strict=True):
        np.testing.assert_allclose(np.concatenate(item.box.bounds), [*low, *high], atol=1e-9)
    assert "objects_without_box=1" in scene.notes
    report = survey_scene(open_source(tmp_path), scene.id)
    assert report.agreement > 0.95


def test_maps_of_the_sensor_where_nothing_was_scanned(tmp_path: Path) -> None:
    write_capture(tmp_path, scanned=False)
    scene = opened(tmp_path)
    assert scene.depth_size == (32, 24)
    assert str(scene.frames[1].depth).endswith(f"#{VIDEO}/{STAMPS[1]}.wide/depth.png")
    np.testing.assert_allclose(scene.depth.K, halved(halved(CAMERAS[0])).K)


def test_up_is_where_pictures_and_boxes_agree() -> None:
    poses = [shot.world_from_cam for shot in SHOTS]
    scene = [rays_box() for _ in range(3)]
    np.testing.assert_array_equal(upright_axis(poses, scene), [0, 0, 1])
    lying = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # z becomes y
    over = np.eye(4)
    over[:3, :3] = lying
    np.testing.assert_array_equal(
        upright_axis([over @ p for p in poses], [b.turned(over) for b in scene]), [0, 1, 0]
    )
    tilted = np.eye(4)
    a = np.deg2rad(5)
    tilted[1:3, 1:3] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    assert upright_axis(poses, [b.turned(tilted) for b in scene]) is None
    assert upright_axis([], scene) is None


def rays_box():
    from spatialcore.box import OrientedBox

    return OrientedBox((0, 0, 0), (1, 2, 3), TURN)


def test_what_is_missing_masks_its_frame(tmp_path: Path) -> None:
    files = contents()
    del files[f"{STAMPS[0]}.gt/RT.json"]
    files[f"{STAMPS[1]}.gt/RT.json"] = b"[[1, 2"
    files[f"{STAMPS[2]}.wide/image.png"] = b"no picture"
    del files[f"{STAMPS[3]}.gt/depth.png"]
    del files[f"{STAMPS[4]}.wide/image/K.json"]
    write_tar(tmp_path / f"ca1m-train-{VIDEO}.tar", files)
    scene = opened(tmp_path)
    wanted = ["pose_missing", "pose_unreadable", "image_bad", "depth_missing", "intrinsic_missing"]
    assert [f.reason for f in scene.frames] == [*wanted, ""]


@pytest.mark.parametrize("text", [b"{}", b"[1]", b"[[[["])
def test_a_damaged_list_is_refused(tmp_path: Path, text: bytes) -> None:
    write_tar(tmp_path / "ca1m-train-7.tar", contents() | {"world.gt/instances.json": text})
    with pytest.raises(SceneFormatError, match="ca1m-train-7"):
        opened(tmp_path)


def test_other_archives_are_no_captures(tmp_path: Path) -> None:
    write_tar(tmp_path / "words.tar", {"a.txt": b"words"}, "7")
    (tmp_path / "cut.tar").write_bytes(b"no archive")
    write_capture(tmp_path / "in")
    assert open_source(tmp_path).scene_ids() == (f"ca1m-val-{VIDEO}",)


def test_damage_is_typed(tmp_path: Path) -> None:
    path = write_capture(tmp_path)
    whole, rng = path.read_bytes(), np.random.default_rng()
    for _ in range(25):
        damaged = bytearray(whole)
        for at in rng.integers(len(damaged), size=40):
            damaged[int(at)] = int(rng.integers(256))
        path.write_bytes(bytes(damaged[: int(rng.integers(600, len(damaged)))]))
        source = Ca1mSource(tmp_path, (("walk", path.name),))
        with contextlib.suppress(SceneFormatError):  # anything else fails the test
            scene = source.open("walk")
            for frame in scene.frames:
                with contextlib.suppress(SceneFormatError):
                    scene.read_depth(frame)


def test_a_capture_of_one_shape_shares_its_camera(tmp_path: Path) -> None:
    camera = Camera(CAMERAS[0].K, 128, 96)
    files = contents()
    for stamp, shot in zip(STAMPS[-2:], rays.shots([camera] * COUNT)[-2:], strict=True):
        half = halved(camera)
        files |= {
            f"{stamp}.wide/image.png": png(shot.colour),
            f"{stamp}.wide/image/K.json": matrix(camera.K),
            f"{stamp}.gt/depth.png": millimetres(rays.shoot(shot.world_from_cam, half)),
            f"{stamp}.gt/depth/K.json": matrix(half.K),
        }
    write_tar(tmp_path / f"ca1m-train-{VIDEO}.tar", files)
    assert all(frame.color is None for frame in opened(tmp_path).frames)
