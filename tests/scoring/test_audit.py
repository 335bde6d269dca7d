# SPDX-License-Identifier: Apache-2.0
"""Audits of public sets: made scenes with known answers, and the public half that is at hand."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spatial_engine.audit import AUDITS, Audit, AuditSet, run_audit
from spatial_engine.audit.vsibench import scene_objects
from spatial_engine.commands import audit as command
from spatialcore.errors import RecordError
from spatialcore.relations.directions import relative_direction

LIST = Path(__file__).resolve().parents[2] / "docs/audits/vsi-bench.jsonl"
NAMES = ("bed", "desk", "lamp", "sofa", "stove", "tv")


def made_scene(rng: np.random.Generator) -> dict[str, Any]:
    """Upright boxes along the axes, one of each category and four chairs, none of which meet."""
    cells = rng.permutation(list(itertools.product(range(4), repeat=2)))[: len(NAMES) + 4]
    boxes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, cell in zip((*NAMES, *["chair"] * 4), cells, strict=True):
        size = rng.uniform(0.3, 1.1, 3).round(4)
        lo = np.array([1.5 * cell[0], 1.5 * cell[1], 0.0]) + np.array([*rng.uniform(0, 0.3, 2), 0])
        boxes[name].append({
            "centroid": (lo + size / 2).tolist(), "axesLengths": size.tolist(),
            "normalizedAxes": np.eye(3).ravel().tolist(), "min": lo.tolist(),
            "max": (lo + size).tolist(),
        })  # fmt: skip
    return {
        "object_bbox": dict(boxes), "object_counts": {k: len(v) for k, v in boxes.items()},
        "room_size": float(rng.uniform(10, 50)), "room_center": [0, 0, 0], "dataset": "made",
    }  # fmt: skip


def gap_of(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Distance of two boxes along the axes, by their bounds alone."""
    away = np.maximum(np.subtract(a["min"], b["max"]), np.subtract(b["min"], a["max"]))
    return float(np.linalg.norm(np.maximum(away, 0.0)))


def questions_of(name: str, scene: dict[str, Any], rng: np.random.Generator) -> list[dict]:
    """One question of each type that boxes answer, with its right answer."""
    boxes = scene["object_bbox"]
    one, two = rng.choice(NAMES, 2, replace=False).tolist()
    primary, *four = rng.choice(NAMES, 5, replace=False).tolist()
    gaps = {other: gap_of(boxes[primary][0], boxes[other][0]) for other in four}
    stand, face, target = rng.choice(NAMES, 3, replace=False).tolist()
    p, q, r = (np.array(boxes[k][0]["centroid"])[:2] for k in (stand, face, target))
    ahead, turned = q - p, r - p
    left = ahead[0] * turned[1] - ahead[1] * turned[0] > 0
    front = float(ahead @ turned) > 0
    sectors = ["back-left", "back-right", "front-left", "front-right"]
    sector = f"{'front' if front else 'back'}-{'left' if left else 'right'}"
    letters = [f"{letter}. {text}" for letter, text in zip("ABCD", four, strict=True)]
    quadrants = [f"{letter}. {text}" for letter, text in zip("ABCD", sectors, strict=True)]
    rows = [
        ("object_counting", "How many chair(s) are in this room?", "4", None),
        ("object_size_estimation",
         f"What is the length of the longest dimension of the {one}, measured in centimeters?",
         str(round(100 * max(boxes[one][0]["axesLengths"]))), None),
        ("object_abs_distance",
         f"what is the distance between the {one} and the {two} (in meters)?",
         f"{gap_of(boxes[one][0], boxes[two][0]):.1f}", None),
        ("room_size_estimation", "What is the size?", str(round(scene["room_size"], 1)), None),
        ("object_rel_distance",
         f"which of these objects ({', '.join(four)}) is the closest to the {primary}?",
         "ABCD"[four.index(min(gaps, key=lambda k: gaps[k]))], letters),
        ("object_rel_direction_hard",
         f"If I am standing by the {stand} and facing the {face}, is the {target} to my side?",
         "ABCD"[sectors.index(sector)], quadrants),
    ]  # fmt: skip
    return [
        {"id": f"{name}/{k}", "scene_name": name, "question_type": kind, "question": text,
         "ground_truth": truth, "options": options}
        for k, (kind, text, truth, options) in enumerate(rows)
    ]  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path, list[dict]]:
    """Metadata of five scenes, a file of questions about them, and the questions."""
    rng = np.random.default_rng()
    scenes = {f"scene{k}": made_scene(rng) for k in range(5)}
    questions = [q for name, scene in scenes.items() for q in questions_of(name, scene, rng)]
    folder = tmp_path / "meta"
    folder.mkdir()
    (folder / "made.json").write_text(json.dumps(scenes))
    (folder / "other.json").write_text('{"a": 1}')
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(q) + "\n" for q in questions))
    return folder, path, questions


def write(path: Path, questions: list[dict]) -> None:
    path.write_text("".join(json.dumps(q) + "\n" for q in questions))


def vsi(folder: Path, path: Path) -> Audit:
    return run_audit(AUDITS["vsi-bench"](), folder, path)


def test_right_answers_agree_and_just_the_changed_ones_disagree(made) -> None:
    folder, path, questions = made
    audit = vsi(folder, path)
    assert audit.ignored == ("other.json",)
    wrong = [row for row in audit.rows if row.verdict != "agrees"]
    assert wrong == []
    changed = [dict(q) for q in questions]
    for question in changed:
        truth = question["ground_truth"]
        question["ground_truth"] = (
            "ABCD"[("ABCD".index(truth) + 2) % 4] if truth in "ABCD" else str(float(truth) + 2)
        ).removesuffix(".0")
    write(path, changed)
    rows = vsi(folder, path).rows
    kinds = {row.question_type for row in rows if row.verdict == "agrees"}
    assert kinds == set()
    undecided = [row for row in rows if row.verdict == "not decidable"]
    assert {row.remark for row in undecided} <= {"within_sampling", "on_a_border"}
    numbers = [
        row for row in rows if row.question_type in ("object_counting", "room_size_estimation")
    ]
    assert all(row.margin == pytest.approx(2, abs=0.051) for row in numbers)


def test_what_cannot_be_decided_says_why(made) -> None:
    folder, path, questions = made
    rows = {q["question_type"]: dict(q) for q in questions[:6]}
    rows["object_counting"]["question"] = "How many zebra(s) are in this room?"
    rows["object_size_estimation"]["question"] = "How long is the chair, measured in centimeters?"
    rows["object_abs_distance"]["question"] = (
        "what is the distance between the chair and the bed (in meters)?"
    )
    rows["room_size_estimation"]["question_type"] = "obj_appearance_order"
    rows["object_rel_distance"]["scene_name"] = "elsewhere"
    rows["object_rel_direction_hard"]["question_type"] = "object_rel_colour"
    write(path, list(rows.values()))
    audit = vsi(folder, path)
    assert [row.remark for row in audit.rows] == [
        "category_missing", "wording_unknown", "category_not_unique", "needs_the_frames",
        "scene_missing", "unknown_question_type",
    ]  # fmt: skip
    assert {row.verdict for row in audit.rows} == {"not decidable"}
    assert audit.missing == ("elsewhere",)


def test_the_verb_writes_a_list_and_says_what_is_missing(made, tmp_path, capsys) -> None:
    folder, path, questions = made
    out = tmp_path / "list.jsonl"
    arguments = ["vsi-bench", "--metadata", str(folder), "--questions", str(path), "-o", str(out)]
    assert command.main(arguments) == 0
    said = capsys.readouterr().out
    assert "no metadata of the set: other.json" in said
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["id"] for line in lines] == [q["id"] for q in questions]
    assert not any("question" in line or "options" in line for line in lines)
    assert command.main(arguments) == 2
    assert "--overwrite" in capsys.readouterr().err
    write(path, [*questions, {**questions[0], "scene_name": "gone"}])
    assert command.main([*arguments, "--overwrite"]) == 3
    assert "not in the metadata: gone" in capsys.readouterr().err
    assert command.main(["no-set", *arguments[1:], "--overwrite"]) == 2
    write(path, [{**questions[0], "scene_name": "gone"}])
    assert command.main([*arguments, "--overwrite"]) == 1
    assert "none of the scenes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "cannot be read"), ('{"a": {}}', "none of its"), (None, "no folder")],
)
def test_folders_that_are_no_metadata_are_refused(tmp_path, content, words) -> None:
    folder = tmp_path / "meta"
    if content is not None:
        folder.mkdir()
        (folder / "a.json").write_text(content)
    with pytest.raises(RecordError, match=words):
        vsi(folder, tmp_path / "questions.jsonl")


def test_every_set_says_its_formulas(made) -> None:
    folder, path, _ = made
    for name, audited in AUDITS.items():
        assert issubclass(audited, AuditSet), name
    used = {row.formula for row in vsi(folder, path).rows}
    assert used <= AUDITS["vsi-bench"].formulas.keys()
    assert len(used) == 6


@pytest.fixture(scope="module")
def shared(real_path: Path) -> Audit:
    return vsi(real_path / "qa", real_path / "qa/vsibench_sample_168.json")


@pytest.mark.real
def test_the_public_half_agrees_as_the_page_says(shared: Audit) -> None:
    found = {name: (one["agrees"], one["disagrees"]) for name, one in shared.table().items()}
    assert found == {
        "obj_appearance_order": (0, 0), "object_abs_distance": (18, 1), "object_counting": (19, 1),
        "object_rel_direction_hard": (1, 0), "object_rel_direction_medium": (4, 0),
        "object_rel_distance": (14, 0), "object_size_estimation": (21, 0),
        "room_size_estimation": (7, 0), "route_planning": (0, 0),
    }  # fmt: skip
    off = [row.margin for row in shared.rows if row.question_type == "object_abs_distance"]
    assert np.median(np.abs(off)) <= 0.045
    # Public distances are those of sampled points, which are never nearer than the boxes.
    assert min(off) >= -0.05


@pytest.mark.real
def test_the_committed_list_is_the_one_that_is_derived(shared: Audit) -> None:
    stored = [json.loads(line) for line in LIST.read_text(encoding="utf-8").splitlines()]
    found = [json.loads(line) for line in shared.lines()]
    assert [row.pop("margin") for row in stored] == pytest.approx(
        [row.pop("margin") for row in found], abs=2e-4, nan_ok=True
    )
    assert stored == found
    assert LIST.stat().st_size < 200_000


@pytest.mark.real
def test_boxes_meet_their_bounds_and_directions_pass_the_guards(shared, real_path) -> None:
    scenes = {}
    for path in sorted((real_path / "qa").glob("vsi_meta_info_*.json")):
        scenes |= json.loads(path.read_text())
    for name in {row.scene for row in shared.rows}:
        rows = [b for boxes in scenes[name]["object_bbox"].values() for b in boxes]
        bounds = {(*row["min"], *row["max"]) for row in rows}
        objects = scene_objects(scenes[name])
        found = {tuple(np.concatenate(item.box.bounds).round(4)) for item in objects}
        assert len(found) <= len(bounds)
        gaps = [min(np.abs(np.subtract(f, b)).max() for b in bounds) for f in found]
        assert max(gaps) < 1e-3
    asked = json.loads((real_path / "qa/vsibench_sample_168.json").read_text())
    for entry in (q for q in asked if q["category_origin"].startswith("object_rel_direction")):
        words = entry["question"].replace("?", ",").split(",")
        names = [words[0].split(" by the ")[1].split(" and facing the ")[0]]
        names += [words[0].split(" facing the ")[1], words[1].split(" the ")[1].split(" to my")[0]]
        scene = scenes[entry["img_paths"][0].split("/")[-2]]
        items = [next(o for o in scene_objects(scene) if o.category == n) for n in names]
        form = entry["category_origin"].rpartition("_")[2]
        assert relative_direction(*items, form).value
