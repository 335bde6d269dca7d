# SPDX-License-Identifier: Apache-2.0
"""What the gallery writes: every record once, its texts escaped, images once, evidence drawn."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spatial_engine.commands import view
from spatial_engine.dataset.dataset import Dataset
from spatial_engine.records.record import QARecord
from spatial_engine.view.answer_groups import answer_key, group_answers
from spatial_engine.view.choose import choose
from spatial_engine.view.data_files import column, data_file
from spatial_engine.view.evidence_table import evidence_table
from spatial_engine.view.map_grid import grid_through
from spatial_engine.view.scene_files import ScenePlans
from spatial_engine.view.serve import PAGE_POLICY, POLICY
from spatial_engine.view.why import explain
from tests.view.conftest import Gallery, read_data


def unpacked(packed: dict) -> np.ndarray:
    kind = {1: "<u1", 2: "<u2", 4: "<u4"}[packed["bytes"]]
    return np.frombuffer(base64.b64decode(packed["base64"]), kind)


def test_every_record_is_on_the_page_once(gallery: Gallery) -> None:
    cards = gallery.cards
    assert Counter(card["id"] for card in cards) == Counter(gallery.records.keys())
    head = gallery.data("data")
    assert head["rows"] == head["all"] == len(cards) == sum(task["rows"] for task in head["tasks"])
    position = 0
    for task in head["tasks"]:
        assert task["page"] * 10 >= position - 10 * len(head["tasks"])
        first = gallery.data("pages", task["page"])[0]
        for card in cards[position : position + task["rows"]]:
            assert gallery.records[card["id"]].task == task["name"]
        assert first["id"] == cards[position]["id"]
        position += task["rows"]
    for card in cards:
        record = gallery.records[card["id"]]
        assert (card["q"], card["a"]) == (record.question, record.answer)
        assert card["frames"] == list(record.frames)
        assert len(card["images"]) == len(record.images)


def test_columns_count_what_the_records_say(gallery: Gallery) -> None:
    head, cards = gallery.data("data"), gallery.cards
    records = [gallery.records[card["id"]] for card in cards]
    columns = {name: unpacked(packed) for name, packed in head["columns"].items()}
    assert [head["splits"][k] for k in columns["split"]] == [r.split for r in records]
    scenes = [f"{r.source}/{r.scene}" for r in records]
    assert [head["scenes"][k] for k in columns["scene"]] == scenes
    answers = {task["name"]: task["answers"] for task in head["tasks"]}
    worded = 0
    for record, k in zip(records, columns["answer"], strict=True):
        name = answers[record.task][k]
        if record.answer_text is not None:
            worded += 1
            assert name == record.answer_text
    assert worded > 50


def test_texts_hold_what_a_search_looks_for(gallery: Gallery) -> None:
    count = len(list((gallery.page / "texts").iterdir()))
    assert count == -(-len(gallery.records) // 100)
    lines = [row for k in range(count) for row in gallery.data("texts", k).split("\n")]
    for line, card in zip(lines, gallery.cards, strict=True):
        assert card["id"].lower() in line
        assert " ".join(card["q"].lower().split()) in line
        assert " ".join(card["a"].lower().replace("`", "").split()) in line


def test_images_are_written_once_and_are_all_there(gallery: Gallery) -> None:
    names = [name for card in gallery.cards for name, *_ in card["images"]]
    patches = {p[0] for card in gallery.cards for i in card["images"] for p in (i[3:] or [[]])[0]}
    files = {path.name for path in (gallery.page / "images").iterdir()}
    assert set(names) | patches == files
    frames = {(r.source, i.uri) for r in gallery.records.values() for i in r.images}
    plain = {
        (record.source, image.uri): shown[0]
        for card in gallery.cards
        for record in [gallery.records[card["id"]]]
        for image, shown in zip(record.images, card["images"], strict=True)
        if not image.marks
    }
    assert 0 < len(set(plain.values())) <= len(plain) <= len(frames) < len(names)
    assert patches
    digests = {path.read_bytes() for path in (gallery.page / "images").glob("*.jpg")}
    assert len(digests) == len(set(names))
    for name in files:
        with Image.open(gallery.page / "images" / name) as image:
            image.verify()


def test_the_page_runs_no_script_but_its_own_files(gallery: Gallery) -> None:
    text = (gallery.page / "index.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert policy[1].replace("&#39;", "'") == PAGE_POLICY
    assert POLICY.startswith(PAGE_POLICY)
    assert "unsafe" not in POLICY
    for directive in ("default-src 'none'", "script-src 'self'", "style-src 'self'"):
        assert directive in PAGE_POLICY
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\bon\w+=|\bstyle=", text)
    loaded = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert all((gallery.page / name).is_file() for name in loaded)
    for path in (gallery.page / "assets").iterdir():
        script = path.read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script
        )
        assert re.fullmatch(r"[a-z]+-[0-9a-f]{8}\.(js|css)", path.name)


def test_a_text_of_markup_stays_text(tmp_path: Path) -> None:
    hostile = {"q": "</script><script>alert(1)</script>", "a": "\u2028`<img src=x>`\ud800"}
    path = data_file(tmp_path, "page", 3, [hostile])
    text = path.read_bytes()
    assert b"<" not in text
    assert max(text) < 128
    assert read_data(path) == [hostile]
    with pytest.raises(ValueError, match="not JSON compliant"):
        data_file(tmp_path, "page", 4, float("nan"))


def test_columns_are_as_narrow_as_fits() -> None:
    for values, size in (([], 1), ([0, 255], 1), ([256, 3], 2), ([1 << 16, 2], 4)):
        packed = column(values)
        assert packed["bytes"] == size
        assert unpacked(packed).tolist() == values


def test_long_evidence_is_never_printed(gallery: Gallery) -> None:
    for card in gallery.cards:
        assert sum(len(text) for _, text in card["table"]) < 1200
        assert all(len(text) < 200 for _, text in card["table"])
        assert "runs" not in dict(card["table"])
    walk = next(c for c in gallery.cards if c["id"].startswith("navigation."))
    assert "route" in {shape[0] for shape in walk["top"]}
    assert [shape[0] for shape in walk["floor"]] == ["floor"]
    floor = dict(evidence_table(gallery.records[walk["id"]].facts))["floor"]
    assert "runs: " in floor
    assert " values, " in floor


def test_each_family_is_drawn(gallery: Gallery) -> None:
    """Every record has a map, and what its answer is about stands on it or on an image."""
    maps = set(gallery.data("data")["maps"])
    for card in gallery.cards:
        record = gallery.records[card["id"]]
        assert card["scene"] in maps
        scene = gallery.data("scenes", card["scene"])
        assert all(str(frame) in scene["cameras"] for frame in record.frames)
        assert all(str(number) in scene["boxes"] for number in card.get("objects", []))
        drawn = {shape[0] for shape in card.get("top", [])}
        drawn |= {shape[0] for shapes in card.get("on", {}).values() for shape in shapes}
        placed = record.facts["items"] or record.task.startswith("camera_movement.")
        assert drawn or card.get("objects") or not placed, card["id"]


def test_boxes_of_objects_lie_where_the_frames_show_them(gallery: Gallery) -> None:
    """The box in the image covers the pixels of the object's own vertices."""
    from spatialcore.index.index import Index
    from spatialcore.index.store import SceneIndex

    index = Index.open(gallery.out / "index")
    checked = 0
    for number, name in enumerate(gallery.data("data")["scenes"]):
        source, _, scene_id = name.partition("/")
        scene: SceneIndex = index.open_scene(source, scene_id)
        for key, (d, *_) in gallery.data("scenes", number)["outlines"].items():
            frame, object_id = map(int, key.split(":"))
            corners = np.array([pair.split() for pair in re.findall(r"-?\d+ -?\d+", d)], dtype=int)
            points = np.asarray(scene.points[scene.instance == object_id], dtype=np.float64)
            seen = scene.visible.to_bool()[scene.row_of_frame[frame]][scene.instance == object_id]
            pose = scene.cam_from_world(frame)
            uv, _ = scene.color_camera(frame).project(points[seen] @ pose[:3, :3].T + pose[:3, 3])
            assert (uv >= corners.min(axis=0) - 3).all()
            assert (uv <= corners.max(axis=0) + 3).all()
            checked += 1
    assert checked > 20


@pytest.mark.parametrize("evidence", [
    '{"floor":{"cell_m":1e300,"origin":[0,0],"runs":[1e12],"shape":[1e6,1e6]}}',
    '{"floor":{"shape":[2,2],"runs":[1],"origin":[0,0],"cell_m":0.1},"start_xy":["a",null]}',
    '{"uv":[[1,2],[3]],"points":[{"uv":"x"},7],"z_m":"far","cam_from_world":[[[0]]]}',
    '{"object_ids":[999999,-1,true],"angle_deg":"x","axis":7,"letters":[{}],"items":"all"}',
    '{"box_center":[1,2,3],"box_size":[1e308,1,1],"a_world":[1,2],"gaps_m":[1]}',
    '{"cam_from_world":[[[0,0,0,0],[0,0,0,0],[0,0,0,0],[0,0,0,0]]],"legs_m":[],"turns_deg":[]}',
    '{"x":' + "[" * 90 + "]" * 90 + "}",
])  # fmt: skip
def test_evidence_of_any_shape_is_a_table_at_least(gallery: Gallery, evidence: str) -> None:
    for record in list(gallery.records.values())[::40]:
        strange: QARecord = dataclasses.replace(record, evidence=evidence)
        why = explain(strange, None)
        assert [name for name, _ in why.table]
        json.dumps([why.top, why.floor, why.images, why.box], allow_nan=False)


def test_a_way_and_discs_of_floor_are_drawn(gallery: Gallery) -> None:
    """The way that was gone, which is longer than its arrow; what is seen, and what is asked."""
    plans = ScenePlans(Dataset.open(gallery.out))
    record = next(r for r in gallery.records.values() if r.task.startswith("scene_layout."))
    count = len(record.frames)
    assert count > 2
    facts = {"net_m": 1.0, "steps_m": [0.5] * (count - 1)}
    facts |= {"seen_xy": [1.0, 2.0], "seen_m": 1.2, "diameter_m": 1.6}
    _, why = plans.explain(dataclasses.replace(record, evidence=json.dumps(facts)))
    (route,) = (shape[1] for shape in why.top if shape[0] == "route")
    assert str(route).count("L") == count - 1
    rings = {shape[0]: str(shape[1]) for shape in why.top if "a" in str(shape[1])}
    assert "a60 60 " in rings["measure"]
    assert "a80 80 " in rings["facing"]


def test_without_an_index_the_evidence_alone_is_drawn(
    gallery: Gallery, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in gallery.out.iterdir():
        if path.name not in ("index", "plan", "gallery"):
            (bare / path.name).symlink_to(path)
    manifest = json.loads((gallery.out / "manifest.json").read_text())
    manifest["index"] = "gone"
    (bare / "manifest.json").unlink()
    (bare / "manifest.json").write_text(json.dumps(manifest))
    argv = [str(bare), "-o", str(tmp_path / "page"), "--tasks", "object_movement.*,navigation.*"]
    assert view.main([*argv, "--json"]) == 0
    told = capsys.readouterr()
    assert "have no map" in told.err
    assert json.loads(told.out)["scenes_without_map"] >= 1
    cards = read_data(tmp_path / "page" / "pages" / "0.js")
    assert all(card["box"] and card["top"] for card in cards)
    assert read_data(tmp_path / "page" / "data" / "0.js")["maps"] == []


def test_a_choice_is_said_and_is_the_same_everywhere(
    gallery: Gallery, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = Dataset.open(gallery.out)
    counts = Counter(record.task for record in gallery.records.values())
    chosen = choose(dataset, counts, per_task=2, limit=1000)
    assert chosen.counts == counts
    assert chosen.ids is not None
    kept = Counter(gallery.records[one].task for one in chosen.ids)
    assert kept == {task: min(2, count) for task, count in counts.items()}
    some = choose(dataset, counts, per_task=None, limit=100)
    assert some.ids is not None
    assert 100 - len(counts) < len(some.ids) <= 100
    few = choose(dataset, counts, per_task=None, limit=7)
    assert few.ids is not None
    assert len(few.ids) == 7
    assert choose(dataset, counts, per_task=None, limit=1000).ids is None
    assert view.main([str(gallery.out), "-o", str(tmp_path / "page"), "--per-task", "1"]) == 0
    assert f"{len(counts)} of {len(gallery.records)} records" in capsys.readouterr().out
    for wrong in ("--per-task", "--limit"):
        assert view.main([str(gallery.out), "-o", str(tmp_path / "no"), wrong, "0"]) == 2


def test_an_image_that_is_gone_is_told(
    gallery: Gallery, sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "posed_images"
    moved = [r for r in gallery.records.values() if r.task.startswith("camera_movement.")]
    uris = sorted({image.uri for record in moved for image in record.images})
    for uri in uris[1:]:
        (root / uri).parent.mkdir(parents=True, exist_ok=True)
        (root / uri).symlink_to(sample_dir / "posed_images" / uri)
    argv = [str(gallery.out), "--tasks", "camera_movement.*", "--root", f"posed_images={root}"]
    assert view.main([*argv, "-o", str(tmp_path / "page")]) == 3
    assert "1 images cannot be opened" in capsys.readouterr().err
    cards = read_data(tmp_path / "page" / "pages" / "0.js")
    assert all(len(card["images"]) == 2 for card in cards)
    for uri in uris[2:]:
        (root / uri).unlink()
    assert view.main([*argv, "-o", str(tmp_path / "other")]) == 1
    assert "--root KEY=PATH" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_groups_of_answers() -> None:
    words = group_answers(["left", "right", "left"], "word", "word")
    assert words.names == ["left", "right"]
    assert words.of_record == [0, 1, 0]
    few = group_answers([3.0, 1.0, 3.0], "count", "integer")
    assert (few.names, few.of_record) == (["1", "3"], [1, 0, 1])
    rng = np.random.default_rng(7)
    numbers = rng.gamma(2.0, 700.0, 500).round().tolist()
    many = group_answers(numbers, "mm", "integer")
    assert 8 <= len(many.names) <= 25
    for number, k in zip(numbers, many.of_record, strict=True):
        bounds = [float(n) for n in re.findall(r"[\d.]+", many.names[k])]
        if " to " in many.names[k]:
            assert bounds[0] <= number < bounds[1]
        else:
            assert (number < bounds[0]) == many.names[k].startswith("below")
    strange = group_answers([f"w{k}" for k in range(100)] + ["often"] * 5, "word", "word")
    assert strange.names[0] == "often"
    assert strange.names[-1] == "other"
    assert len(strange.names) == 24


def test_keys_of_answers(gallery: Gallery) -> None:
    kinds = {record.answer_type: record for record in gallery.records.values()}
    assert {"word", "letter", "integer", "vector", "coordinate"} <= kinds.keys()
    for kind, record in kinds.items():
        key = answer_key(record)
        assert isinstance(key, float if kind in ("integer", "number", "vector") else str)
    box = dataclasses.replace(kinds["word"], answer_type="box", answer_number=(0, 0, 90, 900.0))
    assert answer_key(box) == "left, middle"
    corner = dataclasses.replace(kinds["coordinate"], answer_number=(0.0, 1000.0))
    assert answer_key(corner) == "left, bottom"
    unknown = dataclasses.replace(kinds["word"], answer_type="unheard-of", answer_text=None,
                                  answer="It is `chair at [ 1 , 2 ]`.")  # fmt: skip
    assert answer_key(unknown) == "chair at [ 1 , 2 ]"


def test_a_grid_is_found_from_places_on_it() -> None:
    rng = np.random.default_rng(3)
    for turn in rng.uniform(0, 2 * np.pi, 5):
        places = rng.uniform(0, 10, (5, 2))
        side, turned = 48.0, np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        points = places * (1, -1) * side @ turned.T + (30, -70)
        grid, first, last = grid_through(places, points)
        drawn = np.array([pair.split() for pair in re.findall(r"-?\d+ -?\d+", str(grid[1]))], int)
        ends = np.array([(0, 0), (10, 10)]) * (1, -1) * side @ turned.T + (30, -70)
        assert all((np.abs(drawn - end).max(axis=1) <= 1).any() for end in ends)
        assert (first[3], last[3]) == ("0, 0", "9, 0")
        gap = np.hypot(int(last[1]) - int(first[1]), int(last[2]) - int(first[2]))
        assert gap == pytest.approx(9 * side, abs=2)
