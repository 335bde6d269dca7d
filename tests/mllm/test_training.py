# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace

import pytest

from spatialcore.folders import MARK
from tests.fabricate import data_set


@pytest.fixture(scope="module")
def recipe(tiny):
    from spatialmllm.training.recipe import (
        DataRecipe,
        ModelRecipe,
        OptimiserRecipe,
        Recipe,
        ScheduleRecipe,
    )

    config = tiny()
    return Recipe(
        name="test",
        model=ModelRecipe(
            config.text, config.vision, config.spatial, config.connector, random_init=True
        ),
        processor=config.processor,
        data=DataRecipe(turns_per_sequence=3, target="span", workers=0),
        optimiser=OptimiserRecipe(
            lr=3e-3, lr_projector=3e-3, lr_encoders=3e-3, weight_decay=0.01, freeze=()
        ),
        schedule=ScheduleRecipe(
            max_steps=8, global_batch=4, micro_batch=4, warmup_share=0.25, save_every=100,
            precision="float32",
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(toy, fabricated, tmp_path_factory):
    return data_set(tmp_path_factory.mktemp("records") / "out", toy.root, toy.records)


def _request(recipe, folder, out, **options):
    from spatialmllm.training.sft import TrainRequest

    return TrainRequest((str(folder),), recipe, out, **options)


def _schedule(recipe, **options):
    return replace(recipe, schedule=replace(recipe.schedule, **options))


def _run(recipe, folder, out, *, stop_after=None, **options):
    """Train; returns the result and the losses of metrics.jsonl as exact hexadecimal numbers."""
    from spatialmllm.training.callbacks import StopRequest
    from spatialmllm.training.sft import prepare, train

    stop, events = StopRequest(), []

    def sink(event):
        events.append(event)
        if event.kind == "step" and event.step == stop_after:
            stop.ask("the test stops here")

    result = train(prepare(_request(recipe, folder, out, **options)), stop, sink)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    return result, [line["loss_hex"] for line in lines], events


@pytest.fixture(scope="module")
def reference(recipe, folder, tmp_path_factory):
    """An undisturbed run of 8 steps."""
    out = tmp_path_factory.mktemp("runs") / "reference"
    return out, *_run(recipe, folder, out)


def test_a_run_leaves_what_it_promises(reference, toy):
    from spatialmllm.checkpoints import load
    from spatialmllm.data.tokens import ChatTokenizer

    out, result, losses, events = reference
    assert result.finished
    assert len(losses) == 8
    names = {path.name for path in out.iterdir()}
    assert names == {"manifest.json", "recipe.json", "metrics.jsonl", "loss.png", "model", MARK,
                     "checkpoint-8"}  # fmt: skip
    assert not list(out.rglob("training_args.bin"))
    assert load(out / "model").settings.text.hidden_size == 64
    assert ChatTokenizer.from_file(out / "model").encode("left")
    assert [event.kind for event in events] == ["step"] * 8 + ["saved"]
    line = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["lr"].keys() == {
        f"{rate}/{kind}" for rate in ("lr", "lr_projector", "lr_encoders")
        for kind in ("decay", "plain")
    }  # fmt: skip
    assert line["tokens"] > 0


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_stopped_run_continues_bit_for_bit(recipe, folder, tmp_path, accumulation):
    recipe = _schedule(recipe, micro_batch=4 // accumulation)
    _, whole, _ = _run(recipe, folder, tmp_path / "whole")
    first, before, _ = _run(recipe, folder, tmp_path / "cut", stop_after=3)
    assert first.stopped == "the test stops here"
    assert not first.finished
    assert len(before) in (3, 4)
    second, after, _ = _run(recipe, folder, tmp_path / "cut")
    assert second.finished
    assert after == whole
    _assert_equal_weights(tmp_path / "whole/model", tmp_path / "cut/model")


def _assert_equal_weights(first, second):
    import torch
    from safetensors.torch import load_file

    a, b = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_accumulation_changes_only_the_order_of_sums(recipe, folder, tmp_path, reference):
    """The mistake this guards against shifts the loss by 1e-4 relative."""
    expected = [float.fromhex(text) for text in reference[2]]
    for micro in (2, 1):
        made = _run(_schedule(recipe, micro_batch=micro), folder, tmp_path / str(micro))[1]
        for got, want in zip(map(float.fromhex, made), expected, strict=True):
            assert got == pytest.approx(want, rel=2e-5)


def test_damaged_and_unfinished_checkpoints_are_passed_over(recipe, folder, tmp_path):
    from spatialmllm.training.checkpoint import is_valid, newest_valid

    out = tmp_path / "run"
    schedule = _schedule(recipe, save_every=2, keep_last=9)
    _, whole, _ = _run(schedule, folder, out)
    assert newest_valid(out).name == "checkpoint-8"
    weights = out / "checkpoint-8/model/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (out / "checkpoint-6/complete.json").unlink()
    (out / "checkpoint-10.tmp").mkdir()
    assert not is_valid(out / "checkpoint-8")
    assert newest_valid(out).name == "checkpoint-4"
    _, again, _ = _run(schedule, folder, out)
    assert again == whole


def test_the_model_learns_a_handful_by_heart(recipe, toy, fabricated, tmp_path):
    few = [record for record in toy.records if record.scene <= "room0003"]
    folder = data_set(tmp_path / "few", toy.root, few)
    memorise = _schedule(recipe, max_steps=50)
    _, losses, _ = _run(memorise, folder, tmp_path / "run")
    assert float.fromhex(losses[0]) > 1.0
    assert float.fromhex(losses[-1]) < 0.05


def test_another_run_in_the_folder_is_refused(recipe, folder, reference):
    from spatialmllm.training.sft import RequestError

    with pytest.raises(RequestError, match="holds another run: recipe was"):
        _run(_schedule(recipe, seed=5), folder, reference[0])
    with pytest.raises(RequestError, match="holds another run: blind was False"):
        _run(recipe, folder, reference[0], blind=True)


def test_a_loss_that_is_not_finite_stops_with_the_records(recipe, folder, tmp_path, monkeypatch):
    from spatialmllm.model.model import SpatialMLLM
    from spatialmllm.training.stage import TrainingFailed

    inner = SpatialMLLM._loss
    monkeypatch.setattr(SpatialMLLM, "_loss", lambda *args: inner(*args) * float("nan"))
    with pytest.raises(TrainingFailed, match=r"the loss is nan in step 1; records: \w+\.\w+/room"):
        _run(recipe, folder, tmp_path / "run")


def test_bad_images_are_an_error_or_counted(recipe, toy, fabricated, tmp_path):
    from spatialmllm.training.loader import BadSample
    from spatialmllm.training.sft import RequestError

    root = tmp_path / "images"
    root.mkdir()
    records = fabricated.make_records(root, 6)
    folder = data_set(tmp_path / "out", root, records)
    # Only the second image of a room is damaged, so the check of first images cannot see it.
    (root / "room0002_1.png").write_bytes(b"no image")
    with pytest.raises(BadSample, match="room0002"):
        _run(recipe, folder, tmp_path / "strict")
    result, _, events = _run(recipe, folder, tmp_path / "lenient", skip_bad=50)
    assert result.finished
    assert result.bad_samples
    assert all("room0002" in text for text in result.bad_samples)
    assert len([e for e in events if e.kind == "bad"]) == len(result.bad_samples)
    (root / "room0001_0.png").unlink()
    with pytest.raises(RequestError, match="images of 1 scenes are missing"):
        _run(recipe, folder, tmp_path / "missing")


def test_a_space_on_both_sides_is_refused(recipe, folder, toy, fabricated, tmp_path):
    from spatialmllm.training.sft import RequestError, prepare

    held_out = [replace(record, split="val") for record in toy.records[:3]]
    other = data_set(tmp_path / "val", toy.root, held_out)
    with pytest.raises(RequestError, match="1 spaces are in the training records"):
        prepare(_request(recipe, folder, tmp_path / "run", eval_records=(str(other),)))


def test_every_step_sees_the_same_sequences_on_any_number_of_processes(recipe, folder, tmp_path):
    from spatialmllm.training.sft import prepare

    order = prepare(_request(recipe, folder, tmp_path)).order
    for step in (0, 3, 17):
        whole = sorted(s.rows for s in order.step(step))
        for world, size in ((1, 4), (2, 2), (4, 1), (2, 1)):
            made = [
                sequence.rows
                for rank in range(world)
                for micro in order.micro_batches(step, rank=rank, world_size=world, size=size)
                for sequence in micro
            ]
            assert sorted(made) == whole
    rows = [row for step in range(order.sequences // 4) for s in order.step(step) for row in s.rows]
    assert len(rows) == len(set(rows))


def test_settings_that_would_silently_change_results(recipe, folder, tmp_path):
    from spatialmllm.model.model import SpatialMLLM
    from spatialmllm.training.sft import prepare, training_arguments

    args = training_arguments(prepare(_request(recipe, folder, tmp_path)))
    assert args.remove_unused_columns is False
    assert args.logging_nan_inf_filter is False
    assert args.average_tokens_across_devices is True
    assert args.disable_tqdm is True
    assert args.ignore_data_skip is True
    assert SpatialMLLM.accepts_loss_kwargs is True


def test_groups_decay_matrices_only_and_skip_frozen_parts(recipe, toy):
    from spatialmllm.model.model import build
    from spatialmllm.training.parameters import parameter_groups

    model = build(toy.config).freeze(["vision", "spatial"])
    groups = {g["name"]: g for g in parameter_groups(model, recipe.optimiser)}
    assert groups.keys() == {"lr/decay", "lr/plain", "lr_projector/decay", "lr_projector/plain"}
    assert all(p.ndim >= 2 for p in groups["lr/decay"]["params"])
    assert all(p.ndim < 2 for p in groups["lr/plain"]["params"])
    assert groups["lr/plain"]["weight_decay"] == 0
    norms = [p for n, p in model.named_parameters() if n == "model.norm.weight"]
    assert any(p is norms[0] for p in groups["lr/plain"]["params"])
    total = sum(p.numel() for g in groups.values() for p in g["params"])
    assert total == sum(p.numel() for p in model.parameters() if p.requires_grad)
    with pytest.raises(ValueError, match="every part"):
        parameter_groups(
            model.freeze(["vision", "merger", "spatial", "connector", "decoder"]), recipe.optimiser
        )
