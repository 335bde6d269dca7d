# SPDX-License-Identifier: Apache-2.0
"""Movement of tracked points: a hand-worked clip, pair selection, and what verify refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from spatial_engine.engine import FrameImage, Place, Row, SceneContext, candidates_of
from spatial_engine.engines.object_movement import (
    OBJECT_MOVEMENT,
    distance_bins,
    smallest_of_bins,
)
from spatialcore.relations.recipe import load_recipe
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
    clip: Track3D, recipe: str = "default", split: str = "train", **guards: Any
) -> SceneContext:
    """A context over a clip in memory whose tracks all lie in part 0."""
    chosen = load_recipe(recipe)
    chosen = dataclasses.replace(chosen, guards=dataclasses.replace(chosen.guards, **guards))
    images = {f.index: FrameImage(f.name, f.image or "", 320, 240) for f in clip.frames}
    parts = SimpleNamespace(track=clip.track_index, label=np.zeros(len(clip.track_index), int))
    scene: Any = SimpleNamespace(is_clip=True, metric=True, up="unknown", parts=parts)
    place = Place("adt", "clip", "clip", split, chosen, 7, "identity", images)
    return SceneContext(scene, place, {}, lambda: clip)


def rows_of(context: SceneContext, task: int = 0) -> set[Row]:
    """The candidates of a task as a set."""
    return set(candidates_of(OBJECT_MOVEMENT[task], context).rows())


def test_bins_are_those_of_an_equal_width_histogram() -> None:
    """The last edge is closed, and counts agree with numpy's histogram."""
    d = np.random.default_rng(0).random(500)
    assert np.bincount(distance_bins(d), minlength=10).tolist() == np.histogram(d, 10)[0].tolist()


def test_smallest_hashes_of_each_bin() -> None:
    """Two bins, one row of each, whatever the order."""
    bins, keys = np.array([1, 0, 1, 0]), np.array([5, 9, 2, 3], np.uint64)
    assert smallest_of_bins(bins, keys, 1).tolist() == [3, 2]


def test_displacement_by_hand_and_after_a_swap() -> None:
    """The vector is R1 (X2 - X1); shown the other way round it is -R2 (X2 - X1)."""
    clip = moving_clip()
    context, engine = context_of(clip), OBJECT_MOVEMENT[1]
    world = [np.linalg.inv(clip.cam_from_world[t]) @ [*clip.tracks_cam[t, 3], 1] for t in (2, 9)]
    delta = (world[1] - world[0])[:3]
    for frames, sign in (((2, 9), 1), ((9, 2), -1)):
        expected = sign * clip.cam_from_world[frames[0], :3, :3] @ delta * 1000
        facts = engine.facts(context, Row(frames, (3,)))
        assert facts.answer.number == tuple(np.rint(expected) + 0.0)
        length = OBJECT_MOVEMENT[0].facts(context, Row(frames, (3,)))
        assert length.answer.number == (np.rint(1000 * np.linalg.norm(delta)),)
    assert OBJECT_MOVEMENT[3].facts(context, Row((2, 9), (3,))).marks[1] == ()


def test_a_clip_at_rest_gives_zeros_only() -> None:
    """One static pair a track, and its answers are exact zeros."""
    context = context_of(moving_clip(0.0))
    table = candidates_of(OBJECT_MOVEMENT[1], context)
    assert len(table) == N
    assert set(table.stratum.tolist()) == {1}
    assert {OBJECT_MOVEMENT[1].facts(context, r).answer.span for r in table.rows()} == {
        "[ 0 , 0 , 0 ]"
    }


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
    lengths = [OBJECT_MOVEMENT[0].facts(context, r).evidence["distance_m"] for r in table.rows()]
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


def test_verify_catches_a_flipped_digit(sample_dir: Path, tmp_path: Path) -> None:
    """Records of the sample clips are re-derived from their source; one millimetre more is not."""
    from spatial_engine.commands import generate
    from spatial_engine.opened import open_records
    from spatial_engine.planning import open_index, reopen_source
    from spatial_engine.reference import ReferenceScene
    from spatial_engine.verify import check_against, load_manifest

    out = tmp_path / "out"
    clips = str(sample_dir / "tapvid3d")
    assert generate.main([clips, "-o", str(out), "--tasks", "object_movement.*"]) == 0
    records = {opened.record.task: opened.record for opened in open_records(out)}
    assert len(records) == 4
    manifest = load_manifest(out)
    index = open_index(Path(manifest["index"]))
    for record in records.values():
        entry = manifest["sources"][record.source]
        source = reopen_source(record.source, entry["kind"], entry["root"], entry["options"])
        reference = ReferenceScene(
            source.open(record.scene), index.open_scene(record.source, record.scene),
            index.recipe, manifest["seed"], record.split,
        )  # fmt: skip
        lie = (record.answer_number[0] + 1, *record.answer_number[1:])
        typed = dataclasses.replace(record.typed_answer, number=lie)
        false = record.answer.replace(f"`{record.typed_answer.span}`", f"`{typed.span}`")
        turns = (record.messages[0], dataclasses.replace(record.messages[1], content=false))
        changed = dataclasses.replace(record, answer=false, answer_number=lie, messages=turns)
        assert check_against(reference, record) == []
        assert any(found.field.startswith("answer") for found in check_against(reference, changed))
