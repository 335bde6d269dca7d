# SPDX-License-Identifier: Apache-2.0
"""A decoder that starts from a language model beside one of random weights, at equal steps.

python -m benchmarks.proof.text_start runs/proof SmolLM2-135M-Instruct.Q4_1.gguf

Both have the sizes and the tokenizer of the GGUF file, see the same sequences in the same order and
take the same steps; no question is seen twice, so the loss of a step is that of new questions.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.proof.__main__ import RESULTS
from benchmarks.proof.cells import shipped
from benchmarks.proof.page import TEXT_START
from benchmarks.proof.run import ProofError, run_command
from spatialcore.files import write_json
from spatialmllm.checkpoints import save
from spatialmllm.model.model import build
from spatialmllm.training.recipe import load_recipe
from spatialmllm.training.sft import TrainRequest, prepare

STARTS = ("file", "random")


def settings(steps: int, batch: int) -> list[str]:
    """Settings of the proof's recipe, as `train --set` takes them."""
    return [
        f"schedule.max_steps={steps}", f"schedule.global_batch={batch}",
        f"schedule.micro_batch={batch}", "schedule.save_every=100000", "optimiser.lr=3e-4",
        "data.turns_per_sequence=2",
    ]  # fmt: skip


def write_random(folder: Path, records: Path, split: str, gguf: Path, chosen: list[str]) -> None:
    """A model folder with the sizes and the tokenizer of the file, and random weights."""
    recipe = load_recipe(str(shipped("recipe.toml")), chosen)
    prepared = prepare(TrainRequest((str(records),), recipe, folder, split=split, text=gguf))
    save(build(prepared.config), folder, tokenizer_json=prepared.tokenizer.to_json())


def compare(
    folder: Path,
    gguf: Path,
    *,
    steps: int,
    batch: int,
    records: str = "val",
    split: str = "val",
) -> Path:
    """Train both, or continue; returns the folder of the runs.

    Raises:
        ProofError: A run failed.
    """
    place, data = folder / "text-start", folder / records
    chosen = settings(steps, batch)
    if not (place / "start/config.json").is_file():
        write_random(place / "start", data, split, gguf, chosen)
    starts = {"file": ["--init-text", str(gguf)], "random": ["--init", str(place / "start")]}
    for name in STARTS:
        code = run_command(
            ["train", "--records", str(data), "--split", split, "--out", str(place / name),
             "--config", str(shipped("recipe.toml")), "--cache", str(folder / "cache"),
             "--set", *chosen, *starts[name]]
        )  # fmt: skip
        if code:
            raise ProofError(f"{place / name}: the training ended with {code}")
    return place


def losses(run: Path) -> list[float]:
    """Loss of each step of a run."""
    text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    return [round(float(json.loads(line)["loss"]), 4) for line in text.splitlines()]


def main(argv: list[str]) -> int:
    """Compare and leave the losses among the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(argv)
    place = compare(options.folder, options.gguf, steps=options.steps, batch=options.batch)
    found = {name: losses(place / name) for name in STARTS}
    report = {"file": options.gguf.name, "batch": options.batch, "losses": found}
    write_json(options.results / TEXT_START, report)
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
