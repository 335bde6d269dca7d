# SPDX-License-Identifier: Apache-2.0
"""Decoders that start from a GGUF file: written here from a random Llama of the library."""

from __future__ import annotations

import json
import secrets

import numpy as np
import pytest

from tests.fabricate import data_set

pytest.importorskip("gguf")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS = ["Ġc", "am", "era", "Ġleft"]


def _llama(vocab, *, tied=True):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(secrets.randbits(30))
    config = LlamaConfig(
        vocab_size=vocab, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 5000.0},
        max_position_embeddings=512, tie_word_embeddings=tied, initializer_range=0.1,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def _tokens():
    from tokenizers.pre_tokenizers import ByteLevel

    merges = [["Ġ", "c"], ["a", "m"], ["e", "r"], ["er", "a"], ["Ġ", "l"], ["e", "f"], ["ef", "t"],
              ["Ġl", "eft"]]  # fmt: skip
    names = [*SPECIAL, *sorted(ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    return names, [" ".join(pair) for pair in merges]


def _write(path, model, *, architecture="llama", pre="smollm", drop=()):
    """The file as others' converters lay it out: rows of q and k in pairs of halves."""
    import gguf

    c = model.config
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_rope_freq_base(c.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(c.hidden_size // c.num_attention_heads)
    writer.add_vocab_size(c.vocab_size)
    names, merges = _tokens()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(names)
    writer.add_token_merges(merges)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(names) - len(SPECIAL)))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)

    def paired(weight, heads):
        return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)

    state = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    put = {"token_embd.weight": state["model.embed_tokens.weight"],
           "output_norm.weight": state["model.norm.weight"]}  # fmt: skip
    if not c.tie_word_embeddings:
        put["output.weight"] = state["lm_head.weight"]
    kinds = {
        "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
    }  # fmt: skip
    for layer in range(c.num_hidden_layers):
        for there, here in kinds.items():
            value = state[f"model.layers.{layer}.{here}.weight"]
            if there in ("attn_q", "attn_k"):
                heads = c.num_attention_heads if there == "attn_q" else c.num_key_value_heads
                value = paired(value, heads)
            put[f"blk.{layer}.{there}.weight"] = value
    for name, value in put.items():
        if name not in drop:
            writer.add_tensor(name, np.ascontiguousarray(value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _request(folder, path, out, *settings):
    from spatialmllm.training.recipe import load_recipe
    from spatialmllm.training.sft import TrainRequest

    recipe = load_recipe("tests/mllm/smallest.toml", ["optimiser.freeze=[]", *settings])
    return TrainRequest((str(folder),), recipe, out, text=path)


@pytest.fixture(scope="module")
def folder(toy, tmp_path_factory):
    return data_set(tmp_path_factory.mktemp("records") / "out", toy.root, toy.records)


@pytest.mark.parametrize("tied", [True, False])
def test_text_gives_the_logits_of_the_model_in_the_file(folder, tmp_path, tied):
    import torch

    from spatialmllm.training.sft import make_model, prepare

    names, _ = _tokens()
    llama = _llama(len(names), tied=tied)
    path = _write(tmp_path / "text.gguf", llama)
    prepared = prepare(_request(folder, path, tmp_path / "run"))
    model = make_model(prepared).eval()
    assert model.settings.text.tie_word_embeddings is tied
    ids = torch.randint(0, len(names), (2, 17))
    positions = torch.arange(17).expand(3, 2, 17)
    with torch.no_grad():
        ours = model(input_ids=ids, attention_mask=torch.ones_like(ids), position_ids=positions)
        theirs = llama(ids).logits
    added = ours.logits.shape[-1] - len(names)
    assert added == 4
    assert torch.allclose(ours.logits[..., : len(names)], theirs, atol=2e-5)
    # What the file does not hold is what a random start gives.
    assert model.model.embed_tokens.weight[-4:].std() > 0


def test_its_tokenizer_reads_media_and_text(folder, tmp_path):
    from spatialmllm.checkpoints.text import read_text_model

    names, _ = _tokens()
    made = read_text_model(_write(tmp_path / "text.gguf", _llama(len(names)))).tokenizer
    assert made.encode(" camera") == [names.index(t) for t in ("Ġc", "am", "era")]
    assert len(made.encode("1234")) == 4
    assert made.decode(made.encode(" camera moved 5.0 m, é")) == " camera moved 5.0 m, é"
    assert made.encode("<|im_start|>") == [1]
    assert made.ids.end == 2
    assert made.ids.image == len(names) + 2


def test_it_trains_resumes_and_is_loaded_again(folder, tmp_path):
    from spatialmllm.checkpoints import load
    from spatialmllm.data.tokens import ChatTokenizer
    from spatialmllm.training.callbacks import StopRequest
    from spatialmllm.training.sft import RequestError, prepare, train

    names, _ = _tokens()
    path = _write(tmp_path / "text.gguf", _llama(len(names)))
    out = tmp_path / "run"
    result = train(prepare(_request(folder, path, out)), StopRequest(), lambda _: None)
    assert result.finished
    assert json.loads((out / "manifest.json").read_text())["text"] == "text.gguf"
    assert load(out / "model").settings.text.hidden_size == 64
    assert ChatTokenizer.from_file(out / "model").encode(" camera")[0] == names.index("Ġc")
    again = prepare(_request(folder, path.rename(tmp_path / "other.gguf"), out))
    with pytest.raises(RequestError, match="text was"):
        train(again, StopRequest(), lambda _: None)


def test_files_that_cannot_be_read_are_said(tmp_path, folder, capsys):
    from spatialcore.cli import main
    from spatialmllm.checkpoints import CheckpointFormatError
    from spatialmllm.checkpoints.text import read_text_model
    from spatialmllm.training.sft import make_model, prepare

    names, _ = _tokens()
    llama = _llama(len(names))
    with pytest.raises(CheckpointFormatError, match="the architecture is 'mamba'"):
        read_text_model(_write(tmp_path / "a.gguf", llama, architecture="mamba"))
    with pytest.raises(CheckpointFormatError, match="pieces of 'tekken'"):
        read_text_model(_write(tmp_path / "b.gguf", llama, pre="tekken"))
    whole = _write(tmp_path / "c.gguf", llama).read_bytes()
    for name, content in (("empty", b""), ("cut", whole[:300]), ("other", b"GGUX" + whole[4:])):
        (tmp_path / f"{name}.gguf").write_bytes(content)
        with pytest.raises(CheckpointFormatError, match="no whole GGUF file"):
            read_text_model(tmp_path / f"{name}.gguf")
    part = _write(tmp_path / "part.gguf", llama, drop=("blk.1.ffn_up.weight",))
    with pytest.raises(CheckpointFormatError, match=r"layers\.1\.mlp\.up_proj"):
        make_model(prepare(_request(folder, part, tmp_path / "run")))
    argv = ["train", "--records", str(folder), "--config", "tests/mllm/smallest.toml", "--out",
            str(tmp_path / "x"), "--init-text"]  # fmt: skip
    assert main([*argv, str(tmp_path / "none.gguf")]) != 0
    assert "none.gguf" in capsys.readouterr().err
    assert main([*argv, str(part), "--init", str(tmp_path)]) == 2
    assert "leave --init out" in capsys.readouterr().err


def test_both_starts_are_compared_at_equal_steps(folder, tmp_path, monkeypatch):
    from benchmarks.proof import text_start
    from spatialcore.cli import main
    from spatialmllm.checkpoints import load

    monkeypatch.setattr(text_start, "run_command", lambda arguments: main(list(arguments)))
    names, _ = _tokens()
    path = _write(tmp_path / "text.gguf", _llama(len(names)))
    place = text_start.compare(
        folder.parent, path, steps=2, batch=2, records=folder.name, split="train"
    )
    found = {name: text_start.losses(place / name) for name in text_start.STARTS}
    assert {len(losses) for losses in found.values()} == {2}
    assert found["file"][0] != found["random"][0]
    ours, random = (load(place / name / "model").settings for name in text_start.STARTS)
    assert ours == random
