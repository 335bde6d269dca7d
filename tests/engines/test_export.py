# SPDX-License-Identifier: Apache-2.0
"""Every target has its documented shape; evaluation files hold no answer; merged ids are unique."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from spatial_engine.commands import export as export_command
from spatial_engine.commands import generate
from spatial_engine.commands import merge as merge_command
from spatial_engine.commands import verify as verify_command
from spatial_engine.dataset.dataset import OpenedRecord, open_records
from spatial_engine.export import TARGETS
from spatial_engine.export.card import licence_of
from spatial_engine.scoring.multispa import score


@pytest.fixture(scope="module")
def made(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set of the sample rooms."""
    out = tmp_path_factory.mktemp("export") / "out"
    assert generate.main([str(sample_dir / "scannet"), "-o", str(out), "--limit", "60"]) == 0
    return out


@pytest.fixture(scope="module")
def exported(made: Path) -> Path:
    """All targets in one pass, images copied."""
    folder = made.parent / "exported"
    argv = [str(made), "-o", str(folder), "--to", *TARGETS, "--images", "copy"]
    assert export_command.main(argv) == 0
    return folder


@pytest.fixture(scope="module")
def opened(made: Path) -> list[OpenedRecord]:
    """The records in the order of the export."""
    return list(open_records(made))


def lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file or of a JSON array."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    "target", ["multispa", "internvl", "llava", "qwen", "sharegpt", "swift", "llamafactory"]
)
def test_placeholders_equal_images(target: str, exported: Path, opened: list[OpenedRecord]) -> None:
    rows = lines(exported / TARGETS[target])
    assert len(rows) == len(opened)
    for row, entry in zip(rows, opened, strict=True):
        images = row.get("images", row.get("image"))
        images = [images] if isinstance(images, str) else images
        turns = row.get("messages") or [{"content": turn["value"]} for turn in row["conversations"]]
        assert turns[0]["content"].count("<image>") == len(images) == len(entry.record.images)
        assert turns[1]["content"] == entry.record.answer
        for name, reference in zip(images, entry.record.images, strict=True):
            with Image.open(exported / name) as picture:
                assert picture.size == (reference.width, reference.height)


def test_registrations_name_the_file(exported: Path, opened: list[OpenedRecord]) -> None:
    entry = json.loads((exported / "dataset_info.json").read_text())["spatialcore"]
    assert (exported / entry["file_name"]).exists()
    assert entry["formatting"] == "sharegpt"
    entry = json.loads((exported / "internvl_meta.json").read_text())["spatialcore"]
    assert (exported / entry["annotation"]).exists()
    assert entry["length"] == len(opened)


def test_vectors_of_multispa_are_in_metres(exported: Path, opened: list[OpenedRecord]) -> None:
    rows = lines(exported / "multispa.jsonl")
    vectors = 0
    for row, entry in zip(rows, opened, strict=True):
        if entry.record.answer_type == "vector":
            expected = [value / 1000 for value in entry.record.answer_number]
            assert row["gt_value"] == pytest.approx(expected, abs=0.00051)
            vectors += 1
    assert vectors
    assert "metres for vectors" in (exported / "README.md").read_text()


def test_the_card_quotes_the_licence_beside_the_source(exported: Path, tmp_path: Path) -> None:
    assert "| CC0 1.0: rendered by" in (exported / "README.md").read_text()
    (tmp_path / "scannet").mkdir()
    assert "ScanNet, its Terms of Use" in licence_of("scannet", tmp_path / "scannet")
    (tmp_path / "LICENSE.md").write_text("\n# Mine | alone\n")
    assert licence_of("scannet", tmp_path / "scannet") == "# Mine / alone"


def test_trl_holds_a_part_for_each_image(exported: Path, opened: list[OpenedRecord]) -> None:
    rows = pq.read_table(exported / "trl.parquet").to_pylist()
    assert len(rows) == len(opened)
    for row in rows:
        parts = row["messages"][0]["content"]
        assert sum(part["type"] == "image" for part in parts) == len(row["images"])


def test_webdataset_holds_every_image(exported: Path, opened: list[OpenedRecord]) -> None:
    with tarfile.open(exported / "webdataset.tar") as tar:
        names = tar.getnames()
        pictures = [name for name in names if not name.endswith(".json")]
        assert len(pictures) == sum(len(entry.record.images) for entry in opened)
        member = tar.extractfile(pictures[0])
        assert member is not None
        Image.open(io.BytesIO(member.read())).verify()


def test_evaluation_files_hold_no_answer(exported: Path, opened: list[OpenedRecord]) -> None:
    for row, entry in zip(lines(exported / "prompts.jsonl"), opened, strict=True):
        assert set(row) == {"id", "prompt", "images"}
        assert entry.record.answer not in row["prompt"]
    with (exported / "vlmevalkit.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == len(opened)
    assert "answer" not in rows[0]
    assert "evidence" not in rows[0]


def test_oracle_responses_to_the_prompts_are_all_right(
    exported: Path, opened: list[OpenedRecord]
) -> None:
    known = {entry.record.id: entry.record for entry in opened}
    asked = lines(exported / "prompts.jsonl")
    assert len(asked) == len(known)
    assert all(score(known[r["id"]], known[r["id"]].answer).value == 1 for r in asked)


def test_marked_records_need_their_marks(made: Path, tmp_path: Path) -> None:
    argv = [str(made), "-o", str(tmp_path / "x"), "--to", "swift", "--tasks", "*.marked"]
    argv.append("--no-render-marks")
    assert export_command.main(argv) == 2
    assert list(tmp_path.iterdir()) == []


def test_merge_joins_and_refuses_equal_ids(made: Path, sample_dir: Path, tmp_path: Path) -> None:
    assert merge_command.main([str(made), str(made), "-o", str(tmp_path / "twice")]) == 1
    assert list(tmp_path.iterdir()) == []
    clips = tmp_path / "clips"
    parts = [str(tmp_path / name) for name in ("a", "b")]
    for part, glob in zip(parts, ("camera_movement.*", "depth_perception.*"), strict=True):
        argv = [str(sample_dir / "scannet"), "-o", part, "--limit", "20", "--tasks", glob]
        assert generate.main(argv) == 0
    assert merge_command.main([*parts, "-o", str(clips)]) == 0
    ids = [entry.record.id for entry in open_records(clips)]
    assert len(set(ids)) == len(ids) == 40


def test_a_merged_set_verifies_by_the_seed_and_index_of_each_part(
    sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = []
    for seed, glob in (("3", "camera_movement.*"), ("4", "depth_perception.*")):
        parts.append(str(tmp_path / seed))
        argv = [str(sample_dir / "scannet"), "-o", parts[-1], "--seed", seed, "--limit", "30"]
        assert generate.main([*argv, "--tasks", glob]) == 0
    once, twice = str(tmp_path / "once"), str(tmp_path / "twice")
    assert merge_command.main([*parts, "-o", once]) == 0
    argv = [str(sample_dir / "tapvid3d"), "-o", str(tmp_path / "5"), "--limit", "30"]
    assert generate.main(argv) == 0
    assert merge_command.main([once, str(tmp_path / "5"), "-o", twice]) == 0
    capsys.readouterr()
    assert verify_command.main([twice, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    rows = sum(1 for part in (*parts, str(tmp_path / "5")) for _ in open_records(part))
    assert report["checked"] == report["total"] == rows > 60
