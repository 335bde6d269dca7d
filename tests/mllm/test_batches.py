# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.fabricate import data_set


@pytest.fixture(scope="module")
def model(toy):
    from spatialmllm.model.model import build

    return build(toy.config, seed=7).eval()


@pytest.fixture(scope="module")
def builder(toy):
    from spatialmllm.data.batches import SampleBuilder

    return SampleBuilder(toy.config, toy.tokenizer)


def _medium(seed, *, frames=1, width=56, height=56, still=True):
    from spatialmllm.data.preprocessing import Medium

    rng = np.random.default_rng(seed)
    return Medium(rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8), still=still)


def _logits(model, samples):
    import torch

    from spatialmllm.data.batches import collate

    batch = collate(samples, model.settings)
    batch.pop("labels")
    with torch.no_grad():
        return model(**batch).logits


def test_rows_of_a_batch_equal_their_solo_runs(model, builder, toy):
    """One image, two images, a clip, and text, of unequal length and size, in one batch."""
    import torch

    one, two = (builder.sample([toy.records[i]], toy.images) for i in (0, 2))
    clip = builder.ask(
        "On which side?", [_medium(1, frames=4, width=84, height=56, still=False), _medium(2)]
    )
    text = builder.ask("How many squares are there?", [])
    samples = [one, two, clip, text]
    together = _logits(model, samples)
    for row, sample in enumerate(samples):
        alone = _logits(model, [sample])[0]
        got = together[row, : len(sample.ids)]
        torch.testing.assert_close(got, alone, rtol=1e-4, atol=2e-5)


def test_swapping_the_images_changes_the_tokens_of_both(model):
    import torch

    from spatialmllm.data.batches import Sample, collate

    def tokens(media):
        batch = collate([Sample([model.settings.ids.image] * 8, [-100] * 8, media)], model.settings)
        with torch.no_grad():
            return model.encode_visual(
                batch["pixel_values"], batch["grid_thw"], frames=batch["frames"],
                context_rows=batch["context_rows"], still=batch["still"],
            )  # fmt: skip

    first, second = _medium(1), _medium(2)
    ahead, swapped = tokens((first, second)), tokens((second, first))
    assert ahead.shape == (8, model.settings.text.hidden_size)
    # The same picture in the other place: it meets the other one and another frame of reference.
    assert not torch.allclose(ahead[:4], swapped[4:], atol=1e-4)
    assert not torch.allclose(ahead[4:], swapped[:4], atol=1e-4)
    assert not torch.allclose(ahead[:4], tokens((first, first))[:4], atol=1e-4)


def test_a_context_encodes_every_still_once(model, builder):
    from spatialmllm.data.batches import collate, contexts

    media = [_medium(0), _medium(1), _medium(2, frames=4, still=False), _medium(3, width=84)]
    assert contexts(media) == [[0, 1, 2], [3]]
    batch = collate([builder.ask("Which?", media)], model.settings)
    assert [tuple(f.shape) for f in batch["frames"]] == [(6, 3, 56, 56), (1, 3, 56, 84)]
    assert batch["context_rows"] == [3, 1]
    assert batch["still"] == [True, True, False, True]
    assert batch["grid_thw"].tolist() == [[1, 4, 4], [1, 4, 4], [2, 4, 4], [1, 4, 6]]


def test_contexts_of_two_samples_never_meet(model, builder):
    import torch

    first = builder.ask("Which?", [_medium(1)])
    changed = _logits(model, [first, builder.ask("Which?", [_medium(2)])])
    again = _logits(model, [first, builder.ask("Which?", [_medium(3)])])
    assert torch.equal(changed[0], again[0])
    assert not torch.equal(changed[1], again[1])


@pytest.mark.parametrize(("count", "pairs"), [(1, 1), (3, 2), (4, 2), (5, 3)])
def test_odd_clips_repeat_the_last_frame_in_both_tensors(toy, count, pairs):
    from spatialmllm.data.batches import Sample, collate
    from spatialmllm.data.preprocessing import clip

    images = [Image.new("RGB", (60, 50), (i * 40, 0, 0)) for i in range(count)]
    medium = clip(images, toy.config.processor)
    assert medium.grid == (pairs, 4, 4)
    ids = [toy.config.ids.video] * medium.token_count
    batch = collate([Sample(ids, [-100] * len(ids), (medium,))], toy.config)
    assert batch["frames"][0].shape[0] == 2 * pairs
    assert batch["pixel_values"].shape[0] == pairs * 16
    if count % 2:
        np.testing.assert_array_equal(medium.frames[-1], medium.frames[-2])


def test_eval_prompts_are_training_sequences_up_to_the_header(builder, toy):
    for record in toy.records[:3]:
        full = builder.encode([record])
        prompt = builder.encode([record], answers=False)
        assert full.ids[: len(prompt.ids)] == prompt.ids
        assert full.labels[len(prompt.ids)] != -100


def test_targets_and_conversations(toy):
    from spatialmllm.data.batches import SampleBuilder

    pair = toy.records[:2]
    text = toy.tokenizer.decode(SampleBuilder(toy.config, toy.tokenizer).encode(pair).ids)
    assert text.count("It is `") == 2
    assert text.index(pair[0].question) < text.index(pair[1].question)
    span = SampleBuilder(toy.config, toy.tokenizer, target="span")
    assert span.answer(pair[0]) in ("`left`", "`right`")
    with pytest.raises(ValueError, match="one question"):
        span.turns(pair, answers=False)


def test_a_chain_is_said_before_the_answer_or_the_record_is_refused(toy, monkeypatch):
    import spatial_engine.dataset.chains as chains
    from spatialmllm.data.batches import SampleBuilder

    builder = SampleBuilder(toy.config, toy.tokenizer, target="chain")
    with pytest.raises(ValueError, match="no chain follows"):  # fabricated evidence says nothing
        builder.answer(toy.records[0])
    monkeypatch.setattr(chains, "chain_of", lambda record: None)
    with pytest.raises(ValueError, match="its engine tells no chain"):
        builder.answer(toy.records[0])
    said = builder.saying({toy.records[0].id: "`left`"})
    assert said.answer(toy.records[0]) == "`left`"


def test_too_long_is_refused_not_cut(toy):
    from dataclasses import replace

    from spatialmllm.data.batches import SampleBuilder

    short = replace(toy.config, processor=replace(toy.config.processor, max_tokens=20))
    with pytest.raises(ValueError, match="the limit is 20"):
        SampleBuilder(short, toy.tokenizer).encode([toy.records[0]])


def test_blind_images_are_grey_and_of_the_same_size(toy):
    from spatialmllm.data.batches import SampleBuilder

    sample = SampleBuilder(toy.config, toy.tokenizer, blind=True).sample(
        [toy.records[2]], toy.images
    )
    assert [m.frames.shape for m in sample.media] == [(1, 56, 56, 3)] * 2
    assert {int(v) for m in sample.media for v in np.unique(m.frames)} == {128}


def test_marks_are_drawn_before_resizing_exactly_as_the_drawing_code_does(toy, fabricated):
    from spatial_engine.records.answers import word
    from spatial_engine.records.marks import Mark, draw_marks
    from spatialmllm.data.batches import SampleBuilder
    from spatialmllm.data.preprocessing import resize_image

    mark = Mark(30.0, 40.0, 6, "blue", "A")
    record = fabricated.make_record(
        "depth_perception.value.marked", "room0000", ["room0000_0.png"], "Which?", word("left"),
        marks=[mark],
    )  # fmt: skip
    made = SampleBuilder(toy.config, toy.tokenizer, target="span").sample([record], toy.images)
    with Image.open(toy.root / "room0000_0.png") as image:
        marked = draw_marks(image, [mark], letter_height=8)
    expected = np.asarray(resize_image(marked, toy.config.processor))
    np.testing.assert_array_equal(made.media[0].frames[0], expected)


def test_missing_and_changed_images_are_named(toy, fabricated, tmp_path):
    from spatial_engine.records.answers import word
    from spatialcore.errors import RecordError
    from spatialmllm.data.records import RecordSet

    gone = fabricated.make_record("spatial_relation.x", "room9", ["gone.png"], "?", word("left"))
    records = RecordSet.of([toy.records[0], gone], {"toy": toy.root})
    (missing,) = records.missing_images()
    assert (missing.scene, missing.uri) == ("room9", "gone.png")
    Image.new("RGB", (10, 10)).save(tmp_path / "room0000_0.png")
    other = RecordSet.of([toy.records[0]], {"toy": tmp_path})
    with pytest.raises(RecordError, match="10x10 pixels, recorded as 84x84"):
        other.image(toy.records[0], 0)


def test_folders_shares_and_spaces(toy, fabricated, tmp_path):
    from spatialcore.errors import MissingInput
    from spatialmllm.data.records import RecordFolder, RecordSet, parse_folder, shared_spaces

    out = data_set(tmp_path / "out", toy.root, toy.records)
    every = RecordSet.open([RecordFolder(out)])
    assert [every[i].id for i in range(len(every))] == [r.id for r in toy.records]
    half = RecordSet.open([parse_folder(f"{out}:0.5")])
    assert 0 < len(half) < len(every)
    assert set(half.column("id")) < set(every.column("id"))
    assert shared_spaces(every, half) == sorted({f"toy/{s}" for s in half.column("space")})
    with pytest.raises(MissingInput, match="no records of the split 'val'"):
        RecordSet.open([RecordFolder(out)], split="val")
    assert every.image(every[0], 0).size == (84, 84)


def test_rows_read_together_equal_rows_read_alone(toy):
    from spatial_engine.records.record import records_to_table
    from spatialmllm.data.records import RecordSet

    tables = [records_to_table(toy.records[:4]), records_to_table(toy.records[4:])]
    records = RecordSet([tables[0], tables[1].slice(0, 0), tables[1]], {})
    assert list(records) == list(toy.records) == [records[i] for i in range(len(records))]
    rows = [5, 0, 5, len(records) - 1, 3]
    assert records.at(rows) == [toy.records[row] for row in rows]
    assert records.at([]) == []
    for row in (-1, len(records)):
        with pytest.raises(IndexError, match=f"row {row} of"):
            records.at([0, row])
    assert not list(RecordSet([], {}))


def test_records_in_several_pieces_keep_their_rows(toy, monkeypatch):
    from spatial_engine.records.record import records_to_table
    from spatialmllm.data import records as module

    monkeypatch.setattr(module, "_PIECE_BYTES", 1)
    records = module.RecordSet([records_to_table([record]) for record in toy.records], {})
    rows = list(range(len(records)))[::-1]
    assert records.at(rows) == [toy.records[row] for row in rows]
    places = [toy.records.index(record) for record in records.spread(3)]
    assert len(places) == 3
    assert places == sorted(places)


def test_a_still_stands_in_both_places_of_its_pair():
    from spatialmllm.data.preprocessing import Medium, medium_rows

    frame = np.random.default_rng(0).integers(0, 256, (1, 56, 84, 3), dtype=np.uint8)
    rows = medium_rows(Medium(frame, still=True))
    assert np.array_equal(rows, medium_rows(Medium(np.concatenate([frame, frame]), still=False)))


def test_padding_changes_no_loss_and_no_gradient(toy, builder):
    import torch

    from spatialmllm.data.batches import collate
    from spatialmllm.model.model import build

    images = toy.images
    batch = collate([builder.sample(toy.records[i : i + 1], images) for i in (0, 2, 5)], toy.config)
    assert (batch["attention_mask"].sum(dim=1) < batch["attention_mask"].shape[1]).any()
    found = []
    # The eager form computes padding and hides it; the packed one leaves it out.
    for attention in ("eager", "sdpa"):
        model = build(toy.config, seed=7, attention=attention).train()
        loss = model(**batch).loss
        loss.backward()
        grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        found.append((loss.detach(), grads))
    (eager, expected), (packed, grads) = found
    torch.testing.assert_close(packed, eager)
    assert grads.keys() == expected.keys()
    for name in grads:
        torch.testing.assert_close(grads[name], expected[name], rtol=1e-4, atol=1e-6)
