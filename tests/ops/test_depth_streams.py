# SPDX-License-Identifier: Apache-2.0
"""Depth maps that come one by one: capture loops, lists, and what is no map."""

import weakref

import numpy as np
import pytest

from spatialcore import visible_points
from tests.ops.scenes import IMAGE_SIZE, MAPS, random_view


def look(view, depth, **options):
    return visible_points(
        view.points_world,
        view.K,
        view.cam_from_world,
        depth,
        image_size=IMAGE_SIZE,
        depth_scale=0.001,
        depth_from_image=MAPS["intrinsics"],
        **options,
    )


def capture(maps, buffer):
    """The usual capture loop: every frame arrives in the same memory, wiped in between."""
    for reading in maps:
        buffer[...] = reading
        yield buffer
        buffer[...] = 1234


@pytest.mark.parametrize("threads", [1, 2, None])
@pytest.mark.parametrize("frame_count", [1, 31, 70])
@pytest.mark.parametrize("depth_dtype", [np.uint16, np.float32])
def test_a_refilled_buffer_gives_the_bits_of_its_maps(threads, frame_count, depth_dtype):
    view = random_view(1, 5000, frame_count)
    depth = view.depth.astype(depth_dtype)
    expected = look(view, depth, backend="reference")
    for buffer in (np.empty_like(depth[0]), np.empty((120, 320), depth_dtype)[:, ::2]):
        assert look(view, capture(depth, buffer), threads=threads) == expected
        assert look(view, capture(depth, buffer), backend="reference") == expected


@pytest.mark.parametrize("threads", [1, 2, None])
def test_lists_and_arrays_are_read_where_they_lie(threads):
    view = random_view(2, 3000, 40)
    expected = look(view, view.depth, backend="reference")
    apart = [np.repeat(one, 2, axis=1)[:, ::2] for one in view.depth]
    unaligned = np.frombuffer(b"x" + view.depth.tobytes(), np.uint16, offset=1)
    for depth in (
        list(view.depth),
        tuple(view.depth),
        apart,
        unaligned.reshape(view.depth.shape),
        list(unaligned.reshape(view.depth.shape)),
        (one for one in unaligned.reshape(view.depth.shape)),
    ):
        assert look(view, depth, threads=threads) == expected


def test_one_map_may_stand_for_several_frames():
    view = random_view(3, 3000, 40)
    same = np.broadcast_to(view.depth[0], view.depth.shape)
    assert look(view, [view.depth[0]] * 40, threads=2) == look(view, same, backend="reference")


@pytest.mark.parametrize("threads", [1, 2])
def test_few_maps_of_an_iterable_are_held(threads):
    view = random_view(6, 3000, 70)
    made, most_alive = [], []

    def maps():
        for reading in view.depth:
            one = reading.copy()
            made.append(weakref.ref(one))
            most_alive.append(sum(ref() is not None for ref in made))
            yield one
            del one

    assert look(view, maps(), threads=threads) == look(view, view.depth, backend="reference")
    assert len(made) == 70
    assert max(most_alive) <= 2


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("make", [list, tuple, iter])
@pytest.mark.parametrize("what", [None, "map", 3, [[1, 2]]])
def test_what_is_no_array_is_named_with_its_place(threads, make, what):
    view = random_view(4, 100, 5)
    for at in (0, 3):
        maps = list(view.depth)
        maps[at] = what
        with pytest.raises(TypeError, match=f"depth map {at} must be .* {type(what).__name__}"):
            look(view, make(maps), threads=threads)


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("make", [list, iter])
def test_wrong_number_of_maps(count, backend, make):
    view = random_view(1, 10, 2)
    with pytest.raises(ValueError, match="maps"):
        look(view, make([view.depth[0]] * count), backend=backend)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_loop_that_fails_is_heard(threads):
    view = random_view(1, 10, 2)

    def maps():
        yield view.depth[0]
        raise OSError("the camera is gone")

    with pytest.raises(OSError, match="the camera is gone"):
        look(view, maps(), threads=threads)


def test_maps_of_another_size_or_type():
    view = random_view(1, 10, 2)
    for second in (view.depth[1][:-1], view.depth[1].astype(np.float32)):
        with pytest.raises(ValueError, match="share one type and size"):
            look(view, iter([view.depth[0], second]))
