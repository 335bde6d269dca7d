# SPDX-License-Identifier: Apache-2.0
"""The model through transformers' own doors: Auto classes, `generate`, processor and pipeline."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

KINDS = ["none", "mlp_add", "gated", "concat", "cross_attention"]


@pytest.fixture(scope="module")
def folder(toy, tmp_path_factory):
    """A model folder, as training leaves it."""
    from spatialmllm.checkpoints import save
    from spatialmllm.model.model import build

    target = tmp_path_factory.mktemp("auto") / "model"
    save(build(toy.config, seed=7), target, tokenizer_json=toy.tokenizer.to_json())
    return target


def _pictures(toy, count):
    from PIL import Image

    return [Image.open(toy.root / f"room{i:04d}_0.png").convert("RGB") for i in range(count)]


def test_importing_the_package_lets_the_auto_classes_open_a_folder(folder):
    """In a process where nothing of the library was imported before."""
    program = (
        "import sys, spatialmllm\n"
        "assert not {'torch', 'transformers'} & sys.modules.keys()\n"
        "from transformers import AutoConfig, AutoModel, AutoProcessor\n"
        "from transformers import AutoModelForImageTextToText\n"
        f"place = {str(folder)!r}\n"
        "made = [kind.from_pretrained(place) for kind in\n"
        "        (AutoProcessor, AutoConfig, AutoModelForImageTextToText, AutoModel)]\n"
        "print(*[type(one).__name__ for one in made], made[2].training)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error::FutureWarning", "-c", program],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = "SpatialMLLMProcessor SpatialMLLMPreTrainedConfig SpatialMLLM SpatialMLLM False"
    assert done.stdout.split() == names.split()
    assert "eprecat" not in done.stderr


def test_the_auto_classes_read_what_was_written(folder, toy):
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

    from spatialmllm.checkpoints import load

    config = AutoConfig.from_pretrained(folder)
    assert config.settings == replace(toy.config, processor=config.settings.processor)
    assert config.to_dict() == {
        **config.to_dict(),
        **json.loads((folder / "config.json").read_text()),
    }
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype="float32", device_map="cpu")
    ours = load(folder)
    assert model.settings == ours.settings == toy.config
    for (name, mine), (other, its) in zip(
        ours.named_parameters(), model.named_parameters(), strict=True
    ):
        assert name == other
        assert torch.equal(mine, its)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = toy.records[0].question
    assert tokenizer(text)["input_ids"] == toy.tokenizer.encode(text)
    assert tokenizer.padding_side == "left"


def test_what_the_reader_would_have_to_ignore_is_refused(folder):
    from transformers import AutoConfig, AutoModelForImageTextToText

    from spatialmllm.model.model import SpatialMLLM

    with pytest.raises(TypeError, match="quantization_config"):
        AutoModelForImageTextToText.from_pretrained(folder, quantization_config={"bits": 4})
    with pytest.raises(ValueError, match="one device"):
        AutoModelForImageTextToText.from_pretrained(folder, device_map={"a": "cpu", "b": "meta"})
    with pytest.raises(ValueError, match="dtype"):
        SpatialMLLM.from_pretrained(folder, dtype="float33")
    other = AutoConfig.from_pretrained(folder)
    other.settings = other.settings.without_spatial_encoder()
    with pytest.raises(ValueError, match="connector_config"):
        AutoModelForImageTextToText.from_pretrained(folder, config=other)


def test_saving_through_the_library_gives_the_same_folder(folder, tmp_path):
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from spatialmllm.checkpoints import load

    model = AutoModelForImageTextToText.from_pretrained(folder)
    (tmp_path / "notes.txt").write_text("kept")
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    model.save_pretrained(tmp_path)
    assert [p.name for p in tmp_path.glob("*.safetensors*")] == ["model.safetensors"]
    AutoProcessor.from_pretrained(folder).save_pretrained(tmp_path)
    for path in folder.iterdir():
        if path.suffix in (".json", ".jinja") and not path.name.startswith("."):
            assert (tmp_path / path.name).read_text() == path.read_text(), path.name
    again = load(tmp_path)
    assert all(map(torch.equal, again.parameters(), model.parameters()))
    assert (tmp_path / "notes.txt").read_text() == "kept"


def test_from_config_draws_from_the_process(toy):
    import torch
    from transformers import AutoModelForImageTextToText

    from spatialmllm.auto.config import SpatialMLLMPreTrainedConfig

    config = SpatialMLLMPreTrainedConfig.of(toy.config)

    def made(seed):
        torch.manual_seed(seed)
        return AutoModelForImageTextToText.from_config(config).model.embed_tokens.weight.detach()

    assert torch.equal(made(1), made(1))
    assert not torch.equal(made(1), made(2))
    assert float(made(1).std()) == pytest.approx(toy.config.text.initializer_range, rel=0.1)


def test_the_processor_asks_as_training_does(folder, toy):
    import torch
    from transformers import AutoProcessor

    from spatialmllm.data.batches import SampleBuilder, collate
    from spatialmllm.data.preprocessing import clip, still

    processor = AutoProcessor.from_pretrained(folder)
    pixels = toy.config.processor
    shown = _pictures(toy, 4)
    question = toy.records[0].question
    conversation = [
        {"role": "user", "content": [
            {"type": "image", "image": shown[0]},
            {"type": "video", "video": shown[1:]},
            {"type": "text", "text": question}]},
    ]  # fmt: skip
    text = processor.apply_chat_template(conversation, add_generation_prompt=True)
    made = processor(text=[text], images=[shown[0]], videos=[shown[1:]], return_tensors="pt")
    builder = SampleBuilder(toy.config, toy.tokenizer)
    asked = builder.ask(question, [still(shown[0], pixels), clip(shown[1:], pixels)])
    expected = collate([asked], toy.config, pad="left")
    expected.pop("labels")
    assert made.keys() == expected.keys()
    for key, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(made[key], value), key
    assert all(map(torch.equal, made["frames"], expected["frames"]))
    one = [{"role": "user", "content": [
        {"type": "image", "image": shown[0]}, {"type": "text", "text": question}]}]  # fmt: skip
    whole = processor.apply_chat_template(
        one, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    assert whole["input_ids"][0].tolist() == builder.ask(question, [still(shown[0], pixels)]).ids


def test_the_processor_refuses_what_does_not_fit(folder, toy):
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    (picture,) = _pictures(toy, 1)
    with pytest.raises(ValueError, match=r"more <\|image_pad\|> than"):
        processor(text="<|vision_start|><|image_pad|><|vision_end|>")
    with pytest.raises(ValueError, match="1 images"):
        processor(text="none", images=picture)
    with pytest.raises(ValueError, match="max_length"):
        processor(text="none", max_length=3)
    with pytest.raises(ValueError, match="tokens, the limit"):
        processor(text="none " * 9000)


@pytest.mark.parametrize("kind", KINDS)
def test_generate_equals_a_loop_without_cache(toy, tiny, kind):
    """The next token of every row, recomputed from nothing, for prompts of unequal length."""
    import torch

    from spatialmllm.data.batches import SampleBuilder, collate
    from spatialmllm.model.model import build

    model = build(tiny(toy.tokenizer.size, kind, ids=toy.tokenizer.ids), seed=7).eval()
    builder = SampleBuilder(model.settings, toy.tokenizer)
    samples = [builder.sample([toy.records[i]], toy.images, answers=False) for i in (2, 0, 4)]
    samples.append(builder.ask("How many squares are there?", []))
    batch = collate(samples, model.settings, pad="left")
    batch.pop("labels")
    options = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None,
               "pad_token_id": model.settings.ids.pad}  # fmt: skip
    made = model.generate(**batch, **options)[:, batch["input_ids"].shape[1] :]
    assert made.tolist() == [_recomputed(model, sample, 6) for sample in samples]
    assert torch.equal(made, model.generate(**batch, **options, use_cache=False)[:, -6:])
    # Positions are found where they are not given.
    without = {key: value for key, value in batch.items() if key != "position_ids"}
    assert torch.equal(made, model.generate(**without, **options)[:, -6:])
    # Each prompt in several rows, its images encoded once.
    beams = model.generate(**batch, **options, num_beams=2, num_return_sequences=2)
    alone = [collate([s], model.settings, pad="left") for s in samples]
    for row, single in enumerate(alone):
        single.pop("labels")
        own = model.generate(**single, **options, num_beams=2, num_return_sequences=2)
        assert torch.equal(beams[2 * row : 2 * row + 2, -6:], own[:, -6:])


def _recomputed(model, sample, steps):
    import torch

    from spatialmllm.data.batches import collate

    batch = collate([sample], model.settings)
    batch.pop("labels"), batch.pop("places")  # the batch grows
    ids, positions = batch.pop("input_ids"), batch.pop("position_ids")
    tokens = []
    with torch.no_grad():
        for _ in range(steps):
            batch["attention_mask"] = torch.ones_like(ids)
            logits = model(ids, position_ids=positions, **batch).logits[0, -1]
            tokens.append(int(logits.argmax()))
            ids = torch.cat([ids, torch.tensor([[tokens[-1]]])], dim=1)
            positions = torch.cat([positions, (positions.max() + 1).expand(3, 1, 1)], dim=2)
    return tokens


def test_prompts_padded_on_the_right_are_refused(folder, toy):
    from spatialmllm.checkpoints import load
    from spatialmllm.data.batches import SampleBuilder, collate

    model = load(folder).eval()
    builder = SampleBuilder(toy.config, toy.tokenizer)
    batch = collate([builder.ask("How many?", []), builder.ask("Which side is it on?", [])],
                    toy.config)  # fmt: skip
    batch.pop("labels")
    with pytest.raises(ValueError, match="padded on the left"):
        model.generate(**batch, max_new_tokens=1)


def test_a_prompt_may_end_in_a_picture(toy):
    """The next position is one more than the picture's largest, in all three rows."""
    from spatialmllm.data.batches import SampleBuilder, collate
    from spatialmllm.data.preprocessing import still
    from spatialmllm.model.model import build

    model = build(toy.config, seed=7).eval()
    builder = SampleBuilder(toy.config, toy.tokenizer)
    asked = builder.ask("Which?", [still(_pictures(toy, 1)[0], toy.config.processor)])
    end = max(at for at, token in enumerate(asked.ids) if token == toy.config.ids.image) + 1
    cut = replace(asked, ids=asked.ids[:end], labels=asked.labels[:end])
    batch = collate([cut], toy.config, pad="left")
    batch.pop("labels")
    made = model.generate(**batch, max_new_tokens=4, do_sample=False, eos_token_id=None,
                          pad_token_id=0)  # fmt: skip
    assert made[0, end:].tolist() == _recomputed(model, cut, 4)


def test_eval_and_the_pipeline_take_the_folder_as_any_model(folder, toy):
    """Our folder through the door for models of others."""
    import torch

    from spatialmllm.evaluation.run import open_answerer

    cpu = torch.device("cpu")
    settings = {"device": cpu, "dtype": torch.float32, "max_new_tokens": 4}
    ours = open_answerer(str(folder), **settings).answer(toy.records[:2], toy.images)
    its = open_answerer(f"hf:{folder}", **settings).answer(toy.records[:2], toy.images)
    assert not its.failures
    assert [a["response"] for a in its.answers] == [a["response"] for a in ours.answers]
