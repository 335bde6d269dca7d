# SPDX-License-Identifier: Apache-2.0
"""Two processes under gloo against one: plain data parallelism, and a sharded model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fabricate import data_set

PROCESSES = Path(__file__).with_name("processes.py")
RECIPE = """
[model]
random_init = true
[model.text]
hidden_size = 64
intermediate_size = 128
num_hidden_layers = 2
num_attention_heads = 4
num_key_value_heads = 2
mrope_section = [2, 3, 3]
max_position_embeddings = 2048
initializer_range = 0.08
[model.vision]
depth = 2
hidden_size = 32
intermediate_size = 64
num_heads = 2
window_size = 56
fullatt_block_indexes = [1]
out_hidden_size = 64
[model.spatial]
img_size = 56
embed_dim = 32
depth = 2
num_heads = 2
patch_embed_depth = 1
patch_embed_heads = 2
[model.connector]
bottleneck = 64
[processor]
resize = "exact"
width = 56
height = 56
[data]
turns_per_sequence = 2
target = "span"
workers = 0
[optimiser]
lr = 3e-3
lr_projector = 3e-3
lr_encoders = 3e-3
freeze = []
[schedule]
max_steps = 5
global_batch = 4
micro_batch = 2
precision = "float32"
save_every = 100
"""


@pytest.fixture(scope="module")
def place(toy, fabricated, tmp_path_factory):
    folder = tmp_path_factory.mktemp("distributed")
    data_set(folder / "out", toy.root, toy.records)
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def _command(world, *arguments):
    start = [sys.executable]
    if world > 1:
        start += ["-m", "torch.distributed.run", "--nproc-per-node", str(world), "--standalone"]
    return [*start, str(PROCESSES), *map(str, arguments)]


def _environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def _run(world, *arguments):
    done = subprocess.run(
        _command(world, *arguments), env=_environment(), capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _train(world, place, name, *options):
    text = _run(
        world, "train", "--records", place / "out", "--config", place / "recipe.toml",
        "--out", place / name, "--json", *options,
    )  # fmt: skip
    lines = (place / name / "metrics.jsonl").read_text().splitlines()
    return json.loads(text.splitlines()[-1]), [json.loads(line)["loss"] for line in lines]


@pytest.fixture(scope="module")
def alone(place):
    return _train(1, place, "alone")


def test_two_processes_train_as_one(place, alone):
    summary, expected = alone
    assert summary["step"] == 5
    _, losses = _train(2, place, "together")
    assert losses == pytest.approx(expected, rel=1e-5)
    assert (place / "together/checkpoint-5/random-1.pt").is_file()
    assert (place / "together/model/model.safetensors").is_file()


@pytest.mark.slow
def test_a_run_continues_on_another_number_of_processes(place, alone):
    _, expected = alone
    stopped, _ = _train(2, place, "moved", "--max-minutes", "0")
    assert stopped["step"] == 1
    assert stopped["stopped"] == "max-minutes is over"
    finished, losses = _train(1, place, "moved")
    assert finished["step"] == 5
    assert losses == pytest.approx(expected, rel=1e-5)


def test_a_sharded_model_trains_as_a_whole_one(place, tmp_path):
    made = []
    for world in (1, 2):
        out = tmp_path / f"{world}.json"
        _run(world, "shard", place / "out", place / "recipe.toml", out)
        made.append(json.loads(out.read_text()))
    assert made[0]["sharded"] == 0
    assert made[1]["sharded"] > 100
    assert made[1]["losses"] == pytest.approx(made[0]["losses"], rel=1e-6)
    assert made[0]["losses"][-1] < made[0]["losses"][0]


def test_sigterm_saves_and_the_same_command_continues(place, alone):
    _, expected = alone
    out = place / "terminated"
    arguments = ("--records", place / "out", "--config", place / "recipe.toml", "--out", out)
    process = subprocess.Popen(
        _command(1, "train", *arguments), env=_environment(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (out / "metrics.jsonl").is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "SIGTERM" in output + errors or "finished" in output
    _, losses = _train(1, place, "terminated")
    assert losses == expected
