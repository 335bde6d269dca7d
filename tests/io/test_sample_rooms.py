# SPDX-License-Identifier: Apache-2.0
"""The procedural rooms differ in sizes, orders, heights, places and walks; what they hide."""

from __future__ import annotations

import collections
import colorsys
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from spatialcore.io.open import open_source
from spatialcore.io.scannet_objects import space_of
from spatialcore.sample import SampleConfig, make_sample
from spatialcore.sample.build import make_room, scene_ids
from spatialcore.sample.catalogue import KINDS
from spatialcore.sample.dice import Dice
from spatialcore.sample.hidden import BEHIND_DOOR, BEHIND_GLASS, IN_BOX, UNDER_TABLE
from spatialcore.sample.labels import LABELS
from spatialcore.sample.presets import DEPTH, PRESETS, resolved
from spatialcore.sample.render import Renderer
from spatialcore.sample.rooms import Room
from spatialcore.sample.scan import Scan, lamps
from spatialcore.sample.solids import BOX, GLASS, Material, Solid
from spatialcore.sample.walk import look
from spatialcore.types import Scene

ROOMS = 42


@pytest.fixture(scope="module")
def rooms() -> list[Room]:
    """Six rooms of every kind, of a seed that nothing was set on."""
    config = SampleConfig(rooms=ROOMS, seed=int(np.random.default_rng().integers(1 << 24)))
    return [make_room(config, k) for k in range(ROOMS)]


def boxes(rooms: list[Room]) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Label -> lowest and highest corner of every instance that can be seen."""
    found = collections.defaultdict(list)
    for thing in itertools.chain.from_iterable(room.objects for room in rooms):
        if not thing.concealed:
            ends = [solid.extent() for solid in thing.solids]
            lo, hi = np.min([a for a, _ in ends], axis=0), np.max([b for _, b in ends], axis=0)
            found[thing.raw_category].append((lo, hi))
    return found


def test_rooms_hold_sixty_categories_and_every_label_is_in_the_table(rooms: list[Room]) -> None:
    labels = set(boxes(rooms)) - {"floor", "ceiling", "wall"}
    assert len(labels) >= 60
    assert labels | KINDS.keys() <= {raw for raw, *_ in LABELS}


def test_sizes_differ_by_instance(rooms: list[Room]) -> None:
    found = boxes(rooms)
    heights = {name: [float(hi[2] - lo[2]) for lo, hi in found[name]] for name in found}
    doors = heights["door"]
    assert min(doors) < 1.97
    assert max(doors) > 2.23
    assert len(set(doors)) > 0.9 * len(doors)
    seed = int(np.random.default_rng().integers(1 << 24))
    drawn = {
        name: [kind.drawn(Dice(seed, name), str(k)).size[2] for k in range(40)]
        for name, kind in KINDS.items()
    }
    assert all(len(set(sizes)) == 40 for sizes in drawn.values())
    for first, second in (
        ("chair", "table"), ("bookshelf", "wardrobe"), ("bookshelf", "floor lamp"),
        ("bed", "desk"), ("plant", "chair"), ("cabinet", "table"), ("refrigerator", "floor lamp"),
        ("lamp", "vase"), ("stool", "desk"), ("cup", "bowl"),
    ):  # fmt: skip
        taller = np.mean([a > b for a in drawn[first] for b in drawn[second]])
        assert 0.02 < taller < 0.98, (first, second)


def test_heights_and_places_swap(rooms: list[Room]) -> None:
    lows = {name: [float(lo[2]) for lo, _ in found] for name, found in boxes(rooms).items()}
    swaps = [name for name, z in lows.items() if min(z) < 0.05 and max(z) > 0.35]
    assert len(swaps) >= 5, swaps
    assert max(lows["picture"]) - min(lows["picture"]) > 0.5
    shapes = {(len(room.polygon), room.kind) for room in rooms}
    assert len({kind for _, kind in shapes}) == 7
    assert {corners for corners, _ in shapes} == {4, 6}
    areas = [room.area for room in rooms]
    assert max(areas) > 1.7 * min(areas)


def test_every_way_to_hide_occurs_and_no_look_finds_it(rooms: list[Room]) -> None:
    places = collections.Counter(t.concealed for room in rooms for t in room.objects)
    assert places.keys() == {"", IN_BOX, BEHIND_DOOR, UNDER_TABLE, BEHIND_GLASS}
    assert all(any(t.concealed == IN_BOX for t in room.objects) for room in rooms)
    for room in rooms[:6]:
        scan = Scan(room, PRESETS["tiny"], 60)
        hidden = [t.object_id for t in room.objects if t.concealed]
        owner = np.array([*scan.object_ids, -1])
        seen = set()
        for pose in scan.room_from_cam:
            seen |= set(owner[np.unique(scan.renderer.cast(scan.preset.depth, pose)[1])].tolist())
        assert not seen & set(hidden)
        assert len(seen) > 6  # it looks at something, in the smallest office too


def test_a_pane_gives_no_reading() -> None:
    pose = look(np.zeros((1, 3)), *(np.zeros(1) for _ in range(3)))[0]
    half = np.array([0.1, 0.4, 0.4])
    looks = [Material("plain", 0x33505A, absorption=a) for a in (GLASS, 0.0)]
    solids = [
        Solid(BOX, np.eye(3), np.array([1.5, y, 0.0]), half, m)
        for y, m in zip((0.5, -0.5), looks, strict=True)
    ]
    view = Renderer(solids, [], 3.0, [], 0)
    sensor = PRESETS["default"].sensor
    for state in range(5):
        read = view.measure(DEPTH, pose, state, sensor) > 0
        solid = view.cast(DEPTH, pose)[1]
        assert not read[solid == 0].any()
        assert read[solid == 1].mean() > 0.8


def test_walks_are_scans_of_one_room(tmp_path: Path) -> None:
    config = SampleConfig(rooms=2, walks=2, clips=0, frames=5, layouts=("scannet",), seed=3)
    assert scene_ids(config) == [
        "scene0000_00", "scene0000_01", "scene0001_00", "scene0001_01",
    ]  # fmt: skip
    for _ in make_sample(tmp_path / "set", config, workers=1):
        pass
    source = open_source(tmp_path / "set/scannet")
    scenes = [source.open(name) for name in source.scene_ids()]
    assert all(isinstance(scene, Scene) for scene in scenes)
    assert [scene.space for scene in scenes] == [space_of(s, s) for s in source.scene_ids()]
    assert len({scene.space for scene in scenes}) == 2
    truths = [
        json.loads((tmp_path / f"set/scannet/scans/{name}/ground_truth.json").read_text())
        for name in source.scene_ids()
    ]
    first, second, other, _ = truths
    assert first["objects"] == second["objects"] != other["objects"]
    assert first["scene"] != second["scene"]
    assert first["aligned_from_world"] != second["aligned_from_world"]
    poses = [scene.aligned_from_world @ scene.frames[0].world_from_cam for scene in scenes[:2]]
    assert np.linalg.norm(poses[0][:3, 3] - poses[1][:3, 3]) > 0.05
    one = SampleConfig(rooms=1, clips=0, frames=5, layouts=("scannet",), seed=3)
    for _ in make_sample(tmp_path / "one", one, workers=1):
        pass
    name = "scannet/scans/scene0000_00/scene0000_00.sens"
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "set" / name).read_bytes()


def test_lamps_hang_in_the_room_and_light_both_arms() -> None:
    corners = np.array([(0, 0), (6, 0), (6, 3), (3.5, 3), (3.5, 5.5), (0, 5.5)], dtype=float)
    for flip in itertools.product((False, True), repeat=2):
        turned = np.where(flip, np.array([6, 5.5]) - corners, corners)
        ring = turned if flip[0] == flip[1] else turned[::-1]
        room = Room("r", "l", tuple(map(tuple, ring.tolist())), 2.6, Dice(0, "r"))
        assert room.area == pytest.approx(6 * 5.5 - 2.5 * 2.5)
        spots = np.array([lamp[:2] for lamp in lamps(room)])
        assert room.contains(spots).all()
        assert np.linalg.norm(spots[0] - spots[1]) > 1.0


def test_tiny_rooms_vary_in_all_but_the_hue_of_a_category() -> None:
    config = resolved(SampleConfig(rooms=40, preset="tiny"))
    hues: dict[str, set[tuple[float, float]]] = {}
    heights: dict[str, list[float]] = {}
    looks = set()
    for number in range(40):
        room = make_room(config, number)
        looks.add(tuple(s.material.texture for t in room.objects[:6] for s in t.solids))
        for thing in room.objects[6:]:
            colours = {s.material.colour for s in thing.solids}
            assert len(colours) == 1  # a thing has one shade
            hue, saturation, _ = colorsys.rgb_to_hsv(*channels_of(colours.pop()))
            hues.setdefault(thing.raw_category, set()).add((hue, saturation))
            low, high = zip(*(s.extent() for s in thing.solids), strict=True)
            heights.setdefault(thing.raw_category, []).append(
                float(np.max(high, axis=0)[2] - np.min(low, axis=0)[2])
            )
    assert len(hues) == 6
    assert len(looks) > 5
    for name, own in hues.items():
        assert len(heights[name]) > 20
        assert max(heights[name]) > 1.4 * min(heights[name])
        # Shades of one hue are nearer to each other than to any other category's.
        within = max(abs(a[0] - b[0]) for a in own for b in own)
        apart = min(abs(a[0] - b[0]) for a in own for n, o in hues.items() if n != name for b in o)
        assert within < 0.02 < apart, name


def channels_of(colour: int) -> tuple[float, float, float]:
    """Red, green and blue of 0xRRGGBB, 0 to 1."""
    red, green, blue = ((colour >> shift & 255) / 255 for shift in (16, 8, 0))
    return red, green, blue
