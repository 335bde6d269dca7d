# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace

import pytest

from spatial_engine.records.answers import Answer, coordinate, integer, letter, number, vector, word
from spatial_engine.records.record import ImageRef, QARecord, check_record
from spatial_engine.scoring import score
from spatial_engine.scoring.baselines import baseline_responses, chance
from spatial_engine.scoring.report import (
    ResponseError,
    bootstrap_interval,
    format_report,
    make_report,
    multispa_rows,
    paired_interval,
)
from tests.fabricate import data_set

TASK_OF = {
    "word": "camera_movement.x_direction", "letter": "visual_correspondence.match.choice",
    "integer": "camera_movement.distance", "vector": "camera_movement.vector",
    "coordinate": "visual_correspondence.match.coordinate",
}  # fmt: skip


def make(answer: Answer, task="", *, name="a", options=(), evidence=None):
    task = task or TASK_OF[answer.type]
    record = QARecord(
        id=f"{task}/room/{name}", source="s", space="room", scene="room", split="val", task=task,
        question_type=task, form="", frames=(0,), frame_names=("0",),
        images=(ImageRef("0.jpg", 640, 480),), question="How far?",
        answer=f"It is `{answer.span}`.", options=tuple(options), answer_type=answer.type,
        answer_text=answer.text, answer_number=answer.number, answer_unit=answer.unit, messages=(),
        evidence=json.dumps(evidence or {}), recipe="default", seed=0, rule="", depth_map="",
        templates=(),
    )  # fmt: skip
    check_record(record)
    return record


@pytest.mark.parametrize(
    ("answer", "response", "value", "parsed"),
    [
        (integer(1000, "mm"), "`1200`", 1, True),
        (integer(1000, "mm"), "`1201`", 0, True),
        (integer(1000, "mm"), "It is 0.9 m away", 1, True),
        (integer(1000, "mm"), "between 900 and 1100", 0, False),
        (integer(0, "mm"), "`0`", 1, True),
        (integer(0, "mm"), "`1`", 0, True),
        (vector((300, 0, -400), "mm"), "`[ 300 , 0 , -300 ]`", 1, True),
        (vector((300, 0, -400), "mm"), "`[ 300 , 0 , -299 ]`", 0, True),
        (vector((300, 0, -400), "mm"), "300", 0, False),
        (word("left"), "The camera went LEFT.", 1, True),
        (word("left"), "`right`", 0, True),
        (word("left"), "sideways", 0, False),
        (letter("B"), "(b)", 1, True),
        (letter("B"), "`A` no, `B`", 1, True),
        (coordinate(500, 500), "`[ 550 , 500 ]`", 1, True),
        (coordinate(500, 500), "`[ 551 , 500 ]`", 0, True),
        # 5 % of the width, in pixels: 32 of 480 rows are 66 of 1000
        (coordinate(500, 500), "`[ 500 , 566 ]`", 1, True),
        (coordinate(500, 500), "`[ 500 , 567 ]`", 0, True),
    ],
)
def test_rules_at_their_edges(answer, response, value, parsed):
    got = score(make(answer), response)
    assert (got.value, got.parsed) == (value, parsed)


def test_units_are_converted_and_counted():
    assert score(make(integer(1000, "mm")), "`1 m`").converted
    assert not score(make(integer(1000, "mm")), "`1000`").converted


def test_the_nearer_of_two_points_must_be_the_right_one():
    evidence = {"norm1000": [[500, 500], [540, 500]]}
    record = make(coordinate(500, 500), "depth_perception.comparison.coordinate", evidence=evidence)
    assert score(record, "`[ 515 , 500 ]`").value == 1
    assert score(record, "`[ 530 , 500 ]`").value == 0


def test_layout_numbers_take_relative_accuracy():
    record = make(number(4.0, "m"), "scene_layout.absolute_distance")
    assert score(record, "`3.0`").value == 0.6
    assert score(record, "`3.0`").metric == "MRA"


def _set():
    words = [make(word("left"), "camera_movement.x_direction", name=f"w{i}") for i in range(3)]
    words.append(make(word("right"), "camera_movement.x_direction", name="w3"))
    numbers = [make(integer(v, "mm"), name=f"n{v}") for v in (100, 1000, 1010, 1050)]
    choice = [make(letter("A"), "visual_correspondence.match.choice", options=["p", "q"], name="c")]
    return words + numbers + choice


def test_baselines():
    records = _set()
    truth = make_report(records, dict(baseline_responses("oracle", records)))
    assert truth.macro == truth.micro == 1
    frequent = dict(baseline_responses("frequency", records, records))
    by_task = {row.task: row.value for row in make_report(records, frequent).rows}
    assert by_task["camera_movement.x_direction"] == 0.75
    assert by_task["camera_movement.distance"] == 0.75
    first = dict(baseline_responses("random", records, records))
    assert first == dict(baseline_responses("random", records, records))
    assert {first[f"camera_movement.x_direction/room/w{i}"] for i in range(4)} <= {
        "`left`", "`right`",
    }  # fmt: skip
    assert [chance(r) for r in (records[0], records[4], records[-1])] == [0.5, None, 0.5]
    with pytest.raises(ValueError, match="baseline"):
        list(baseline_responses("luck", records))


def test_random_words_score_at_chance():
    records = [
        make(word("left" if i % 2 else "right"), "camera_movement.x_direction", name=str(i))
        for i in range(2000)
    ]
    got = make_report(records, dict(baseline_responses("random", records))).micro
    # three standard errors of 2,000 fair draws
    assert abs(got - 0.5) < 3 * 0.5 / 2000**0.5


def test_missing_ids_are_wrong_and_listed_unknown_ones_an_error():
    records = _set()
    responses = dict(baseline_responses("oracle", records))
    gone = records[0].id
    del responses[gone]
    report = make_report(records, responses)
    assert report.missing == (gone,)
    row = next(r for r in report.rows if r.task == "camera_movement.x_direction")
    assert (row.n, row.missing, row.unparsed, row.value) == (4, 1, 0, 0.75)
    assert "1 missing" in format_report(report.to_json())
    with pytest.raises(ResponseError, match="1 responses belong to no record: elsewhere"):
        make_report(records, {**responses, "elsewhere": "x"})


def test_a_data_set_is_scored_in_files_as_in_one(tmp_path):
    """Same scores for any number of files and workers, baselines that learn included."""
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.dataset.stats import dataset_stats
    from spatial_engine.scoring.shards import score_baseline, score_responses

    split = [replace(r, split="train" if k % 3 else "val") for k, r in enumerate(_set())]
    training = [r for r in split if r.split == "train"]
    asked = [r for r in split if r.split == "val"]
    whole = Dataset.open(data_set(tmp_path / "whole", tmp_path, split))
    files = Dataset.open(data_set(tmp_path / "files", tmp_path, split, rows=2))
    assert len(files.shards) > len(whole.shards)
    for name in ("random", "frequency", "oracle"):
        said = dict(baseline_responses(name, asked, training))
        expected = make_report(asked, said)
        assert score_baseline(whole, "val", name) == expected
        assert score_baseline(files, "val", name, workers=2) == expected
    del said[asked[1].id]
    report = score_responses(files, "val", said)
    assert report == make_report(asked, said)
    assert report.missing == (asked[1].id,)
    with pytest.raises(ResponseError, match="1 responses"):
        score_responses(files, "val", {**said, "elsewhere": "x"})
    counted = dataset_stats(files.path, workers=2)
    assert counted.files == len(files.shards)
    assert replace(counted, files=0) == replace(dataset_stats(whole.path), files=0)
    twice = data_set(tmp_path / "twice", tmp_path, [*split, split[0]], rows=2)
    again = dataset_stats(twice)
    assert again.duplicate_ids == 1
    assert again.duplicate_questions == counted.duplicate_questions + 1


def test_many_scores_are_counted_and_few_kept(monkeypatch):
    monkeypatch.setattr("spatial_engine.scoring.report.MANY", 6)
    monkeypatch.setattr("spatial_engine.scoring.baselines._KEPT", 3)
    records = [make(integer(k, "mm"), name=str(k)) for k in range(100, 108)]
    report = make_report(records, dict(baseline_responses("oracle", records)))
    assert (report.micro, report.rows[0].low, report.rows[0].high) == (1, 1, 1)
    said = set(dict(baseline_responses("random", records)).values())
    assert len(said) <= 3


def test_the_published_rows_average_without_weights():
    values = {
        "depth_perception.value.marked": 0.2,
        "depth_perception.value.coordinate": 0.4,
        "camera_movement.vector": 0.9,
        "navigation.instructions": 0.0,
    }
    rows = multispa_rows(values)
    assert rows["depth value"] == pytest.approx(0.3)
    assert rows["average"] == pytest.approx(0.6)


def test_intervals():
    assert bootstrap_interval([1.0] * 10) == (1.0, 1.0)
    low, high = bootstrap_interval([0.0, 1.0] * 200)
    assert 0.43 < low < 0.5 < high < 0.57
    assert paired_interval([1.0, 0.0], [1.0, 0.0]) == (0.0, 0.0)
    with pytest.raises(ValueError, match="no pairs"):
        paired_interval([1.0], [])


def test_the_command(tmp_path, capsys):
    from spatial_engine.commands.score import main

    records = _set()
    data_set(tmp_path / "out", tmp_path, records)
    lines = [json.dumps({"id": i, "response": r}) for i, r in baseline_responses("oracle", records)]
    path = tmp_path / "responses.jsonl"
    path.write_text("\n".join(lines))
    assert main([str(path), "--records", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["micro"] == 1
    path.write_text("\n".join(lines[1:]))
    assert main([str(path), "--records", str(tmp_path / "out")]) == 3
    assert "no response" in capsys.readouterr().err
    assert main(["--baseline", "random", "--records", str(tmp_path / "out")]) == 0
    assert main(["--records", str(tmp_path / "out")]) == 2
    assert main([str(path), "--records", str(tmp_path / "nowhere")]) == 2
    path.write_text(json.dumps({"id": "unknown", "response": ""}))
    assert main([str(path), "--records", str(tmp_path / "out")]) == 1
    capsys.readouterr()
    # Without a list of its own a source has no val: the only split is asked, and that is said.
    data_set(tmp_path / "train", tmp_path, [replace(r, split="train") for r in records])
    argv = ["--baseline", "frequency", "--records", str(tmp_path / "train")]
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith("split train\n")
    assert main([*argv, "--split", "val"]) == 2
    assert "its splits are train" in capsys.readouterr().err
