# SPDX-License-Identifier: Apache-2.0
"""The stress test finds what is given away, finds nothing where nothing is, and prunes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn (extra stress) is not installed")

from spatial_engine.check.verify import verify
from spatial_engine.commands import generate, stats
from spatial_engine.dataset import prune as pruning
from spatial_engine.dataset.blind_rows import Features, Sample, Told, folds_of
from spatial_engine.dataset.dataset import Dataset
from spatial_engine.dataset.prune import Pruned, prune, to_remove
from spatial_engine.dataset.stress import TaskStress, attacked, kept_blind, save, stress
from spatial_engine.records.record import QARecord
from spatialcore.sample import SampleConfig, make_sample

ROWS, ROOMS = 500, 10
CATEGORIES = ("bed", "lamp", "desk", "shelf", "chair", "sofa", "rug", "stool")
Dice = np.random.Generator


def rows_of(make: Callable[[Dice], Told], seed: int) -> list[Told]:
    dice = np.random.default_rng(seed)
    return [replace(make(dice), id=f"r{k}", space=f"room{k % ROOMS}") for k in range(ROWS)]


def choice(part: str, features: list[Features], truth: int) -> Told:
    return Told("", "", "choice", truth, {}, tuple({part: one} for one in features))


def found(make: Callable[[Dice], Told], guess: float | None = None, seed: int = 5) -> TaskStress:
    return attacked(ROWS, rows_of(make, seed), guess)


def ranked(dice: Dice, chances: list[float]) -> Told:
    """Four numbers; how often each rank is the truth."""
    rank = int(dice.choice(4, p=chances))
    order = dice.permutation(4)
    return choice("option", [{f"rank={k}": 1.0} for k in order], int(np.argmax(order == rank)))


def dotted(dice: Dice, central: bool) -> Told:
    """Four dots; whether the one in the middle of the others is always right."""
    dots = dice.uniform(0, 1, (4, 2))
    away = np.linalg.norm(dots - dots.mean(axis=0), axis=1)
    truth = int(away.argmin()) if central else int(dice.integers(4))
    return choice(
        "dot", [{"u": u, "v": v, "centre": c} for (u, v), c in zip(dots, away, strict=True)], truth
    )


def test_options_that_tell_are_found_and_fair_ones_are_not() -> None:
    told = found(lambda dice: ranked(dice, [0.0, 0.5, 0.5, 0.0]))
    assert told.option is not None
    assert 0.42 < told.option.value < 0.6  # the middle two are told from the others, not apart
    assert not told.within
    fair = found(lambda dice: ranked(dice, [0.25] * 4))
    assert fair.option is not None
    assert (fair.within, fair.chance) == (True, 0.25)
    assert fair.bound == pytest.approx(0.25 + 3 * math.sqrt(0.25 * 0.75 / ROWS))


def test_a_central_dot_is_found() -> None:
    told, fair = (found(lambda dice, c=c: dotted(dice, c)) for c in (True, False))  # type: ignore[misc]
    assert told.dot is not None
    assert fair.dot is not None
    assert told.dot.value > 0.8
    assert not told.within
    assert fair.within


def pair(dice: Dice, varies: float) -> Told:
    """Which of two things is higher: a lamp over a bed, but for a share."""
    a, b = dice.choice(len(CATEGORIES), 2, replace=False)
    above = bool(a > b) != bool(dice.random() < varies)
    first, second = f"first={CATEGORIES[a]}", f"second={CATEGORIES[b]}"
    said = {first: 1.0, second: 1.0, f"{first}&{second}": 1.0}
    return Told("", "", "word", "above" if above else "below", said)


def test_an_order_of_categories_is_learnt_from_text() -> None:
    told, fair = (found(lambda dice, v=v: pair(dice, v), 0.5) for v in (0.0, 0.5))  # type: ignore[misc]
    assert told.text.value > 0.9
    assert not told.within
    assert fair.within
    assert fair.text.value < 0.6
    # The records that were given away are those that a blind reader is sure of.
    assert np.mean(list(told.bias.values())) > 0.8


def test_words_that_never_occur_do_not_lower_what_a_guess_is_worth() -> None:
    """Two of six words are asked equally often: half is a guess, whatever other rooms teach."""
    told = found(lambda dice: Told("", "", "word", ("left", "right")[dice.integers(2)], {}), 1 / 6)
    assert 0.6 <= told.bound < 0.65
    one_of_six = found(lambda dice: Told("", "", "word", str(dice.integers(6)), {}), 1 / 6)
    assert one_of_six.bound < 0.33


def sized(dice: Dice, hint: bool) -> Told:
    """A size that its category tells within a fifth, or that another number gives away."""
    k = int(dice.integers(len(CATEGORIES)))
    size = float(30 * 1.5**k * dice.uniform(0.9, 1.1)) if not hint else float(dice.uniform(20, 900))
    said: Features = {f"category={CATEGORIES[k]}": 1.0} | ({"x": size / 1000} if hint else {})
    return Told("", "", "number", size, said, category=CATEGORIES[k])


def test_numbers_may_be_known_of_their_category_but_of_nothing_else() -> None:
    known = found(lambda dice: sized(dice, hint=False))
    assert known.prior is not None
    assert known.prior.value > 0.9
    assert known.within
    assert known.constant.value < 0.4
    hinted = found(lambda dice: sized(dice, hint=True))
    assert hinted.text.value > 0.8
    assert not hinted.within


def test_no_room_is_on_both_sides() -> None:
    rows = rows_of(lambda dice: pair(dice, 0.5), 1)
    seen = []
    for train, held in folds_of(rows, 5):
        assert not {rows[k].space for k in train} & {rows[k].space for k in held}
        seen += held
    assert sorted(seen) == list(range(ROWS))


def test_memory_is_bounded_and_the_choice_does_not_depend_on_the_order() -> None:
    rows = rows_of(lambda dice: pair(dice, 0.5), 2)
    keys = [bytes([k * 37 % 256, k % 256, k // 256]) for k in range(ROWS)]
    picked = []
    for order in (range(ROWS), reversed(range(ROWS))):
        sample = Sample(50)
        for k in order:
            sample.add(keys[k], rows[k])
            assert len(sample._kept) <= 2 * 50 + 64
        picked.append([row.id for row in sample.told()])
        assert sample.rows == ROWS
    assert picked[0] == picked[1]
    assert len(picked[0]) == 50


def test_the_most_telling_records_are_removed_until_a_task_is_within_its_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Most of the records have an order that everybody knows, the others vary.
    rows = rows_of(lambda dice: pair(dice, 0.0 if dice.random() < 0.6 else 0.5), 3)
    sample = Sample(ROWS)
    sample.rows = ROWS
    parts: dict[str, Any] = {"spatial_relation.height": (sample, rows, 0.5)}
    monkeypatch.setattr(pruning, "attackable", lambda dataset, most: parts)
    dataset: Any = None
    one = to_remove(dataset)["spatial_relation.height"]
    assert (one.before.within, one.after.within) == (False, True)
    assert 0 < len(one.removed) <= 0.75 * ROWS
    assert one.after.looked_at == ROWS - len(one.removed)
    removed, kept = (
        [one.before.bias[row.id] for row in rows if (row.id in one.removed) == gone]
        for gone in (True, False)
    )
    assert np.mean(removed) > np.mean(kept)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Choices of six rooms that nothing was set on, more of each than a plan asks by itself."""
    folder = tmp_path_factory.mktemp("stress")
    config = SampleConfig(rooms=6, clips=0, frames=24, seed=60_229, layouts=("scannet",))
    assert [*make_sample(folder / "set", config)]
    (folder / "many.toml").write_text('rules = "default"\n[quota]\n"*" = 200\n')
    tasks = "visual_correspondence.match.choice,depth_perception.comparison.*"
    command = [str(folder / "set" / "scannet"), "-o", str(folder / "out"), "--stride", "1"]
    assert generate.main([*command, "--tasks", tasks, "--recipe", str(folder / "many.toml")]) == 0
    return folder / "out"


def test_where_marks_lie_tells_nothing(made: Path) -> None:
    """The gate: options and marks alone, by models and by rules that a person would try."""
    gave = stress(made)
    assert set(gave) == {
        "depth_perception.comparison.coordinate", "depth_perception.comparison.marked",
        "visual_correspondence.match.choice",
    }  # fmt: skip
    for task, one in gave.items():
        assert one.within, f"{task}: {one.option} {one.dot} past {one.bound:.3f}"
    right: dict[str, list[bool]] = {}
    for record in Dataset.open(made).records():
        if record.task == "visual_correspondence.match.choice":
            for rule, guess in guesses(record).items():
                right.setdefault(rule, []).append(guess == record.answer_text)
    for rule, hits in right.items():
        assert len(hits) > 250
        assert abs(np.mean(hits) - 0.25) < 3 * math.sqrt(0.25 * 0.75 / len(hits)), rule


def guesses(record: QARecord) -> dict[str, str]:
    """Letters by rules over where the marks lie."""
    first, second = record.images
    places = np.array([(m.u / second.width, m.v / second.height) for m in second.marks])
    one = np.array([first.marks[0].u / first.width, first.marks[0].v / first.height])
    centre = np.linalg.norm(places - places.mean(axis=0), axis=1)
    moved = np.linalg.norm(places - one, axis=1)
    gaps = np.linalg.norm(places[:, None] - places[None], axis=2) + 9 * np.eye(len(places))
    scores = {
        "central": -centre, "outer": centre, "near": -moved, "far": moved, "low": places[:, 1],
        "level": -np.abs(places[:, 1] - one[1]), "crowded": -gaps.min(axis=1),
    }  # fmt: skip
    return {rule: "ABCD"[int(score.argmax())] for rule, score in scores.items()}


def test_figures_are_kept_and_shown_as_blind(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = Dataset.open(made)
    (made / "stress.json").unlink(missing_ok=True)
    assert stats.main([str(made), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {task["blind"] for task in told["tasks"].values()} == {None}
    task = "visual_correspondence.match.choice"
    gave = stress(dataset, most=100, tasks=[task])
    save(dataset, gave)
    assert stats.main([str(made), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["tasks"][task]["blind"] == gave[task].blind == kept_blind(dataset)[task]
    assert told["tasks"]["depth_perception.comparison.marked"]["blind"] is None
    lines = [json.loads(line) for line in (made / "bias.jsonl").read_text().splitlines()]
    assert len(lines) == gave[task].looked_at == 100
    assert [one["sure"] for one in lines] == sorted((one["sure"] for one in lines), reverse=True)


def test_a_pruned_set_is_whole_and_verifies(made: Path, tmp_path: Path) -> None:
    dataset = Dataset.open(made)
    ids = [record.id for record in dataset.records()]
    gone = dict.fromkeys(ids[::7], 0.9)
    before: Any = None
    summary = prune(dataset, tmp_path / "less", {"any": Pruned(before, before, gone)})
    less = Dataset.open(tmp_path / "less")
    assert [record.id for record in less.records()] == [name for name in ids if name not in gone]
    assert summary.rows == less.manifest.rows == len(ids) - len(gone)
    lines = (tmp_path / "less" / "pruned.jsonl").read_text().splitlines()
    assert {json.loads(line)["id"] for line in lines} == set(gone)
    report = verify(tmp_path / "less", sample=60, workers=1)
    assert report.ok
    assert report.total == summary.rows


def test_one_number_alone_is_known_to_all() -> None:
    """A single bin leaves the models nothing to choose."""
    found_one = found(lambda dice: Told("", "", "number", 2.0, {"x": dice.uniform()}, ()))
    assert found_one.blind == 1.0
