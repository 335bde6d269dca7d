# SPDX-License-Identifier: Apache-2.0
"""The procedural sets: layout facts, agreement of depth, mesh and cameras, determinism."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import minimum_filter

from spatialcore.commands import sample as command
from spatialcore.io.open import open_source
from spatialcore.sample import SampleConfig, SampleError, SampleSummary, make_sample
from spatialcore.sample.clips import BODIES, body_poses
from spatialcore.sample.dice import Dice
from spatialcore.sample.presets import COLOR, DEPTH, PRESETS
from spatialcore.sample.render import PERFECT, Renderer
from spatialcore.sample.rooms import Room, Wall, rectangles_meet
from spatialcore.sample.solids import BOX, CYLINDER, ELLIPSOID, Material, Solid
from spatialcore.sample.templates import TEMPLATES
from spatialcore.sample.walk import free_cells, look, walk_poses
from spatialcore.types import Camera, Scene, Track3D, invert_pose, transform_points

GREY = Material("plain", 0x808080)
SMALL = SampleConfig(rooms=1, clips=1, frames=10, clip_frames=4, tracks=32)


def make(root: Path, config: SampleConfig, **options: object) -> SampleSummary:
    *_, summary = make_sample(root, config, workers=1, **options)
    assert isinstance(summary, SampleSummary)
    return summary


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SampleSummary]:
    root = tmp_path_factory.mktemp("small") / "set"
    return root, make(root, SMALL)


def digests(root: Path) -> dict[str, str]:
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }


def test_same_seed_same_bytes_other_seed_other_bytes(
    small: tuple[Path, SampleSummary], tmp_path: Path
) -> None:
    root, summary = small
    again = make(tmp_path / "again", SMALL)
    assert again.sha256 == summary.sha256
    assert digests(tmp_path / "again") == digests(root)
    other = make(tmp_path / "other", SampleConfig(1, 0, 2, seed=1, layouts=("posed_images",)))
    assert (
        other.sha256
        != make(tmp_path / "o", SampleConfig(1, 0, 2, layouts=("posed_images",))).sha256
    )


def test_workers_do_not_change_a_byte(tmp_path: Path) -> None:
    config = SampleConfig(rooms=2, clips=0, frames=4, preset="tiny")
    *_, two = make_sample(tmp_path / "two", config, workers=2)
    assert isinstance(two, SampleSummary)
    assert two.sha256 == make(tmp_path / "one", config).sha256


def test_manifest_names_every_file_and_its_hash(small: tuple[Path, SampleSummary]) -> None:
    root, summary = small
    manifest = json.loads((root / "sample.json").read_text())
    found = digests(root)
    del found["sample.json"]
    assert {f["path"]: f["sha256"] for f in manifest["files"]} == found
    assert manifest["sha256"] == summary.sha256
    assert manifest["bytes"] == sum((root / f).stat().st_size for f in found) == summary.bytes


def test_a_finished_set_is_left_alone_and_a_foreign_folder_refused(
    small: tuple[Path, SampleSummary], tmp_path: Path
) -> None:
    root, summary = small
    assert make(root, SMALL) == SampleSummary(**{**vars_of(summary), "already_done": True})
    with pytest.raises(SampleError, match="seed 0 instead of 3"):
        make(root, SampleConfig(1, 1, 10, 4, 32, seed=3))
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SampleError, match="not empty"):
        make(tmp_path, SMALL)
    make(tmp_path, SampleConfig(0, 0), overwrite=True)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def vars_of(summary: SampleSummary) -> dict[str, object]:
    return {name: getattr(summary, name) for name in SampleSummary.__slots__}


def test_an_interrupted_set_is_finished_with_the_same_bytes(
    small: tuple[Path, SampleSummary], tmp_path: Path
) -> None:
    events = make_sample(tmp_path / "set", SMALL, workers=1)
    next(events)
    events.close()
    assert not (tmp_path / "set" / "sample.json").exists()
    assert make(tmp_path / "set", SMALL).sha256 == small[1].sha256
    assert not list((tmp_path / "set").rglob("*.tmp"))


@pytest.mark.parametrize(
    "fields",
    [{"preset": "huge"}, {"layouts": ("tum",)}, {"frames": 0}, {"rooms": -1}, {"tracks": 2}],
)
def test_config_refuses_what_it_cannot_make(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        SampleConfig(**fields)


def test_sens_header_and_payloads(small: tuple[Path, SampleSummary]) -> None:
    content = next(small[0].rglob("*.sens")).read_bytes()
    version, length = struct.unpack_from("<IQ", content)
    at = 12 + length
    matrices = np.frombuffer(content, "<f4", 64, at).reshape(4, 4, 4)
    assert version == 4
    np.testing.assert_array_equal(matrices[0][:3, :3], COLOR.K)
    np.testing.assert_array_equal(matrices[2][:3, :3], DEPTH.K)
    np.testing.assert_array_equal(matrices[[1, 3]], np.tile(np.eye(4), (2, 1, 1)))
    assert struct.unpack_from("<iiIIIIfQ", content, at + 256) == (
        2, 1, 648, 484, 320, 240, 1000.0, 10,
    )  # fmt: skip
    at += 256 + struct.calcsize("<iiIIIIfQ")
    for number in range(10):
        *_, jpeg_size, depth_size = struct.unpack_from("<QQQQ", content, at + 64)
        start = at + 96
        jpeg = content[start : start + jpeg_size]
        assert jpeg[:2] == b"\xff\xd8"
        if number % 5 == 0:
            stem = small[0] / f"posed_images/scene0000_00/posed_images/{number:05d}"
            assert stem.with_suffix(".jpg").read_bytes() == jpeg
        assert len(zlib.decompress(content[start + jpeg_size :][:depth_size])) == 320 * 240 * 2
        at = start + jpeg_size + depth_size
    assert content[at:] == bytes(8)


def test_both_layouts_give_the_same_scene(small: tuple[Path, SampleSummary]) -> None:
    raw = open_source(small[0] / "scannet", stride=5).open("scene0000_00")
    exported = open_source(small[0] / "posed_images").open("scene0000_00")
    assert isinstance(raw, Scene)
    assert isinstance(exported, Scene)
    assert [f.index for f in raw.frames] == [f.index for f in exported.frames] == [0, 5]
    for a, b in zip(raw.frames, exported.frames, strict=True):
        assert a.valid
        assert b.valid
        np.testing.assert_array_equal(a.world_from_cam, b.world_from_cam)
        np.testing.assert_array_equal(raw.read_depth(a), exported.read_depth(b))
    for a, b in ((raw.color, exported.color), (raw.depth, exported.depth)):
        np.testing.assert_array_equal(a.K, b.K)
        assert a.size == b.size
    np.testing.assert_array_equal(raw.aligned_from_world, exported.aligned_from_world)
    np.testing.assert_array_equal(raw.world_up, exported.world_up)
    np.testing.assert_array_equal(raw.read_cloud().points_world, exported.read_cloud().points_world)
    np.testing.assert_array_equal(raw.read_cloud().instance, exported.read_cloud().instance)
    assert raw.objects == exported.objects
    assert (raw.split, raw.space) == (exported.split, exported.space)


def test_depth_agrees_with_the_mesh(small: tuple[Path, SampleSummary]) -> None:
    scene = open_source(small[0] / "scannet", stride=2).open("scene0000_00")
    points = scene.read_cloud().points_world
    seen = np.zeros(len(points), dtype=bool)
    for frame in scene.frames:
        cam = transform_points(invert_pose(frame.world_from_cam), points)
        z = np.where(cam[:, 2] > 0.3, cam[:, 2], np.inf)
        K, depth = scene.depth.K, scene.read_depth(frame) * 0.001
        uv = np.rint(cam[:, :2] / z[:, None] * K[[0, 1], [0, 1]] + K[:2, 2]).astype(int)
        inside = np.isfinite(z) & (uv >= 0).all(1) & (uv[:, 0] < 320) & (uv[:, 1] < 240)
        read = depth[uv[inside, 1], uv[inside, 0]]
        hit = read > 0
        off, z = np.abs(read - z[inside]), z[inside]
        near = off < np.maximum(0.05, 0.1 * z)
        seen[np.flatnonzero(inside)[hit & near]] = True
        # Readings have nothing of the mesh before them, but at outlines, where a vertex may fall
        # on a pixel that sees past it; a neighbour of that pixel sees the vertex.
        around = minimum_filter(np.where(depth > 0, depth, np.inf), 3)[uv[inside, 1], uv[inside, 0]]
        assert (z[hit] > around[hit] - np.maximum(0.05, 0.1 * z[hit])).mean() > 0.998
        # The vertices' noise, the sensor's 0.0015 z^2 with its steps, and slanted pixels.
        assert np.median(off[hit & near] / (0.004 + 0.002 * z[hit & near] ** 2)) < 1.2
        assert 0.7 < (depth > 0).mean() < 0.99
    assert seen.sum() > 20_000


def test_objects_lie_in_their_known_boxes(small: tuple[Path, SampleSummary]) -> None:
    scene = open_source(small[0] / "scannet").open("scene0000_00")
    truth = json.loads((small[0] / "scannet/scans/scene0000_00/ground_truth.json").read_text())
    cloud = scene.read_cloud()
    aligned = transform_points(scene.aligned_from_world, cloud.points_world)
    labels = {thing["object_id"]: thing for thing in truth["objects"]}
    assert scene.objects
    for thing in scene.objects:
        known = labels[thing.object_id]
        assert known["label"] == thing.raw_category
        mine = aligned[cloud.instance == thing.object_id]
        box = known["box"]
        local = (mine - box["centre"]) @ np.array(box["R"])
        assert (np.abs(local) <= 0.5 * np.array(box["size"]) + 0.012).all()
    floor = next(t for t in truth["objects"] if t["label"] == "floor")
    on_floor = aligned[cloud.instance == floor["object_id"]]
    assert abs(np.median(on_floor[:, 2])) < 0.003


def test_mesh_covers_the_known_floor_area(small: tuple[Path, SampleSummary]) -> None:
    scene = open_source(small[0] / "scannet").open("scene0000_00")
    truth = json.loads((small[0] / "scannet/scans/scene0000_00/ground_truth.json").read_text())
    aligned = transform_points(scene.aligned_from_world, scene.read_cloud().points_world)
    cells = np.unique(np.floor(aligned[:, :2] / 0.1).astype(int), axis=0)
    lo, hi = np.min(truth["polygon"], axis=0), np.max(truth["polygon"], axis=0)
    assert (aligned[:, :2] > lo - 0.01).all()
    assert (aligned[:, :2] < hi + 0.01).all()
    inner = ((cells + 0.5) * 0.1 > lo + 0.05) & ((cells + 0.5) * 0.1 < hi - 0.05)
    assert 0.01 * inner.all(axis=1).sum() > 0.9 * truth["area_m2"]


def test_clip_tracks_are_rigid_and_visible_where_the_file_says(tmp_path: Path) -> None:
    make(tmp_path / "set", SampleConfig(rooms=0, clips=2, clip_frames=12, tracks=64))
    source = open_source(tmp_path / "set/tapvid3d")
    assert len(source.scene_ids()) == 2
    for clip_id in source.scene_ids():
        clip = source.open(clip_id)
        assert isinstance(clip, Track3D)
        place = "pstudio" if clip.static_camera else "adt"
        with np.load(tmp_path / f"set/tapvid3d/{place}/{clip_id}.npz", allow_pickle=False) as npz:
            group = npz["group_id"][clip.track_index]
            assert ("extrinsics_w2c" in npz) != clip.static_camera
            assert not any(npz[name].dtype.hasobject for name in npz)
        assert clip.short_track_count >= 1
        assert 2 <= group.max() <= 4
        whole = np.isfinite(clip.tracks_cam).all(axis=(0, 2))
        assert 0 < (~whole).sum() < 10
        for k in range(group.max() + 1):
            tracks = clip.tracks_cam[:, whole & (group == k)]
            apart = np.linalg.norm(tracks[:, :, None] - tracks[:, None], axis=-1)
            assert np.ptp(apart, axis=0).max() < 1e-5
        world = np.stack([
            transform_points(invert_pose(m), x)
            for m, x in zip(clip.cam_from_world, clip.tracks_cam, strict=True)
        ])  # fmt: skip
        way = np.linalg.norm(world - world[:1], axis=-1).max(axis=0)
        assert way[whole & (group == 0)].max() < 1e-5
        assert way[whole & (group > 0)].max() > 0.2
        assert 0.3 < clip.visible.mean() < 1.0


def test_rendered_depth_of_solids_is_the_ray_equation() -> None:
    camera = Camera(np.array([[50.0, 0, 20], [0, 50, 15], [0, 0, 1]]), 41, 31)
    pose = look(np.zeros((1, 3)), *(np.zeros(1) for _ in range(3)))[0]
    half = np.array([0.5, 0.5, 0.5])
    for kind, nearest in ((BOX, 1.5), (CYLINDER, 1.5), (ELLIPSOID, 1.5)):
        solid = Solid(kind, np.eye(3), np.array([2.0, 0, 0]), half, GREY)
        view = Renderer([solid], [], 3.0, [], 0)
        depth, index = view.cast(camera, pose)
        assert depth[15, 20] == pytest.approx(nearest, abs=1e-6)
        assert (index[depth == 0] == -1).all()
        x, y = (np.arange(41) - 20) / 50, (np.arange(31)[:, None] - 15) / 50
        if kind == BOX:
            want = np.where((np.abs(x) <= 1 / 3) & (np.abs(y) <= 1 / 3), 1.5, 0.0)
        else:
            a = 1 + x * x + (y * y if kind == ELLIPSOID else 0 * y)
            square = 4.0 - a * 3.75
            want = np.where(square >= 0, (2.0 - np.sqrt(np.maximum(square, 0))) / a, 0.0)
            if kind == CYLINDER:
                want = np.where(np.abs(y * want) <= 0.5, want, 0.0)
        near_edge = np.abs(np.gradient((want > 0).astype(float))).sum(0) > 0
        np.testing.assert_allclose(depth[~near_edge], want[~near_edge], atol=2e-5)


def test_perfect_sensor_reads_true_millimetres() -> None:
    wall = Solid(BOX, np.eye(3), np.array([2.5, 0, 0]), np.array([0.5, 9.0, 9.0]), GREY)
    pose = look(np.zeros((1, 3)), *(np.zeros(1) for _ in range(3)))[0]
    view = Renderer([wall], [], 3.0, [], 0)
    assert (view.measure(DEPTH, pose, 1, PERFECT) == 2000).all()
    noisy = view.measure(DEPTH, pose, 1, PRESETS["default"].sensor)
    spread = (noisy[noisy > 0] * 0.001 - 2.0).std()
    assert 0.004 < spread < 0.010  # 0.0015 z^2 is 6 mm at 2 m, and the steps of 1/z add to it
    np.testing.assert_array_equal(noisy, view.measure(DEPTH, pose, 1, PRESETS["default"].sensor))


def test_wall_frames_an_item() -> None:
    south = Wall((0.0, 0.0), (4.0, 0.0))
    assert south.inward == (0.0, 1.0)
    assert south.at(1.0, 0.5) == (1.0, 0.5)
    assert abs(south.yaw) == pytest.approx(np.pi)


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("seed", [0, 5])
def test_rooms_are_furnished_and_walkable(template: object, seed: int) -> None:
    room: Room = template("scene0000_00", Dice(seed, "scene0000_00"))
    shell = 2 + len(room.polygon)
    labels = [thing.raw_category for thing in room.objects[shell:]]
    assert 15 <= len(labels) <= 48
    assert any(labels.count(name) > 1 for name in labels)
    assert any(labels.count(name) == 1 for name in labels)
    x, y = np.array(room.polygon).T
    assert room.area == pytest.approx(
        0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(np.roll(x, -1), y))
    )
    solids, _ = room.solids()
    poses = walk_poses(room, solids, 60)
    assert room.contains(poses[:, :2, 3]).all()
    assert (poses[:, 2, 3] > 1.15).all()
    assert (poses[:, 2, 3] < 1.72).all()
    for solid in solids:
        local = (poses[:, :3, 3] - solid.t) @ solid.R
        assert not (np.abs(local) < solid.half + 0.05).all(axis=1).any()
    free, _ = free_cells(room, solids, 0.2)
    assert free.sum() > 30


def test_turned_rectangles() -> None:
    square = (0.0, 0.0, 1.0, 1.0, 0.0)
    assert rectangles_meet(square, (0.9, 0.0, 1.0, 1.0, 0.0))
    assert not rectangles_meet(square, (1.1, 0.0, 1.0, 1.0, 0.0))
    assert rectangles_meet(square, (1.15, 0.0, 1.0, 1.0, np.pi / 4))
    assert not rectangles_meet(square, (1.1, 1.1, 1.0, 1.0, np.pi / 4))


def test_bodies_keep_to_their_lanes() -> None:
    room = Room("clip", "corner", ((0, 0), (4, 0), (4, 4.4), (0, 4.4)), 2.6, Dice(0, "clip"))
    for kind in range(len(BODIES)):
        poses = body_poses(room, 30, 0, kind, 1)
        np.testing.assert_allclose(
            poses[:, :3, :3] @ poses[:, :3, :3].transpose(0, 2, 1),
            np.eye(3)[None].repeat(30, 0),
            atol=1e-12,
        )
        assert np.ptp(poses[:, 1, 3]) <= 0.13
        assert poses[:, 2, 3].min() >= BODIES[kind][1] - 1e-12


def test_command_prints_the_hash_and_its_exit_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        str(tmp_path / "set"),
        "--preset",
        "tiny",
        "--rooms",
        "1",
        "--frames",
        "2",
        "--workers",
        "1",
    ]
    assert command.main([*arguments, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert len(first["sha256"]) == 64
    assert first["already_done"] is False
    assert command.main([*arguments, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["sha256"], again["already_done"]) == (first["sha256"], True)
    assert command.main([*arguments, "--seed", "4"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert command.main([*arguments, "--seed", "4", "--overwrite"]) == 0
    assert "sha256 " in capsys.readouterr().out
    assert command.main([*arguments, "--layouts", "tum"]) == 2
