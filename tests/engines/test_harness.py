# SPDX-License-Identifier: Apache-2.0
"""Folders for lmms-eval and VLMEvalKit: what they call gives our scores, and the harnesses run."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

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
    targets = ["--to", "lmms-eval", "vlmevalkit"]
    assert export([str(root / "out"), "-o", str(root / "bench"), *targets]) == 0
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


class DocumentedDataset:
    """The documented interface of VLMEvalKit's ImageBaseDataset, where it is not installed.

    `__init__` loads the table and makes lists of paths; `dump_image` unpacks embedded images.
    """

    def __init__(self, dataset):
        self.img_root, self.dataset_name = "nowhere", dataset
        self.data = self.load_data(dataset)
        assert len(set(self.data["index"])) == len(self.data)

    def dump_image(self, line):
        import base64
        from pathlib import Path

        held, names = (
            eval(line[k]) if line[k].startswith("[") else [line[k]] for k in ("image", "image_path")
        )
        for content, name in zip(held, names, strict=True):
            path = Path(self.img_root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(base64.b64decode(content))
        return [str(Path(self.img_root) / name) for name in names]


@pytest.fixture
def kit(monkeypatch):
    """Opens the class of an export, in the documented interface of the harness."""
    pandas = pytest.importorskip("pandas")
    names = ("vlmeval", "vlmeval.dataset", "vlmeval.dataset.image_base", "vlmeval.smp")
    modules = {name: ModuleType(name) for name in names}
    modules["vlmeval"].dataset = modules["vlmeval.dataset"]
    modules["vlmeval.dataset"].DATASET_CLASSES = []
    modules["vlmeval.dataset"].SUPPORTED_DATASETS = []
    modules["vlmeval.dataset.image_base"].ImageBaseDataset = DocumentedDataset
    modules["vlmeval.smp"].load = lambda path: pandas.read_csv(path, sep="\t")
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)

    def opened(bench):
        path = bench / "vlmevalkit/spatialcore_vlmevalkit.py"
        spec = importlib.util.spec_from_file_location("spatialcore_vlmevalkit", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.register()
        (made,) = modules["vlmeval.dataset"].DATASET_CLASSES
        (name,) = modules["vlmeval.dataset"].SUPPORTED_DATASETS
        assert made.supported_datasets() == [name]
        return made(dataset=name)

    return opened


def _shown(message):
    return [np.asarray(Image.open(p["value"])) for p in message if p["type"] == "image"]


def test_the_class_for_vlmevalkit_asks_and_scores_as_we_do(exported, kit, tmp_path):
    bench, records = exported
    data = kit(bench)
    by_id = {record.id: record for record in records}
    assert "answer" not in data.data
    said = np.random.default_rng().choice(["`left`", "It is `2`.", "", "`red`"], len(data.data))
    for number in range(len(data.data)):
        record = by_id[data.data.iloc[number]["id"]]
        message = data.build_prompt(number)
        assert len(_shown(message)) == len(record.images)
        texts = [part["value"] for part in message if part["type"] == "text"]
        assert "<image>" not in "".join(texts)
        assert texts[-1].endswith(record.question)
    path = tmp_path / "model_spatialcore.tsv"
    data.data.assign(prediction=said).to_csv(path, sep="\t", index=False)
    table = data.evaluate(str(path), model="judge").set_index("task")["score"]
    told = dict(zip(data.data["id"], said, strict=True))
    ours = {record.id: score(record, told[record.id]).value for record in records}
    assert table["micro"] == pytest.approx(sum(ours.values()) / len(ours))
    for task in {record.task for record in records}:
        mine = [ours[record.id] for record in records if record.task == task]
        assert table[task] == pytest.approx(sum(mine) / len(mine))
    report = json.loads((tmp_path / "model_spatialcore_spatialcore.json").read_text())
    assert report["n"] == len(records)


def test_embedded_images_and_rotations_reach_vlmevalkit(exported, kit, tmp_path):
    bench, _ = exported
    out, options = bench.parent / "out", ["--to", "vlmevalkit", "--embed-images", "--circular"]
    assert export([str(out), "-o", str(tmp_path / "held"), *options]) == 0
    plain = _shown_by_id(kit(bench))
    sys.modules["vlmeval.dataset"].DATASET_CLASSES.clear()
    sys.modules["vlmeval.dataset"].SUPPORTED_DATASETS.clear()
    data = kit(tmp_path / "held")
    assert data.kit._circular
    held = _shown_by_id(data)
    assert held.keys() == plain.keys()  # none of these records is a choice
    for name, images in held.items():
        assert [image.shape for image in images] == [image.shape for image in plain[name]]
    assert export([str(out), "-o", str(tmp_path / "no"), "--to", "swift", "--circular"]) == 2


def _shown_by_id(data):
    rows = range(len(data.data))
    return {data.data.iloc[k]["id"]: _shown(data.build_prompt(k)) for k in rows}
