# SPDX-License-Identifier: Apache-2.0
"""The gates of trust: what a blind reader gives away is kept, and hidden things are found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn (extra stress) is not installed")

from benchmarks import blind, hidden
from spatial_engine.dataset.blind_rows import Told
from spatial_engine.dataset.stress import Share, attacked
from spatial_engine.engines.base import Named


def rows(count: int, told: float, seed: int) -> list[Told]:
    """Yes or no; a word of the question says which in so many of them, and the words lean."""
    dice = np.random.default_rng(seed)
    out = []
    for k in range(count):
        truth = int(dice.random() < 0.5)
        word = truth if dice.random() < told else 1 - truth
        features = {f"slot={word}": 1.0}
        out.append(Told(f"r{k}", f"room{k % 8}", "word", ("no", "yes")[truth], features, ()))
    return out


def test_what_is_past_is_told_from_what_is_too_few_to_say() -> None:
    many = attacked(200, rows(200, 0.9, 1), 0.5)
    assert blind.verdict(many) == "past"
    fair = attacked(200, rows(200, 0.5, 2), 0.5)
    assert blind.verdict(fair) == ""
    reaches = Share(many.bound + 0.05, many.bound - 0.1, many.bound + 0.2, 30.0)
    assert blind.verdict(replace(many, text=reaches)) == blind.FEW
    page = blind.page({"a": many, "b": fair}, "8 rooms")
    assert "1 of 2 tasks stay within their bound, 1 are past it" in page
    assert page.splitlines()[-2].endswith("| past |")


def test_a_task_is_attacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = [SimpleNamespace(done=SimpleNamespace(hash="a"))]
    monkeypatch.setattr(blind.Dataset, "open", lambda _: SimpleNamespace(shards=shards))
    sample = SimpleNamespace(rows=200)
    found = {"x": (sample, rows(200, 0.9, 1), 0.5), "y": (sample, rows(200, 0.5, 2), 0.5)}
    monkeypatch.setattr(blind, "attackable", lambda *_, **__: found)
    calls: list[int] = []

    def counted(*asked: Any) -> Any:
        if len(calls) == 1:
            calls.append(0)
            raise KeyboardInterrupt
        calls.append(1)
        return attacked(*asked)

    monkeypatch.setattr(blind, "attacked", counted)
    kept = tmp_path / "attacked.json"
    with pytest.raises(KeyboardInterrupt):
        blind.attacked_tasks([tmp_path], kept, 100)
    first = blind.attacked_tasks([tmp_path], kept, 100)
    assert sum(calls) == 2
    assert blind.attacked_tasks([tmp_path], kept, 100) == first
    assert sum(calls) == 2
    assert first["x"].text == attacked(200, rows(200, 0.9, 1), 0.5).text
    shards[0].done.hash = "other records"
    blind.attacked_tasks([tmp_path], kept, 100)
    assert sum(calls) == 4


def test_a_thing_that_no_frame_shows_is_hidden() -> None:
    drawn = []

    def open_share(frame: int, object_id: int) -> float:
        drawn.append(frame)
        return float(object_id == 1 and frame == 3)

    reference: Any = SimpleNamespace(open_share=open_share)
    things = [Named(1, (2, 3, 4)), Named(2, (2, 3)), Named(1, (5,))]
    found = dict(hidden.looked_at(reference, dict.fromkeys(things), most=2))
    assert found == dict(zip(things, ("open", "hidden", "beyond"), strict=True))
    assert set(drawn) == {2, 3}
