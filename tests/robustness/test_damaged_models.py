# SPDX-License-Identifier: Apache-2.0
"""Damaged model folders: whatever byte or field is wrong, eval, ask and train say it at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spatialcore import cli
from tests.fabricate import data_set
from tests.mllm.fabricated import make_records
from tests.robustness.damage import Damage, cut, flipped, json_damages, run_all, whole

for _name in ("torch", "transformers", "accelerate"):
    pytest.importorskip(_name, reason=f"needs {_name}")
RECIPE = Path(__file__).parents[1] / "mllm/smallest.toml"
TEXTS, WEIGHTS = ("config.json", "processor.json", "tokenizer.json"), "model.safetensors"
VERBS = [
    "eval --model {out} --records {set} --limit 2 --max-new-tokens 2 --split train -o {to}/eval",
    "ask --model {out} --images {image} --max-new-tokens 2 --question where?",
    "train --init {out} --records {set} --config {recipe} --out {to}/run --dry-run",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records, an image, and a model that was trained on them for a step."""
    root = tmp_path_factory.mktemp("models")
    (root / "toy").mkdir()
    data_set(root / "set", root / "toy", make_records(root / "toy", 2))
    Image.new("RGB", (60, 60)).save(root / "image.png")
    argv = ["--records", str(root / "set"), "--config", str(RECIPE), "--max-steps", "1"]
    assert cli.main(["train", *argv, "--out", str(root / "run")]) == 0
    return root


def damages_of(model: Path, rng: np.random.Generator, flips: int) -> Iterator[tuple[str, Damage]]:
    yield from json_damages(model, TEXTS, rng, 2)
    size = (model / WEIGHTS).stat().st_size
    for share in (0.0, 0.001, 0.5, 0.999):
        yield f"{WEIGHTS}: cut at {share}", cut(WEIGHTS, share)
    for at in rng.integers(0, min(size, 8000), size=flips):  # its head
        yield f"{WEIGHTS}: bit of {at}", flipped(WEIGHTS, int(at), 1 << int(rng.integers(8)))
    for name in (*TEXTS, WEIGHTS):
        yield f"{name}: gone", lambda out, name=name: (out / name).unlink()
    yield f"{WEIGHTS}: a pickle", whole(WEIGHTS, b"\x80\x04\x95cos\nsystem\n")


def turns(place: Path, most: int) -> Callable[[Path, Path], Iterator[list[str]]]:
    """So many of the verbs for each damage, in turn."""
    paths = {"set": place / "set", "image": place / "image.png", "recipe": RECIPE}
    turn = itertools.cycle(VERBS)
    return lambda out, to: (next(turn).format(out=out, to=to, **paths).split() for _ in range(most))


def test_some_damage_of_a_model_is_named(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(5)
    damages = [*damages_of(place / "run/model", rng, 12)]
    chosen = [damages[k] for k in rng.choice(len(damages), size=36, replace=False)]
    wrong = run_all(place / "run/model", tmp_path, chosen, turns(place, 1), capsys)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_every_damage_of_a_model_is_named(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damages = damages_of(place / "run/model", np.random.default_rng(7), 100)
    wrong = run_all(place / "run/model", tmp_path, damages, turns(place, len(VERBS)), capsys)
    assert not wrong, "\n".join(wrong)
