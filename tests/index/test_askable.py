# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from spatial_engine.recipe import recipe_for
from spatial_engine.reference.scene import ReferenceScene
from spatialcore.bitmask import BitMask
from spatialcore.index.askable import askable_points, askable_rule, mark_radius
from spatialcore.index.rules import AskableGuards, load_rules
from spatialcore.occlusion import DepthViews, checked_views
from tests.index.scenes import COLOR_SIZE, DEPTH_SIZE, POSES, room_scene

K = np.array([[100.0, 0, 50.0], [0, 100.0, 50.0], [0, 0, 1.0]])
SIZE = (101, 101)


def views_of(points, depth):
    return checked_views(DepthViews(points, K, np.eye(4)[None], depth, SIZE))


def asked(points, depth, guards=None):
    """Which points pass, where all of them are visible; colour and depth share one grid."""
    points = np.asarray(points, np.float32)
    guards = guards or AskableGuards()
    mask = askable_points(
        views_of(points, np.asarray(depth, np.float32)[None]),
        BitMask.from_bool(np.ones((1, len(points)), bool)),
        askable_rule(guards, SIZE, SIZE),
    )
    return mask.to_bool()[0].tolist()


def test_mark_radius_is_a_share_of_the_width_and_never_under_three():
    assert mark_radius(AskableGuards(), 1296) == 10
    assert mark_radius(AskableGuards(), 101) == 3


def test_disc_radius_follows_the_depth_image():
    assert askable_rule(AskableGuards(), (1296, 968), (640, 480)).disc_radius == 10 * 640 / 1296
    assert askable_rule(AskableGuards(), (101, 101), (11, 11)).disc_radius == 1.0


def test_depth_range_is_closed():
    depth = np.full((101, 101), 2.0)
    wide = dataclasses.replace(AskableGuards(), agreement_absolute_m=99, edge_absolute_m=99)
    points = [(0, 0, z) for z in (0.25, 0.5, 6.0, 6.001)]
    assert asked(points, depth, dataclasses.replace(wide, depth_min_m=0.5)) == [
        False, True, True, False,
    ]  # fmt: skip


def test_a_mark_must_lie_in_the_image():
    # u = 50 x + 50 at z = 2: the centre may be 3 pixels from the border, not nearer.
    points = [((u - 50) / 50, 0, 2) for u in (2.4, 2.6, 97.4, 97.6)]
    assert asked(points, np.full((101, 101), 2.0)) == [False, True, True, False]
    off = dataclasses.replace(AskableGuards(), border=False)
    assert asked(points, np.full((101, 101), 2.0), off) == [True] * 4


def test_the_reading_must_agree_with_z():
    # max(1.5 % of 2 m, 2 cm) = 0.03 m; the back of a door of 4 cm is not its front.
    points = [(0, 0, 2)]
    for d, expected in (
        (2.029, True),
        (2.031, False),
        (1.971, True),
        (1.969, False),
        (1.96, False),
    ):
        assert asked(points, np.full((101, 101), d)) == [expected]
    # 2 cm hold where 1.5 % are less.
    for d, expected in ((1.019, True), (1.021, False)):
        assert asked([(0, 0, 1)], np.full((101, 101), d)) == [expected]


def test_a_disc_needs_eighty_percent_near_readings():
    # The disc of radius 3 around column 50 holds 29 pixels: 5 in column 52, 1 in column 53.
    depth = np.full((101, 101), 2.0)
    depth[:, 52:] = 3.0  # 23 of 29 are near: 79 %
    assert asked([(0, 0, 2)], depth) == [False]
    depth[:, 52] = 2.0  # 28 of 29
    assert asked([(0, 0, 2)], depth) == [True]
    depth[:, 52:] = 0.0  # no reading does not count against the point
    assert asked([(0, 0, 2)], depth) == [True]


@pytest.mark.parametrize("recipe", ["default", "multispa-paper"])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_masks_equal_the_float64_reference_on_noisy_maps(recipe, dtype):
    from spatialcore.index.visibility import find_masks, scene_view

    rng = np.random.default_rng(1)
    scene = room_scene()
    maps = []
    for frame in scene.frames:
        noisy = scene.read_depth(frame).astype(np.float64)
        noisy += rng.normal(0, 40, noisy.shape)
        noisy[rng.random(noisy.shape) < 0.1] = 0
        maps.append(noisy.clip(0, 65535).astype(dtype))
    scene = dataclasses.replace(scene, read_depth=lambda frame: maps[frame.index])
    rules = load_rules(recipe)
    reference = ReferenceScene(scene, recipe_for(rules), 0, "train")
    points = reference.points
    poses = np.stack(POSES)
    views = [scene_view(scene, rules)] * len(poses)
    masks = find_masks(enumerate(maps), views, rules, points, poses)
    rows = np.arange(len(points))
    for k in range(len(POSES)):
        visible = reference.visible(k)
        askable = np.array([not reason for reason in reference.guards(k, rows).reasons()])
        assert 0 < askable.sum() <= visible.sum() < len(points)
        np.testing.assert_array_equal(masks.visible.to_bool()[k], visible)
        np.testing.assert_array_equal(masks.askable.to_bool()[k], askable)
    if recipe == "default":
        assert masks.askable.counts().sum() < masks.visible.counts().sum()


def test_wrong_arrays_are_named():
    rule = askable_rule(AskableGuards(), COLOR_SIZE, DEPTH_SIZE)
    points, mask = np.zeros((3, 3), np.float32), BitMask.zeros(1, 3)

    def run(depth):
        return askable_points(views_of(points, depth), mask, rule)

    with pytest.raises(ValueError, match=r"depth must have shape \(F, h, w\)"):
        run(np.zeros((2, 4, 4), "f4"))
    with pytest.raises(TypeError, match="uint16 or float32"):
        run(np.zeros((1, 4, 4), "i4"))
