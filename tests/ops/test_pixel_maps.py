# SPDX-License-Identifier: Apache-2.0
"""A pixel map for each frame: captures whose intrinsics change are one call."""

import numpy as np
import pytest

from spatialcore import BitMask, DepthViews, PixelMap, visible_points
from spatialcore.index.askable import AskableRule, askable_points
from spatialcore.occlusion import checked_views
from tests.ops.scenes import DEPTH_K, IMAGE_SIZE, K, random_view

FRAMES = 37
GUARDS = AskableRule(0.2, 9.0, True, 4.0, 0.3, 0.5, 0.5, 0.4, 0.4, 2.5)


def capture(depth_dtype=np.uint16):
    """A camera that zooms: K, and so the map to the depth grid, change from frame to frame."""
    view = random_view(3, 30_000, FRAMES, depth_dtype=depth_dtype)
    cameras = np.stack([K * [[1 + 0.01 * f], [1 + 0.02 * f], [1]] for f in range(FRAMES)])
    maps = [PixelMap.from_intrinsics(camera, DEPTH_K) for camera in cameras]
    scale = 0.001 if depth_dtype == np.uint16 else None
    return DepthViews(
        view.points_world, cameras, view.cam_from_world, view.depth, IMAGE_SIZE, scale, maps
    )


def frame(views, f):
    return views._replace(
        K=views.K[f],
        cam_from_world=views.cam_from_world[[f]],
        depth=views.depth[[f]],
        depth_from_image=views.depth_from_image[f],
    )


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("depth_dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_bits_are_those_of_single_frames(backend, depth_dtype):
    views = capture(depth_dtype)
    mask = visible_points(**views._asdict(), backend=backend)
    assert mask.counts().all()
    for f in range(FRAMES):
        assert visible_points(**frame(views, f)._asdict(), backend=backend) == mask[f : f + 1]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("make", [list, iter])
def test_maps_that_come_one_by_one(threads, make):
    views = capture()
    expected = visible_points(**views._asdict(), backend="reference")
    given = views._replace(depth=make(list(views.depth)), depth_from_image=tuple(views[-1]))
    assert visible_points(**given._asdict(), threads=threads) == expected


@pytest.mark.parametrize("depth_dtype", [np.uint16, np.float32])
def test_askable_bits_are_those_of_single_frames(depth_dtype):
    views = capture(depth_dtype)
    seen = visible_points(**views._asdict())
    asked = askable_points(checked_views(views), seen, GUARDS)
    assert 0 < asked.counts().sum() < seen.counts().sum()
    for f in range(FRAMES):
        one = checked_views(frame(views, f))
        assert askable_points(one, seen[f : f + 1], GUARDS, threads=1) == asked[f : f + 1]
    listed = checked_views(views._replace(depth=list(views.depth)))
    assert askable_points(listed, seen, GUARDS, threads=2) == asked
    with pytest.raises(TypeError, match="depth must be an array or a list"):
        askable_points(checked_views(views._replace(depth=iter(views.depth))), seen, GUARDS)


def test_as_many_maps_as_frames():
    views = capture()
    with pytest.raises(ValueError, match="has 36 maps for 37 poses"):
        visible_points(**views._replace(depth_from_image=views.depth_from_image[1:])._asdict())
    for wrong in ((1.0, 0.0, 1.0, 0.0), "identity", 3, [None] * FRAMES):
        with pytest.raises(TypeError, match="must be a PixelMap, or a sequence of one a frame"):
            visible_points(**views._replace(depth_from_image=wrong)._asdict())
    nothing = views._replace(
        K=K, cam_from_world=np.zeros((0, 4, 4)), depth=views.depth[:0], depth_from_image=()
    )
    assert visible_points(**nothing._asdict()) == BitMask.from_bool(np.zeros((0, 30_000), bool))
