# SPDX-License-Identifier: Apache-2.0
"""Question files of public benchmarks, by hand and on the stored samples."""

from __future__ import annotations

import json

import pytest

from spatial_engine.scoring.benchmarks import read_questions, score_benchmark
from spatial_engine.scoring.report import ResponseError
from spatialcore.errors import RecordError, UsageError

VSI = [
    {"id": 0, "question_type": "object_counting", "ground_truth": "5", "question": "How many?"},
    {"id": 1, "question_type": "route_planning", "ground_truth": "B", "question": "Where to?"},
]
SQA = {
    "annotations": [
        {"question_id": 7, "answers": [{"answer": "left"}]},
        {"question_id": 8, "answers": [{"answer": "brown table"}]},
    ]
}
SCANQA = [
    {"question_id": "val-1", "answers": ["brown chair", "a chair"]},
    {"question_id": "val-2", "answers": ["on the left side"]},
]


def file_of(tmp_path, value, name="questions.json"):
    path = tmp_path / name
    path.write_text(json.dumps(value))
    return path


@pytest.mark.parametrize(("dialect", "count"), [("official", 60.0), ("spatial-mllm", 60.0)])
def test_vsibench(tmp_path, dialect, count):
    questions = read_questions("vsibench", file_of(tmp_path, VSI))
    report = score_benchmark("vsibench", questions, {"0": "4", "1": "B"}, dialect=dialect)
    assert report["scores"] == pytest.approx(
        {"object_counting": count, "route_planning": 100, "macro": 80, "micro": 80}
    )


def test_the_dialects_differ_at_a_threshold(tmp_path):
    entry = [{"id": 0, "question_type": "object_counting", "ground_truth": "4"}]
    questions = read_questions("vsibench", file_of(tmp_path, entry))
    found = {
        dialect: score_benchmark("vsibench", questions, {"0": "3"}, dialect=dialect)["scores"]
        for dialect in ("official", "spatial-mllm")
    }
    assert found["official"]["micro"] == pytest.approx(60)
    assert found["spatial-mllm"]["micro"] == pytest.approx(50)


def test_sqa3d(tmp_path):
    questions = read_questions("sqa3d", file_of(tmp_path, SQA))
    said = {"7": "Left.", "8": "the brown table"}
    assert score_benchmark("sqa3d", questions, said)["scores"] == {"em1": 0, "em_r1": 100}
    assert score_benchmark("sqa3d", questions, {**said, "7": "left."})["scores"]["em1"] == 50
    leo = score_benchmark("sqa3d", questions, {"7": "Left."}, dialect="leo")
    assert leo["scores"] == {"em1": 50, "em_r1": 50}
    assert leo["notes"] == [
        "flaw of leo: an empty answer counts as right there; here it is wrong",
        "1 answers are empty, and wrong",
    ]
    with pytest.raises(UsageError, match="sqa3d is scored by published, leo"):
        score_benchmark("sqa3d", questions, said, dialect="official")


def test_scanqa(tmp_path, monkeypatch):
    monkeypatch.setattr("spatial_engine.scoring.benchmarks.meteor_missing", lambda: "no java")
    questions = read_questions("scanqa", file_of(tmp_path, SCANQA))
    perfect = {q.id: f"{q.references[0]}." for q in questions}
    scores = score_benchmark("scanqa", questions, perfect)["scores"]
    assert scores["em"] == 100
    assert scores["rouge_l"] == pytest.approx(100)
    # Six words, all of them right; of four-grams there is one.
    assert [scores[f"bleu-{n}"] for n in (1, 4)] == pytest.approx([100, 100])
    leo = score_benchmark("scanqa", questions, {"val-2": "On the left side"}, dialect="leo")
    assert (leo["scores"]["em"], leo["scores"]["em_r1"]) == (50, 50)
    assert leo["notes"][-1] == "METEOR was not computed: no java"
    half = score_benchmark("scanqa", questions, {"val-1": "a chair"})
    assert half["missing"] == ["val-2"]
    assert half["scores"]["em"] == 50


def test_lines_are_read_too(tmp_path):
    path = tmp_path / "vsi.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in VSI))
    assert [q.task for q in read_questions("vsibench", path)] == [
        "object_counting", "route_planning"
    ]  # fmt: skip


def test_what_does_not_fit_is_named(tmp_path):
    questions = read_questions("vsibench", file_of(tmp_path, VSI))
    with pytest.raises(ResponseError, match="unknown questions: 9"):
        score_benchmark("vsibench", questions, {"9": "x"})
    with pytest.raises(RecordError, match="no sqa3d question"):
        read_questions("sqa3d", file_of(tmp_path, VSI))
    with pytest.raises(RecordError, match="has no answer"):
        read_questions("scanqa", file_of(tmp_path, [{"question_id": "a", "answers": []}]))
    with pytest.raises(RecordError, match="no scanqa question"):
        read_questions("scanqa", file_of(tmp_path, {"rows": []}))
    (tmp_path / "text.json").write_text("no json")
    with pytest.raises(RecordError, match="not JSON"):
        read_questions("scanqa", tmp_path / "text.json")
    with pytest.raises(ValueError, match="benchmark must be one of"):
        read_questions("poems", tmp_path / "text.json")


def test_the_command(tmp_path, capsys):
    from spatial_engine.commands.score import main

    path = file_of(tmp_path, VSI)
    said = tmp_path / "said.jsonl"
    said.write_text('{"id": "0", "response": "5"}\n{"id": "1", "response": "B"}\n')
    command = [str(said), "--benchmark", "vsibench", "--questions", str(path)]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["micro"] == 100
    said.write_text('{"id": "0", "response": "5"}\n')
    assert main(command) == 3
    assert "no response: 1" in capsys.readouterr().err
    assert main(command[:3]) == 2
    assert main([*command, "--records", str(tmp_path)]) == 2


@pytest.mark.real
def test_the_stored_samples_score_perfectly_when_they_answer_themselves(real_path):
    for benchmark, name, count in (
        ("vsibench", "vsibench_sample_168.json", 168),
        ("sqa3d", "sqa3d_test_300.json", 300),
    ):
        questions = read_questions(benchmark, real_path / "qa" / name)
        assert len(questions) == count
        said = {question.id: question.references[0] for question in questions}
        assert set(score_benchmark(benchmark, questions, said)["scores"].values()) == {100}


@pytest.mark.parametrize(
    ("name", "rows", "said", "scores"),
    [
        (
            "vsibench-debiased",
            [{**VSI[0], "pruned": True}, {**VSI[1], "pruned": False}],
            {"1": "B"},
            {"route_planning": 100, "macro": 100, "micro": 100},
        ),
        (
            "revsi",
            [
                {"id": 1, "question_type": "object_counting_single", "ground_truth": "4"},
                {"id": 2, "question_type": "object_counting_multiple", "ground_truth": "2"},
                {"id": 3, "question_type": "route_planning", "ground_truth": "B"},
            ],
            {"1": "4", "2": "4", "3": "b."},
            {"object_counting": 50, "route_planning": 100, "macro": 75, "micro": 200 / 3},
        ),
        (
            "mmsi",
            [{"id": 1, "question_type": "Motion (Cam.)", "answer": "C"}] * 1,
            {"1": "It is `C`, not B."},
            {"Motion (Cam.)": 100, "micro": 100},
        ),
        (
            "mindcube",
            [{"id": "aroundnew_1", "gt_answer": "B"}, {"id": "among_2", "gt_answer": "A"}],
            {"aroundnew_1": "A. left? No: B. right", "among_2": ""},
            {"among": 0, "around": 100, "micro": 50},
        ),
        (
            "viewspatial",
            [{"question_type": "Person", "answer": answer} for answer in ("B. left", "A. up")],
            {"0": "so\nb", "1": ""},
            {"Person": 50, "micro": 50},
        ),
        (
            "sparbench",
            [
                {"id": 1, "task": "depth_prediction_oc_mv", "answer": "2.0"},
                {"id": 2, "task": "position_matching", "answer": "B"},
                {"id": 3, "task": "view_change_infer", "answer": "move_right:1.0,rotate_up:10"},
            ],
            {"1": "between 1 and 2.0", "2": "", "3": "move_right:1.0,rotate_up:10"},
            {"depth_prediction_oc_mv": 100, "position_matching": 0, "view_change_infer": 100,
             "low": 100, "middle": 50, "macro": 200 / 3, "micro": 200 / 3},
        ),
    ],
)  # fmt: skip
def test_rules_of_other_benchmarks(tmp_path, name, rows, said, scores):
    questions = read_questions(name, file_of(tmp_path, rows))
    assert score_benchmark(name, questions, said)["scores"] == pytest.approx(scores)


@pytest.mark.slow
def test_meteor_is_computed_or_its_absence_is_said(tmp_path):
    from spatial_engine.scoring.meteor import meteor_missing

    questions = read_questions("scanqa", file_of(tmp_path, SCANQA))
    report = score_benchmark("scanqa", questions, {"val-1": "brown chair", "val-2": "left"})
    if meteor_missing():
        assert any("METEOR was not computed" in note for note in report["notes"])
        pytest.skip(meteor_missing())
    assert report["scores"]["meteor"] == pytest.approx(35.2090, abs=1e-3)


def test_every_dialect_is_listed_with_its_flaw(capsys):
    from spatial_engine.commands.score import main
    from spatial_engine.scoring.dialects import BENCHMARKS

    assert main(["--list"]) == 0
    told = capsys.readouterr().out
    assert all(f"{name}  " in told for name in BENCHMARKS)
    assert "flaw: " in told
