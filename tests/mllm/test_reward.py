# SPDX-License-Identifier: Apache-2.0
"""Rewards against closed forms: a box on a known path, seen by cameras that stand or move."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from spatialcore.camera import Camera
from spatialcore.io.open import open_source
from spatialmllm.reward import Episode, EpisodeError, RewardSpec, annotate_rewards
from spatialmllm.reward.formulas import rigid_fit, rotation_angle
from spatialmllm.reward.sources import episode_of, lerobot_rows, rows_of

T = 24
CAMERA = Camera(np.array([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]]), 320, 240)


def turn(rng, angle):
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    k = np.cross(np.eye(3), axis)
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def poses_of(rng, moving):
    poses = np.tile(np.eye(4), (T, 1, 1))
    poses[:, :3, :3] = turn(rng, 0.4)
    poses[:, :3, 3] = [0.3, -0.2, 0.1]
    if moving:
        for t in range(T):
            poses[t, :3, :3] = turn(np.random.default_rng(3), 0.02 * t) @ poses[0, :3, :3]
            poses[t, :3, 3] += [0.01 * t, 0.005 * t, -0.004 * t]
    return poses


def box_world(rng):
    """A box of 12 points that slides and turns, and 20 points that stand still, in the world."""
    shape = rng.uniform(-0.1, 0.1, (12, 3))
    path = np.array([0.1, 0.2, 2.0]) + np.outer(np.linspace(0, 1, T) ** 1.5, [0.5, -0.1, 0.4])
    box = np.stack([shape @ turn(np.random.default_rng(7), 0.03 * t).T + path[t] for t in range(T)])
    still = np.tile(rng.uniform([-1, -1, 2], [1, 1, 3], (20, 3)), (T, 1, 1))
    return np.concatenate([box, still], axis=1)


def episode(rng, *, moving=False, world=None, **fields):
    world = box_world(rng) if world is None else world
    poses = poses_of(rng, moving)
    inverse = np.linalg.inv(poses)
    cam = np.einsum("tij,tnj->tni", inverse[:, :3, :3], world) + inverse[:, None, :3, 3]
    return Episode("box", T, tracks=cam, in_camera=True, world_from_cam=poses, camera=CAMERA,
                   static_camera=not moving, **fields), world, poses  # fmt: skip


def trace_of(item, spec, ask=None):
    (trace,) = annotate_rewards([item], spec, ask=ask)
    return trace


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_progress_and_potential_equal_their_closed_form(moving, seed):
    item, world, poses = episode(np.random.default_rng(seed), moving=moving)
    goal = world[-1, 0] + [0.05, 0.1, -0.02]
    distance = np.linalg.norm(world[:, 0] - goal, axis=1)
    trace = trace_of(item, RewardSpec(0, goal_world=tuple(goal), clip=False))
    assert trace.source == "tracks"
    assert trace.valid.all()
    np.testing.assert_allclose(trace.distance_to_goal_m, distance, atol=1e-6)
    np.testing.assert_allclose(trace.reward, -np.diff(distance) / distance[0], atol=1e-6)
    assert trace.reward.sum() == pytest.approx((distance[0] - distance[-1]) / distance[0])
    steps = np.diff(world[:, 0], axis=0) @ poses[0, :3, :3]
    np.testing.assert_allclose(trace.displacement_m, steps, atol=1e-6)
    assert trace.confidence.min() > 1 - 1e-6
    shaped = trace_of(item, RewardSpec(0, goal_world=tuple(goal), kind="potential", gamma=0.9))
    np.testing.assert_allclose(shaped.reward, distance[:-1] - 0.9 * distance[1:], atol=1e-6)
    first = trace_of(item, RewardSpec(0, goal_world=tuple(goal), anchor="first"))
    np.testing.assert_allclose(first.displacement_m, np.cumsum(steps, axis=0), atol=1e-6)


def test_a_displacement_is_a_goal_on_the_first_cameras_axes():
    item, world, poses = episode(np.random.default_rng(4), moving=True)
    whole = (world[-1, 0] - world[0, 0]) @ poses[0, :3, :3]
    trace = trace_of(item, RewardSpec(0, displacement=tuple(whole), success_m=0.001))
    assert trace.distance_to_goal_m[-1] == pytest.approx(0, abs=1e-6)
    assert trace.success.tolist() == [False] * (T - 2) + [True]


def test_a_reversed_episode_negates_and_stillness_gives_nothing():
    item, _, _ = episode(np.random.default_rng(5))
    spec = RewardSpec(0, goal_world=(1.0, 1.0, 1.0), kind="potential")
    back = replace(item, tracks=item.tracks[::-1], world_from_cam=item.world_from_cam[::-1])
    forward, reverse = trace_of(item, spec), trace_of(back, spec)
    np.testing.assert_allclose(reverse.reward, -forward.reward[::-1], atol=1e-9)
    still = trace_of(item, replace(spec, subject=20))
    np.testing.assert_allclose(still.reward, 0, atol=1e-9)
    assert not still.moved.any()


def test_the_part_carries_a_noisy_track_through_its_gaps():
    rng = np.random.default_rng(6)
    item, world, _ = episode(rng)
    noisy = item.tracks + rng.normal(0, 0.0005, item.tracks.shape)
    noisy[8:11, 0] = np.nan
    goal = tuple(world[-1, 0])
    trace = trace_of(replace(item, tracks=noisy), RewardSpec(0, goal_world=goal))
    truth = np.linalg.norm(world[:, 0] - np.array(goal), axis=1)
    assert trace.valid.all()
    assert np.abs(trace.distance_to_goal_m - truth).max() < 0.003
    assert (trace.confidence > 0.8).all()


def test_a_pixel_is_the_track_that_is_there():
    item, _, _ = episode(np.random.default_rng(8))
    uv, _ = CAMERA.project(item.tracks[0])
    spec = RewardSpec(0, goal_world=(0.0, 0.0, 2.0))
    near = replace(spec, subject=tuple(uv[0] + [0.3, -0.3]))
    np.testing.assert_array_equal(trace_of(item, near).reward, trace_of(item, spec).reward)
    far = trace_of(item, replace(spec, subject=(-500.0, 0.0)))
    assert "no track within 10 pixels" in far.error


def test_the_camera_as_subject_and_a_goal_through_depth():
    item, _, poses = episode(np.random.default_rng(9), moving=True)
    depth = np.zeros((240, 320), np.float32)
    depth[100, 200] = 1.5
    item = replace(item, depth_m=lambda number: depth)
    goal = poses[0, :3, :3] @ [1.5 * 40 / 300, 1.5 * -20 / 300, 1.5] + poses[0, :3, 3]
    distance = np.linalg.norm(poses[:, :3, 3] - goal, axis=1)
    trace = trace_of(item, RewardSpec(goal_pixel=(200.0, 100.0)))
    np.testing.assert_allclose(trace.distance_to_goal_m, distance, atol=1e-6)
    assert trace.source == "poses"
    assert "no depth at" in trace_of(item, RewardSpec(goal_pixel=(10.0, 10.0))).error


def test_agreement_with_commands():
    item, world, poses = episode(np.random.default_rng(10), moving=True)
    steps = np.diff(world[:, 0], axis=0) @ poses[0, :3, :3]
    spec = RewardSpec(0, kind="agreement", floor_m=1e-4)
    np.testing.assert_allclose(trace_of(replace(item, command=steps), spec).reward, 1, atol=1e-6)
    opposite = trace_of(replace(item, command=-steps), spec)
    np.testing.assert_allclose(opposite.reward, -1, atol=1e-6)
    motion = np.linalg.inv(poses[:-1]) @ poses[1:]
    of_camera = RewardSpec(kind="agreement", floor_m=1e-4)
    trace = trace_of(replace(item, command=motion), of_camera)
    np.testing.assert_allclose(trace.reward, 1, atol=1e-6)
    assert "needs a command" in trace_of(item, spec).error
    lost = poses.copy()
    lost[5] = np.nan
    trace = trace_of(replace(item, command=motion, world_from_cam=lost), of_camera)
    assert np.flatnonzero(~trace.valid).tolist() == [4, 5]


def oracle(item, points, *, lie=None):
    """Answers like a model that sees everything: the displacement of `points` in millimetres."""

    def ask(prompts):
        said = []
        for prompt in prompts:
            _, i, j = prompt.id.rsplit("/", 2)
            move = 1000 * (points[int(j)] - points[int(i)])
            x, y, z = (round(v) for v in (move if lie is None else lie))
            said.append(f"It moved `[ {x} , {y} , {z} ]` mm.")
            assert prompt.text.count("<image>") == len(prompt.images) == 2
        return said

    return replace(item, image=lambda number: Image.new("RGB", CAMERA.size)), ask


def test_a_model_that_knows_agrees_with_the_geometry_within_rounding():
    item, world, poses = episode(np.random.default_rng(11))
    points = world[:, 0] @ poses[0, :3, :3]
    whole = tuple(points[-1] - points[0])
    shown, ask = oracle(item, points)
    spec = RewardSpec("red box", displacement=whole)
    told = trace_of(shown, spec, ask)
    exact = trace_of(item, replace(spec, subject=0))
    assert told.source == "model"
    assert np.abs(told.distance_to_goal_m - exact.distance_to_goal_m).max() < 0.001
    np.testing.assert_allclose(told.confidence, 1, atol=0.05)
    assert "red box" in told.questions[0]
    assert len(told.answers) == T - 1
    constant, ask = oracle(item, points, lie=(100, 0, 0))
    np.testing.assert_array_equal(trace_of(constant, spec, ask).confidence, 0)
    shown, _ = oracle(item, points)
    silent = trace_of(shown, spec, lambda prompts: ["I cannot tell."] * len(prompts))
    assert not silent.valid.any()
    assert np.isnan(silent.reward).all()
    pixel = trace_of(shown, replace(spec, subject=(160.0, 120.0)), oracle(item, points)[1])
    assert "[ 500 , 500 ]" in pixel.questions[0]
    assert (
        "takes the goal as a displacement"
        in trace_of(shown, RewardSpec("red box", goal_world=(0.0, 0.0, 0.0)), ask).error
    )


def test_what_is_missing_is_said_and_others_go_on():
    good, _, _ = episode(np.random.default_rng(12))
    spec = RewardSpec(0, goal_world=(0.0, 0.0, 0.0))
    none = replace(good, id="none", tracks=None)
    lost = replace(good, id="lost", world_from_cam=None, static_camera=False)
    traces = list(annotate_rewards([none, good, lost, replace(good, id="few")], spec))
    assert [bool(trace.error) for trace in traces] == [True, False, True, False]
    assert "need world_from_cam" in traces[2].error
    with pytest.raises(EpisodeError, match="shape"):
        replace(good, tracks=good.tracks[:-1])
    with pytest.raises(ValueError, match="one goal"):
        RewardSpec(goal_world=(0, 0, 0), displacement=(0, 0, 0))
    with pytest.raises(ValueError, match="needs a goal"):
        RewardSpec()


def test_rows_and_lerobot_columns():
    item, world, _ = episode(np.random.default_rng(13), times_s=np.arange(T) / 10 + 5)
    trace = trace_of(item, RewardSpec(0, goal_world=tuple(world[-1, 0])))
    rows = list(rows_of(trace, item.times_s))
    assert [row["step"] for row in rows] == list(range(T - 1))
    frames = list(lerobot_rows(trace, 3, item.times_s, 30.0))
    assert len(frames) == T
    assert frames[-1]["next.done"]
    assert frames[-1]["next.success"]
    assert frames[2]["timestamp"] == pytest.approx(0.2)
    assert frames[2]["next.reward"] == trace.reward[2]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    from spatialcore.sample import make_sample
    from spatialcore.sample.config import SampleConfig

    folder = tmp_path_factory.mktemp("reward")
    list(make_sample(folder, SampleConfig(rooms=0, clips=2, clip_frames=20, tracks=64)))
    return folder


def test_the_command_on_sample_clips(clips, tmp_path, capsys):
    from spatialmllm.commands.reward import main

    out, robot = tmp_path / "r.parquet", tmp_path / "l.parquet"
    arguments = [str(clips), "--subject", "track:0", "--displacement", "0,0,0.2", "-o", str(out)]
    assert main([*arguments, "--lerobot", str(robot)]) == 0
    table = pq.read_table(out).to_pylist()
    source = open_source(str(clips))
    assert len(table) == 2 * 19
    for name in source.scene_ids():
        item = episode_of(source.open(name))
        trace = trace_of(item, RewardSpec(0, displacement=(0.0, 0.0, 0.2)))
        stored = [row["reward"] for row in table if row["episode"] == name]
        np.testing.assert_array_equal(stored, trace.reward)
        # The part's fit is the track's own reading, as sample bodies are rigid.
        own = np.einsum("tij,tj->ti", item.world_from_cam[:, :3, :3], item.tracks[:, 0])
        own += item.world_from_cam[:, :3, 3]
        steps = np.diff(own, axis=0) @ item.world_from_cam[0, :3, :3]
        assert np.nanmax(np.abs(trace.displacement_m - steps)) < 0.02
    assert pq.read_table(robot).num_rows == 40
    lines = tmp_path / "r.jsonl"
    assert main([*arguments[:-1], str(lines), "--json"]) == 0
    assert len([json.loads(line) for line in lines.read_text().splitlines()]) == 38
    capsys.readouterr()
    assert main([*arguments[:2], "track:999", *arguments[3:]]) == 3
    assert "track 999 of" in capsys.readouterr().err
    for wrong in (["--subject", "track:x"], ["--displacement", "1,2"], ["-o", "r.csv"]):
        assert main([*arguments, *wrong]) == 2


def test_pieces():
    rng = np.random.default_rng(14)
    points = rng.normal(size=(9, 3))
    rotation = turn(rng, 2.9)
    found, shift, residual = rigid_fit(points, points @ rotation.T + [1, 2, 3])
    np.testing.assert_allclose(found, rotation, atol=1e-9)
    np.testing.assert_allclose(shift, [1, 2, 3], atol=1e-9)
    assert residual < 1e-12
    for angle in (0.0, 1e-9, 1.0, np.pi - 1e-9, np.pi):
        assert rotation_angle(turn(rng, angle)) == pytest.approx(angle, abs=1e-8)
