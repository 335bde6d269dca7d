# SPDX-License-Identifier: Apache-2.0
"""Walks and clips over time: by hand, backwards, in turned and mirrored worlds, twice measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spatial_engine.engines import track_story
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.contents import content_of, place_contents
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.track_story import TRACK_STORY
from spatial_engine.engines.walk_path import OPEN, STEPS
from spatial_engine.recipe import load_recipe
from spatial_engine.records.place import FrameImage, Place
from spatial_engine.reference.scene import ReferenceScene
from spatialcore.relations.verdict import Answer
from spatialcore.types import Camera, Frame, Track3D
from tests.engines.test_symmetries import QUARTER, mirrored_clip, moved_world
from tests.engines.views_by_hand import AGAIN, in_world, random_world, views_of
from tests.index.scenes import look
from tests.relations.rooms import block
from tests.seeds import fresh_seeds

WALK = {engine.quantity: engine for engine in OPEN}
STORY = {engine.quantity: engine for engine in TRACK_STORY}
CUP = block(1, "cup", (0.0, 0.0, 1.0), (0.1, 0.1, 0.1))


def ask(quantity: str, views, row: Row):
    found = WALK[quantity].ask(views, row)
    return found.value if isinstance(found, Answer) else str(found.reason)


def walk(yaws=(0, 5, 65, 70, 75), **options):
    """Out 2 m along x, then 1.5 m along y; the camera looks in these directions."""
    places = [(0, 0), (1, 0), (2, 0), (2, 1), (2, 1.5)]
    poses = [look((x, y, 1.5), yaw) for (x, y), yaw in zip(places, yaws, strict=True)]
    return views_of([CUP], poses, [{1}] * 5, **options)


def test_a_path_is_the_sum_of_its_steps_and_backwards_as_long() -> None:
    views = walk()
    for frames in (views.frames, views.frames[::-1]):
        assert ask("path_length", views, Row(frames, ())) == pytest.approx(3.5)
        assert ask("net_displacement", views, Row(frames, ())) == pytest.approx(2.5)
    # Fewer images are told of a shorter way: it is true for what is shown.
    assert ask("path_length", views, Row((0, 2, 4), ())) == pytest.approx(3.5)
    assert ask("path_length", views, Row((0, 1, 4), ())) == pytest.approx(1 + np.hypot(1, 1.5))
    assert ask("path_length", views, Row((3, 4), ())) == "distance_range"


def test_the_step_of_the_largest_turn_backwards_is_the_mirrored_one() -> None:
    views = walk()
    assert ask("turning_step", views, Row(views.frames, ())) == STEPS[1]
    assert ask("turning_step", views, Row(views.frames[::-1], ())) == STEPS[2]
    assert ask("turning_step", walk((0, 5, 34, 40, 45)), Row((0, 1, 2, 3, 4), ())) == "dead_zone"
    two = walk((0, 5, 65, 105, 110))  # 60 and 40 degrees
    assert ask("turning_step", two, Row((0, 1, 2, 3, 4), ())) == "order_ambiguous"
    through_north = walk((170, 175, -125, -120, -115))  # 60 degrees on, not 300 back
    assert ask("turning_step", through_north, Row((0, 1, 2, 3, 4), ())) == STEPS[1]
    assert ask("turning_step", walk(overlap={(0, 1)}), Row((0, 1, 2, 3, 4), ())) == "no_overlap"


def test_a_count_needs_more_than_one_image_and_every_thing_once() -> None:
    cups = [block(k, "cup", (k, 0.0, 1.0), (0.1, 0.1, 0.1)) for k in (1, 2, 3)]
    poses = [look((0, 0, 1), 0)] * 4
    seen = [{1, 2}, {2}, {3}, {1}]
    row = Row((0, 1, 2, 3), (1,))
    assert ask("object_count", views_of(cups, poses, seen), row) == 3
    assert ask("object_count", views_of(cups, poses, [{1, 2, 3}, *seen[1:]]), row) == "count_range"
    assert ask("object_count", views_of(cups, poses, [{1, 2}, {2}, {1}, {1}]), row) == (
        "count_unsure"
    )


@pytest.mark.parametrize("seed", fresh_seeds(2))
def test_walks_in_turned_and_mirrored_worlds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    poses = [look(rng.uniform(0, 4, 3), rng.uniform(0, 360), rng.uniform(-20, 20)) for _ in "12345"]
    plain = views_of([CUP], poses, [{1}] * 5)
    for mirror in (False, True):
        other = views_of(*in_world([CUP], poses, random_world(rng, mirror=mirror)), [{1}] * 5)
        for quantity in ("path_length", "net_displacement", "turning_step"):
            row = Row(plain.frames, ())
            wanted = ask(quantity, plain, row)
            for views in (other, views_of([CUP], poses, [{1}] * 5, measures=AGAIN)):
                found = ask(quantity, views, row)
                assert found == (wanted if isinstance(wanted, str) else pytest.approx(wanted))


T, EACH = 24, 6


def clip_of(starts: dict[int, int], ends: dict[int, int] | None = None) -> Track3D:
    """Rigid clouds beside each other; thing k moves 3 cm a frame along x from its start on."""
    ends = ends or {}
    rng = np.random.default_rng(5)
    camera = Camera(np.array([[300.0, 0, 160], [0, 300.0, 120], [0, 0, 1]]), 320, 240)
    tracks = np.zeros((T, EACH * len(starts), 3))
    for n, (thing, start) in enumerate(starts.items()):
        shape = rng.uniform(-0.1, 0.1, (EACH, 3))
        shape += np.array([0.5 * thing - 0.7, 0.4 * thing - 0.5, 3.5])
        for t in range(T):
            way = max(0, min(t, ends.get(thing, T)) - start)
            tracks[t, n * EACH : (n + 1) * EACH] = shape + np.array([0.03 * way, 0, 0])
    frames = tuple(
        Frame(t, f"{t:05d}", np.eye(4), image=f"c.npz#images_jpeg_bytes/{t}") for t in range(T)
    )
    count = tracks.shape[1]
    return Track3D(
        "adt", "clip", "clip", Path(), camera, frames, np.tile(np.eye(4), (T, 1, 1)), tracks,
        np.ones((T, count), bool), np.arange(count, dtype=np.int32),
    )  # fmt: skip


def context_of(clip: Track3D) -> SceneContext:
    """A context over a clip whose things are its parts."""
    recipe, count = load_recipe(), clip.tracks_cam.shape[1]
    images = {f.index: FrameImage(f.name, f.image or "", 320, 240) for f in clip.frames}
    parts = SimpleNamespace(track=clip.track_index, label=np.arange(count) // EACH)
    scene: Any = SimpleNamespace(is_clip=True, kind="clip", metric=True, up="unknown", parts=parts)
    place = Place("adt", "clip", "clip", "train", recipe, 7, "identity", images)
    return SceneContext(scene, place, {}, lambda: clip)


def rows_of(quantity: str, context: SceneContext):
    rows = STORY[quantity].candidates(context).rows()
    return rows, STORY[quantity].facts(context, rows)


def test_what_moves_while_the_others_rest() -> None:
    """Thing 0 moves to frame 10, thing 1 from frame 14 on: each alone moves for a while."""
    context = context_of(clip_of({0: 0, 1: 14}, {0: 10}))
    rows, facts = rows_of("which_moved", context)
    assert rows
    right = set()
    for row, one in zip(rows, facts, strict=True):
        thing = row.items["ABCD".index(one.answer.text)] // EACH
        first, last = row.frames[0], row.frames[-1]
        assert (thing == 0 and first < 10 and last <= 14) or (thing == 1 and first >= 10)
        assert one.options == ("A", "B")
        assert [m.letter for m in one.marks[0]] == ["A", "B"]
        assert not any(one.marks[1:])
        right.add(thing)
    assert right == {0, 1}


def test_what_moves_first_is_the_thing_that_starts_first() -> None:
    context = context_of(clip_of({0: 6, 1: 12, 2: 11}))
    rows, facts = rows_of("moved_first", context)
    assert rows
    for row, one in zip(rows, facts, strict=True):
        assert row.items["ABCD".index(one.answer.text)] // EACH == 0
        assert row.frames[0] <= 11
    # Both start at once: nothing is first.
    assert not rows_of("moved_first", context_of(clip_of({0: 6, 1: 6})))[0]
    # A thing that never moves is no answer, and one that moves alone has no rival.
    assert not rows_of("which_moved", context_of(clip_of({0: 0, 1: T})))[0]


@pytest.mark.parametrize("quantity", ["which_moved", "moved_first"])
def test_letters_are_the_same_in_turned_and_mirrored_worlds(quantity: str) -> None:
    moves = {
        "which_moved": clip_of({0: 0, 1: 14}, {0: 10}), "moved_first": clip_of({0: 6, 1: 12, 2: 11})
    }  # fmt: skip
    clip = moves[quantity]
    context = context_of(clip)
    rows, facts = rows_of(quantity, context)
    assert rows
    for other in (moved_world(clip, QUARTER), mirrored_clip(clip)):
        theirs, told = rows_of(quantity, context_of(other))
        assert theirs == rows
        assert [one.answer.text for one in told] == [one.answer.text for one in facts]
    if quantity == "which_moved":  # backwards the same thing moves
        story, engine = context_story(context), STORY[quantity]
        for row in rows:
            there = engine._ask(story, row)
            back = engine._ask(story, Row(row.frames[::-1], row.items))
            assert isinstance(there, Answer)
            assert isinstance(back, Answer)
            assert back.value == there.value


def test_directions_turn_round_backwards_and_in_the_mirror() -> None:
    clip = clip_of({0: 0, 1: 0})
    context = context_of(clip)
    rows, facts = rows_of("point_direction", context)
    assert rows
    assert {one.answer.text for one in facts} == {"right"}
    engine = STORY["point_direction"]
    back = [Row(row.frames[::-1], row.items) for row in rows]
    told = [engine._ask(context_story(context), row) for row in back]
    assert {one.value for one in told if isinstance(one, Answer)} == {"left"}
    mirrored = context_of(mirrored_clip(clip))
    assert {one.answer.text for one in rows_of("point_direction", mirrored)[1]} == {"left"}
    turned = context_of(moved_world(clip, QUARTER))
    assert {one.answer.text for one in rows_of("point_direction", turned)[1]} == {"right"}


def test_a_direction_is_balanced_where_its_point_lies() -> None:
    context = context_of(clip_of({0: 0, 1: 0}))
    rows, facts = rows_of("point_direction", context)
    uv = np.array([one.evidence["uv"][0] for one in facts])
    table = STORY["point_direction"].candidates(context)
    assert (table.content == place_contents(uv, context_story(context).size)).all()
    assert len(set(table.content.tolist())) > 1
    assert len(rows) == len(table)


def test_what_moves_is_balanced_by_the_places_of_the_marks() -> None:
    context = context_of(clip_of({0: 0, 1: 14}, {0: 10}))
    rows, facts = rows_of("which_moved", context)
    table = STORY["which_moved"].candidates(context)
    width = context_story(context).size[0]
    assert rows
    for k, one in enumerate(facts):
        x = [u for u, _ in one.evidence["uv"]]
        middle = sorted(x).index(min(x, key=lambda u: abs(u - width / 2)))
        assert table.content[k] == content_of(f"of {len(x)}", f"middle {middle}")
        assert sorted(x)[table.stratum[k]] == x["ABCD".index(one.answer.text)]


@pytest.mark.parametrize("seed", fresh_seeds(3))
def test_points_asked_together_are_told_as_each_alone(seed: int) -> None:
    """Reasons, directions and speeds of many points at once, against one after the other."""
    rng = np.random.default_rng(seed)
    points = rng.normal(scale=rng.choice([0.03, 0.3]), size=(int(rng.integers(2, 9)), 200, 3))
    points[:, ::3] *= (1.0, 0.1, 0.1)  # some go along one axis, some there and back
    points[:, ::6] = np.sort(points[:, ::6], axis=0)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    reasons, rows, _ = track_story._directions(points, axes)
    speed_reasons, speeds, _ = track_story._speeds(points, 0.5)
    for k in range(200):
        shift = axes @ (points[-1, k] - points[0, k])
        steps = np.linalg.norm(np.diff(points[:, k], axis=0), axis=1)
        told, speed = track_story._direction(points[:, k], axes), track_story._speed(
            points[:, k], 0.5
        )  # fmt: skip
        if isinstance(told, Answer):
            assert reasons[k] is None
            assert told.value == track_story.DIRECTIONS[rows[k]]
            axis = int(np.abs(shift).argmax())
            assert rows[k] == 2 * axis + (shift[axis] < 0)
        else:
            assert reasons[k] is told.reason
        assert speed.evidence["path_m"] == pytest.approx(steps.sum())
        assert (speed_reasons[k] is None) == isinstance(speed, Answer)
        if isinstance(speed, Answer):
            assert speed.value == speeds[k] == pytest.approx(100 * steps.mean() / 0.5)
    assert {"dead_zone"} <= {str(reason) for reason in reasons if reason} or None in reasons


def context_story(context: SceneContext):
    return context.cached("clip_story", lambda: None)


@pytest.mark.parametrize("quantity", sorted(STORY))
def test_the_reference_finds_the_same(quantity: str) -> None:
    clip = with_clock(clip_of({0: 0, 1: 14, 2: 18}, {0: 10}), lambda t: t / 30)
    context = context_of(clip)
    rows, facts = rows_of(quantity, context)
    reference = ReferenceScene(clip, load_recipe(), 7, "train")
    assert rows
    for row, one in list(zip(rows, facts, strict=True))[:20]:
        again, broken = STORY[quantity].recompute(reference, row)
        assert not broken
        assert (again.answer, again.options) == (one.answer, one.options)
        assert np.allclose(again.evidence["uv"], one.evidence["uv"])


def with_clock(clip: Track3D, seconds) -> Track3D:
    frames = tuple(dataclasses.replace(f, time=seconds(f.index)) for f in clip.frames)
    return dataclasses.replace(clip, frames=frames)


def test_a_speed_is_the_way_over_the_time_that_the_question_tells() -> None:
    """3 cm a frame, a frame every 0.04 s: 75 cm/s, however many frames lie between images."""
    clip = clip_of({0: 0, 1: 0})
    rows, facts = rows_of("point_speed", context_of(with_clock(clip, lambda t: 0.04 * t)))
    assert rows
    for row, one in zip(rows, facts, strict=True):
        stride = row.frames[1] - row.frames[0]
        assert one.slots["gap"] == f"{0.04 * stride:.2g}"
        assert one.answer.number == (75.0,)
    table = STORY["point_speed"].candidates(context_of(clip))
    assert not len(table)
    assert table.rejected["time_unknown"] > 0
    ragged = with_clock(clip, lambda t: 0.04 * t + 0.03 * (t % 2))
    strides = {row.frames[1] - row.frames[0] for row in
               rows_of("point_speed", context_of(ragged))[0]}  # fmt: skip
    assert strides <= {2, 8}


def test_still_clips_are_not_asked_about() -> None:
    clip = clip_of({0: T, 1: T})
    still = dataclasses.replace(clip, id="still")
    for quantity in STORY:
        assert not rows_of(quantity, context_of(still))[0]
