# SPDX-License-Identifier: Apache-2.0
"""train, eval, ask and score as a user types them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fabricate import data_set

RECIPE = Path(__file__).with_name("smallest.toml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def place(toy, fabricated, tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    held_out = [
        replace(record, split="val", space=f"other {record.space}", id=f"{record.id}v")
        for record in toy.records[:6]
    ]
    data_set(folder / "out", toy.root, [*toy.records, *held_out])
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def trained(place):
    from spatialmllm.commands.train import main

    arguments = ["--records", str(place / "out"), "--config", str(place / "recipe.toml")]
    assert main([*arguments, "--out", str(place / "run"), "--json"]) == 0
    return place / "run/model"


def _train(place, *options):
    from spatialmllm.commands.train import main

    return main(["--records", str(place / "out"), "--config", str(place / "recipe.toml"), *options])


def test_a_dry_run_says_what_would_be_trained(place, capsys):
    assert _train(place, "--out", str(place / "dry"), "--dry-run", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["records"] == {
        "scene_layout.object_count": 8,
        "spatial_relation.image_side": 8,
        "camera_movement.yaw_direction": 8,
    }
    assert report["sequences"] == 16
    assert report["parameters"]["spatial"]["trained"] == 0
    assert report["parameters"]["spatial"]["frozen"] > 0
    assert "<image>" in report["first_batch"]["text"]
    assert (place / "dry/first-batch.png").is_file()
    assert not (place / "dry/metrics.jsonl").exists()
    assert _train(place, "--out", str(place / "dry"), "--dry-run") == 0
    assert "frozen" in capsys.readouterr().out


def test_usage_errors_exit_with_2(place, capsys):
    out = str(place / "wrong")
    assert _train(place, "--out", out, "--set", "schedule.max_stepz=3") == 2
    assert "did you mean 'max_steps'" in capsys.readouterr().err
    assert _train(place, "--out", out, "--set", "schedule.global_batch=0") == 2
    assert _train(place, "--out", out, "--root", "nonsense") == 2
    assert _train(place, "--out", out, "--split", "test") == 2
    assert _train(place, "--out", out, "--root", f"toy={place}") == 2
    assert "images of 8 scenes are missing" in capsys.readouterr().err
    from spatialmllm.commands.train import main

    assert main(["--records", str(place / "out"), "--config", "spatial-mllm", "--out", out]) == 2
    assert "starts from weights" in capsys.readouterr().err
    assert main(["--records", str(place / "out"), "--config", "large", "--out", out]) == 2
    assert "one of multispa-lora, small, spatial-mllm, tiny" in capsys.readouterr().err


def test_eval_answers_scores_and_continues(place, trained, capsys):
    from spatialmllm.commands.eval import main

    results = place / "results"
    arguments = ["--model", str(trained), "--records", str(place / "out"), "-o", str(results)]
    assert main([*arguments, "--json", "--max-new-tokens", "4", "--batch", "4"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n"] == 6
    assert report["missing"] == []
    path = results / "responses.jsonl"
    whole = path.read_text()
    lines = whole.splitlines(keepends=True)
    # A crash in the middle of a line: the rest is answered again, the kept lines stay.
    path.write_text("".join(lines[:3]) + lines[3][:10])
    assert main([*arguments, "--json", "--max-new-tokens", "4"]) == 0
    again = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["response"] for line in again] == [json.loads(x)["response"] for x in lines]
    capsys.readouterr()
    assert main([*arguments, "--max-new-tokens", "5"]) == 2
    assert "another evaluation: sampling was" in capsys.readouterr().err
    from spatial_engine.commands.score import main as score

    assert score([str(path), "--records", str(place / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["micro"] == report["micro"]


def test_blind_eval_needs_no_image(place, trained, capsys):
    from spatialmllm.commands.eval import main

    code = main(
        ["--model", str(trained), "--records", str(place / "out"), "-o", str(place / "blind"),
         "--blind", "--root", "toy=/nowhere", "--max-new-tokens", "3", "--limit", "2"]
    )  # fmt: skip
    assert code == 0
    assert "n = 2" in capsys.readouterr().out


def test_ask_about_images_and_a_clip(toy, trained, capsys):
    from spatialmllm.commands.ask import main

    images = [str(toy.root / f"room000{i}_0.png") for i in range(2)]
    base = ["--model", str(trained), "--question", "On which side is the square?",
            "--max-new-tokens", "3", "--json"]  # fmt: skip
    assert main([*base, "--images", *images]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tokens"] <= 3
    assert (
        main([*base, "--video", str(toy.root), "--frames", "3", "--options", "left", "right"]) == 0
    )
    assert "answer" in json.loads(capsys.readouterr().out)
    assert main([*base, "--images", "gone.png"]) == 2
    assert main(["--model", str(toy.root), "--question", "?"]) == 2


@pytest.mark.parametrize("verb", ["train", "eval", "ask"])
def test_help_loads_no_torch(verb):
    import subprocess
    import sys

    code = (
        "import sys\n"
        f"from spatialmllm.commands.{verb} import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'tokenizers')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--model" in done.stdout or "--records" in done.stdout


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_shipped_recipes_build(name):
    from spatialmllm.config import SpecialIds
    from spatialmllm.model.model import build_meta
    from spatialmllm.training.recipe import load_recipe, recipe_from

    recipe = load_recipe(name)
    vocabulary = 49_216 if name == "small" else 512
    config = recipe.model.config(SpecialIds(), vocabulary, recipe.processor)
    count = sum(p.numel() for p in build_meta(config).parameters())
    assert {"tiny": 4e5 < count < 4.5e5, "small": 1.9e8 < count < 2e8}[name], count
    assert recipe_from(recipe.to_json(), name) == recipe


def test_the_published_recipe_matches_the_published_run():
    from spatialmllm.training.recipe import load_recipe

    recipe = load_recipe("spatial-mllm", ["schedule.max_steps=7", "optimiser.lr=1e-5"])
    assert recipe.schedule.global_batch == 48
    assert recipe.optimiser.freeze == ("vision", "spatial")
    assert (recipe.schedule.max_steps, recipe.optimiser.lr) == (7, 1e-5)
    assert recipe.schedule.accumulation(6) == 8
    with pytest.raises(ValueError, match="no multiple"):
        recipe.schedule.accumulation(7)


def test_memory_of_the_published_run():
    """54.8 GB for what is trained and 3.1 GB for what is frozen."""
    from spatialmllm.config import SpatialMLLMConfig
    from spatialmllm.model.model import build_meta
    from spatialmllm.training.sft import estimate_memory

    model = build_meta(SpatialMLLMConfig()).freeze(["vision", "spatial"])
    trained, frozen = estimate_memory(model, "bfloat16")
    assert trained == pytest.approx(54.8, abs=0.05)
    assert frozen == pytest.approx(3.1, abs=0.1)


def test_baselines_stand_beside_the_model(place, trained, capsys):
    from spatialmllm.commands.eval import main

    out = place / "compared"
    arguments = ["--model", str(trained), "--records", str(place / "out"), "-o", str(out),
                 "--max-new-tokens", "3", "--cache", str(place / "cache")]  # fmt: skip
    assert main([*arguments, "--blind-eval", "--blind-trained", str(trained), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["comparison"]
    assert [row["task"] for row in rows] == sorted(row["task"] for row in rows)
    for row in rows:
        assert list(row["baselines"]) == ["blind-eval", "blind-trained", "frequency", "random",
                                          "oracle"]  # fmt: skip
        assert row["baselines"]["oracle"]["value"] == 1
        assert row["best"] in ("blind-eval", "blind-trained", "frequency")
        for difference in row["baselines"].values():
            assert difference["low"] <= difference["gain"] <= difference["high"]
    assert (out / "blind-eval/responses.jsonl").is_file()
    assert any((place / "cache").rglob("*.rgb"))
    assert main([*arguments, "--blind-eval"]) == 0
    assert "over the best, 95 % paired interval" in capsys.readouterr().out


def test_a_launch_says_its_command_or_what_is_missing(place, capsys, monkeypatch):
    import torch

    from spatialmllm.commands.train import launch_command

    if torch.cuda.is_available():
        pytest.skip("this machine could launch it")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    out = str(place / "launched")
    assert _train(place, "--out", out, "--launch", "fsdp2") == 2
    error = capsys.readouterr().err
    assert "needs GPUs" in error
    assert "-m torch.distributed.run --nproc-per-node 8 -m spatialcore train" in error
    assert _train(place, "--out", out, "--launch", "zero3") == 2
    assert "needs deepspeed" in capsys.readouterr().err
    assert _train(place, "--out", out, "--launch", "fsdp2", "--dry-run", "--json") == 0
    said = json.loads(capsys.readouterr().out)["launch"]
    assert said.endswith("--launch fsdp2 --json")
    assert launch_command(["--dry-run", "--out", "x"], 2)[3:5] == ["--nproc-per-node", "2"]


def test_launch_files_are_read():
    import yaml

    from spatialmllm.training.sft import LAUNCHES, launch_file

    assert LAUNCHES == ("fsdp2", "zero2", "zero3")
    wrapped = yaml.safe_load(launch_file("fsdp2.yaml").read_text())["fsdp_config"]
    assert "Block" in wrapped["fsdp_transformer_layer_cls_to_wrap"]
    for stage in (2, 3):
        made = json.loads(launch_file(f"zero{stage}.json").read_text())
        assert made["zero_optimization"]["stage"] == stage


def test_fsdp2_reaches_the_library(place, tmp_path):
    from spatialmllm.training.recipe import load_recipe
    from spatialmllm.training.sft import TrainRequest, prepare, training_arguments

    recipe = load_recipe(str(place / "recipe.toml"))
    request = TrainRequest((str(place / "out"),), recipe, tmp_path / "run", launch="fsdp2")
    arguments = training_arguments(prepare(request))
    assert arguments.fsdp
    assert arguments.fsdp_config["version"] == 2
    assert arguments.fsdp_config["auto_wrap_policy"] == "TRANSFORMER_BASED_WRAP"
    assert "Qwen2_5_VLDecoderLayer" in arguments.fsdp_config["transformer_layer_cls_to_wrap"]
