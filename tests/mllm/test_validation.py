# SPDX-License-Identifier: Apache-2.0
"""Validation during training, loggers, and what is said when something is missing."""

from __future__ import annotations

import builtins
import json
import sys
from pathlib import Path

import pytest

from spatialcore.cli import main
from tests.fabricate import data_set

SMALLEST = str(Path(__file__).with_name("smallest.toml"))


@pytest.fixture(scope="module")
def folders(fabricated, tmp_path_factory):
    """Training rooms, and other rooms to validate on."""
    root = tmp_path_factory.mktemp("rooms")
    made = {}
    for split, first in (("train", 0), ("val", 20)):
        records = fabricated.make_records(root, 6, split=split, seed=first, first=first)
        made[split] = str(data_set(root / split, root, records))
    return made


def _train(folders, out, *more):
    return ["train", "--records", folders["train"], "--config", SMALLEST, "--out", str(out),
            "--max-steps", "4", "--set", "schedule.save_every=2", *more]  # fmt: skip


def _lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_validation_changes_no_step_and_says_what_eval_says(folders, tmp_path, capsys):
    plain, seen = tmp_path / "plain", tmp_path / "seen"
    assert main(_train(folders, plain)) == 0
    assert main(_train(folders, seen, "--eval-records", folders["val"],
                       "--report-to", "tensorboard")) == 0  # fmt: skip
    losses = [[line["loss_hex"] for line in _lines(out / "metrics.jsonl")] for out in (plain, seen)]
    assert losses[0] == losses[1]
    made = _lines(seen / "validation.jsonl")
    assert [line["step"] for line in made] == [2, 4]
    said = capsys.readouterr().err
    assert "step 2: validation loss" in said
    assert main(["eval", "--model", str(seen / "model"), "--records", folders["val"], "-o",
                 str(tmp_path / "said"), "--training", "val"]) == 0  # fmt: skip
    report = json.loads((tmp_path / "said/scores.json").read_text())
    scores = {row["task"]: row["value"] for row in report["rows"]}
    assert made[-1]["tasks"] == pytest.approx(scores)
    assert made[-1]["records"] == 18
    assert made[-1]["score"] == pytest.approx(sum(scores.values()) / len(scores))
    assert made[-1]["loss"] == pytest.approx(_loss_of(seen / "model", folders["val"]), rel=1e-5)
    _check_tensorboard(seen, made)


def _loss_of(model, folder):
    """The loss a token, record by record, in another way."""
    import torch

    from spatialmllm.checkpoints import load
    from spatialmllm.data.batches import SampleBuilder, collate
    from spatialmllm.data.records import RecordSet, parse_folder
    from spatialmllm.data.tokens import ChatTokenizer

    made, records = load(model).eval(), RecordSet.open([parse_folder(folder)], split="val")
    builder = SampleBuilder(made.settings, ChatTokenizer.from_file(model), target="span")
    total = tokens = 0
    for record in records:
        batch = collate([builder.sample([record], records)], made.settings)
        labels = batch.pop("labels")[0, 1:]
        with torch.no_grad():
            logits = made(**batch).logits[0, :-1].log_softmax(-1)
        kept = labels != -100
        total -= float(logits[kept].gather(1, labels[kept][:, None]).sum())
        tokens += int(kept.sum())
    return total / tokens


def _check_tensorboard(out, made):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    names = set(events.Tags()["scalars"])
    assert {"train/loss", "train/tokens_per_s", "train/memory_gb", "train/learning_rate",
            "eval/loss", "eval/score"} <= names  # fmt: skip
    assert {f"eval/score/{task}" for task in made[-1]["tasks"]} <= names
    assert [e.step for e in events.Scalars("train/loss")] == [1, 2, 3, 4]
    assert events.Scalars("eval/loss")[-1].value == pytest.approx(made[-1]["loss"])


def test_a_stopped_run_holds_every_validation_once(folders, tmp_path):
    out = tmp_path / "run"
    more = ("--eval-records", folders["val"], "--set", "schedule.eval_every=1")
    assert main(_train(folders, out, *more)) == 0
    whole = _lines(out / "validation.jsonl")
    assert [line["step"] for line in whole] == [1, 2, 3, 4]
    # As after a crash in step 4: the checkpoint of step 2 is the newest.
    import shutil

    shutil.rmtree(out / "checkpoint-4")
    shutil.rmtree(out / "model")
    assert main(_train(folders, out, *more)) == 0
    again = _lines(out / "validation.jsonl")
    for line in (*whole, *again):
        line.pop("seconds")
    assert again == whole


def test_a_shared_space_is_refused_before_a_step(folders, tmp_path, capsys):
    assert main(_train(folders, tmp_path / "run", "--eval-records", folders["train"])) == 2
    assert "val" in capsys.readouterr().err
    assert not (tmp_path / "run/metrics.jsonl").exists()


def test_validation_does_not_go_with_shards(folders, tmp_path, capsys):
    asked = _train(folders, tmp_path / "run", "--eval-records", folders["val"], "--launch", "zero2",
                   "--dry-run")  # fmt: skip
    assert main(asked) == 2
    assert "spatialcore eval" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_logger_is_one_sentence(folders, tmp_path, capsys, monkeypatch, name):
    real = builtins.__import__

    def without(wanted, *args, **kwargs):
        if wanted.partition(".")[0] == name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(wanted, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr("importlib.import_module", without)
    for module in [m for m in sys.modules if m.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    assert main(_train(folders, tmp_path / "run", "--report-to", name)) == 1
    said = capsys.readouterr().err
    assert f"needs {name}, which is not installed: pip install" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device", ["cuda:7", "cuda", "gpu", "mps", "meta"])
def test_a_device_that_is_not_here_is_one_sentence(folders, tmp_path, capsys, device):
    import torch

    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    asked = ["eval", "--model", str(tmp_path), "--records", folders["val"], "-o",
             str(tmp_path / "said"), "--device", device]  # fmt: skip
    assert main(asked) == 2
    said = capsys.readouterr().err
    assert f"--device {device}" in said or repr(device) in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("schedule.max_steps=many", "max_steps"),
        ("schedule.global_batch=7", "global_batch"),
        ("model.text.hidden_size=63", "hidden_size"),
        ("model.vision.out_hidden_size=32", "out_hidden_size"),
        ("processor.sampler=clever", "sampler"),
        ("optimizer.lr=1", "optimiser"),
    ],
)
def test_settings_are_typed_before_anything_runs(setting, said, tmp_path, capsys, monkeypatch):
    """Neither records nor the trainer are touched: the folders do not exist."""
    monkeypatch.setitem(sys.modules, "spatialmllm.training.sft", None)
    asked = ["train", "--records", str(tmp_path / "none"), "--config", SMALLEST, "--out",
             str(tmp_path / "run"), "--set", setting, "--launch", "fsdp2"]  # fmt: skip
    assert main(asked) == 2
    message = capsys.readouterr().err
    assert said in message
    assert message.count("\n") == 1


def test_off_a_terminal_a_run_says_a_line_a_minute(monkeypatch, capsys):
    from spatialcore.commands import progress
    from spatialmllm.commands.train import _Progress
    from spatialmllm.training.callbacks import TrainEvent

    clock = iter([0.0, 30.0, 61.0, 90.0, 125.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    with _Progress(10) as shown:
        for step in (1, 2, 3, 4):
            shown(TrainEvent("step", step, 10, loss=1.5 / step))
    assert capsys.readouterr().err.splitlines() == [
        "2 of 10: steps, loss 0.7500", "4 of 10: steps, loss 0.3750",
    ]  # fmt: skip
