# SPDX-License-Identifier: Apache-2.0
"""The gates of a GPU: their pieces on a few rooms and a CPU, and their verdict by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from spatial_engine.scoring.compare import Comparison, Difference

# The gate `small` with the smallest model, so that all of it runs without a GPU.
SMALLEST = [
    "model.text={hidden_size=64,intermediate_size=128,num_hidden_layers=1,num_attention_heads=4,"
    "num_key_value_heads=2,mrope_section=[2,3,3]}",
    "model.vision={depth=1,hidden_size=32,intermediate_size=64,num_heads=2,"
    "fullatt_block_indexes=[0],out_hidden_size=64}",
    "model.spatial={img_size=56,embed_dim=32,depth=1,num_heads=2,patch_embed_depth=1,"
    "patch_embed_heads=2}",
    "model.connector={bottleneck=64}", "processor.width=56", "processor.height=56",
    "data.workers=0", "data.target=span", "schedule.precision=float32", "schedule.max_steps=3",
    "schedule.global_batch=4", "schedule.micro_batch=4",
]  # fmt: skip
FEW = ["--rooms", "4", "--workers", "1", "--threads", "1", "--set", *SMALLEST]


def gate(*arguments):
    from benchmarks.gate.__main__ import main

    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def in_process():
    """Commands run in this process: seven times loading torch is most of a small gate's time."""
    from benchmarks.gate import run as module
    from spatialcore.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "run_command", lambda arguments, _: main(list(arguments)))
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory, in_process):
    from benchmarks.gate import run as module

    folder = tmp_path_factory.mktemp("gate")
    small = module.GATES["small"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "check_machine", lambda _: None)
        few = replace(small, sample=(*small.sample, "--frames", "12"), answer_tokens=3)
        patch.setitem(module.GATES, "small", few)
        assert gate("small", folder / "out", "--page", folder / "page.md", *FEW) in (0, 1)
    return folder


def test_every_piece_of_a_gate_runs(place):
    from benchmarks.gate.run import GATES
    from spatialmllm.data.records import RecordFolder, RecordSet
    from spatialmllm.evaluation.run import read_responses

    times = json.loads((place / "out/times.json").read_text())
    assert list(times) == ["rooms", "index", "train records", "val records", "seed 0, run",
                           "seed 0, blind", "seed 0, answers"]  # fmt: skip
    seed = place / "out/seed-0"
    asked = [json.loads(line) for line in (seed / "eval/responses.jsonl").read_text().splitlines()]
    assert asked
    for blind in ("blind-eval", "blind-trained"):
        assert read_responses(seed / "eval" / blind).keys() == {line["id"] for line in asked}
    for name in ("run", "blind"):
        manifest = json.loads((seed / name / "manifest.json").read_text())
        assert manifest["blind"] == (name == "blind")
        assert manifest["steps"] == 3
    page = (place / "page.md").read_text()
    for task in GATES["small"].tasks:
        assert f"| {task} | " in page
    assert "3 steps of 4 sequences" in page
    for split in ("train", "val"):
        found = RecordSet.open([RecordFolder(place / "out" / split)], split=split)
        assert set(found.column("task")) == set(GATES["small"].tasks)
        assert not found.missing_images()


def test_the_picture_holds_a_curve_for_each_run(place):
    root = ElementTree.parse(place / "images/page.svg").getroot()
    svg = "{http://www.w3.org/2000/svg}"
    curves = [g for g in root.iter(f"{svg}g") if "seed 0" in g.get("id", "")]
    assert len(curves) == 2
    for curve in curves:
        assert curve.find(f"{svg}path").get("d").count("L") == 2  # three steps


def test_a_gate_that_is_through_is_only_judged_again(place, capsys, monkeypatch):
    from benchmarks.gate import run as module

    monkeypatch.setattr(module, "check_machine", lambda _: None)
    before = (place / "out/times.json").read_text()
    code = gate("small", place / "out", "--json", *FEW)
    report = json.loads(capsys.readouterr().out)
    assert code == (0 if report["passed"] else 1)
    assert report["seeds"].keys() == {"seed 0"}
    assert (place / "out/times.json").read_text() == before
    assert gate("small", place / "out", "--judge", "--json") == code


def row(gain, low, **baselines):
    values = {"blind-trained": 0.4, "blind-eval": 0.3, "frequency": 0.5, **baselines}
    found = {name: Difference(value, gain, low, gain) for name, value in values.items()}
    return Comparison("task", 600, 0.5 + gain, found, max(values, key=values.__getitem__))


@pytest.mark.parametrize(
    ("gain", "low", "passed"),
    [(0.10, 0.01, True), (0.0999, 0.05, False), (0.2, 0.0, False), (0.3, -0.1, False)],
)
def test_a_task_needs_its_margin_and_an_interval_above_nothing(gain, low, passed):
    from benchmarks.gate.page import SeedResult, is_passed, verdict

    assert is_passed(row(gain, low)) is passed
    seed = SeedResult("seed 0", [row(gain, low)] * 2, {}, {})
    assert seed.passed == 2 * passed
    assert verdict(seed, 2).startswith("**passed**" if passed else "**failed**")


def test_the_page_compares_seeds(place):
    from benchmarks.gate.page import judge, write_page
    from benchmarks.gate.run import GATES

    result = judge(GATES["small"], place / "out")
    both = [replace(result.seeds[0], name="seed 0", tasks=[row(0.2, 0.1)]),
            replace(result.seeds[0], name="seed 1", tasks=[row(0.3, 0.1)])]  # fmt: skip
    write_page(replace(result, seeds=both), place / "two.md")
    # Mean gain 0.25, standard deviation 0.0707.
    assert "| task | 0.750 ± 0.071 | +0.250 ± 0.071 | +0.038 |" in (place / "two.md").read_text()


def test_the_time_that_is_given_is_kept(tmp_path, capsys):
    assert gate("small", tmp_path, "--rooms", "12", "--minutes", "0", "--data") == 0
    assert "the time is over" in capsys.readouterr().out
    assert not (tmp_path / "rooms").exists()


def test_a_step_that_fails_is_named(tmp_path, capsys):
    assert gate("small", tmp_path, "--rooms", "100000", "--data") == 1
    assert "rooms: sample" in capsys.readouterr().err


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_gates_of_a_gpu_say_so_without_one(tmp_path, capsys):
    for name in ("small", "full-size"):
        assert gate(name, tmp_path / name) == 2
        assert "GPU" in capsys.readouterr().err
        assert not (tmp_path / name).exists()


def test_questions_of_the_gates_are_few_enough_and_enough():
    import tomllib

    from benchmarks.gate.run import GATES, questions

    quota = tomllib.loads(questions(GATES["small"], "val").read_text())["quota"]
    assert quota.keys() == set(GATES["small"].tasks)
    assert all(300 <= value <= 500 for value in quota.values())


def test_the_full_size_is_planned_without_memory():
    from benchmarks.gate.full_size import RECIPE, full_size_config, planned
    from spatialmllm.training.recipe import load_recipe

    recipe = load_recipe(RECIPE)
    plan = planned(recipe, full_size_config(recipe))
    # Decoder, connector and merger.
    assert plan["trained"] == 3_085_938_688 + 302_024_704 + 36_708_608
    assert plan["estimated_gb"] == pytest.approx(54.8 + 3.1, abs=0.1)


def test_a_pass_and_a_step_are_measured(tiny_config):
    from benchmarks.gate.full_size import made_up_sample, measure_model
    from spatialmllm.model.model import build
    from spatialmllm.training.recipe import load_recipe

    recipe = load_recipe("tiny")
    config = replace(tiny_config, processor=recipe.processor)
    sample = made_up_sample(config, 2)
    assert sample.ids.count(config.ids.image) == 24
    report = measure_model(build(config), recipe, images=2, repeats=1)
    assert report["tokens"] == len(sample.ids)
    assert report["forward_s"] > 0
    assert report["step_s"] > 0
    assert report["step_peak_gb"] == 0
