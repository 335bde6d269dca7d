# SPDX-License-Identifier: Apache-2.0
"""Movement of tracked points: a hand-worked clip, pair selection, and what verify refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spatial_engine.dataset.compose import make
from spatial_engine.engines.base import candidates_of
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.contents import place_contents
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.object_movement import OBJECT_MOVEMENT
from spatial_engine.engines.track_pairs import clip_view, distance_bins
from spatial_engine.recipe import Recipe, load_recipe, recipe_for
from spatial_engine.records.place import FrameImage, Place
from spatial_engine.records.reading import parse_answer
from spatial_engine.records.wording import wording_of
from spatialcore.types import Camera, Frame, Track3D

T, N = 12, 8


def moving_clip(step: float = 0.03, images: bool = True, poses: bool = True) -> Track3D:
    """A box of eight corners that moves along world x and turns, before a camera that turns."""
    corners = np.array([[x, y, z] for x in (-0.2, 0.2) for y in (-0.2, 0.2) for z in (-0.2, 0.2)])
    tracks, cam_from_world = np.zeros((T, N, 3)), np.tile(np.eye(4), (T, 1, 1))
    for t in range(T):
        a, b = 0.2 * step * t, 0.02 * t
        turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
        world = corners @ turn.T + (step * t, 0, 3)
        look = np.array([[np.cos(b), 0, -np.sin(b)], [0, 1, 0], [np.sin(b), 0, np.cos(b)]])
        cam_from_world[t, :3, :3], cam_from_world[t, :3, 3] = look, (0.01 * t, 0, 0)
        tracks[t] = world @ look.T + cam_from_world[t, :3, 3]
    camera = Camera(np.array([[300.0, 0, 160], [0, 300.0, 120], [0, 0, 1]]), 320, 240)
    frames = tuple(
        Frame(t, f"{t:05d}", np.linalg.inv(cam_from_world[t]),
              image=f"clip.npz#images_jpeg_bytes/{t}" if images else None)
        for t in range(T)
    )  # fmt: skip
    return Track3D(
        "adt", "clip", "clip", Path(), camera, frames,
        cam_from_world if poses else np.full_like(cam_from_world, np.nan),
        tracks, np.ones((T, N), bool), np.arange(N, dtype=np.int32),
    )  # fmt: skip


def context_of(
    clip: Track3D, recipe: str | Recipe = "default", split: str = "train", **guards: Any
) -> SceneContext:
    """A context over a clip in memory whose tracks all lie in part 0."""
    chosen = load_recipe(recipe) if isinstance(recipe, str) else recipe
    chosen = dataclasses.replace(chosen, guards=dataclasses.replace(chosen.guards, **guards))
    images = {f.index: FrameImage(f.name, f.image or "", 320, 240) for f in clip.frames}
    parts = SimpleNamespace(track=clip.track_index, label=np.zeros(len(clip.track_index), int))
    scene: Any = SimpleNamespace(is_clip=True, kind="clip", metric=True, up="unknown", parts=parts)
    place = Place("adt", "clip", "clip", split, chosen, 7, "identity", images)
    return SceneContext(scene, place, {}, lambda: clip)


def rows_of(context: SceneContext, task: int = 0) -> set[Row]:
    """The candidates of a task as a set."""
    return set(candidates_of(OBJECT_MOVEMENT[task], context).rows())


def test_bins_are_those_of_an_equal_width_histogram() -> None:
    """The last edge is closed, counts agree with numpy's histogram, and tracks keep apart."""
    rng = np.random.default_rng(0)
    a, b = rng.random(500), 5 * rng.random(40)
    bins = distance_bins(np.concatenate([a, b, [2.0]]), np.repeat([0, 1, 2], [500, 40, 1]), 3)
    for found, distances in ((bins[:500], a), (bins[500:540], b), (bins[540:], np.array([2.0]))):
        counts = np.histogram(distances, 10)[0].tolist()
        assert np.bincount(found, minlength=10).tolist() == counts


def test_displacement_by_hand_and_after_a_swap() -> None:
    """The vector is R1 (X2 - X1); shown the other way round it is -R2 (X2 - X1)."""
    clip = moving_clip()
    context, engine = context_of(clip), OBJECT_MOVEMENT[1]
    world = [np.linalg.inv(clip.cam_from_world[t]) @ [*clip.tracks_cam[t, 3], 1] for t in (2, 9)]
    delta = (world[1] - world[0])[:3]
    for frames, sign in (((2, 9), 1), ((9, 2), -1)):
        expected = sign * clip.cam_from_world[frames[0], :3, :3] @ delta * 1000
        facts = engine.facts(context, [Row(frames, (3,))])[0]
        assert facts.answer.number == tuple(np.rint(expected) + 0.0)
        length = OBJECT_MOVEMENT[0].facts(context, [Row(frames, (3,))])[0]
        assert length.answer.number == (np.rint(1000 * np.linalg.norm(delta)),)
    assert OBJECT_MOVEMENT[3].facts(context, [Row((2, 9), (3,))])[0].marks[1] == ()


def test_a_clip_at_rest_gives_zeros_only() -> None:
    """One static pair a track, and its answers are exact zeros."""
    context = context_of(moving_clip(0.0))
    table = candidates_of(OBJECT_MOVEMENT[1], context)
    assert len(table) == N
    assert set(table.stratum.tolist()) == {1}
    assert {facts.answer.span for facts in OBJECT_MOVEMENT[1].facts(context, table.rows())} == {
        "[ 0 , 0 , 0 ]"
    }


def test_a_place_is_asked_with_all_distances_alike() -> None:
    """Contents are fields of the first image, strata bins of a quarter; the paper has neither."""
    clip = moving_clip()
    engine, context = OBJECT_MOVEMENT[0], context_of(clip)
    table = candidates_of(engine, context)
    strata = [name for name, _ in engine.strata(context.recipe)]
    facts = engine.facts(context, table.rows())
    uv = np.array([one.evidence["uv"] for one in facts]).reshape(-1, 2)
    assert (table.content == place_contents(uv, clip.camera.size)).all()
    assert len(set(table.content.tolist())) > 1
    moving = set()
    for one, stratum in zip(facts, table.stratum.tolist(), strict=True):
        if not one.evidence["point_moving"]:
            assert strata[stratum] == "static"
            continue
        edge = float(strata[stratum].split()[2])
        assert edge / 1.26 <= 1000 * one.evidence["distance_m"] <= 1.01 * edge
        moving.add(stratum)
    assert len(moving) > 1
    caps = engine.caps(context.recipe)
    assert (len(caps), caps[-1]) == (len(strata), context.recipe.guards.static_max_share)
    assert set(caps[:-1]) == {1.0}
    assert sum(share for _, share in engine.strata(context.recipe)) == pytest.approx(1)
    paper = candidates_of(engine, context_of(clip, "multispa-paper"))
    assert not paper.content.any()
    assert not paper.stratum.any()


def test_the_order_of_points_does_not_matter() -> None:
    """Permuting the columns of a clip leaves the set of pairs as it is, in both recipes."""
    clip = moving_clip()
    p = np.random.default_rng(1).permutation(N)
    turned = dataclasses.replace(
        clip,
        tracks_cam=clip.tracks_cam[:, p],
        visible=clip.visible[:, p],
        track_index=clip.track_index[p],
    )
    for recipe in ("default", "multispa-paper"):
        assert rows_of(context_of(clip, recipe)) == rows_of(context_of(turned, recipe))
        assert rows_of(context_of(clip, recipe))


def test_the_paper_cap_does_not_leak() -> None:
    """A track with an almost empty fifth bin leaves the other tracks' pairs as they were."""
    clip = moving_clip()
    jumpy = clip.visible.copy()
    jumpy[2:, 0] = False
    other = dataclasses.replace(clip, visible=jumpy)
    kept = [
        {row for row in rows_of(context_of(c, "multispa-paper")) if row.items != (0,)}
        for c in (clip, other)
    ]
    assert kept[0] == kept[1]


def test_the_moving_guard() -> None:
    """No pair between still and moving is asked; each is counted, and none is left far inside."""
    context = context_of(moving_clip())
    table = candidates_of(OBJECT_MOVEMENT[0], context)
    found = OBJECT_MOVEMENT[0].facts(context, table.rows())
    lengths = [facts.evidence["distance_m"] for facts in found]
    assert min(lengths) >= 0.05
    assert table.rejected["track_still"] > 0
    far = candidates_of(OBJECT_MOVEMENT[0], context_of(moving_clip(), moving_min_m=5.0))
    assert len(far) == 0
    assert far.rejected["track_still"] == N * T * (T - 1) // 2


def test_a_clip_without_pictures_or_poses_is_refused() -> None:
    """No image to show and no pose to compare are reasons, not guesses."""
    for clip, reason in (
        (moving_clip(images=False), "image_missing"),
        (moving_clip(poses=False), "extrinsics_missing"),
    ):
        table = candidates_of(OBJECT_MOVEMENT[0], context_of(clip))
        assert (len(table), dict(table.rejected)) == (0, {reason: 1})


def test_half_of_the_pairs_are_reversed() -> None:
    """Later frame first in about half of the default pairs, in few of the paper's."""
    shares = []
    for recipe in ("default", "multispa-paper"):
        rows = rows_of(context_of(moving_clip(), recipe))
        shares.append(np.mean([row.frames[0] > row.frames[1] for row in rows]))
    assert 0.4 < shares[0] < 0.6
    assert shares[1] < 0.12


def slid_clip(shift: tuple[float, float, float], at: tuple[float, float, float] = (0, 0, 2)):
    """Two frames of eight points before a camera at rest; track 0 is at `at`, then `shift` on.

    K maps x = 1/128 at z = 2 to one pixel, so that pixels and distances are exact.
    """
    clip = moving_clip()
    offsets = np.array([[0.0, k / 64, 0.0] for k in range(N)])
    tracks = np.stack([offsets + at, offsets + at + shift])
    camera = Camera(np.array([[256.0, 0, 160], [0, 256.0, 120], [0, 0, 1]]), 320, 240)
    return dataclasses.replace(
        clip, camera=camera, frames=clip.frames[:2], visible=np.ones((2, N), bool),
        cam_from_world=np.tile(np.eye(4), (2, 1, 1)), tracks_cam=tracks,
    )  # fmt: skip


def asked(
    clip: Track3D, recipe: str = "default", task: int = 0
) -> tuple[bool, dict[str, int], str]:
    """Whether track 0 is asked about, all reasons, and what `verify` has against the row."""
    context = context_of(clip, recipe)
    table = candidates_of(OBJECT_MOVEMENT[task], context)
    rows = [row for row in table.rows() if row.items == (0,)]
    reference: Any = SimpleNamespace(
        track=clip, place=context.place, recipe=context.recipe, image_size=clip.camera.size,
        cached=lambda key, make: make(),
    )  # fmt: skip
    # The order that the engine draws for the pair, asked about or not.
    draw = context.place.draw(OBJECT_MOVEMENT[task].task, (0, 1, 0), "swap")
    frames = (1, 0) if draw >> 63 and recipe == "default" else (0, 1)
    reason = OBJECT_MOVEMENT[task].recompute(reference, Row(frames, (0,)))[1]
    assert not rows or rows == [Row(frames, (0,))]
    return bool(rows), dict(table.rejected), reason


BELOW = 1 - 2**-52


@pytest.mark.parametrize(
    ("length", "default", "paper"),
    [(0.0, "", ""), (0.01 * BELOW, "", ""), (0.01, "track_still", ""), (0.02, "track_still", ""),
     (0.05 * BELOW, "track_still", ""), (0.05, "", ""), (0.3, "", "")],
)  # fmt: skip
def test_moving_and_static_from_both_sides(length: float, default: str, paper: str) -> None:
    """Still below 1 cm, moving from 5 cm on; the published rule asks about what lies between."""
    for recipe, reason in (("default", default), ("multispa-paper", paper)):
        # Track 0 starts at the origin of y and z = 2, so the length is exact.
        found, refused, broken = asked(slid_clip((0.0, length, 0.0)), recipe)
        assert (found, broken) == (not reason, reason)
        assert (refused.get("track_still", 0) > 0) >= bool(reason)


@pytest.mark.parametrize(
    ("column", "inside"), [(2.9921875, False), (3.0, True), (316.9921875, True), (317.0, False)]
)
def test_the_mark_of_the_first_image_is_clear_of_the_border(column: float, inside: bool) -> None:
    """The radius of a mark is 3 px of 320; the point may touch the border in the second image."""
    x = (column - 160) / 128
    draw = context_of(moving_clip()).place.draw(OBJECT_MOVEMENT[0].task, (0, 1, 0), "swap")
    later_first = bool(draw >> 63)
    # The other end is as far on the other side, but one pixel inside the image.
    ends = [(x, 0.0, 2.0), (-x + (1 if x > 0 else -1) / 128, 0.0, 2.0)]
    first, second = ends[::-1] if later_first else ends
    shift = tuple(b - a for a, b in zip(first, second, strict=True))
    found, refused, broken = asked(slid_clip(shift, first))
    assert (found, broken) == (inside, "" if inside else "border")
    assert refused.get("border", 0) >= (not inside)
    assert asked(slid_clip(shift, first), "multispa-paper")[::2] == (True, "")


@pytest.mark.parametrize("recipe", ["default", "multispa-paper"])
def test_a_point_is_visible_in_both_frames_and_inside_the_image(recipe: str) -> None:
    """Hidden, out of the image or behind the camera in either frame: not visible, and counted."""
    good = slid_clip((0.25, 0.0, 0.0))
    assert asked(good, recipe)[::2] == (True, "")
    for t in range(2):
        hidden = good.visible.copy()
        hidden[t, 0] = False
        outside, behind = good.tracks_cam.copy(), good.tracks_cam.copy()
        outside[t, 0, 0] = 161 / 128  # column 321 of 320
        behind[t, 0, 2] = -2.0
        for bad in (
            dataclasses.replace(good, visible=hidden),
            dataclasses.replace(good, tracks_cam=outside),
            dataclasses.replace(good, tracks_cam=behind),
        ):
            found, refused, _ = asked(bad, recipe)
            assert not found
            assert refused["not_visible"] == 1
    bad = dataclasses.replace(good, visible=hidden)
    assert asked(bad, recipe)[2] == "not_visible"


def test_a_point_of_no_part_is_not_asked() -> None:
    """Tracks outside every kept part are counted."""
    context = context_of(moving_clip())
    scene: Any = context.scene
    scene.parts.label[2:] = -1
    table = candidates_of(OBJECT_MOVEMENT[0], context)
    assert {row.items for row in table.rows()} == {(0,), (1,)}
    assert table.rejected["no_part"] == N - 2


def test_the_answer_says_that_a_still_point_did_not_move() -> None:
    """The clause stands in the answer only: question and description are those of any pair."""
    still, moved = slid_clip((0.0, 0.004, 0.0)), slid_clip((0.0, 0.25, 0.0))
    for task, zero in ((0, "`0`"), (1, "`[ 0 , 0 , 0 ]`"), (2, "`0`"), (3, "`[ 0 , 0 , 0 ]`")):
        engine = OBJECT_MOVEMENT[task]
        records = []
        for clip in (still, moved):
            context = context_of(clip)
            row = next(r for r in candidates_of(engine, context).rows() if r.items == (0,))
            records.append(make(engine, context, row))
        assert zero in records[0].answer
        wording = wording_of(engine.task)
        assert records[0].templates[2].startswith(f"{engine.task}/answer.static/")
        assert records[1].templates[2].startswith(f"{engine.task}/answer/")
        assert records[0].templates[:2] == records[1].templates[:2]
        assert set(wording.questions) == {""}
        for template in wording.answers["static"]:
            text = template.format_map(dict.fromkeys(wording.answer_slots, "0"))
            read = parse_answer(text, records[0].answer_type, "mm")
            assert read.answer is not None
            assert set(read.answer.number) == {0.0}


def test_the_published_switches_are_fields_of_the_recipe() -> None:
    """Each changes what it names, without the recipe's name or another guard having a say."""
    clip, paper, plain = moving_clip(), load_recipe("multispa-paper"), load_recipe()
    assert (paper.track_pool, paper.track_cap) == ("all", "fifth_bin")
    assert (paper.track_reversed, paper.track_pixel_offset) == ((0.05, 0.0), 1e-8)
    custom = dataclasses.replace(paper, name="custom")
    assert clip_view(clip, custom).uv.tolist() == clip_view(clip, paper).uv.tolist()
    assert (clip_view(clip, plain).uv != clip_view(clip, paper).uv).any()
    for share, expected in ((0.0, 0.0), (1.0, 1.0)):
        recipe = dataclasses.replace(plain, track_reversed=(share, 0.5))
        rows = rows_of(context_of(clip, recipe))
        assert np.mean([row.frames[0] > row.frames[1] for row in rows]) == expected
    # A clip with 11 equally spaced positions of a track: its fifth bin caps the first ones.
    fixed = rows_of(context_of(clip, dataclasses.replace(paper, track_cap="fixed")))
    assert len(fixed) > len(rows_of(context_of(clip, paper)))
    for name, value in (("track_pool", "none"), ("track_cap", "no"), ("track_reversed", (2, 0))):
        with pytest.raises(ValueError, match=name):
            dataclasses.replace(plain, **{name: value})


def test_verify_catches_a_flipped_digit(sample_dir: Path, tmp_path: Path) -> None:
    """Records of the sample clips are re-derived from their source; one millimetre more is not."""
    from spatial_engine.check.verify import check_against
    from spatial_engine.commands import generate
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.plan.open import open_index, reopen_source
    from spatial_engine.reference.scene import ReferenceScene

    out = tmp_path / "out"
    clips = str(sample_dir / "tapvid3d")
    assert generate.main([clips, "-o", str(out), "--tasks", "object_movement.*"]) == 0
    dataset = Dataset.open(out)
    records = {record.task: record for record in dataset.records()}
    assert len(records) == 4
    manifest = dataset.manifest
    index = open_index(Path(manifest.index))
    for record in records.values():
        entry = manifest.sources[record.source]
        source = reopen_source(record.source, entry.kind, entry.root, entry.options)
        reference = ReferenceScene(
            source.open(record.scene), recipe_for(index.rules), manifest.seed, record.split
        )
        lie = (record.answer_number[0] + 1, *record.answer_number[1:])
        typed = record.typed_answer._replace(number=lie)
        false = record.answer.replace(f"`{record.typed_answer.span}`", f"`{typed.span}`")
        turns = (record.messages[0], dataclasses.replace(record.messages[1], content=false))
        changed = dataclasses.replace(record, answer=false, answer_number=lie, messages=turns)
        assert check_against(reference, record) == []
        assert any(found.field.startswith("answer") for found in check_against(reference, changed))
