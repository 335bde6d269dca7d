# SPDX-License-Identifier: Apache-2.0
"""Every target has its documented shape; evaluation files hold no answer; merged ids are unique."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import random
import tarfile
from collections import Counter
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
from spatial_engine.export.limit import limited
from spatial_engine.plan import shards as sharding
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


def rows_of(exported: Path, target: str) -> list[dict[str, Any]]:
    """The rows of a target that is JSON, in the order of the data set."""
    found = (exported / target).glob(f"*/part-*.{TARGETS[target]}")
    files = sorted(found, key=lambda p: p.name)
    return [row for path in files for row in lines(path)]


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
    rows = rows_of(exported, target)
    assert len(rows) == len(opened)
    for row, entry in zip(rows, opened, strict=True):
        images = row.get("images", row.get("image"))
        images = [images] if isinstance(images, str) else images
        turns = row.get("messages") or [{"content": turn["value"]} for turn in row["conversations"]]
        assert turns[0]["content"].count("<image>") == len(images) == len(entry.record.images)
        assert turns[1]["content"] == entry.record.answer
        named = (entry.record.id, entry.record.task, entry.record.split)
        assert (row["id"], row["task"], row["split"]) == named
        for name, reference in zip(images, entry.record.images, strict=True):
            with Image.open(name) as picture:  # from any working folder
                assert picture.size == (reference.width, reference.height)


def test_registrations_name_the_files(exported: Path, opened: list[OpenedRecord]) -> None:
    folder = exported / "llamafactory"
    entry = json.loads((folder / "dataset_info.json").read_text())["spatialcore_train"]
    files = list((folder / entry["file_name"]).iterdir())
    assert sum(len(lines(path)) for path in files) == len(opened)
    assert entry["formatting"] == "sharegpt"
    meta = json.loads((exported / "internvl" / "meta_train.json").read_text())
    assert sum(one["length"] for one in meta.values()) == len(opened)
    for one in meta.values():
        assert len(lines(Path(one["annotation"]))) == one["length"]


def test_the_run_of_llamafactory_is_ready(exported: Path) -> None:
    """Plain `key: value` lines that name the registered data and folders that are there."""
    text = (exported / "llamafactory" / "qwen2_5_vl_lora.yaml").read_text()
    pairs = (line.partition(": ") for line in text.splitlines() if ": " in line)
    run = {key: value.strip("'") for key, _, value in pairs}
    info = json.loads((Path(run["dataset_dir"]) / "dataset_info.json").read_text())
    assert run["dataset"] in info
    assert Path(run["media_dir"]) == exported
    assert "eval_dataset" not in run  # no val split here


def test_vectors_of_multispa_are_in_metres(exported: Path, opened: list[OpenedRecord]) -> None:
    rows = rows_of(exported, "multispa")
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
    rows = pq.read_table(next((exported / "trl" / "train").iterdir())).to_pylist()
    assert len(rows) == len(opened)
    for row in rows:
        parts = row["messages"][0]["content"]
        assert sum(part["type"] == "image" for part in parts) == len(row["images"])


def test_webdataset_holds_every_image_in_rows_of_one_width(
    exported: Path, opened: list[OpenedRecord]
) -> None:
    total, widths = 0, []
    files = sorted((exported / "webdataset" / "train").iterdir())
    for path in files:
        with tarfile.open(path) as tar:
            names = tar.getnames()
            keys = Counter(name.partition(".")[0] for name in names if not name.endswith(".json"))
            assert set(keys.values()) == {int(path.name.split("-")[1])}
            widths.append(max(keys.values()))
            total += sum(keys.values())
            member = tar.extractfile(next(n for n in names if not n.endswith(".json")))
            assert member is not None
            Image.open(io.BytesIO(member.read())).verify()
    assert total == sum(len(entry.record.images) for entry in opened)
    # Loaders take the columns of the first file: in order it is the widest.
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) > 1
    card = (exported / "README.md").read_text()
    assert "config_name: trl" in card  # the first in the card is what load_dataset gives


def test_plain_records_are_the_records(exported: Path, opened: list[OpenedRecord]) -> None:
    for row, entry in zip(rows_of(exported, "jsonl"), opened, strict=True):
        assert len(row.pop("image_paths")) == len(entry.record.images)
        assert row == json.loads(json.dumps(dataclasses.asdict(entry.record)))


def test_splits_stay_apart_and_one_scene_is_split_along_its_walk(
    made: Path, sample_dir: Path, tmp_path: Path
) -> None:
    """No val row is in a train file; with one scene no frame is in both."""
    posed = sample_dir / "posed_images"
    scenes = sorted(path for path in posed.iterdir() if path.is_dir())
    (tmp_path / "posed").mkdir()
    for path in (*scenes, posed / "scannetv2-labels.combined.tsv"):
        (tmp_path / "posed" / path.name).symlink_to(path)
    for split, names in (("train", scenes[1:]), ("val", scenes[:1])):
        text = "\n".join(path.name for path in names) + "\n"
        (tmp_path / "posed" / f"scannetv2_{split}.txt").write_text(text)
    both = tmp_path / "both"
    argv = [str(tmp_path / "posed"), "-o", str(both), "--tasks", "camera_movement.distance"]
    assert generate.main([*argv, "--limit", "40", "--to", "swift"]) == 0
    found = {p.parent.name: lines(p) for p in (both / "swift").glob("*/*.jsonl")}
    assert set(found) == {"train", "val"}
    assert all(row["split"] == split for split, rows in found.items() for row in rows)
    assert sum(map(len, found.values())) == 40

    scene = next(iter(sorted((sample_dir / "scannet" / "scans").iterdir())))
    one = tmp_path / "one"
    tasks = "depth_perception.*,camera_movement.*"
    argv = [f"scannet:{scene}", "-o", str(one), "--limit", "200", "--tasks", tasks]
    assert generate.main([*argv, "--to", "llamafactory", "jsonl"]) == 0
    rows = rows_of(one, "jsonl")
    frames = {
        split: {frame for row in rows if row["split"] == split for frame in row["frames"]}
        for split in ("train", "val")
    }
    assert not frames["train"] & frames["val"]
    assert max(frames["train"]) < min(frames["val"])
    val = sum(row["split"] == "val" for row in rows)
    assert 0.1 * len(rows) <= val <= 0.4 * len(rows)
    assert (
        "eval_dataset: spatialcore_val"
        in (one / "llamafactory" / "qwen2_5_vl_lora.yaml").read_text()
    )
    card = (one / "README.md").read_text()
    assert ("are in neither split" in card) == (len(rows) < 200)


def test_targets_beside_each_other_shards_resume_and_what_is_refused(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sharding, "SHARD_ROWS", 17)
    data, base = tmp_path / "data", str(tmp_path / "set")
    assert generate.main([str(made / "index"), "-o", str(data), "--limit", "60"]) == 0

    def run(*argv: str) -> dict[str, Any]:
        assert export_command.main([str(data), "-o", base, "--json", *argv]) == 0
        return dict(json.loads(capsys.readouterr().out.splitlines()[-1]))

    capsys.readouterr()
    first = run("--to", "swift", "trl", "--shard", "1/2")
    assert first["waiting"] > 0
    assert not (tmp_path / "set" / "README.md").exists()
    assert run("--to", "swift", "trl", "--shard", "0/2")["records"] == 60
    assert run("--to", "llava")["records"] == 60
    before = {p: p.read_bytes() for p in (tmp_path / "set").rglob("*") if p.is_file()}
    assert {path.parents[1].name for path in before} >= {"swift", "trl", "llava"}
    # A part that is lost or cut is made again, and nothing else.
    lost = sorted((tmp_path / "set" / "swift").glob("*/part-*.jsonl"))
    lost[0].unlink()
    lost[1].write_text("cut")
    times = {p: p.stat().st_mtime_ns for p in lost[2:]}
    assert run("--to", "swift", "trl")["records"] == 60
    assert {p: p.read_bytes() for p in (tmp_path / "set").rglob("*") if p.is_file()} == before
    assert {p: p.stat().st_mtime_ns for p in lost[2:]} == times
    # Another request of the same target needs --overwrite; a stranger's folder is not ours.
    argv = [str(data), "-o", base, "--to", "swift", "--limit", "20"]
    assert export_command.main(argv) != 0
    assert "holds an export of limit None" in capsys.readouterr().err
    assert run("--to", "swift", "--limit", "20", "--overwrite")["records"] == 20
    assert len(rows_of(tmp_path / "set", "swift")) == 20
    (tmp_path / "mine" / "swift").mkdir(parents=True)
    (tmp_path / "mine" / "swift" / "notes.txt").write_text("mine")
    argv = [str(data), "-o", str(tmp_path / "mine"), "--to", "swift"]
    assert export_command.main(argv) != 0
    assert [p.name for p in (tmp_path / "mine").rglob("*")] == ["swift", "notes.txt"]


def test_a_limit_is_spread_evenly_over_the_tasks(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    have = Counter(record.record.task for record in open_records(made))
    limit = random.Random().randint(len(have), 50)
    ids = []
    for name in ("a", "b"):
        argv = [str(made), "-o", str(tmp_path / name), "--to", "jsonl", "--limit", str(limit)]
        capsys.readouterr()
        assert export_command.main(argv) == 0
        told = capsys.readouterr().out
        assert f"the limit of {limit} is spread evenly over {len(have)} tasks" in told
        ids.append([row["id"] for row in rows_of(tmp_path / name, "jsonl")])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == limit
    found = Counter(row_id.partition("/")[0] for row_id in ids[0])
    most = max(found.values())
    assert all(found[task] in (count, most, most - 1) for task, count in have.items())


def test_shares_are_as_even_as_what_there_is_lets_them_be() -> None:
    chance = random.Random()
    for _ in range(200):
        held = [
            {
                task: chance.randint(0, 40)
                for task in chance.sample("abcdefgh", chance.randint(1, 8))
            }
            for _ in range(chance.randint(1, 6))
        ]
        have = sum((Counter(tasks) for tasks in held), Counter[str]())
        limit = chance.randint(1, 400)
        shares = limited(held, limit)
        taken = Counter[str]()
        for tasks, share in zip(held, shares, strict=True):
            for task, (count, there) in share.items():
                assert 0 < count <= there == tasks[task]
                taken[task] += count
        assert taken.total() == min(limit, have.total())
        short = [taken[task] for task, count in have.items() if taken[task] < count]
        assert not short or max(taken.values()) - min(short) <= 1


def test_evaluation_files_hold_no_answer(exported: Path, opened: list[OpenedRecord]) -> None:
    for row, entry in zip(rows_of(exported, "prompts"), opened, strict=True):
        assert set(row) == {"id", "task", "split", "prompt", "images"}
        assert entry.record.answer not in row["prompt"]
    (path,) = (exported / "vlmevalkit" / "train").iterdir()
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == len(opened)
    assert "answer" not in rows[0]
    assert "evidence" not in rows[0]


def test_oracle_responses_to_the_prompts_are_all_right(
    exported: Path, opened: list[OpenedRecord]
) -> None:
    known = {entry.record.id: entry.record for entry in opened}
    asked = rows_of(exported, "prompts")
    assert len(asked) == len(known)
    assert all(score(known[r["id"]], known[r["id"]].answer).value == 1 for r in asked)


def test_marked_records_need_their_marks(made: Path, tmp_path: Path) -> None:
    argv = [str(made), "-o", str(tmp_path / "x"), "--to", "swift", "--tasks", "*.marked"]
    argv.append("--no-render-marks")
    assert export_command.main(argv) == 2
    assert not list((tmp_path / "x").rglob("*.jsonl"))


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
