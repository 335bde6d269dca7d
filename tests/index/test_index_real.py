# SPDX-License-Identifier: Apache-2.0
"""The captured scenes: every pair, both rules, and directions that were checked by eye."""

import numpy as np
import pytest

from spatial_engine.recipe import recipe_for
from spatial_engine.reference.scene import ReferenceScene
from spatialcore.index.frames import yaw_pitch_deg
from spatialcore.index.index import Index, IndexConfig, build_index
from spatialcore.index.rules import load_rules
from spatialcore.io.open import open_source
from spatialcore.types import compose_poses, invert_pose

pytestmark = pytest.mark.real
OFFICE, SHELF = "hololens_office_000", "apc_shelf_0000"


@pytest.fixture(scope="module", params=["default", "multispa-paper"])
def built(request, real_path, tmp_path_factory):
    source = open_source(real_path / "rgbd")
    out = tmp_path_factory.mktemp(request.param)
    config = IndexConfig(load_rules(request.param))
    report = build_index([source], out, config)
    assert len(report.built) == 2
    return source, Index.open(out)


@pytest.mark.parametrize("scene", [OFFICE, SHELF])
def test_every_pair_has_the_integers_of_float64_numpy(built, scene):
    source, index = built
    stored = index.open_scene("posed_images", scene)
    reference = ReferenceScene(stored.open_scene(source), recipe_for(index.rules), 0, "train")
    # The cloud itself is rebuilt by plain numpy, readings and all.
    np.testing.assert_array_equal(stored.points, reference.points)
    np.testing.assert_array_equal(stored.instance, reference.cloud.instance)
    assert len(stored.points) > 20_000
    frames = stored.valid_frames.tolist()
    seen = np.stack([reference.visible(f) for f in frames])
    np.testing.assert_array_equal(stored.visible.to_bool(), seen)
    # Counts are below 2^24, so float32 sums are exact.
    bits = seen.astype(np.float32)
    shared = (bits @ bits.T).astype(np.int64)
    i, j = np.nonzero(np.triu(shared, 1))
    table = stored.pairs
    assert len(i) > 100
    np.testing.assert_array_equal(table.i, np.array(frames)[i])
    np.testing.assert_array_equal(table.j, np.array(frames)[j])
    np.testing.assert_array_equal(table.intersection, shared[i, j])


@pytest.mark.parametrize("scene", [OFFICE, SHELF])
def test_askable_points_are_those_of_the_reference(built, scene):
    source, index = built
    stored = index.open_scene("posed_images", scene)
    reference = ReferenceScene(stored.open_scene(source), recipe_for(index.rules), 0, "train")
    for frame in stored.valid_frames[:: len(stored.valid_frames) // 5].tolist():
        row = stored.row_of_frame[frame]
        visible = stored.visible.indices(row)
        askable = np.array([not reason for reason in reference.guards(frame, visible).reasons()])
        np.testing.assert_array_equal(stored.askable.at(visible)[row], askable)
        assert askable.sum() > 0.5 * len(visible)


def facts(index, i, j):
    table = index.pairs
    row = int(np.flatnonzero((table.i == i) & (table.j == j))[0])
    t = compose_poses(index.cam_from_world(i), index.world_from_cam(j))[:3, 3]
    return table.dyaw_deg[row], table.dpitch_deg[row], t


def test_directions_of_five_pairs_that_were_looked_at(built):
    """The y-up office. What the pictures show, and what the pair table must therefore say."""
    index = built[1].open_scene("posed_images", OFFICE)
    assert (index.up, index.meta["world_up"]) == ("given", [0.0, 1.0, 0.0])
    # 50 -> 51: the sofa and its backpack move right by a third of the picture, the wooden floor
    # comes in at the left: the camera turned left, level.
    dyaw, dpitch, _ = facts(index, 50, 51)
    assert 15 < dyaw < 30
    assert abs(dpitch) < 3
    # 89 -> 90: the backpack moves from the middle to the left border, the kitchen table comes in
    # at the right: turned right.
    dyaw, dpitch, _ = facts(index, 89, 90)
    assert -35 < dyaw < -20
    assert abs(dpitch) < 8
    # 26 -> 27: the near table leaves at the bottom, lamps at the ceiling come in at the top:
    # looked up.
    dyaw, dpitch, _ = facts(index, 26, 27)
    assert 8 < dpitch < 20
    assert abs(dyaw) < 5
    # 48 -> 49: the door's handle rises from the middle to the top and floor fills the lower half;
    # the sofa moves right: looked down and turned left.
    dyaw, dpitch, _ = facts(index, 48, 49)
    assert -25 < dpitch < -10
    assert 5 < dyaw < 20
    # 92 -> 95: the fruit basket on the long table grows from far to near: walked forward.
    dyaw, _, t = facts(index, 92, 95)
    assert abs(dyaw) < 12
    assert t[2] > 1.0
    assert t[2] > 2 * abs(t[0])


def test_the_office_stands_upright(built):
    """A head-worn camera: roll stays small, the walk is level, the floor is under the cameras."""
    index = built[1].open_scene("posed_images", OFFICE)
    poses = [index.world_from_cam(f) for f in index.valid_frames]
    assert max(abs(np.degrees(np.arctan2(p[2, 0], -p[2, 1]))) for p in poses) < 20
    assert all(-60 < yaw_pitch_deg(p)[1] < 15 for p in poses)
    heights = np.array([p[2, 3] for p in poses])
    assert np.ptp(heights) < 0.6
    lowest = np.percentile(index.points[:, 2], 1)
    assert 1.2 < np.median(heights) - lowest < 2.0


def test_the_voxel_of_each_scene(built):
    office = built[1].open_scene("posed_images", OFFICE)
    assert office.meta["cloud"]["voxel"] == 0.03
    assert 160_000 < office.point_count < 176_000
    shelf = built[1].open_scene("posed_images", SHELF)
    assert shelf.meta["cloud"]["voxel"] < 0.03
    assert [o.vertex_count > 200 for o in shelf.objects] == [True] * 4


def test_poses_are_inverted_exactly(built):
    index = built[1].open_scene("posed_images", OFFICE)
    pose = index.world_from_cam(10)
    np.testing.assert_array_equal(index.cam_from_world(10), invert_pose(pose))
    np.testing.assert_allclose(compose_poses(pose, index.cam_from_world(10)), np.eye(4), atol=1e-12)
