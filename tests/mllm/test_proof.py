# SPDX-License-Identifier: Apache-2.0
"""The proof of learning: counts by hand, truth by other code, and all of it on few rooms."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

FEW = ["--rooms", "12", "--held-rooms", "6", "--frames", "10", "--steps", "3", "--match-steps", "4",
       "--seeds", "0", "--ablations", "matching", "blind",
       "--set", "schedule.global_batch=4", "schedule.micro_batch=4"]  # fmt: skip


# Gain over the best of what does not look that must be kept, from docs/proof.md.
KEPT = {
    "camera_movement.yaw_direction": 0.15,
    "camera_movement.pitch_direction": 0.15,
}


def proof(*arguments):
    from benchmarks.proof.__main__ import main

    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def in_process():
    """Commands run in this process: loading torch a dozen times is most of a small proof."""
    from benchmarks.proof import run as module
    from spatialcore.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "run_command", lambda arguments: main(list(arguments)))
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory, in_process):
    folder = tmp_path_factory.mktemp("proof")
    code = proof(
        folder / "out", "--results", folder / "results", "--page", folder / "page.md", *FEW
    )
    assert code in (0, 1)
    return folder


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    from benchmarks.proof.pairs import read_rooms
    from spatialcore.cli import main

    folder = tmp_path_factory.mktemp("rooms") / "rooms"
    size = ["--preset", "tiny", "--rooms", "12", "--frames", "10", "--layouts", "scannet"]
    assert main(["sample", str(folder), *size]) == 0
    return read_rooms(folder / "scannet", "train", 3)


@pytest.mark.slow
def test_every_piece_runs_and_says_what_it_did(place):
    cells = {p.stem: json.loads(p.read_text()) for p in (place / "results").iterdir()}
    assert cells.keys() == {"seed-0-matching", "seed-0-blind"}
    looking, blind = cells["seed-0-matching"], cells["seed-0-blind"]
    assert looking["steps"] == blind["steps"] == 3
    assert looking["stage_m"]["stage"]["steps"] == 4
    for name, cell in cells.items():
        manifest = json.loads((place / "out" / name / "run/manifest.json").read_text())
        assert manifest["blind"] == (name == "seed-0-blind")
        assert manifest["init"] == ["start-0"]
        tasks = cell["sets"]["held"]
        assert len(tasks) == 6
        for row in tasks.values():
            assert 0 <= row["right"] <= row["n"]
            assert row["constant"] >= row["n"] / 3
            parts = row["strata"].values()
            assert not parts or [sum(c) for c in zip(*parts, strict=True)] == [
                row["n"],
                row["right"],
            ]
    # The rooms that are asked about are of another seed.
    first, second = (
        (place / "out" / n / "sample.json").read_text() for n in ("rooms", "held-rooms")
    )
    assert json.loads(first)["config"]["seed"] != json.loads(second)["config"]["seed"]


@pytest.mark.slow
def test_the_page_holds_every_task_and_says_what_is_missing(place):
    page = (place / "page.md").read_text()
    from benchmarks.proof.cells import TASKS

    for task in TASKS:
        assert f"| {task.partition('.')[2]} | 0 | " in page
    assert "3 steps of 4 sequences" in page
    assert "seed 0: missed" in page or "seed 0: passed" in page


@pytest.mark.slow
def test_a_finished_proof_makes_nothing_again(place, capsys):
    made = {p: p.stat().st_mtime_ns for p in (place / "out").rglob("*") if p.is_file()}
    files = {p: p.read_bytes() for p in (place / "results").iterdir()}
    capsys.readouterr()
    proof(place / "out", "--results", place / "results", "--json", *FEW)
    report = json.loads(capsys.readouterr().out)
    assert [seed["seed"] for seed in report["seeds"]] == [0]
    assert {p: p.read_bytes() for p in (place / "results").iterdir()} == files
    assert {p: p.stat().st_mtime_ns for p in made} == made
    # Results of other settings are not taken for these.
    shutil.copytree(place / "results", place / "others")
    other = [{"3": "5"}.get(word, word) for word in FEW]
    assert proof(place / "out", "--results", place / "others", *other) == 1
    assert "made with other settings" in capsys.readouterr().err


@pytest.mark.slow
def test_the_start_is_the_plain_model_with_what_stage_m_learned(place):
    import torch

    from benchmarks.proof.cells import Cell, ProofSize, shipped
    from benchmarks.proof.matching import trained_weights
    from spatialmllm.checkpoints import load
    from spatialmllm.training.recipe import load_recipe
    from spatialmllm.training.sft import TrainRequest, make_model, prepare

    prefix = "spatial_encoder.vggt_model.aggregator.matching."
    start = dict(load(place / "out/start-0").named_parameters())
    settings = Cell(0, "mlp_add").settings(ProofSize())
    request = TrainRequest(
        (str(place / "out/train"),), load_recipe(str(shipped("recipe.toml")), settings), place / "x"
    )
    plain = dict(make_model(prepare(request)).named_parameters())
    for name, parameter in plain.items():
        assert torch.equal(parameter, start[name]), name
    learned = trained_weights(place / "out/matching-0")
    assert learned
    for name, value in learned.items():
        assert torch.equal(start[prefix + name], value), name
    assert start.keys() - plain.keys() == {n for n in start if n.startswith(prefix)}


@pytest.mark.slow
def test_time_and_wrong_words(place, tmp_path, capsys):
    assert proof(tmp_path / "a", "--minutes", "0", "--results", tmp_path / "r") == 0
    assert "the time is over" in capsys.readouterr().out
    assert not (tmp_path / "a/rooms").exists()
    assert proof(tmp_path / "a", "--ablations", "looking") == 2
    assert "there are matching, blind" in capsys.readouterr().err
    assert proof(tmp_path / "a", "--judge", "--results", tmp_path / "r") == 2
    assert "holds no result" in capsys.readouterr().err


def test_targets_are_where_the_projection_puts_them(rooms):
    """Against the projection and the visibility that the rest of the package uses."""
    from spatialcore.occlusion import DepthRule, visible_points
    from spatialcore.projection import project_points

    room = rooms[0]
    height, width = room.images.shape[1:3]
    for first, second in ((0, 1), (1, 0)):
        uv, seen = room.target(first, second)
        points, pose = room.points_world[first], room.cam_from_world[second][None].astype(float)
        K = room.K.astype(np.float64)
        expected = project_points(points, K, pose)
        inside = seen & (expected.depth[0] > 0)
        assert np.allclose(uv[inside], expected.uv[0][inside], atol=1e-2)
        mask = visible_points(
            points, K, pose, room.depth[second][None], image_size=(width, height),
            depth_scale=1.0, depth_from_image=room.depth_from_image,
            rule=DepthRule.tolerance(0.05, 0.05),
        ).to_bool()[0]  # fmt: skip
        assert (mask & (room.z[first] > 0) != seen).mean() < 0.05
    uv, seen = room.target(1, 1)
    rows, columns = height // 8, width // 8
    own = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2) * 8 + 3.5
    assert seen.mean() > 0.9
    assert np.abs(uv - own)[seen].max() < 1e-2


def test_stage_m_learns_and_continues_where_it_stopped(rooms, tmp_path):
    import torch

    from benchmarks.proof.matching import StageM, pretrain, score
    from spatialcore.errors import UsageError
    from spatialmllm.model.vggt.matching import Matching

    stage = StageM(steps=24, batch=4, channels=32)
    said = []
    assert pretrain(stage, rooms, rooms, tmp_path / "whole")
    # Cut by a clock that has run out after some steps, then continued.
    import time

    clock = iter([0.0] * 20 + [9e9] * 9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: next(clock))
        assert not pretrain(stage, rooms, rooms, tmp_path / "cut", deadline=1.0, sink=said.append)
    assert 0 < torch.load(tmp_path / "cut/state.pt", weights_only=True)["step"] < 24
    assert pretrain(stage, rooms, rooms, tmp_path / "cut")
    whole, cut = (
        torch.load(tmp_path / name / "state.pt", weights_only=True)["matching"]
        for name in ("whole", "cut")
    )
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    fresh = Matching(32, stage.dim)
    fresh.reset(torch.Generator().manual_seed(0))
    report = json.loads((tmp_path / "whole/matching.json").read_text())
    assert report["median_px"] < 0.8 * score(fresh, rooms).median_px
    with pytest.raises(UsageError, match="made with"):
        pretrain(replace(stage, seed=1), rooms, rooms, tmp_path / "whole")


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611),
     (1, 29, 0.0061, 0.1718)],
)  # fmt: skip
def test_the_interval_is_the_published_one(right, count, low, high):
    from benchmarks.proof.tally import wilson

    assert wilson(right, count) == pytest.approx((low, high), abs=6e-5)
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.slow
def test_counts_by_hand(place):
    from benchmarks.proof.tally import stratum, tally
    from spatialmllm.data.records import RecordFolder, RecordSet

    records = list(RecordSet.open([RecordFolder(place / "out/val")], split="val"))
    task = "camera_movement.z_direction"
    asked = [record for record in records if record.task == task][:10]
    said = {record.id: record.typed_answer.span for record in asked[:4]}
    said[asked[4].id] = "`backward` or `forward`, who knows"
    row = tally(asked, said)[task]
    words = [record.typed_answer.span for record in asked]
    last = asked[4].typed_answer.span == "forward"  # the last span is the answer
    assert row["right"] == 4 + last
    assert row["n"] == 10
    assert row["constant"] == max(words.count(word) for word in set(words))
    for record in asked:
        t = np.array(record.facts["translation_m"])
        share = abs(t[2]) / np.linalg.norm(t)
        low, high = {"below 0.25": (0, 0.25), "0.25 to 0.5": (0.25, 0.5),
                     "0.5 and more": (0.5, 1.01)}[stratum(record)]  # fmt: skip
        assert low <= share < high
    counts = [record for record in records if "object_count" in record.task]
    wrong = {record.id: str(int(record.typed_answer.number[0]) + 1) for record in counts}
    assert tally(counts, wrong)[counts[0].task]["right"] == 0


def cell(seed, ablation, shares, *, n=300, constant=150):
    from benchmarks.proof.cells import TASKS

    held = {
        task: {"n": n, "right": round(share * n), "constant": constant, "strata": {}}
        for task, share in zip(TASKS, shares, strict=True)
    }
    return {"seed": seed, "ablation": ablation, "sets": {"held": held}}


@pytest.mark.parametrize(
    ("shares", "passed", "good"),
    [
        ((0.7, 0.71, 0.7, 0.7, 0.7, 0.5), True, 5),
        ((0.7, 0.69, 0.7, 0.7, 0.7, 0.7), False, 6),  # z is below its goal
        ((0.7, 0.71, 0.7, 0.7, 0.59, 0.5), False, 4),
    ],
)
def test_the_verdict_by_hand(shares, passed, good):
    from benchmarks.proof.page import verdict

    results = {
        (0, "matching"): cell(0, "matching", shares),
        (0, "blind"): cell(0, "blind", (0.4,) * 6),
        (1, "matching"): cell(1, "matching", shares),
    }
    found = verdict(results, 0)
    assert found.passed is passed
    assert sum(task.passed for task in found.tasks) == good
    # The blind twin counts where it is better than the constant.
    results[0, "blind"] = cell(0, "blind", (0.65,) * 6)
    assert not verdict(results, 0).passed
    assert "not judged" in verdict(results, 1).sentence


def test_cells_come_in_the_order_of_what_they_tell():
    from benchmarks.proof.cells import ABLATIONS, ProofSize, cells, shipped
    from spatialmllm.training.recipe import load_recipe

    names = [c.name for c in cells((0, 1), ABLATIONS)]
    assert names[:4] == ["seed-0-matching", "seed-0-blind", "seed-1-matching", "seed-1-blind"]
    assert len(names) == 8
    built = {}
    for c in cells((3,), ABLATIONS):
        recipe = load_recipe(str(shipped("recipe.toml")), c.settings(ProofSize()))
        assert recipe.schedule.seed == 3
        built[c.ablation] = (recipe.model.connector.kind, recipe.model.spatial.matching)
    assert built == {"matching": ("mlp_add", 64), "blind": ("mlp_add", 64),
                     "mlp_add": ("mlp_add", None), "none": ("none", None)}  # fmt: skip


def test_committed_results_belong_to_the_page(tmp_path):
    """The page is what the committed files give."""
    from benchmarks.proof.__main__ import RESULTS
    from benchmarks.proof.page import write_page

    if not list(RESULTS.glob("seed-*.json")):
        pytest.skip("no model has been trained yet")
    write_page(RESULTS, tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text() == Path("docs/proof.md").read_text()


@pytest.mark.slow
def test_the_model_looks(tmp_path):
    """A seed in full, with its blind twin: half an hour of one core."""
    from benchmarks.proof.page import read_results, verdict

    proof(tmp_path / "out", "--results", tmp_path / "results", "--seeds", "0", "--ablations",
          "matching", "blind")  # fmt: skip
    gains = {row.task: row.gain for row in verdict(read_results(tmp_path / "results"), 0).tasks}
    for task, kept in KEPT.items():
        assert gains[task] >= kept, gains
