# SPDX-License-Identifier: Apache-2.0
"""Sequences laid end to end: the batch says where tokens are, and no GPU is waited for."""

from __future__ import annotations

import pytest


@pytest.fixture
def batch(toy):
    from spatialmllm.data.batches import SampleBuilder, collate

    builder = SampleBuilder(toy.config, toy.tokenizer)
    samples = [builder.sample([toy.records[i]], toy.images) for i in (0, 2, 5)]
    return collate(samples, toy.config)


@pytest.fixture
def model(toy):
    from spatialmllm.model.model import build

    return build(toy.config, seed=7)


def test_what_the_batch_says_is_what_would_be_looked_up(model, batch):
    import torch

    without = {key: value for key, value in batch.items() if key != "places"}
    grads = []
    for shown in (batch, without):
        model.zero_grad()
        loss = model(**shown).loss
        loss.backward()
        grads.append([loss, *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
    assert all(map(torch.equal, *grads))
    lengths = batch["attention_mask"].sum(1).tolist()
    assert batch["places"]["lengths"] == lengths
    assert len(set(lengths)) > 1
    assert batch["places"]["starts"].tolist()[-1] == sum(lengths)


def test_places_that_do_not_fit_what_is_seen_are_refused(model, batch):
    import torch

    batch["places"]["visual"] = batch["places"]["visual"][:-1]
    with pytest.raises(ValueError, match="visual placeholders"), torch.no_grad():
        model(**batch)


def test_the_kernel_of_variable_lengths_gets_each_sequence_alone(model, batch, monkeypatch):
    """The kernel runs on GPUs alone; here a slow one of the same contract stands in its place."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    from spatialmllm.model import backbone

    calls = []

    def slow(q, k, v, starts, key_starts, longest, key_longest, *, scale, window_size, enable_gqa):
        calls.append(window_size)
        assert starts.dtype == torch.int32
        assert longest == key_longest == int(starts.diff().max())
        assert torch.equal(starts, key_starts)
        made = torch.empty_like(q)
        for begin, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            parts = [x[begin:end].transpose(0, 1)[None] for x in (q, k, v)]
            mixed = scaled_dot_product_attention(
                *parts, is_causal=True, scale=scale, enable_gqa=enable_gqa
            )
            made[begin:end] = mixed[0].transpose(0, 1)
        return made

    with torch.no_grad():
        expected = float(model(**batch).loss)
        monkeypatch.setattr(backbone, "varlen_attn", slow)
        monkeypatch.setattr(backbone, "_has_kernel", lambda _: True)
        assert float(model(**batch).loss) == pytest.approx(expected, rel=1e-6)
    assert calls == [(-1, 0)] * model.settings.text.num_hidden_layers


def test_the_kernel_takes_the_arguments_it_is_given():
    """The library's own description of the kernel, on tensors that are on no device."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from spatialmllm.model.backbone import Packing, _variable_lengths

    with FakeTensorMode():
        query = torch.empty(1, 4, 9, 16, dtype=torch.bfloat16)
        key = torch.empty(1, 2, 9, 16, dtype=torch.bfloat16)
        packing = Packing(torch.arange(9), torch.empty(3, dtype=torch.int32), (4, 5))
        made = _variable_lengths(query, key, key, packing, 0.25)
    assert made.shape == (9, 4, 16)
    assert made.dtype == torch.bfloat16


def test_decoder_and_loss_read_no_number_from_the_device(model, batch):
    """On tensors without numbers, as a GPU's are to the host, reading one is an error."""
    import torch
    from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True) as mode:

        def faked(value):
            if isinstance(value, dict):
                return {key: faked(part) for key, part in value.items()}
            return mode.from_tensor(value) if isinstance(value, torch.Tensor) else value

        for module in model.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    module._parameters[name] = torch.nn.Parameter(mode.from_tensor(parameter.data))
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = mode.from_tensor(buffer)
        made = faked(batch)
        names = ("input_ids", "attention_mask", "position_ids", "labels", "places")
        inputs = {name: made[name] for name in names}
        visual = torch.empty(len(made["places"]["visual"]), model.settings.text.hidden_size)
        count = torch.ones((), dtype=torch.long)
        model(**inputs, visual=visual, num_items_in_batch=count).loss.backward()
        inputs.pop("places")
        with pytest.raises(DynamicOutputShapeException):
            model(**inputs, visual=visual, num_items_in_batch=count)
