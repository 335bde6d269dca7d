# SPDX-License-Identifier: Apache-2.0
"""Masks: the rule by hand and by brute force, what the renderer shows, and how they are drawn."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spatial_engine.commands import generate, verify
from spatial_engine.dataset.dataset import Dataset, OpenedRecord
from spatial_engine.engines.frame_masks import EDGE_SHARE, FEW_CELLS, LEAST_CELLS, FrameMasks
from spatial_engine.engines.masks import mask_cells
from spatial_engine.engines.references import pointed_layout, sights_of
from spatial_engine.recipe import load_recipe
from spatial_engine.records.marks import COLOURS, draw_marks, letter_height, mask_mark
from spatial_engine.records.mask_rule import NEIGHBOUR, REACH, Apart, middles
from spatial_engine.records.runs import cell_count, cells_of, edge_count, grid_shape, runs_of
from spatial_engine.reference.masks import _apart, reference_mask_cells
from spatialcore.io.images import open_image
from spatialcore.relations.verdict import Reason
from spatialcore.sample import SampleConfig
from spatialcore.sample.build import make_room
from spatialcore.sample.dice import Dice
from spatialcore.sample.presets import PRESETS
from spatialcore.sample.scan import Scan
from tests.engines.test_dataset import assert_shown_alike
from tests.engines.worlds import MIRROR_X, QUARTER, moved, opened, sample_room
from tests.seeds import fresh_seeds

ONE_SET = dataclasses.replace(load_recipe("default"), name="custom", walks=1)
Cells = NDArray[np.bool_]


@pytest.fixture(scope="module")
def masked(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("masked") / "out"
    argv = [str(sample_dir / "scannet"), "-o", str(out), "--tasks", "*masked", "--limit", "60"]
    assert generate.main(argv) == 0
    return out


def marked_image(out: Path) -> tuple[OpenedRecord, int]:
    """A record, and which of its images carries a mask."""
    return next(
        (one, k) for one in Dataset.open(out).opened()
        for k, image in enumerate(one.record.images) if any(m.runs for m in image.marks)
    )  # fmt: skip


def test_masks_are_derived_again(masked: Path) -> None:
    assert verify.main([str(masked)]) == 0
    for record in Dataset.open(masked).records():
        marks = [(k, m) for k, image in enumerate(record.images, 1) for m in image.marks]
        assert len(marks) == len(record.facts["references"])
        for one in record.facts["references"]:
            (mark,) = (m for k, m in marks if k == one["image"] and list(m.corners) == one["box"])
            assert cell_count(mark.runs) == one["cells"]
            assert mark.colour in record.question + "".join(record.options)


def scattered(seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[int, int]]:
    """Distinct pixels of an object and of other things, in an image of some size."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(90, 700)), int(rng.integers(60, 500))
    middle, spread = rng.uniform(0.1, 0.9, 2) * size, rng.uniform(2, 0.15 * min(size))
    own = np.rint(rng.normal(middle, spread, (int(rng.integers(7, 400)), 2))).astype(np.int64)
    others = rng.integers(0, size, (int(rng.integers(0, 900)), 2))
    own = np.unique(np.clip(own, 0, np.array(size) - 1), axis=0)
    return own, np.unique(others, axis=0), size


@pytest.mark.parametrize("seed", fresh_seeds(12))
def test_both_ways_give_the_cells_of_the_rule(seed: int) -> None:
    own, others, size = scattered(seed)
    found = mask_cells(own, others, size)
    assert np.array_equal(found, reference_mask_cells(own, others, size))
    if len(own) <= NEIGHBOUR:
        assert not found.any()
        return
    between = np.sort(np.linalg.norm(own[:, None] - own[None], axis=2), axis=1)[:, NEIGHBOUR]
    apart = np.sort(between)[len(own) // 2]
    rows, columns = middles(size)
    for r in range(0, len(rows), 3):
        for c in range(0, len(columns), 3):
            at = np.array([columns[c], rows[r]])
            mine = np.linalg.norm(own - at, axis=1).min()
            theirs = np.linalg.norm(others - at, axis=1).min() if len(others) else np.inf
            if mine > REACH * apart + 1e-6:
                assert not found[r, c]
            elif 2 * mine**2 <= theirs**2 and mine < REACH * apart - 1e-6:
                assert found[r, c]  # the other way round others in gaps do not count


def test_what_lies_between_the_points_of_an_object_does_not_count() -> None:
    """A wall right behind a door, whose points pass for seen; beside the door the wall counts."""
    u, v = (axis.ravel() for axis in np.meshgrid(np.arange(40, 121, 8), np.arange(20, 101, 8)))
    door = np.stack([u, v], axis=1)
    s, t = (axis.ravel() for axis in np.meshgrid(np.arange(4, 160, 8), np.arange(0, 120, 8)))
    wall = np.stack([s, t], axis=1)
    for make in (mask_cells, reference_mask_cells):
        cells = make(door, wall, (160, 120))
        assert cells[24:97, 44:117].all()
        assert not cells[:, :34].any()
        assert not cells[:, 127:].any()
        assert not make(wall[:NEIGHBOUR], door, (160, 120)).any()


def test_a_square_net_is_filled_and_ends_before_the_middle_to_its_neighbour() -> None:
    u, v = (axis.ravel() for axis in np.meshgrid(np.arange(40, 113, 8), np.arange(20, 93, 8)))
    own = np.stack([u, v], axis=1)
    beside = own[own[:, 0] < 80] + np.array([80, 0])
    cells = mask_cells(own, beside, (160, 120))
    assert cells[20:93, 40:113].all()
    assert np.flatnonzero(cells[40])[-1] == 114  # 2 (2.6^2 + 4^2) = 5.4^2 + 4^2
    assert np.flatnonzero(cells[40])[0] == 27  # 1.25 diagonals of the net from (40, 36)
    assert not mask_cells(own[:NEIGHBOUR], own[30:], (160, 120)).any()


def test_points_nearer_than_cells_do_not_widen_a_mask() -> None:
    """A rod five pixels wide, points on every second; the wall begins three pixels beside it."""
    u, v = (axis.ravel() for axis in np.meshgrid(np.arange(320, 326, 2), np.arange(100, 300, 2)))
    rod = np.stack([u, v], axis=1)
    s, t = (axis.ravel() for axis in np.meshgrid(np.arange(2, 640, 3), np.arange(1, 480, 3)))
    wall = np.stack([s, t], axis=1)[(s < 318) | (s > 327)]
    for make in (mask_cells, reference_mask_cells):
        cells = make(rod, wall, (640, 480))
        assert set(np.flatnonzero(cells[30:70].any(axis=0))) == {80, 81}
        assert cells[30:70, 80:82].all()


@pytest.mark.parametrize("seed", fresh_seeds(8))
def test_what_is_enough_for_a_mask_is_told_without_painting_it(seed: int) -> None:
    """Objects of all spacings, some behind others: as the cells of a painted mask say."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(90, 700)), int(rng.integers(60, 500))
    own = {}
    for object_id in (7, 3, 12):
        middle = rng.uniform(0.1, 0.9, 2) * size
        spread = rng.uniform(1, 0.08 * min(size))
        uv = np.rint(rng.normal(middle, spread, (int(rng.integers(1, 900)), 2)))
        own[object_id] = np.clip(uv, 0, np.array(size) - 1).astype(np.int64) @ [1, size[0]]
    rest = rng.integers(0, size[0] * size[1], int(rng.integers(0, 3000)))
    painted = []

    def paint(*pixels: Any) -> Cells:
        painted.append(pixels)
        return mask_cells(*pixels)

    masks = FrameMasks(size, rest, own, paint)
    told = {k: masks.fault(k) for k in own}
    asked = len(painted)
    for object_id, keys in own.items():
        others = np.concatenate([rest, *(other for k, other in own.items() if k != object_id)])
        pixels = [np.stack(np.divmod(np.unique(k), size[0])[::-1], 1) for k in (keys, others)]
        runs = runs_of(mask_cells(*pixels, size))
        assert masks.runs(object_id) == runs
        count, thin = cell_count(runs), edge_count(runs, size) > EDGE_SHARE * cell_count(runs)
        few = None if count >= FEW_CELLS or not thin else Reason.MASK_THIN
        assert told[object_id] == (Reason.MASK_SMALL if count < LEAST_CELLS else few)
    assert asked <= len(own)


def test_a_mask_that_is_surely_large_is_not_painted() -> None:
    u, v = (axis.ravel() for axis in np.meshgrid(np.arange(40, 60), np.arange(20, 40)))

    def paint(*_: object) -> Cells:
        raise AssertionError

    nothing = np.zeros(0, np.int64)
    assert FrameMasks((160, 120), nothing, {5: v * 160 + u}, paint).fault(5) is None
    beside = (v + 1) * 160 + u  # two things one above the other's pixels leave no cell that is sure
    both = {5: (v * 160 + u)[v % 2 == 0], 6: beside[v % 2 == 0]}
    with pytest.raises(AssertionError):
        FrameMasks((160, 120), nothing, both, paint).fault(5)


@pytest.mark.parametrize(
    ("wide", "high", "fault"),
    [(2, 60, Reason.MASK_THIN), (2, 80, None), (5, 17, None), (5, 5, Reason.MASK_SMALL)],
)
def test_a_small_mask_is_not_nearly_all_edge(wide: int, high: int, fault: Reason | None) -> None:
    cells = np.zeros((120, 160), bool)
    cells[10 : 10 + high, 50 : 50 + wide] = True
    own, rest = np.flatnonzero(cells), np.flatnonzero(~cells)
    masks = FrameMasks((160, 120), rest, {5: own}, mask_cells)
    assert masks.fault(5) == fault
    assert masks.runs(5) == runs_of(cells)


def test_no_cell_has_an_edge_where_the_image_ends() -> None:
    cells = np.zeros((5, 5), bool)
    cells[:, :3] = True
    assert edge_count(runs_of(cells), (5, 5)) == 5


@pytest.mark.parametrize("seed", fresh_seeds(5))
def test_runs_hold_the_cells(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(20, 900)), int(rng.integers(20, 900))
    cells = rng.random(grid_shape(size)) < rng.uniform(0.05, 0.95)
    runs = runs_of(cells)
    assert np.array_equal(cells_of(runs, size), cells)
    assert cell_count(runs) == cells.sum()


def test_a_mask_is_what_the_renderer_shows(sample_dir: Path, tmp_path: Path) -> None:
    """Cells of the objects that can be pointed at, held to the solids that rays hit."""
    context = opened(moved(sample_room(sample_dir), np.eye(4)), tmp_path, ONE_SET)
    room = make_room(SampleConfig(), 0)
    scan = Scan(room, PRESETS["default"], 60, Dice(0, room.id))
    owner = np.array([*scan.object_ids, -1])
    pointed, sights = (one(context, context.shown) for one in (_masked, sights_of))
    shares, sole = [], []
    for object_id, one in pointed.references.items():
        size = sights.size_of(one.frame)
        _, solid = scan.renderer.cast(scan.preset.color, scan.room_from_cam[one.frame])
        rows, columns = (
            np.minimum(m, n - 1) for m, n in zip(middles(size), size[::-1], strict=True)
        )
        truth = owner[np.minimum(solid, len(owner) - 1)][np.ix_(rows, columns)] == object_id
        found = cells_of(sights.drawn(object_id, one).runs, size)
        shares.append((found & truth).sum() / (found | truth).sum())
        sole.append((found & truth).sum() / found.sum())
    assert len(shares) > 8
    assert np.median(shares) > 0.8
    assert min(shares) > 0.45
    assert np.median(sole) > 0.9
    assert min(sole) > 0.7  # a mask covers what it points at, and nothing else


def _masked(context: object, frames: tuple[int, ...]) -> object:
    return pointed_layout(context, frames, "masked")  # type: ignore[arg-type]


@pytest.mark.parametrize("mirror", [False, True])
def test_masks_of_another_world(sample_dir: Path, tmp_path: Path, mirror: bool) -> None:
    room = sample_room(sample_dir)
    worlds = (np.eye(4), False), (MIRROR_X if mirror else QUARTER, mirror)
    contexts = [
        opened(moved(room, motion, mirrored=flip), tmp_path / str(k), ONE_SET)
        for k, (motion, flip) in enumerate(worlds)
    ]
    both = [pointed_layout(one, one.shown, "masked").references for one in contexts]
    sights = [sights_of(one, one.shown) for one in contexts]
    common = [k for k in both[0] if k in both[1] and both[0][k].frame == both[1][k].frame]
    assert len(common) > 0.8 * len(both[0])
    for k in common:
        size = sights[0].size_of(both[0][k].frame)
        one, other = (
            cells_of(sight.drawn(k, found[k]).runs, size)
            for sight, found in zip(sights, both, strict=True)
        )
        if mirror:
            one = one[:, ::-1]
        assert (one & other).sum() > 0.9 * (one | other).sum()


def test_every_verb_and_a_model_show_the_same_mask(
    masked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, number = marked_image(masked)
    image = one.record.images[number]
    height = letter_height(image.width, one.letter_height_share)
    expected = draw_marks(open_image(one.root, image.uri), image.marks, letter_height=height)
    assert_shown_alike(masked, one, number, expected, tmp_path, monkeypatch)


def test_a_mask_tints_its_cells_within_a_line() -> None:
    plain = Image.new("RGB", (160, 120), (128, 128, 128))
    cells = np.zeros((120, 160), bool)
    cells[30:70, 50:90] = True
    mark = mask_mark(runs_of(cells), (50, 30, 89, 69), 160, "blue")
    drawn = np.asarray(draw_marks(plain, [mark], letter_height=8)).astype(int)
    tint = np.rint(0.6 * 128 + 0.4 * np.array(COLOURS["blue"]))
    assert np.abs(drawn[50, 70] - tint).max() <= 1
    assert tuple(drawn[50, 49]) == COLOURS["blue"]
    changed = (drawn != 128).any(axis=2)
    assert changed[30:70, 50:90].all()
    assert not changed[:26].any()
    assert not changed[:, 94:].any()


@pytest.mark.parametrize(
    "runs", [(1, 2), (500, 1, 2), (1, 5, 160), (1, 5, 4), (1, 5, 6, 1, 7, 8), (3, 1, 2, 2, 1, 2)]
)
def test_runs_of_strangers_are_refused(runs: tuple[int, ...]) -> None:
    mark = mask_mark(runs, (10, 10, 40, 40), 160, "red")
    assert "mask" in mark.fault(160, 120)
    with pytest.raises(ValueError, match="mask"):
        draw_marks(Image.new("RGB", (160, 120)), [mark], letter_height=8)


@pytest.mark.parametrize("seed", fresh_seeds(2))
def test_many_pixels_are_as_far_apart_as_all_pairs_of_them_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for width in (40, 60, 150):  # the last needs a second round of rings
        own = np.unique(rng.integers(0, width, (1500, 2)) * [1, 2], axis=0)[:1200]
        away = ((own[:, None] - own[None]) ** 2).sum(axis=2)
        sixth = np.partition(away, NEIGHBOUR, axis=1)[:, NEIGHBOUR]
        assert _apart(own) == Apart.of(sixth)
