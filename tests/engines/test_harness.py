# SPDX-License-Identifier: Apache-2.0
"""The task folder for lmms-eval: what it calls gives our scores, and the harness itself runs."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest

from spatial_engine.commands.export import main as export
from spatial_engine.scoring import score
from tests.fabricate import data_set
from tests.mllm.fabricated import make_records


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    root = tmp_path_factory.mktemp("harness")
    (root / "toy").mkdir()
    records = make_records(root / "toy", 3)
    data_set(root / "out", root / "toy", records)
    assert export([str(root / "out"), "-o", str(root / "bench"), "--to", "lmms-eval"]) == 0
    return root / "bench", records


def _functions(bench):
    path = bench / "lmms-eval/tasks/utils.py"
    spec = importlib.util.spec_from_file_location("harness_utils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_harness_scores_as_we_do(exported):
    bench, records = exported
    utils = _functions(bench)
    text = (bench / "lmms-eval/tasks/spatialcore_train.yaml").read_text()
    named = re.findall(r"!function utils\.(\w+)", text)
    assert all(hasattr(utils, name) for name in named)
    (rows,) = re.findall(r'- "(.*part-00000.jsonl)"', text)
    with open(rows, encoding="utf-8") as file:  # noqa: PTH123 - as the harness opens it
        docs = [json.loads(line) for line in file]
    assert [doc["id"] for doc in docs] == [record.id for record in records]
    for said in ("`left`", "A", ""):
        found = [utils.process_results(doc, [said]) for doc in docs]
        ours = [score(record, said).value for record in records]
        assert [one["micro"][1] for one in found] == ours
        assert utils.micro([one["micro"] for one in found]) == pytest.approx(sum(ours) / len(ours))
    oracle = [utils.process_results(doc, [doc["target"]])["macro"] for doc in docs]
    assert utils.macro(oracle) == 1.0
    shown = utils.doc_to_messages(docs[0])[0]["content"]
    assert [part["type"] for part in shown].count("image") == len(records[0].images)
    assert "<image>" not in utils.doc_to_text(docs[0])
    assert utils.doc_to_visual(docs[0])[0].size == (
        records[0].images[0].width, records[0].images[0].height
    )  # fmt: skip


@pytest.mark.slow
def test_the_harness_itself_runs(exported, tmp_path):
    for name in ("lmms_eval", "datasets"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    bench, records = exported
    arguments = [
        "eval", "--include_path", str(bench / "lmms-eval/tasks"), "--tasks", "spatialcore_train",
        "--model", "dummy", "--model_args", "response=left", "--batch_size", "1",
        "--output_path", str(tmp_path / "out"),
    ]  # fmt: skip
    offline = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "lmms_eval", *arguments], env={**os.environ, **offline},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (path,) = (tmp_path / "out").rglob("*results.json")
    found = json.loads(path.read_text())["results"]["spatialcore_train"]
    ours = [score(record, "left").value for record in records]
    assert found["micro,none"] == pytest.approx(sum(ours) / len(ours))
