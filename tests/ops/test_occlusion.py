# SPDX-License-Identifier: Apache-2.0
import os
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialcore import DepthRule, PixelMap, _cpu, visible_points
from spatialcore._reference.projection import project_frame
from tests.ops.scenes import (
    DEPTH_SIZE,
    IMAGE_SIZE,
    MAPS,
    RULES,
    K,
    View,
    random_rotation,
    random_view,
)
from tests.tolerances import CLEAR_OF_EDGE

UNIT_K = np.array([[100.0, 0, 0], [0, 100.0, 0], [0, 0, 1]])
EYE = np.eye(4)[None]


def look(view: View, rule="tolerance", pixel_map="intrinsics", **options):
    metres = view.depth.dtype == np.float32 if isinstance(view.depth, np.ndarray) else False
    return visible_points(
        view.points_world,
        view.K,
        view.cam_from_world,
        view.depth,
        image_size=IMAGE_SIZE,
        depth_scale=1.0 if metres else 0.001,
        depth_from_image=MAPS[pixel_map],
        rule=RULES[rule],
        **options,
    )


def bits(points, depth, rule, *, K=UNIT_K, size=(200, 100), backend="cpu", **options):
    maps = np.full((1, size[1], size[0]), depth, np.float32)
    mask = visible_points(
        np.asarray(points, np.float64), K, EYE, maps, image_size=size, rule=rule, backend=backend,
        **options,
    )  # fmt: skip
    return mask.to_bool()[0].tolist()


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("backend", ["reference", "cpu"])
class TestHandWorked:
    def test_image_is_half_open(self, backend):
        # u = 100 x / z: 0 is inside, 200 is not, its predecessor is.
        below = np.nextafter(4.0, 0)
        points = [[0, 0, 2], [-1e-300, 0, 2], [4, 0, 2], [below, 0, 2], [0, 2, 2], [1, 1, -2]]
        expected = [True, False, False, True, False, False]
        assert bits(points, 2.0, DepthRule.tolerance(), backend=backend) == expected

    def test_strict_needs_z_below_a_reading(self, backend):
        below, above = np.nextafter(2.0, 0), np.nextafter(2.0, 3)
        points = [[0, 0, below], [0, 0, 2], [0, 0, above], [0, 0, 0], [0, 0, 5e-324]]
        strict = DepthRule.strict()
        assert bits(points, 2.0, strict, backend=backend) == [True, False, False, False, True]
        for none in (0.0, -1.0, np.nan, np.inf):
            assert not any(bits(points, none, strict, backend=backend))

    def test_tolerance_is_open_on_both_sides(self, backend):
        # 0.25 z binds at z = 4 (tolerance 1), the absolute part of 0.5 at z = 1.
        rule = DepthRule.tolerance(0.25, 0.5)
        points = [[0, 0, z] for z in (4, np.nextafter(4.0, 5), np.nextafter(4.0, 0))]
        assert bits(points, 5.0, rule, backend=backend) == [False, True, False]
        points = [[0, 0, z] for z in (1, np.nextafter(1.0, 2), np.nextafter(1.0, 0))]
        assert bits(points, 1.5, rule, backend=backend) == [False, True, False]
        assert bits(points, 0.5, rule, backend=backend) == [False, False, True]
        for none in (0.0, -1.0, np.nan, np.inf):
            assert not any(bits(points, none, rule, backend=backend))

    def test_ties_round_to_even_and_clip(self, backend):
        maps = np.zeros((1, 3, 4), np.uint16)
        maps[0, 0] = [1000, 2000, 3000, 4000]
        u = np.array([0.5, 1.5, 2.5, 3.5, 0.51, 3.9])  # columns 0, 2, 2, 3 (clipped), 1, 3
        for column, z in enumerate((1.0, 2.0, 3.0, 4.0)):
            points = np.stack([u * z / 100, np.zeros(6), np.full(6, z)], axis=1)
            mask = visible_points(
                points, UNIT_K, EYE, maps, image_size=(4, 3), depth_scale=0.001, backend=backend
            )
            found = mask.to_bool()[0].tolist()
            assert found == [c == column for c in (0, 2, 2, 3, 1, 3)]


def test_pixel_maps_of_the_typical_calibration():
    color = np.array([[1170.19, 0, 647.75], [0, 1170.19, 483.75], [0, 0, 1]])
    depth = np.array([[577.87, 0, 319.5], [0, 577.87, 239.5], [0, 0, 1]])
    sizes = PixelMap.from_sizes((1296, 968), (640, 480))
    exact = PixelMap.from_intrinsics(color, depth)
    assert sizes.depth_pixel([1295.9, 967.9], (640, 480)).tolist() == [639, 479]
    assert exact.ax * 647.75 + exact.bx == pytest.approx(319.5, abs=1e-12)
    halves = exact.depth_pixel([[647.75, 483.75]], (640, 480))  # 319.5, 239.5: ties to even
    assert halves.tolist() == [[320, 240]]
    assert exact.bx == pytest.approx(-0.38, abs=0.005)
    assert exact.by == pytest.approx(0.61, abs=0.005)
    assert (exact.ay - sizes.ay) * 967 + exact.by == pytest.approx(-1.36, abs=0.005)
    assert PixelMap.identity() == PixelMap(1.0, 0.0, 1.0, 0.0)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("pixel_map", MAPS)
class TestEqualsReference:
    @pytest.mark.parametrize("point_count", [0, 1, 63, 64, 257, 5003])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("depth_dtype", [np.uint16, np.float32])
    def test_random(self, rule, pixel_map, point_count, dtype, depth_dtype):
        view = random_view(point_count, point_count, 4, dtype=dtype, depth_dtype=depth_dtype)
        view.cam_from_world[2, 1, 1] = np.nan
        expected = look(view, rule, pixel_map, backend="reference")
        assert look(view, rule, pixel_map, threads=2) == expected
        assert not expected.row(2).any()

    @pytest.mark.parametrize("sort", [False, True])
    @pytest.mark.parametrize("origin", [0.0, 5e5])
    def test_many_frames_sort_the_points(self, rule, pixel_map, sort, origin):
        view = random_view(9, 6001, 60, dtype=np.float64, origin=origin, sort=sort)
        view.points_world[[3, 700]] = [[np.nan, 0, 0], [1e12, 1e12, 1e12]]
        expected = look(view, rule, pixel_map, backend="reference")
        assert expected.counts().max() > 20
        assert look(view, rule, pixel_map) == expected

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_points_placed_on_decision_edges(self, rule, pixel_map, dtype):
        for seed in range(3):
            view = edge_view(seed, MAPS[pixel_map], RULES[rule], dtype)
            expected = look(view, rule, pixel_map, backend="reference")
            assert look(view, rule, pixel_map) == expected
            assert 0.05 < expected.counts()[0] / 12_000 < 0.95

    def test_real_scenes(self, rule, pixel_map, real_path):
        for name, (points, view) in real_views(real_path).items():
            sizes = PixelMap.from_sizes(view["image_size"], view["depth_size"])
            options = {
                "image_size": view["image_size"],
                "depth_scale": 0.001,
                "depth_from_image": sizes if pixel_map == "sizes" else PixelMap.identity(),
                "rule": RULES[rule],
            }
            arrays = (points, view["K"], view["cam_from_world"], view["depth"])
            expected = visible_points(*arrays, backend="reference", **options)
            assert expected.counts().min() > 100, name
            assert visible_points(*arrays, **options) == expected, name


def edge_view(seed: int, pixel_map: PixelMap, rule: DepthRule, dtype) -> View:
    """12,000 points within a few units in the last place of an image edge, a tie or the rule."""
    rng = np.random.default_rng(seed)
    count = 12_000
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = random_rotation(rng), rng.uniform(-2, 2, 3)
    depth = rng.integers(1500, 1600, (1, *DEPTH_SIZE[::-1])).astype(np.uint16)
    u, v = rng.uniform(0, 640, count), rng.uniform(0, 480, count)
    z = rng.uniform(0.3, 6, count)
    kind = rng.integers(0, 4, count)
    tie = rng.integers(0, DEPTH_SIZE[0], count) + 0.5
    u = np.where(kind == 0, rng.choice([0.0, 640.0], count), u)
    u = np.where(kind == 1, (tie - pixel_map.bx) / pixel_map.ax, u)
    z = np.where(kind == 1, 1.5, z)
    column = np.clip(np.rint(pixel_map.ax * u + pixel_map.bx), 0, DEPTH_SIZE[0] - 1).astype(int)
    row = np.clip(np.rint(pixel_map.ay * v + pixel_map.by), 0, DEPTH_SIZE[1] - 1).astype(int)
    d = depth[0, row, column] * 0.001
    on_rule = d if rule.kind == "strict" else d / rng.choice([0.9, 1.1], count)
    z = np.where(kind == 2, on_rule, z)
    z = np.where(kind == 3, rng.choice([-1e-9, 0.0, 1e-300, 1e-7, 1e-4], count), z)
    camera = np.stack([(u - K[0, 2]) * z / K[0, 0], (v - K[1, 2]) * z / K[1, 1], z], axis=1)
    world = ((camera - pose[:3, 3]) @ pose[:3, :3]).astype(dtype)
    steps = rng.integers(-3, 4, world.shape)
    world = world + steps.astype(dtype) * np.spacing(world)
    return View(world.astype(dtype), K, pose[None], depth)


def real_views(real_path):
    """Points lifted from every third frame's depth, and all frames, of the captured scenes."""
    from PIL import Image

    views = {}
    for name in ("hololens_office_000", "apc_shelf_0000"):
        folder = real_path / "rgbd" / name / "posed_images"
        camera = np.loadtxt(folder / "intrinsic.txt")[:3, :3]
        stems = sorted(p.stem for p in folder.glob("[0-9]*.txt"))[:24]
        poses = np.stack([np.loadtxt(folder / f"{s}.txt") for s in stems])
        depth = np.stack([np.asarray(Image.open(folder / f"{s}.png"), np.uint16) for s in stems])
        points = []
        for pose, depth_map in zip(poses[::3], depth[::3], strict=True):
            row, column = np.nonzero(depth_map[::7, ::7])
            z = depth_map[::7, ::7][row, column] * 0.001
            x = (column * 7 - camera[0, 2]) / camera[0, 0] * z
            y = (row * 7 - camera[1, 2]) / camera[1, 1] * z
            points.append(np.stack([x, y, z], axis=1) @ pose[:3, :3].T + pose[:3, 3])
        size = depth.shape[2], depth.shape[1]
        views[name] = (
            np.concatenate(points).astype(np.float32),
            {
                "K": camera,
                "cam_from_world": np.linalg.inv(poses),
                "depth": depth,
                "image_size": size,
                "depth_size": size,
            },
        )
    return views


@given(
    seed=st.integers(0, 2**32 - 1),
    f=st.floats(10, 5000),
    principal=st.floats(-300, 900),
    a=st.floats(-2, 2),
    b=st.floats(-500, 500),
    relative=st.floats(0, 0.5),
    absolute=st.floats(0, 2),
    origin=st.sampled_from([0.0, 100.0, 1e6]),
)
@settings(max_examples=60, deadline=None)
def test_any_camera_map_and_rule_equals_reference(
    seed, f, principal, a, b, relative, absolute, origin
):
    view = random_view(seed, 700, 3, dtype=np.float64, origin=origin)
    camera = np.array([[f, 0, principal], [0, f * 1.1, principal], [0, 0, 1]])
    options = {
        "image_size": IMAGE_SIZE,
        "depth_scale": 0.001,
        "depth_from_image": PixelMap(a, b, a, b),
        "rule": DepthRule.tolerance(relative, absolute),
    }
    arrays = (view.points_world, camera, view.cam_from_world, view.depth)
    expected = visible_points(*arrays, backend="reference", **options)
    for name in _cpu.isas():
        _cpu.set_isa(name)
        assert visible_points(*arrays, **options) == expected
    _cpu.set_isa("")


class TestProperties:
    def test_permuting_points_permutes_bits(self):
        view = random_view(1, 6000, 50)
        order = np.random.default_rng(2).permutation(6000)
        permuted = View(view.points_world[order], view.K, view.cam_from_world, view.depth)
        assert (look(permuted).to_bool() == look(view).to_bool()[:, order]).all()

    def test_quarter_turn_of_the_world_changes_nothing(self):
        view = random_view(3, 4000, 4, dtype=np.float64)
        x, y, z = view.points_world.T
        turned = np.stack([-y, x, z], axis=1)
        cam = view.cam_from_world.copy()
        # cam_from_world times the inverse turn, composed exactly: columns change places and sign.
        cam[:, :, 0], cam[:, :, 1] = -view.cam_from_world[:, :, 1], view.cam_from_world[:, :, 0]
        moved = look(View(turned, view.K, cam, view.depth)).to_bool()
        # (r0 X + r1 Y) commutes under the turn, so even the last bit agrees.
        assert (moved == look(view).to_bool()).all()

    def test_moving_world_and_cameras_agrees_away_from_edges(self):
        view = random_view(4, 20_000, 1, dtype=np.float64)
        angle, shift = 0.7, np.array([3.0, -2.0, 1.0])
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        cam = view.cam_from_world.copy()
        cam[:, :3, :3] = view.cam_from_world[:, :3, :3] @ turn.T
        cam[:, :3, 3] -= cam[:, :3, :3] @ shift
        moved = look(View(view.points_world @ turn.T + shift, K, cam, view.depth)).to_bool()
        differ = np.flatnonzero(moved[0] != look(view).to_bool()[0])
        u, v, z = project_frame(view.points_world[differ], K, view.cam_from_world[0])
        pixel_map = MAPS["intrinsics"]
        tie_u = np.abs((pixel_map.ax * u + pixel_map.bx) % 1 - 0.5)
        tie_v = np.abs((pixel_map.ay * v + pixel_map.by) % 1 - 0.5)
        edge = np.min(
            [np.abs(u), np.abs(v), np.abs(u - 640), np.abs(v - 480), tie_u, tie_v], axis=0
        )
        rule_edge = np.abs(z * 1000 % 1)  # readings are whole millimetres
        assert ((edge < CLEAR_OF_EDGE) | (np.minimum(rule_edge, 1 - rule_edge) < 0.01)).all()

    def test_threads_change_nothing(self):
        view = random_view(5, 70_000, 3)
        assert look(view, threads=1) == look(view, threads=3)


class TestInputs:
    def test_non_contiguous_arrays(self):
        view = random_view(7, 800, 4)
        points = np.repeat(view.points_world, 2, axis=1)[:, ::2]
        depth = np.repeat(view.depth, 2, axis=2)[:, :, ::2]
        assert not depth.flags.c_contiguous
        assert look(View(points, view.K, view.cam_from_world, depth)) == look(view)

    def test_intrinsics_of_each_frame(self):
        view = random_view(8, 3000, 3)
        cameras = np.stack([K, K * [[1.1], [1.1], [1]], K])
        mask = look(View(view.points_world, cameras, view.cam_from_world, view.depth))
        for f in range(3):
            one = View(view.points_world, cameras[f], view.cam_from_world[[f]], view.depth[[f]])
            assert look(one) == mask[f : f + 1]

    def test_float_depth_needs_no_scale_and_integer_depth_does(self):
        points, maps = np.array([[0, 0, 1.0]]), np.ones((1, 4, 4), np.float32)
        assert visible_points(points, UNIT_K, EYE, maps, image_size=(4, 4)).counts().tolist() == [1]
        with pytest.raises(ValueError, match="depth_scale is required for integer depth"):
            visible_points(points, UNIT_K, EYE, maps.astype(np.uint16), image_size=(4, 4))

    def test_another_grid_needs_a_map(self):
        points, maps = np.array([[0, 0, 1.0]]), np.ones((1, 4, 5), np.float32)
        with pytest.raises(ValueError, match="5x4 and the image is 4x4"):
            visible_points(points, UNIT_K, EYE, maps, image_size=(4, 4))

    def test_errors_name_what_came(self):
        view = random_view(1, 10, 2)
        with pytest.raises(TypeError, match="uint16 or float32, got int32"):
            look(View(view.points_world, K, view.cam_from_world, view.depth.astype(np.int32)))
        with pytest.raises(ValueError, match=r"depth must have shape \(F, h, w\) with F = 2"):
            look(View(view.points_world, K, view.cam_from_world, view.depth[:1]))
        with pytest.raises(TypeError, match="an array or an iterable, got int"):
            look(View(view.points_world, K, view.cam_from_world, 3))
        with pytest.raises(TypeError, match="rule must be a DepthRule"):
            visible_points(view.points_world, K, view.cam_from_world, view.depth,
                           image_size=IMAGE_SIZE, depth_scale=1, rule="strict")  # fmt: skip
        with pytest.raises(ValueError, match="relative must lie in"):
            DepthRule.tolerance(-0.1)
        with pytest.raises(ValueError, match="ax must lie in"):
            PixelMap(np.nan, 0, 1, 0)
        with pytest.raises(ValueError, match="kind must be"):
            DepthRule("loose")


class TestMachine:
    def test_forked_child_computes_the_same(self):
        view = random_view(11, 20_000, 8)
        expected = look(view, threads=2)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, b"y" if look(view, threads=2) == expected else b"n")
            os._exit(0)
        os.close(writer)
        assert os.read(reader, 1) == b"y"
        os.close(reader)
        assert os.waitpid(child, 0)[1] == 0

    def test_other_python_threads_run_meanwhile(self):
        view = random_view(12, 400_000, 40)
        ticks, stop = [], threading.Event()

        def tick():
            while not stop.is_set():
                ticks.append(time.perf_counter())
                time.sleep(0.0005)

        clock = threading.Thread(target=tick)
        clock.start()
        begin = time.perf_counter()
        look(view, threads=1)
        end = time.perf_counter()
        stop.set()
        clock.join()
        assert sum(begin < t < end for t in ticks) > 3

    def test_instruction_sets_by_name(self):
        assert _cpu.isa() == _cpu.isas()[-1]
        _cpu.set_isa("baseline")
        assert _cpu.isa() == "baseline"
        _cpu.set_isa("")
        with pytest.raises(ValueError, match="unknown instruction set 'mmx'"):
            _cpu.set_isa("mmx")
