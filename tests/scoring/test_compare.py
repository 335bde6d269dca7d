# SPDX-License-Identifier: Apache-2.0
"""A model beside its baselines, on records whose scores are known by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from spatial_engine.scoring import compare as module
from spatial_engine.scoring.compare import compare, format_comparison


@pytest.fixture
def records(monkeypatch):
    """Eight records of task a, four of b; a response is right when it is "1"."""

    def right(record, response, *, dialect):
        return SimpleNamespace(value=float(response == "1"))

    monkeypatch.setattr(module, "score", right)
    return [
        SimpleNamespace(id=f"{t}{i}", task=t) for t, n in (("a", 8), ("b", 4)) for i in range(n)
    ]


def test_gains_and_paired_intervals_by_hand(records):
    model = {r.id: "1" for r in records if r.task == "a"}  # b is unanswered: wrong
    half = {r.id: "1" for i, r in enumerate(records) if i % 2}
    rows = compare(records, model, {"blind-eval": half, "frequency": {}, "oracle": model})
    first, second = rows
    assert (first.task, first.n, first.value, second.value) == ("a", 8, 1.0, 0.0)
    assert first.best == "blind-eval"
    gained = first.baselines["blind-eval"]
    assert (gained.value, gained.gain) == (0.5, 0.5)
    assert 0 < gained.low < 0.5 < gained.high <= 1
    # Equal pairs leave nothing to chance, though each score alone would have an interval.
    assert compare(records, half, {"blind-eval": half})[0].baselines["blind-eval"].high == 0
    assert (first.baselines["frequency"].low, first.baselines["frequency"].high) == (1, 1)
    assert second.baselines["blind-eval"].gain == -0.5


def test_claims_are_made_against_what_looks_at_nothing(records):
    rows = compare(records, {}, {"random": {r.id: "1" for r in records}, "oracle": {}})
    assert rows[0].best == ""
    table = format_comparison([row.to_json() for row in rows])
    assert table.splitlines()[0].split()[:4] == ["task", "model", "random", "oracle"]
    claimed = compare(records, {}, {"frequency": {}, "blind-trained": {"a0": "1"}})
    assert claimed[0].best == "blind-trained"
    assert "-12.5 (" in format_comparison([row.to_json() for row in claimed])
    assert format_comparison([]) == ""
    with pytest.raises(ValueError, match="nothing to compare"):
        compare(records, {}, {})
