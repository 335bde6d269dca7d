# SPDX-License-Identifier: Apache-2.0
"""Features of a frozen spatial encoder on disk: the same steps, and no frame encoded twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spatialcore.cli import main
from tests.fabricate import data_set

SMALLEST = str(Path(__file__).with_name("smallest.toml"))


@pytest.fixture(scope="module")
def folder(fabricated, tmp_path_factory):
    root = tmp_path_factory.mktemp("rooms")
    return data_set(root / "out", root, fabricated.make_records(root, 4))


def _batch(toy, rows):
    from spatialmllm.data.batches import SampleBuilder, collate

    builder = SampleBuilder(toy.config, toy.tokenizer)
    samples = [builder.sample([toy.records[i]], toy.images) for i in rows]
    return collate(samples, toy.config, keys=True)


@pytest.mark.parametrize("kind", ["mlp_add", "cross_attention"])
def test_what_is_read_is_what_is_made(toy, tiny, tmp_path, kind):
    import torch

    from spatialmllm.model.feature_cache import FeatureCache
    from spatialmllm.model.model import build

    model = build(tiny(toy.tokenizer.size, kind, ids=toy.tokenizer.ids), seed=7)
    batch = _batch(toy, (0, 2, 5))
    with torch.no_grad():
        plain = float(model(**batch).loss)
    with pytest.raises(ValueError, match="trains it"):
        FeatureCache.of(tmp_path, model)
    model.freeze(["spatial"])
    model.feature_cache = cache = FeatureCache.of(tmp_path, model)
    losses = []
    for _ in range(2):
        model.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        losses.append(loss.detach())
    assert (cache.made, cache.read) == (3, 3)
    assert torch.equal(*losses)
    assert float(losses[0]) == pytest.approx(plain, rel=1e-6)
    # Another batch with one of these contexts encodes the other alone.
    model(**_batch(toy, (2, 8)))
    assert (cache.made, cache.read) == (4, 4)
    # Files that are cut are made again.
    for cut in cache.folder.rglob("*.safetensors"):
        cut.write_bytes(cut.read_bytes()[:40])
    assert torch.equal(model(**batch).loss.detach(), losses[0])
    assert cache.made == 4 + 3
    # Other weights have other files.
    with torch.no_grad():
        model.aggregator.camera_token.add_(1e-3)
    assert FeatureCache.of(tmp_path, model).folder != cache.folder


def test_a_run_with_a_cache_continues_bit_for_bit(folder, tmp_path):
    def train(out, steps):
        asked = ["train", "--records", str(folder), "--config", SMALLEST, "--out", str(out),
                 "--max-steps", "4", "--set", "schedule.save_every=2"]  # fmt: skip
        assert main([*asked, "--feature-cache", str(tmp_path / "kept"), *steps]) == 0
        lines = (out / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["loss_hex"] for line in lines]

    first = train(tmp_path / "first", ())
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*.safetensors")}
    assert made
    assert train(tmp_path / "second", ()) == first
    assert made == {path: path.stat().st_mtime_ns for path in made}


def test_a_recipe_that_trains_the_encoder_has_nothing_to_keep(folder, tmp_path, capsys):
    asked = ["train", "--records", str(folder), "--config", SMALLEST, "--out",
             str(tmp_path / "run"), "--feature-cache", str(tmp_path / "kept")]  # fmt: skip
    assert main([*asked, "--set", "optimiser.freeze=[]"]) == 2
    assert "freeze 'spatial'" in capsys.readouterr().err
    assert main([*asked[:-3], str(tmp_path / "other"), *asked[-2:], "--set",
                 "model.connector.kind=none"]) == 2  # fmt: skip
    assert "has none" in capsys.readouterr().err
