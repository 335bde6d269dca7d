# SPDX-License-Identifier: Apache-2.0
"""Models of this package in lmms-eval: its interface is stood in for where it is not installed."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import pytest

from spatial_engine.scoring.harness import Harness
from spatialcore.errors import UsageError
from tests.fabricate import data_set


class DocumentedModel:
    """What the harness's base class gives a model: the rows of its tasks, and a cache."""

    def __init__(self):
        self.task_dict, self.kept = {}, []
        self.cache_hook = SimpleNamespace(add_partial=lambda *one: self.kept.append(one))


@dataclass(frozen=True)
class Manifest:
    model_id: str
    chat_class_path: str


@pytest.fixture
def module(monkeypatch):
    if importlib.util.find_spec("lmms_eval") is None:
        names = ("lmms_eval", "lmms_eval.api", "lmms_eval.api.model", "lmms_eval.models",
                 "lmms_eval.models.registry_v2")  # fmt: skip
        for name in names:
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        sys.modules["lmms_eval.api.model"].lmms = DocumentedModel
        sys.modules["lmms_eval.models.registry_v2"].ModelManifest = Manifest
    monkeypatch.delitem(sys.modules, "spatialmllm.evaluation.lmms_eval", raising=False)
    return importlib.import_module("spatialmllm.evaluation.lmms_eval")


@pytest.fixture
def asked(toy, tiny, tmp_path):
    """A model folder, the rows of an export, and what `eval` lets the model say to each."""
    from spatial_engine.commands.export import main as export
    from spatialmllm.checkpoints import save
    from spatialmllm.commands.eval import main as evaluate
    from spatialmllm.data.tokens import build_tiny
    from spatialmllm.model.model import build

    out, model = data_set(tmp_path / "out", toy.root, toy.records), tmp_path / "model"
    tokenizer = build_tiny(turn.content for record in toy.records for turn in record.messages)
    config = tiny(tokenizer.size, ids=tokenizer.ids)
    save(build(config, seed=3), model, tokenizer_json=tokenizer.to_json())
    assert evaluate(["--model", str(model), "--records", str(out), "--split", "train",
                     "-o", str(tmp_path / "said"), "--max-new-tokens", "5"]) == 0  # fmt: skip
    lines = (tmp_path / "said/responses.jsonl").read_text().splitlines()
    assert export([str(out), "-o", str(tmp_path / "bench"), "--to", "lmms-eval"]) == 0
    (path,) = (tmp_path / "bench/lmms-eval/train").glob("*.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    told = {line["id"]: line["response"] for line in map(json.loads, lines)}
    return model, tmp_path / "bench", rows, told


def _requests(harness, rows, **wanted):
    return [
        SimpleNamespace(args=("", harness.doc_to_messages, {"temperature": 0, **wanted}, k, "t",
                              "test"))
        for k in range(len(rows))
    ]  # fmt: skip


def test_the_harness_hears_what_eval_hears(module, asked):
    model, bench, rows, told = asked
    harness = Harness(str(bench), sorted({row["task"] for row in rows}))
    made = module.SpatialMLLMChat(str(model), device="cpu", batch_size=1)
    made.task_dict = {"t": {"test": rows}}
    said = made.generate_until(_requests(harness, rows, max_new_tokens=5))
    assert said == [told[row["id"]] for row in rows]
    assert len(set(said)) > 1
    # Stop strings end an answer, the caller's length goes before the task's.
    letter = next(text for text in said if text)[0]
    cut = made.generate_until(_requests(harness, rows[:3], max_new_tokens=5, until=[letter]))
    assert cut == [text.split(letter)[0] for text in said[:3]]
    short = module.SpatialMLLMChat(str(model), device="cpu", max_new_tokens=1)
    short.task_dict = made.task_dict
    first = short.generate_until(_requests(harness, rows[:3], max_new_tokens=5))
    assert all(text.startswith(start) for text, start in zip(said, first, strict=False))
    for options in ({"do_sample": True}, {"temperature": 0.7}):
        with pytest.raises(UsageError, match="greedily"):
            made.generate_until(_requests(harness, rows, **options))
    for ask in (made.loglikelihood, made.generate_until_multi_round):
        with pytest.raises(UsageError):
            ask([])
    path, name = module.MANIFEST.chat_class_path.rsplit(".", 1)
    assert getattr(sys.modules[path], name) is module.SpatialMLLMChat


def test_chats_of_other_tasks_become_prompts(module, toy):
    image = toy.images.image(toy.records[0], 0)
    parts = [{"type": "image", "url": image}, {"type": "text", "text": "Which side?"}]
    chat = [{"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "content": parts}]  # fmt: skip
    made = module.prompt_of(chat, {"prompt": "of another task"}, "t/1")
    assert (made.text, len(made.images)) == ("<image>\nWhich side?", 1)
    assert made.earlier[0].content == "Be brief."
    with pytest.raises(UsageError, match="shows a video"):
        module.prompt_of([{"role": "user", "content": [{"type": "video", "url": "a"}]}], {}, "t/1")
    with pytest.raises(UsageError, match="asks nothing"):
        module.prompt_of(chat[:1], {}, "t/1")
