# SPDX-License-Identifier: Apache-2.0
"""What training draws: mixtures of sets, rows without images, batches by tokens; imported sets."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.fabricate import data_set, jpeg


@pytest.fixture(scope="module")
def sets(toy, tmp_path_factory):
    """Two sets of 12 and 36 records, each of rooms of its own."""
    root = tmp_path_factory.mktemp("sets")
    few = [r for r in toy.records if r.scene < "room0002"]
    many = [r for r in toy.records if r.scene >= "room0002"]
    assert len(many) == 3 * len(few)
    return [str(data_set(root / n, toy.root, r)) for n, r in (("few", few), ("many", many))]


def _order(toy, folders, **options):
    from spatialmllm.data.batches import SampleBuilder
    from spatialmllm.data.records import RecordSet, parse_folder
    from spatialmllm.training.order import SequenceOrder

    records = RecordSet.open(map(parse_folder, folders), whole=True)
    builder = SampleBuilder(toy.config, toy.tokenizer)
    settings = {"turns_per_sequence": 1, "global_batch": 8, "seed": 0} | options
    return SequenceOrder(records, builder, **settings)


def _rows(order, steps):
    return Counter(row for s in range(steps) for q in order.step(s) for row in q.rows)


def test_weights_draw_more_and_less(toy, sets):
    few, many = sets
    plain = _order(toy, [few, many])
    n = plain.sequences
    assert [(p.weight, p.sequences, p.per_epoch) for p in plain.mixture] == [(1.0, n, n)]
    order = _order(toy, [f"{few}:2.5", f"{many}:0.5"])
    a, b = order.mixture
    assert (a.per_epoch, b.per_epoch) == (round(2.5 * a.sequences), round(0.5 * b.sequences))
    assert order.sequences == a.per_epoch + b.per_epoch
    steps = order.sequences // order.global_batch * 2  # about two epochs
    seen = _rows(order, steps)
    assert {seen[row] for row in range(a.sequences)} <= {4, 5, 6}
    # Two epochs of one half each show all of a set once.
    two = [row for s in range(2 * order.sequences // 8) for q in order.step(s) for row in q.rows]
    assert len({row for row in two if row >= a.sequences}) >= b.sequences - 8
    assert _rows(_order(toy, [f"{few}:2.5", f"{many}:0.5"]), steps) == seen


def test_temperature_evens_sets_out(toy, sets):
    n, m = (p.per_epoch for p in _order(toy, [f"{sets[0]}:1", sets[1]], temperature=2.0).mixture)
    assert m / n == pytest.approx(3**0.5, rel=0.05)
    even = [p.per_epoch for p in _order(toy, sets, temperature=1000.0).mixture]
    assert max(even) - min(even) <= 1


def test_weights_are_checked(toy, sets):
    from spatialmllm.data.records import RecordSet, parse_folder

    for text in ("out:0", "out:1001"):
        with pytest.raises(ValueError, match="a weight lies above 0"):
            parse_folder(text)
    with pytest.raises(ValueError, match="for training alone"):
        RecordSet.open([parse_folder(f"{sets[0]}:2")])


def test_a_share_of_no_rows_is_no_rows():
    import pyarrow as pa

    from spatialmllm.data.records import _shared

    for ids in ([], [str(k) for k in range(400)]):
        kept = _shared(pa.table({"id": pa.array(ids, pa.string())}), 0.5).num_rows
        assert kept == pytest.approx(len(ids) / 2, rel=0.2)


def test_micro_batches_by_tokens_are_full_and_the_same_for_any_world(toy, sets):
    longest = max(s.tokens for s in _order(toy, sets).step(0))
    budget = 3 * longest + 1
    order = _order(toy, sets, batch_tokens=budget, micro_batch=2, turns_per_sequence=2)
    steps = 6
    whole = [order.micro_batches(s, rank=0, world_size=1, size=2) for s in range(steps)]
    assert all(len(step) == 4 for step in whole)
    for batch in (batch for step in whole for batch in step):
        assert len(batch) == 1 or len(batch) * max(s.tokens for s in batch) <= budget
    assert max(len(batch) for step in whole for batch in step) >= 3
    again = _order(toy, sets, batch_tokens=budget, micro_batch=2, turns_per_sequence=2)
    two = [again.micro_batches(5, rank=r, world_size=2, size=2) for r in (0, 1)]
    assert sorted(two[0] + two[1], key=repr) == sorted(whole[5], key=repr)
    one_epoch = order.steps(1.0)
    seen = Counter(q.rows for s in range(one_epoch) for q in order.step(s))
    assert len(seen) == order.sequences  # a pass over the data is one
    assert order.epoch_at(one_epoch) == pytest.approx(1.0, abs=4 / one_epoch)


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    from spatial_engine.importing import ImportRequest, import_files

    root = tmp_path_factory.mktemp("imported")
    (root / "a.jpg").write_bytes(jpeg((56, 56)))
    names = ("human", "gpt")

    def row(image, *texts):
        turns = [{"from": names[k % 2], "value": text} for k, text in enumerate(texts)]
        return {"conversations": turns} | ({"image": image} if image else {})

    rows = [
        row("a.jpg", "<image>\nwhat is it", "a chair", "its colour", "red"),
        row(None, "say one", "one"),
        row(None, "say two", "two"),
    ] * 3
    (root / "rows.json").write_text(json.dumps(rows))
    import_files(ImportRequest(root / "rows.json"), root / "out")
    return root / "out"


def test_training_takes_imported_sets_beside_made_ones(toy, sets, imported, tmp_path, capsys):
    from spatialmllm.commands.train import main

    size = toy.config
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        "[model]\nrandom_init = true\n"
        "[model.text]\nhidden_size = 32\nintermediate_size = 48\nnum_hidden_layers = 1\n"
        "num_attention_heads = 2\nnum_key_value_heads = 1\nmrope_section = [2, 3, 3]\n"
        "[model.vision]\ndepth = 1\nhidden_size = 32\nintermediate_size = 32\nnum_heads = 2\n"
        "window_size = 56\nfullatt_block_indexes = [0]\nout_hidden_size = 32\n"
        '[model.connector]\nkind = "none"\n'
        '[processor]\nresize = "exact"\nwidth = 56\nheight = 56\nmax_tokens = 1024\n'
        '[data]\nworkers = 0\ntarget = "span"\n'
        "[optimiser]\nfreeze = []\nlr = 1e-3\n"
        '[schedule]\nmax_steps = 3\nglobal_batch = 4\nmicro_batch = 1\nprecision = "float32"\n'
        "batch_tokens = 300\n"
    )
    assert size.processor.width == 56
    folders = [sets[0], f"{imported}:3"]
    assert main(["--records", *folders, "--config", str(recipe), "--out", str(tmp_path / "r")]) == 0
    told = capsys.readouterr().err
    assert "weight 3: 9 records, 9 sequences, 27 an epoch" in told
    assert "6 records show no image" in told
    lines = (tmp_path / "r/metrics.jsonl").read_text().splitlines()
    assert len(lines) == 3
    again = [sets[0], f"{imported}:2"]
    assert main(["--records", *again, "--config", str(recipe), "--out", str(tmp_path / "r")]) == 2
    assert "holds another run" in capsys.readouterr().err


def test_imported_conversations_are_asked_with_their_turns(toy, imported):
    from spatialmllm.data.batches import SampleBuilder
    from spatialmllm.data.records import RecordSet, parse_folder
    from spatialmllm.data.tokens import build_tiny
    from spatialmllm.evaluation.answerers import Replies, prompts

    records = RecordSet.open([parse_folder(str(imported))])
    first = records[0]
    (prompt,) = prompts([first], records, Replies(), blind=False)
    roles = [(role, [type(part).__name__ for part in parts]) for role, parts in prompt.turns()]
    assert roles == [("user", ["Image", "str"]), ("assistant", ["str"]), ("user", ["str"])]
    texts = [turn.content for record in records for turn in record.messages]
    builder = SampleBuilder(toy.config, build_tiny([*texts, "You are a helpful assistant."]))
    turns = builder.turns([first], answers=True)
    said = ["<image>\nwhat is it", "a chair", "its colour", "red"]
    assert [turn.content for turn in turns[1:]] == said
    assert [turn.role for turn in builder.turns([first], answers=False)][-1] == "user"
    answered = builder.sample([first], records)
    supervised = [
        i for i, label in zip(answered.ids, answered.labels, strict=True) if label != -100
    ]
    assert "chair" in builder.tokenizer.decode(supervised)
    assert builder.blank().labels == [-100] * len(builder.blank().ids)
