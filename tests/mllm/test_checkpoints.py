# SPDX-License-Identifier: Apache-2.0
"""Strict loading of tiny files in the public layouts."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def saved(tmp_path, tiny_config):
    """A tiny model, its folder, and inputs that touch every part."""
    from spatialmllm.checkpoints import save
    from spatialmllm.model.model import build

    model = build(tiny_config, seed=2)
    save(model, tmp_path / "model", tokenizer_json="{}")
    return model, tmp_path / "model"


def _logits(model):
    import torch

    generator = torch.Generator().manual_seed(0)
    ids = torch.tensor([[1, 8, 10, 10, 10, 10, 9, 5]])
    from spatialmllm.data.positions import sequence_positions

    made = sequence_positions(ids[0].numpy(), [(1, 4, 4)], (10, 11), stride=1.0)
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        return model.eval()(
            ids,
            torch.ones_like(ids),
            torch.from_numpy(made.ids)[:, None],
            pixel_values=torch.randn(16, 1176, generator=generator).to(dtype),
            grid_thw=torch.tensor([[1, 4, 4]]),
            frames=[torch.rand(1, 3, 56, 56, generator=generator)],
            context_rows=[1],
            still=[True],
        ).logits


def _tensors(folder):
    from safetensors.torch import load_file

    tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(file)
    return tensors


def _write(folder, tensors, config=None):
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_saved_and_loaded_logits_are_equal_in_every_bit(saved):
    import torch

    from spatialmllm.checkpoints import load

    model, folder = saved
    again = load(folder)
    assert torch.equal(_logits(model), _logits(again))
    assert again.settings == model.settings
    names = {path.name for path in folder.iterdir()}
    assert names >= {"config.json", "processor.json", "tokenizer.json", "README.md"}
    assert json.loads((folder / "config.json").read_text())["model_type"] == "spatial-mllm"
    assert not any(name.endswith(("lm_head.weight", "inv_freq")) for name in _tensors(folder))


def test_sharded_files_load_through_their_index(saved, tmp_path):
    import torch

    from spatialmllm.checkpoints import load, save

    model, _ = saved
    save(model, tmp_path / "sharded", shard_bytes=100_000)
    index = json.loads((tmp_path / "sharded/model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 3
    assert torch.equal(_logits(model), _logits(load(tmp_path / "sharded")))
    next(iter(sorted((tmp_path / "sharded").glob("*.safetensors")))).unlink()
    with pytest.raises(Exception, match="is missing"):
        load(tmp_path / "sharded")


def test_bf16_files_keep_their_type_unless_told_otherwise(saved, tmp_path):
    import torch

    from spatialmllm.checkpoints import load

    _, folder = saved
    half = {n: t.to(torch.bfloat16) for n, t in _tensors(folder).items()}
    config = json.loads((folder / "config.json").read_text())
    _write(tmp_path / "half", half, config)
    loaded = load(tmp_path / "half")
    assert {p.dtype for p in loaded.parameters()} == {torch.bfloat16}
    assert loaded.model.rotary_emb.inv_freq.dtype == torch.float32
    assert torch.isfinite(_logits(loaded).float()).all()
    wide = load(tmp_path / "half", dtype=torch.float32)
    assert {p.dtype for p in wide.parameters()} == {torch.float32}
    assert torch.equal(_logits(wide), _logits(wide))


def test_library_buffers_are_restored_right_after_loading(saved):
    import torch

    from spatialmllm.checkpoints import load
    from spatialmllm.model.backbone import build_decoder, build_tower

    _, folder = saved
    loaded = load(folder)
    fresh = build_decoder(loaded.settings.text), build_tower(loaded.settings.vision)
    for mine, theirs in ((loaded.model, fresh[0]), (loaded.visual, fresh[1])):
        expected = dict(theirs.named_buffers())
        found = dict(mine.named_buffers())
        assert found.keys() == expected.keys()
        assert found
        assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("newer_names", [False, True])
def test_separate_qwen_and_vggt_files(saved, tmp_path, layouts, newer_names):
    import torch

    from spatialmllm.checkpoints import load

    model, folder = saved
    every = _tensors(folder)
    flat = json.loads((folder / "config.json").read_text())
    rename = layouts.nested if newer_names else str
    qwen = {rename(n): t for n, t in every.items() if n.startswith(("visual.", "model."))}
    prefix = "spatial_encoder.vggt_model."
    vggt = {n.removeprefix(prefix): t for n, t in every.items() if n.startswith(prefix)}
    del vggt["aggregator.patch_embed.mask_token"]  # unused, and absent from some files
    vggt["track_head.tracker.ffeat_norm.weight"] = torch.ones(4)
    vggt["camera_head.empty_pose_tokens"] = torch.zeros(1, 1, 9)
    first = _write(tmp_path / "qwen", qwen, flat)
    second = _write(tmp_path / "vggt", vggt)
    joined = load([first, second], config=model.settings, init_connector=True, seed=1)
    for name, parameter in joined.named_parameters():
        if not name.startswith("connector.") and not name.endswith("mask_token"):
            assert torch.equal(parameter, every[name]), name
    assert not any(p.is_meta for p in joined.parameters())
    with pytest.raises(Exception, match="5 missing: connector"):
        load([first, second], config=model.settings)


def test_a_qwen_config_of_the_form_of_the_library_is_read(saved, tmp_path):
    from spatialmllm.checkpoints import load
    from spatialmllm.model.backbone import text_config, vision_config

    model, folder = saved
    qwen = {n: t for n, t in _tensors(folder).items() if n.startswith(("visual.", "model."))}
    config = {
        "model_type": "qwen2_5_vl",
        "text_config": text_config(model.settings.text).to_dict(),
        "vision_config": vision_config(model.settings.vision).to_dict(),
        "tie_word_embeddings": True,
        "image_token_id": 10,
        "video_token_id": 11,
    }
    loaded = load(_write(tmp_path / "qwen", qwen, config))
    assert loaded.settings.connector.kind == "none"
    assert loaded.settings.text == model.settings.text


def test_strict_errors_list_names(saved, tmp_path):
    import torch

    from spatialmllm.checkpoints import CheckpointFormatError, load

    _, folder = saved
    tensors = _tensors(folder)
    flat = json.loads((folder / "config.json").read_text())
    del tensors["model.norm.weight"]
    tensors["model.layers.7.mlp.up_proj.weight"] = torch.zeros(2, 2)
    tensors["connector.ln_q.weight"] = torch.zeros(3)
    broken = _write(tmp_path / "broken", tensors, flat)
    with pytest.raises(CheckpointFormatError) as error:
        load(broken)
    text = str(error.value)
    assert "1 missing: model.norm.weight" in text
    assert "1 unexpected: model.layers.7.mlp.up_proj.weight" in text
    assert "1 of another shape: connector.ln_q.weight (3,), the model has (512,)" in text


def test_the_first_generation_is_named(tmp_path):
    import torch

    from spatialmllm.checkpoints import CheckpointFormatError, load

    names = ["visual.merger.ln_q.weight", "vggt.aggregator.camera_token"]
    names += ["vggt_embedding_merger.token_merge_ln_q.weight"]
    folder = _write(tmp_path / "old", {n: torch.zeros(2) for n in names}, {})
    with pytest.raises(CheckpointFormatError, match=r"v1\.0 checkpoint.*use the v1\.1 weights"):
        load(folder)


def test_damaged_and_foreign_files(tmp_path):
    from spatialmllm.checkpoints import CheckpointFormatError, load

    (tmp_path / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00notjson!")
    with pytest.raises(CheckpointFormatError, match="damaged"):
        load(tmp_path)
    (tmp_path / "a.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"x": "../elsewhere.safetensors"}})
    )
    with pytest.raises(CheckpointFormatError, match="outside the folder"):
        load(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no model\.safetensors"):
        load(tmp_path / "empty")


def test_weights_depend_on_the_seed_alone(tiny_config):
    import torch

    from spatialmllm.model.model import build

    state = torch.get_rng_state()
    first, second, third = (build(tiny_config, seed=s) for s in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.model.embed_tokens.weight, third.model.embed_tokens.weight)
