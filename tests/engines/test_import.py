# SPDX-License-Identifier: Apache-2.0
"""Files of others as data sets: what is taken, what is left out and said, and who takes it on."""

from __future__ import annotations

import base64
import json

import pytest

from spatial_engine.commands.import_ import main as import_main
from spatial_engine.dataset.dataset import Dataset
from spatial_engine.importing.make import ImportRequest, import_files
from spatialcore.errors import RecordError
from spatialcore.io.json_rows import json_rows
from tests.fabricate import jpeg


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("rows")
    (root / "coco").mkdir()
    for k in range(3):
        (root / f"coco/{k}.jpg").write_bytes(jpeg((32 + k, 24), shade=40 * k))
    return root


def _llava(number, image, *texts):
    names = ("human", "gpt")
    turns = [{"from": names[k % 2], "value": text} for k, text in enumerate(texts)]
    return {"id": number, "image": image, "conversations": turns}


def _write(root, name, rows, *, lines=False):
    path = root / name
    text = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows, indent=1)
    path.write_text(text + "\n")
    return path


def _import(path, out, *options):
    return import_main([str(path), "-o", str(out), *options])


def _records(out):
    return list(Dataset.open(out).records())


def test_conversations_keep_their_turns_and_every_verb_takes_them(pictures, tmp_path, capsys):
    rows = [
        _llava(
            "a", "coco/0.jpg", "<image>\nWhat is it?", "A chair.", "And its colour?", "It is `red`."
        ),
        _llava("b", ["coco/1.jpg", "coco/2.jpg"], "Which is wider?", "The second."),
        {"id": "c", "conversations": _llava("", "", "Say hi.", "Hi")["conversations"]},
        _llava("d", "coco/9.jpg", "<image>\nGone?", "Yes"),
        _llava("e", "coco/0.jpg", "<image>\n<image>\nTwo?", "No"),
    ]  # fmt: skip
    path = _write(pictures, "llava.json", rows)
    out = tmp_path / "out"
    assert _import(path, out) == 3
    told = capsys.readouterr()
    assert "3 rows" not in told.out
    assert "2 of 5 rows cannot be taken" in told.err
    assert "--images" in told.err
    assert not out.exists()
    assert _import(path, out, "--max-left-out", "0.5", "--json") == 3
    report = json.loads(capsys.readouterr().out)
    assert (report["rows"], report["records"], report["without_images"]) == (5, 3, 1)
    assert report["notes"] == {"tags were added": 1}
    assert set(report["left_out"]) == {
        "a missing picture",
        "tags in the text are not those of its pictures",
    }
    one, two, three = _records(out)
    assert (one.question, one.answer, one.answer_type) == (
        "And its colour?",
        "It is `red`.",
        "text",
    )
    assert [turn.role for turn in one.messages] == ["user", "assistant", "user", "assistant"]
    assert two.messages[0].content == "<image>\n<image>\nWhich is wider?"
    assert [(i.uri, i.width) for i in two.images] == [("coco/1.jpg", 33), ("coco/2.jpg", 34)]
    assert (three.images, three.has_geometry, three.task) == ((), False, "llava.text")

    from spatial_engine.commands.export import main as export
    from spatial_engine.commands.score import main as score
    from spatial_engine.commands.show import main as show
    from spatial_engine.commands.stats import main as stats
    from spatial_engine.commands.verify import main as verify
    from spatial_engine.commands.view import main as view

    assert verify([str(out)]) == 3
    assert "3 records were imported and have no geometry" in capsys.readouterr().out
    for verb in (stats, show):
        assert verb([str(out)]) == 0
    assert view([str(out), "-o", str(tmp_path / "page")]) == 0
    assert score(["--baseline", "oracle", "--records", str(out), "--split", "train"]) == 0
    assert "100.0" in capsys.readouterr().out
    targets = ["llava", "trl", "swift", "prompts", "trl-grpo", "jsonl", "webdataset"]
    assert export([str(out), "-o", str(tmp_path / "again"), "--to", *targets]) == 0
    capsys.readouterr()
    # What was exported is imported again as what it was.
    for name in ("llava", "trl"):
        folder = tmp_path / f"again/{name}/train"
        images = ("--images", str(tmp_path / "again"))
        assert _import(folder, tmp_path / name, *images) == 0
        back = _records(tmp_path / name)
        assert [r.messages for r in back] == [r.messages for r in (one, two, three)]
        assert [len(r.images) for r in back] == [1, 2, 0]


def test_messages_as_their_trainers_write_them(pictures, tmp_path):
    held = "data:image/jpeg;base64," + base64.b64encode(jpeg()).decode()
    parts = [{"type": "image"}, {"type": "text", "text": "What?"}]
    asked = [{"role": "user", "content": parts}, {"role": "assistant", "content": "A lamp"}]
    rows = [
        {"messages": asked, "images": ["coco/0.jpg"], "category": "Spatial QA"},
        {"prompt": [asked[0]], "completion": [asked[1]], "images": ["coco/1.jpg"]},
        {"messages": [{"role": "system", "content": "Short."}, *asked], "images": ["coco/2.jpg"]},
    ]  # fmt: skip
    report = import_files(
        ImportRequest(_write(pictures, "trl.jsonl", rows, lines=True)), tmp_path / "out"
    )
    assert dict(report.tasks) == {"trl.spatial_qa": 1, "trl.text": 2}
    assert _records(tmp_path / "out")[2].messages[0].role == "system"
    url = [{"type": "image_url", "image_url": {"url": held}}, {"type": "text", "text": "What?"}]
    rows = [{"messages": [{"role": "user", "content": url}, asked[1]]}] * 2
    import_files(ImportRequest(_write(pictures, "held.jsonl", rows, lines=True)), tmp_path / "held")
    (opened, _) = Dataset.open(tmp_path / "held").opened()
    assert opened.image(0).size == (32, 24)
    assert len(list((tmp_path / "held/images").rglob("*.jpg"))) == 1


def test_benchmarks_have_their_own_scores(pictures, tmp_path, capsys):
    scene = pictures / "scannet/scene0000_00"
    scene.mkdir(parents=True)
    for k in range(30):
        (scene / f"{k:05d}.jpg").write_bytes(jpeg(shade=k))
    asked = {"dataset": "scannet", "scene_name": "scene0000_00"}
    rows = [
        {"id": 1, "question_type": "object_counting", "question": "How many?",
         "ground_truth": "4", **asked},
        {"id": 2, "question_type": "object_rel_distance", "question": "Which?",
         "ground_truth": "B", "options": ["A. bed", "B. chair"], **asked},
    ]  # fmt: skip
    out = tmp_path / "vsi"
    assert _import(_write(pictures, "test.jsonl", rows, lines=True), out, "--frames", "8") == 0
    first, second = _records(out)
    assert first.frames == (0, 4, 8, 12, 17, 21, 25, 29)
    assert (first.answer, first.answer_unit) == ("`4`", "count")
    assert second.options == ("bed", "chair")
    assert second.messages[0].content.count("<image>") == 8
    said = tmp_path / "said.jsonl"
    lines = [{"id": r.id, "response": text} for r, text in ((first, "3"), (second, "B"))]
    said.write_text("".join(json.dumps(line) + "\n" for line in lines))
    from spatial_engine.commands.score import main as score

    capsys.readouterr()
    assert score([str(said), "--records", str(out), "--json"]) == 0
    values = {row["task"]: row["value"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert values == {"vsibench.object_counting": 0.6, "vsibench.object_rel_distance": 1.0}


def test_scanqa_and_sqa3d_join_what_lies_apart(tmp_path):
    answers = [{"question_id": 7, "scene_id": "scene0000_00", "answers": [{"answer": "left"}]}]
    asked = {"situation": "I sit.", "question": "What is near?"}
    questions = [{"question_id": 7, "scene_id": "scene0000_00", **asked}]
    path = tmp_path / "v1_balanced_sqa_annotations_test.json"
    path.write_text(json.dumps({"annotations": answers}))
    (tmp_path / "v1_balanced_questions_test.json").write_text(json.dumps({"questions": questions}))
    request = ImportRequest(path, without_images=True)
    assert dict(import_files(request, tmp_path / "sqa").tasks) == {"sqa3d.what": 1}
    (record,) = _records(tmp_path / "sqa")
    assert record.question == "I sit.\nWhat is near?"
    row = {"question_id": "v-0", "scene_id": "s", "question": "Colour?"}
    rows = [{**row, "answers": ["brown", "dark brown"]}]
    request = ImportRequest(_write(tmp_path, "scanqa.json", rows), without_images=True)
    import_files(request, tmp_path / "scanqa")
    (record,) = _records(tmp_path / "scanqa")
    from spatial_engine.scoring import score

    right = [score(record, text).value for text in ("Dark brown.", "brown", "the brown", "", "red")]
    assert right == [1.0, 1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b'[{"a": 1},\n{"a": }]', "rows.json:2: not JSON"),
        (b'[{"a": 1},\n{"a": 2}', "cut off"),
        (b'{"a": 1}\nnothing\n', "rows.json:2: not JSON"),
        (b'[{"a": 1},\n 3]', "rows.json:2: a row is no object"),
        (b'[{"a": 1}] 2', "behind the end"),
        (b'[{"a": NaN}]', "NaN is no number"),
        (b'[{"a": "\xff"}]', "not UTF-8"),
        (b"[" + b'{"a":' * 60_000, "nested too deeply"),
        (b'"text"', "neither a list nor an object"),
    ],
)
def test_damaged_files_are_told_with_their_line(tmp_path, text, what):
    path = tmp_path / "rows.json"
    path.write_bytes(text)
    with pytest.raises(RecordError, match=what):
        list(json_rows(path))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"conversations": 3}', "rows.json:1: not a row of llava"),
        ('{"b": 1}', "no known form; their fields are b"),
        ("", "holds no row"),
    ],
)
def test_files_of_other_things_are_told(tmp_path, text, what):
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=what):
        import_files(ImportRequest(path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rows_are_read_in_bounded_memory(tmp_path):
    import tracemalloc

    path = tmp_path / "large.json"
    filler = "x" * 1000 + "é"
    with path.open("w", encoding="utf-8") as file:
        file.write("\ufeff[")
        for k in range(20_000):
            file.write(
                ("," if k else "") + json.dumps({"n": k, "f": filler}, ensure_ascii=False) + "\n"
            )
        file.write("]")
    tracemalloc.start()
    numbers = [(row.value["n"], row.where) for row in json_rows(path)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [n for n, _ in numbers] == list(range(20_000))
    assert numbers[500][1].endswith("large.json:501")
    assert peak < path.stat().st_size / 2 + (4 << 20)


def test_the_public_files_at_hand_are_taken(real_path, tmp_path):
    vsi = ImportRequest(real_path / "qa/vsibench_sample_168.json", without_images=True)
    report = import_files(vsi, tmp_path / "vsi")
    assert (report.records, len(report.tasks), report.left_out.total()) == (168, 9, 0)
    report = import_files(
        ImportRequest(real_path / "qa/sqa3d_test_300.json", without_images=True), tmp_path / "sqa"
    )
    assert (report.records, report.tasks["sqa3d.what"]) == (300, 93)
    assert len(Dataset.open(tmp_path / "sqa").manifest.imported.files) == 1
