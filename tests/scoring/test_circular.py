# SPDX-License-Identifier: Apache-2.0
"""Circular evaluation: rotations say the same, and only what is right in all of them counts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from spatial_engine.commands import generate
from spatial_engine.commands.score import main as score_command
from spatial_engine.dataset.dataset import open_records
from spatial_engine.records.record import check_record
from spatial_engine.records.rotations import is_fixed, rotation_of, rotations
from spatial_engine.scoring import score
from spatial_engine.scoring.baselines import baseline_responses
from spatial_engine.scoring.report import make_report
from tests.mllm.fabricated import make_record

RNG = np.random.default_rng()


def choice(number, options, *, right, marks=(), lines=True):
    from spatial_engine.records.answers import letter, option_lines

    question = "Which one is it?" + (f"\n{option_lines(tuple(options))}" if lines else "")
    made = make_record("comparison.size_order", f"s{number}", ("a.png", "b.png"), question,
                       letter("ABCDEFGH"[right]), items=(number,), marks=marks)  # fmt: skip
    return replace(made, options=tuple(options))


def content(record):
    """The text, or the mark, that a record's letter stands for."""
    place = "ABCDEFGH".index(record.answer_text)
    marks = {mark.letter: (mark.u, mark.v) for image in record.images for mark in image.marks}
    return marks.get(record.answer_text) or record.options[place]


def test_every_rotation_means_the_same_option_and_each_place_is_taken_once():
    for number in range(40):
        count = int(RNG.integers(2, 7))
        words = [f"thing {k}" for k in RNG.permutation(50)[:count]]
        record = choice(number, words, right=int(RNG.integers(count)))
        turned = rotations(record)
        assert len(turned) == count
        assert turned[0] is record
        assert len({one.id for one in turned}) == count
        assert {content(one) for one in turned} == {content(record)}
        assert {one.answer_text for one in turned} == set("ABCDEFGH"[:count])
        for by, one in enumerate(turned):
            check_record(one)
            assert rotation_of(one.id) == (record.id, by)
            for place, word in enumerate(words):  # where each option went
                letter = "ABCDEFGH"[(place + by) % count]
                assert f"\n{letter}. {word}" in one.question
                assert f"\n{letter}. {word}" in one.messages[0].content
            assert one.messages[0].content.count("<image>") == 2
            assert score(one, f"`{one.answer_text}`").value == 1


def test_letters_of_marks_are_moved_and_what_stands_nowhere_is_asked_once():
    from spatial_engine.records.marks import Mark

    marks = [Mark(10.0 * k, 9.0, 3, "red", letter) for k, letter in enumerate("ABCD", 1)]
    record = choice(0, "ABCD", right=2, marks=marks, lines=False)
    turned = rotations(record)
    assert [content(one) for one in turned] == [(30.0, 9.0)] * 4
    assert [one.answer_text for one in turned] == list("CDAB")
    assert [[m.letter for m in one.images[0].marks] for one in turned[1:2]] == [list("BCDA")]
    for one in turned:
        check_record(one)
    lost = choice(1, ["bed", "lamp"], right=0, lines=False)
    assert is_fixed(lost)
    assert not is_fixed(record)
    assert rotations(lost) == (lost,)
    report = make_report([lost, record], {}, circular=True)
    assert (report.rotated, report.fixed) == (1, 1)


@pytest.fixture(scope="module")
def records():
    made = []
    for number in range(400):
        count = int(RNG.integers(2, 5))
        words = [f"thing {k}" for k in RNG.permutation(50)[:count]]
        made.append(choice(number, words, right=int(RNG.integers(count))))
    return made


def test_a_liking_for_a_letter_earns_nothing_and_a_held_option_its_chance(records):
    asked = [one for record in records for one in rotations(record)]
    chance = np.mean([1 / len(record.options) for record in records])
    spread = 6 * np.sqrt(chance * (1 - chance) / len(records))
    liking = make_report(records, {one.id: "A" for one in asked}, circular=True).rows[0]
    assert liking.value == 0
    assert liking.once == pytest.approx(chance, abs=spread)
    held = dict(baseline_responses("random", asked))
    row = make_report(records, held, circular=True).rows[0]
    assert row.chance == pytest.approx(chance)
    assert row.value == row.once == pytest.approx(chance, abs=spread)
    apart = {one.id: "ABCD"[int(RNG.integers(len(one.options)))] for one in asked}
    row = make_report(records, apart, circular=True).rows[0]
    expected = np.mean([len(record.options) ** -len(record.options) for record in records])
    assert row.value == pytest.approx(expected, abs=6 * np.sqrt(expected / len(records)))
    oracle = {one.id: f"`{one.answer_text}`" for one in asked}
    assert make_report(records, oracle, circular=True).rows[0].value == 1
    # One rotation that is wrong or unanswered, and the record is wrong.
    some = RNG.permutation(len(records))[:100]
    spoilt = dict(oracle)
    for k in some:
        turned = rotations(records[k])
        one = turned[int(RNG.integers(1, len(turned)))]
        if k % 2:
            del spoilt[one.id]
        else:
            letters = "ABCD"[: len(one.options)]
            spoilt[one.id] = letters[letters.index(one.answer_text) - 1]
    report = make_report(records, spoilt, circular=True)
    assert report.rows[0].value == pytest.approx(1 - len(some) / len(records))
    assert report.rows[0].once == 1
    assert report.missing_count == sum(k % 2 for k in some)


def test_the_command_scores_made_records_in_all_rotations(sample_dir, tmp_path, capsys):
    """Choices as they are made: the truth is right in all rotations, and all can be moved."""
    out = tmp_path / "out"
    assert generate.main([str(sample_dir / "scannet"), "-o", str(out), "--limit", "160"]) == 0
    capsys.readouterr()
    split = next(iter(open_records(out))).record.split
    made = [one.record for one in open_records(out) if one.record.split == split]
    asked = [one for record in made for one in rotations(record)]
    assert not [record.task for record in made if is_fixed(record)]
    assert len(asked) > len(made)
    said = tmp_path / "said.jsonl"
    said.write_text("".join(
        json.dumps({"id": one.id, "response": one.answer}) + "\n" for one in asked
    ))  # fmt: skip
    argv = [str(said), "--records", str(out), "--split", split, "--json"]
    assert score_command([*argv, "--circular"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["micro"] == 1
    assert found["rotated"] == sum(len(rotations(record)) > 1 for record in made)
    assert score_command(argv) != 0
    assert "belong to no record" in capsys.readouterr().err
    base = ["--baseline", "random", "--records", str(out), "--split", split,
            "--circular"]  # fmt: skip
    assert score_command(base) == 0
    assert "the most that not looking" in " ".join(capsys.readouterr().out.split())
    argv = [str(said), "--benchmark", "vsibench", "--questions", str(said), "--circular"]
    assert score_command(argv) != 0
