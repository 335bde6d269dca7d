# SPDX-License-Identifier: Apache-2.0
"""The store: layout, atomicity, resuming, isolation of bad scenes, and the configuration."""

import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from spatial_engine.recipe import recipe_for
from spatial_engine.reference.extents import seen_extent
from spatial_engine.reference.pairs import pair_facts
from spatial_engine.reference.scene import ReferenceScene
from spatialcore.errors import FolderInUse, SceneFormatError, SceneIndexError
from spatialcore.index import build, store
from spatialcore.index.index import Index, IndexConfig, SceneIndex, build_index
from spatialcore.index.make import remove_index
from spatialcore.index.rules import load_rules
from tests.index.scenes import DEPTH_K, POSES, DeadlySource, MemorySource, look, room_scene

FILES = {
    "scene.json", "frames.parquet", "points.npy", "source_row.npy", "instance.npy", "visible.npy",
    "askable.npy", "surface.npy", "pairs.parquet", "objects.parquet", "object_frames.parquet",
    "view_sets.parquet",
}  # fmt: skip


def index_one(scene, path, recipe="default") -> SceneIndex:
    config = IndexConfig(load_rules(recipe))
    build_index([MemorySource({scene.id: scene})], path, config)
    return Index.open(path).open_scene("rooms", scene.id)


def test_the_folder_holds_exactly_the_files_and_columns_of_the_layout(tmp_path):
    index = index_one(room_scene(), tmp_path / "idx")
    folder = tmp_path / "idx/rooms/room0_00"
    assert {p.name for p in folder.iterdir()} == FILES
    assert {p.name for p in (tmp_path / "idx/rooms").iterdir()} == {"room0_00"}
    assert {p.name for p in (tmp_path / "idx").iterdir()} == {
        "index.json",
        "rooms",
        ".spatialcore-header.lock",
        ".spatialcore-index.lock",
    }
    schema = {p.stem: pq.read_schema(p) for p in folder.glob("*.parquet")}
    assert schema["frames"].names == [
        "frame", "name", "valid", "reason", "time", "world_from_cam", "image", "depth", "width",
        "height", "depth_width", "depth_height", "visible_count",
    ]  # fmt: skip
    assert schema["pairs"].names == ["i", "j", "intersection", "distance", "dyaw_deg", "dpitch_deg"]
    assert [str(t) for t in schema["pairs"].types] == ["int32", "int32", "uint32"] + ["double"] * 3
    assert schema["object_frames"].names == [
        "object_id", "frame", "visible_count", "surface_count", "inside_count", "lo_aligned",
        "hi_aligned", "lo_oriented", "hi_oriented",
    ]  # fmt: skip
    assert schema["view_sets"].names == ["object_id", "axis", "recipe", "frames"]
    assert all(s.metadata is None for s in schema.values())
    P = len(index.points)
    for name, dtype, shape in (
        ("points", "<f4", (P, 3)), ("source_row", "<u4", (P,)), ("instance", "<i4", (P,)),
        ("visible", "<u8", (4, (P + 63) // 64)), ("surface", "<u8", (4, (P + 63) // 64)),
        ("askable", "<u8", (4, (P + 63) // 64)),
    ):  # fmt: skip
        array = np.load(folder / f"{name}.npy")
        assert (array.dtype, array.shape) == (np.dtype(dtype), shape)
    meta = json.loads((folder / "scene.json").read_text())
    assert meta["recipe"] == {
        "name": "default", "rule": "tolerance(0.1,0.05)", "map": "from_intrinsics",
    }  # fmt: skip
    assert meta["reasons"] == {"object_without_vertices": 1}


def test_a_masked_frame_keeps_its_row_and_has_no_row_in_the_masks(tmp_path):
    poses = [*POSES]
    poses[1] = np.full((4, 4), -np.inf)
    scene = room_scene(world_from_cam=poses)
    index = index_one(scene, tmp_path)
    assert index.frames.reason == ["", "pose_nonfinite", "", ""]
    assert index.valid_frames.tolist() == [0, 2, 3]
    assert index.row_of_frame == {0: 0, 2: 1, 3: 2}
    assert np.isnan(index.frames.world_from_cam[1]).all()
    assert index.frames.visible_count.tolist()[1] == 0
    assert index.frames.visible_count[[0, 2, 3]].tolist() == index.visible.counts().tolist()
    assert index.reasons["pose_nonfinite"] == 1


def test_a_depth_map_that_cannot_be_read_masks_its_frame_alone(tmp_path):
    scene = room_scene(mesh=False)
    read = scene.read_depth

    def damaged(frame):
        if frame.index == 2:
            raise SceneFormatError("00002.png", "is cut off", code="depth_bad")
        return read(frame)[:10] if frame.index == 3 else read(frame)

    index = index_one(dataclasses.replace(scene, read_depth=damaged), tmp_path)
    assert index.frames.reason == ["", "", "depth_bad", "depth_size_differs"]
    assert index.visible.shape[0] == 2


@pytest.mark.parametrize("recipe", ["default", "multispa-paper"])
@pytest.mark.parametrize("mesh", [True, False])
def test_every_number_equals_the_reference(tmp_path, recipe, mesh):
    scene = room_scene(mesh=mesh)
    index = index_one(scene, tmp_path, recipe)
    reference = ReferenceScene(scene, recipe_for(load_rules(recipe)), 0, "train")
    order = index.source_row.astype(np.int64)
    assert sorted(order) == list(range(len(order)))
    np.testing.assert_array_equal(index.points, reference.points[order])
    np.testing.assert_array_equal(index.instance, reference.cloud.instance[order])
    for k, frame in enumerate(index.valid_frames.tolist()):
        askable = [not reason for reason in reference.guards(frame, order).reasons()]
        np.testing.assert_array_equal(index.visible.to_bool()[k], reference.visible(frame)[order])
        np.testing.assert_array_equal(
            index.surface.to_bool()[k], reference.object_points(frame)[order]
        )
        np.testing.assert_array_equal(index.askable.to_bool()[k], askable)
    found = list(zip(*index.pairs, strict=True))
    assert [(i, j) for i, j, *_ in found] == [(i, j) for i in range(4) for j in range(i + 1, 4)]
    for i, j, intersection, distance, dyaw, dpitch in found:
        facts = pair_facts(reference, i, j)
        assert intersection == facts.intersection
        assert (distance, dyaw, dpitch) == pytest.approx(
            (facts.distance, facts.dyaw_deg, facts.dpitch_deg), rel=1e-12, abs=1e-12
        )
    assert index.pairs.dyaw_deg[:3] == pytest.approx([10, 25, -40])


def test_unknown_up_leaves_angles_empty_and_the_rest_complete(tmp_path):
    index = index_one(room_scene(up=None), tmp_path)
    assert index.up == "unknown"
    assert np.isnan(index.pairs.dyaw_deg).all()
    assert np.isnan(index.pairs.dpitch_deg).all()
    assert (index.pairs.distance > 0).all()
    np.testing.assert_array_equal(index.zup_from_world, np.eye(4))


def test_a_y_up_world_gives_the_same_index_as_a_z_up_one(tmp_path):
    plain = index_one(room_scene(), tmp_path / "z")
    y_from_z = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    turned = index_one(room_scene(world_from_room=y_from_z, up=(0, 1, 0)), tmp_path / "y")
    assert turned.up == "given"
    np.testing.assert_array_equal(turned.points, plain.points)
    np.testing.assert_array_equal(turned.frames.world_from_cam, plain.frames.world_from_cam)
    assert turned.visible == plain.visible
    assert turned.askable == plain.askable
    for a, b in zip(turned.pairs, plain.pairs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_missing_depth_intrinsics_refuse_the_scene_unless_sizes_are_asked_for(tmp_path):
    source = MemorySource({"room0_00": room_scene(depth_K=None)})
    report = build_index([source], tmp_path / "a")
    assert [(s.scene, s.reason) for s in report.skipped] == [("room0_00", "depth_K_missing")]
    sizes = dataclasses.replace(load_rules(), depth_map="from_sizes")
    build_index([source], tmp_path / "b", IndexConfig(sizes))
    index = Index.open(tmp_path / "b").open_scene("rooms", "room0_00")
    assert index.depth_map == "from_sizes"
    assert index.depth_camera(0) is None
    same = room_scene(depth_K=None, K=DEPTH_K, image_size=(64, 48))
    assert index_one(same, tmp_path / "c").depth_map == "identity"


def test_one_bad_scene_does_not_lose_the_others(tmp_path):
    bad = SceneFormatError("room1_00/intrinsic.txt", "is missing", code="intrinsic_missing")
    scenes = {n: dataclasses.replace(room_scene(), id=n) for n in ("room0_00", "room2_00")}
    nowhere = room_scene(world_from_cam=np.full((4, 4, 4), np.nan))
    source = MemorySource({**scenes, "room3_00": nowhere}, {"room1_00": bad})
    events = []
    report = build_index([source], tmp_path, on_event=events.append)
    assert report.built == (("rooms", "room0_00"), ("rooms", "room2_00"))
    assert [(s.scene, s.reason) for s in report.skipped] == [
        ("room1_00", "intrinsic_missing"), ("room3_00", "no_usable_frames"),
    ]  # fmt: skip
    assert [(e.kind, e.done, e.total) for e in events] == [
        ("scene", 1, 4), ("skipped", 2, 4), ("scene", 3, 4), ("skipped", 4, 4),
    ]  # fmt: skip
    index = Index.open(tmp_path)
    assert index.scenes() == report.built
    assert "is missing" in index.skipped[0].message
    with pytest.raises(SceneIndexError, match="no scene rooms/room1_00"):
        index.open_scene("rooms", "room1_00")


def test_a_crash_between_files_leaves_no_complete_scene(tmp_path, monkeypatch):
    source = MemorySource({"room0_00": room_scene()})

    def crash(path, table):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(build.tables, "write_objects", crash)
        with pytest.raises(KeyboardInterrupt):
            build_index([source], tmp_path)
    assert not list(tmp_path.rglob("scene.json"))
    with pytest.raises(SceneIndexError, match="not finished"):
        Index.open(tmp_path)
    assert build_index([source], tmp_path).built == (("rooms", "room0_00"),)
    assert len(Index.open(tmp_path)) == 1


def test_a_second_run_keeps_finished_scenes_and_a_changed_configuration_is_named(tmp_path):
    source = MemorySource({"room0_00": room_scene()})
    build_index([source], tmp_path)
    before = (tmp_path / "rooms/room0_00/scene.json").stat().st_mtime_ns
    assert build_index([source], tmp_path).reused == (("rooms", "room0_00"),)
    assert (tmp_path / "rooms/room0_00/scene.json").stat().st_mtime_ns == before
    strict = IndexConfig(load_rules("multispa-paper"))
    with pytest.raises(SceneIndexError, match="askable is 'guarded', not 'visible'"):
        build_index([source], tmp_path, strict)
    wider = dataclasses.replace(load_rules().guards, depth_max_m=8.0)
    changed = IndexConfig(dataclasses.replace(load_rules(), guards=wider))
    with pytest.raises(SceneIndexError, match=r"guards.depth_max_m is 6.0, not 8.0"):
        build_index([source], tmp_path, changed)


def test_a_changed_input_is_indexed_again(tmp_path):
    pose = tmp_path / "scans/00000.txt"
    pose.parent.mkdir()
    pose.write_text("a")
    scene = dataclasses.replace(room_scene(), root=pose.parent, inputs=(pose,))
    source = MemorySource({"room0_00": scene})
    source.root = pose.parent
    build_index([source], tmp_path / "idx")
    index = Index.open(tmp_path / "idx").open_scene("rooms", "room0_00")
    assert index.changed_inputs(source.root) == ()
    assert build_index([source], tmp_path / "idx").built == ()
    pose.write_text("b")
    assert index.changed_inputs(source.root) == ("00000.txt",)
    assert build_index([source], tmp_path / "idx").built == (("rooms", "room0_00"),)


def test_misuse_is_an_error_before_anything_is_written(tmp_path):
    source = MemorySource({"room0_00": room_scene()})
    with pytest.raises(ValueError, match="2 sources have the key 'rooms'"):
        build_index([source, source], tmp_path / "a")
    with pytest.raises(ValueError, match="workers must be at least 1"):
        build_index([source], tmp_path / "a", workers=0)
    assert not (tmp_path / "a").exists()
    (tmp_path / "b").mkdir()
    (tmp_path / "b/notes.txt").write_text("mine")
    with pytest.raises(FolderInUse, match=r"no index: it holds 'notes\.txt'"):
        build_index([source], tmp_path / "b")
    with pytest.raises(SceneIndexError, match="missing or not finished"):
        Index.open(tmp_path / "nowhere")


def test_an_index_with_a_strangers_file_is_not_removed(tmp_path):
    build_index([MemorySource({"room0_00": room_scene()})], tmp_path / "idx")
    (tmp_path / "idx/notes.txt").write_text("mine")
    with pytest.raises(FolderInUse, match=r"holds 'notes\.txt', which is not of an index"):
        remove_index(tmp_path / "idx")
    (tmp_path / "idx/notes.txt").unlink()
    remove_index(tmp_path / "idx")
    assert not (tmp_path / "idx").exists()


def test_a_damaged_store_is_a_typed_error(tmp_path):
    index = index_one(room_scene(), tmp_path)
    (index.path / "pairs.parquet").write_bytes(b"PAR1")
    np.save(index.path / "points.npy", np.zeros((2, 3)))
    (index.path / "visible.npy").write_bytes(b"")
    with pytest.raises(SceneIndexError, match=r"pairs\.parquet"):
        _ = index.pairs
    with pytest.raises(SceneIndexError, match=r"points\.npy"):
        _ = index.points
    with pytest.raises(SceneIndexError, match=r"visible\.npy"):
        _ = index.visible
    (index.path / "scene.json").write_text("[]")
    with pytest.raises(SceneIndexError, match="not a JSON object"):
        store.SceneIndex.open(index.path)


def test_objects_have_boxes_counts_and_view_sets(tmp_path):
    scene = room_scene()
    index = index_one(scene, tmp_path)
    assert [(o.object_id, o.vertex_count) for o in index.objects] == [(3, 3000), (7, 1000)]
    crate = index.objects[1]
    np.testing.assert_allclose(crate.box_aligned, [0.5, -0.4, -1.25, 1.3, 0.4, -0.55], atol=0.02)
    np.testing.assert_allclose(sorted(crate.box_size), [0.7, 0.8, 0.8], atol=0.02)
    reference = ReferenceScene(scene, recipe_for(load_rules()), 0, "train")
    table = index.object_frames
    for n in range(len(table.frame)):
        row = index.objects[[3, 7].index(table.object_id[n])]
        for axes, turn in (("aligned", np.eye(3)), ("oriented", row.box_R.T)):
            count, lo, hi = seen_extent(reference, row.object_id, int(table.frame[n]), turn)
            assert count == table.surface_count[n] <= table.visible_count[n]
            np.testing.assert_array_equal(getattr(table, f"lo_{axes}")[n], lo)
            np.testing.assert_array_equal(getattr(table, f"hi_{axes}")[n], hi)
        mine = reference.cloud.instance == row.object_id
        assert (reference.inside(int(table.frame[n])) & mine).sum() == table.inside_count[n]
    sets = index.view_sets
    assert set(sets.object_id.tolist()) == {7}  # walls are structure
    assert set(sets.axes) == {"aligned", "oriented"}
    assert (sets.frames[:, 0] >= 0).all()
    of_crate = table.object_id == 7
    for n in range(len(sets.axis)):
        if sets.axis[n] != "height" or sets.axes[n] != "aligned":
            continue
        seen = np.isin(table.frame, sets.frames[n]) & of_crate
        reach = table.hi_aligned[seen, 2].max() - table.lo_aligned[seen, 2].min()
        assert abs(reach - 0.7) <= 0.1 * 0.7 + 0.02


def test_frames_of_another_size_than_the_camera_are_masked(tmp_path):
    scene = room_scene()
    frames = list(scene.frames)
    frames[0] = dataclasses.replace(frames[0], reason="image_size_differs")
    index = index_one(dataclasses.replace(scene, frames=tuple(frames)), tmp_path)
    assert index.frames.reason == ["image_size_differs", "", "", ""]
    assert index.frames.width.tolist() == [96, 96, 96, 96]


def test_a_frame_that_sees_nothing_is_kept_and_counted(tmp_path):
    poses = [*POSES[:3], look((50, 50, 50), 0)]
    index = index_one(room_scene(world_from_cam=poses), tmp_path)
    assert index.reasons["no_visible_points"] == 1
    assert index.frames.valid.all()
    assert 3 not in index.pairs.i.tolist() + index.pairs.j.tolist()


def test_a_scene_that_kills_its_worker_is_skipped_and_the_rest_go_on(tmp_path):
    report = build_index([DeadlySource()], tmp_path, workers=2)
    assert [(s.scene, s.reason) for s in report.skipped] == [("room2_00", "worker_died")]
    assert [scene for _, scene in report.built] == [f"room{k}_00" for k in (0, 1, 3, 4, 5, 6, 7)]
    assert len(Index.open(tmp_path)) == 7


def test_sources_can_be_added_to_an_index(tmp_path):
    second = MemorySource({"room0_00": room_scene()})
    second.key = "more"
    build_index([MemorySource({"room0_00": room_scene()})], tmp_path)
    build_index([second], tmp_path)
    index = Index.open(tmp_path)
    assert index.scenes() == (("more", "room0_00"), ("rooms", "room0_00"))
    assert sorted(index.sources) == ["more", "rooms"]
    assert [s.scene for s in index] == ["room0_00", "room0_00"]
