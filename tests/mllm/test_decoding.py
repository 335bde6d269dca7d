# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def ready(toy):
    from spatialmllm.data.batches import SampleBuilder, collate
    from spatialmllm.model.model import build

    model = build(toy.config, seed=7)  # none of its first tokens stands for an image
    builder = SampleBuilder(toy.config, toy.tokenizer)
    samples = [builder.sample([toy.records[i]], toy.images, answers=False) for i in (2, 0, 4)]
    samples.append(builder.ask("How many squares are there?", []))
    return model, samples, collate(samples, toy.config, pad="left")


def _uncached(model, sample, steps):
    """Recompute the whole sequence for every token; positions continue after the prompt's."""
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
            following = positions.max() + 1
            positions = torch.cat([positions, following.expand(3, 1, 1)], dim=2)
    return tokens


def test_cached_batches_equal_uncached_solo_runs(ready):
    from spatialmllm.decoding import Sampling, generate

    model, samples, batch = ready
    model.eval()
    made = generate(model, batch, Sampling(max_new_tokens=6), end_ids=())
    assert made == [_uncached(model, sample, 6) for sample in samples]
    assert len({tuple(row) for row in made}) > 1


def test_rows_stop_at_their_own_end(ready):
    from spatialmllm.decoding import Sampling, generate

    model, _, batch = ready
    free = generate(model, batch, Sampling(max_new_tokens=6), end_ids=())
    stop = free[0][2]
    ended = generate(model, batch, Sampling(max_new_tokens=6), end_ids=(stop,))
    expected = [row[: row.index(stop)] if stop in row else row for row in free]
    assert ended == expected


def test_the_model_keeps_its_mode(ready):
    from spatialmllm.decoding import Sampling, generate

    model, _, batch = ready
    model.train()
    generate(model, batch, Sampling(max_new_tokens=1))
    assert model.training


def test_sampling_is_a_function_of_its_seed_and_top_p_keeps_the_first(ready):
    import torch

    from spatialmllm.decoding import Sampling, generate

    model, _, batch = ready
    draw = Sampling(max_new_tokens=5, temperature=2.0, seed=3)
    torch.manual_seed(11)
    before = torch.get_rng_state()
    made = generate(model, batch, draw)
    assert torch.equal(before, torch.get_rng_state())  # the process's own draws go on
    assert made == generate(model, batch, draw)
    assert made != generate(model, batch, Sampling(max_new_tokens=5, temperature=2.0, seed=4))
    tight = Sampling(max_new_tokens=5, temperature=2.0, top_p=1e-6)
    assert generate(model, batch, tight) == generate(model, batch, Sampling(max_new_tokens=5))
    with pytest.raises(ValueError, match="top_p"):
        Sampling(top_p=0.0)


def test_a_warm_draw_leaves_no_token_out(ready):
    """The library keeps the fifty likeliest tokens unless it is told not to."""
    from spatialmllm.decoding import Sampling, library_config

    model, _, _ = ready
    assert model.settings.text.vocab_size > 50
    assert library_config(Sampling(temperature=1.0), {2}, 0).top_k == 0
