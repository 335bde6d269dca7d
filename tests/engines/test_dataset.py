# SPDX-License-Identifier: Apache-2.0
"""One door to a data set: its roots, its marked images, and what it refuses."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spatial_engine.commands import export, generate, show, verify, view
from spatial_engine.dataset.dataset import Dataset, OpenedRecord
from spatial_engine.dataset.make import make_manifest, summarise
from spatial_engine.dataset.manifest import read_done
from spatial_engine.plan.plan import Plan
from spatial_engine.records.marks import draw_marks
from spatialcore.errors import MissingInput, RecordError
from spatialcore.io.images import open_image

LETTERS = 0.06  # three times the default height


@pytest.fixture(scope="module")
def lettered(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of lettered marks, whose recipe draws them large."""
    folder = tmp_path_factory.mktemp("lettered")
    recipe = folder / "large.toml"
    recipe.write_text(f"letter_height_share = {LETTERS}\n")
    argv = [str(sample_dir / "scannet"), "-o", str(folder / "out"), "--recipe", str(recipe)]
    tasks = "depth_perception.comparison.marked,visual_correspondence.*"
    assert generate.main([*argv, "--limit", "40", "--tasks", tasks]) == 0
    return folder / "out"


def lettered_record(out: Path) -> OpenedRecord:
    """The first record with a lettered mark."""
    return next(
        opened
        for opened in Dataset.open(out).opened()
        if any(mark.letter for image in opened.record.images for mark in image.marks)
    )


def jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=95)
    return out.getvalue()


def test_export_show_view_and_the_model_draw_the_same_pixels(
    lettered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = lettered_record(lettered)
    record = opened.record
    number = next(k for k, i in enumerate(record.images) if any(m.letter for m in i.marks))
    image = record.images[number]
    plain = open_image(opened.root, image.uri)
    expected = draw_marks(plain, image.marks, letter_height=round(LETTERS * image.width))
    small = draw_marks(plain, image.marks, letter_height=max(8, round(2.5 / 130 * image.width)))
    assert int((np.asarray(expected) != np.asarray(small)).any(axis=2).sum()) > 500
    assert_shown_alike(lettered, opened, number, expected, tmp_path, monkeypatch)


def assert_shown_alike(
    out: Path,
    opened: OpenedRecord,
    number: int,
    expected: Image.Image,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An image of a record is shown in the expected pixels by every verb and to a model."""
    from spatial_engine.view import pictures
    from spatialmllm.data.records import RecordFolder, RecordSet

    record = opened.record
    plain = open_image(opened.root, record.images[number].uri)
    assert np.array_equal(opened.image(number), expected)
    train = RecordSet.open([RecordFolder(out)], split=record.split)
    assert np.array_equal(train.image(record, number), expected)
    assert np.array_equal(train.spread(1).image(record, number), expected)

    assert show.main([str(out), record.id, "--images", str(folder / "shown")]) == 0
    (shown,) = (folder / "shown").glob(f"*-{number + 1}.jpg")
    assert shown.read_bytes() == jpeg(expected)

    argv = [str(out), "-o", str(folder / "set"), "--to", "swift", "--tasks", record.task]
    assert export.main(argv) == 0
    (path,) = (folder / "set" / "swift").glob(f"{record.split}/part-*.jsonl")
    lines = path.read_text().splitlines()
    same = [
        o.record.id for o in Dataset.open(out).opened()
        if (o.record.task, o.record.split) == (record.task, record.split)
    ]  # fmt: skip
    name = json.loads(lines[same.index(record.id)])["images"][number]
    assert (folder / "set" / name).read_bytes() == jpeg(expected)

    # The page shows the plain image with what marks change of it laid over: pixel for pixel.
    monkeypatch.setattr(pictures, "JPEG_QUALITY", 95)
    page = [str(out), "-o", str(folder / "page"), "--tasks", record.task]
    assert view.main([*page, "--per-task", "40"]) == 0
    picture = pictures.Pictures(folder / "again").add(opened, number)
    images = folder / "page" / "images"
    if not picture.patches:  # so much is changed that the image is one of its own
        assert (images / picture.file).read_bytes() == jpeg(expected)
        return
    assert (images / picture.file).read_bytes() == jpeg(plain)
    laid = plain.convert("RGB")
    for patch in picture.patches:
        with Image.open(images / patch.file) as drawn:
            laid.paste(drawn, (patch.x, patch.y), drawn)
    assert np.array_equal(laid, expected)


def test_a_model_batch_shows_the_same_pixels(lettered: Path) -> None:
    pytest.importorskip("torch")
    from spatialmllm.data.preprocessing import ProcessorConfig, resize_image, still
    from spatialmllm.data.records import RecordFolder, RecordSet

    opened = lettered_record(lettered)
    train = RecordSet.open([RecordFolder(lettered)], split=opened.record.split)
    processor = ProcessorConfig()
    for number, image in enumerate(opened.images()):
        batched = still(train.image(opened.record, number), processor).frames[0]
        assert np.array_equal(batched, np.asarray(resize_image(image, processor)))


def test_letters_of_two_heights_under_one_name_are_refused(lettered: Path, tmp_path: Path) -> None:
    from spatialmllm.data.records import RecordFolder, RecordSet

    other = tmp_path / "other"
    shutil.copytree(lettered, other)
    table = json.loads((other / "manifest.json").read_text())
    table["recipe"]["letter_height_share"] = 0.03
    (other / "manifest.json").write_text(json.dumps(table))
    with pytest.raises(RecordError, match="letters of two heights"):
        RecordSet.open([RecordFolder(lettered), RecordFolder(other)])


def test_every_door_follows_moved_and_named_roots(
    lettered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from spatialmllm.data.records import RecordFolder, RecordSet

    root = Dataset.open(lettered).roots["scannet"]
    moved = tmp_path / "moved" / "out"
    shutil.copytree(lettered, moved)
    table = json.loads((moved / "manifest.json").read_text())
    table["sources"]["scannet"]["root"] = "/gone/scannet"
    (moved / "manifest.json").write_text(json.dumps(table))
    record = next(Dataset.open(moved).records())
    assert not Dataset.open(moved).roots["scannet"].exists()
    for command, argv in (
        (export.main, ["-o", str(tmp_path / "named"), "--to", "swift"]),
        (show.main, ["--images", str(tmp_path / "pictures")]),
        (view.main, ["-o", str(tmp_path / "page"), "--per-task", "1"]),
        (verify.main, ["--sample", "5"]),
    ):
        assert command([str(moved), *argv]) == 1
        assert command is verify.main or "/gone/scannet" in capsys.readouterr().err
        assert command([str(moved), *argv, "--root", f"scannet={root}"]) == 0
    records = RecordSet.open([RecordFolder(moved)], roots={"scannet": root})
    assert records.image(record, 0).size == (record.images[0].width, record.images[0].height)
    assert show.main([str(moved), "--root", f"scanet={root}"]) == 2
    assert "did you mean 'scannet'?" in capsys.readouterr().err

    # Of that name beside the data set, or recorded relative to it: nothing needs to be said.
    (tmp_path / "moved" / "scannet").symlink_to(root)
    assert Dataset.open(moved).roots["scannet"] == moved.parent / "scannet"
    assert RecordSet.open([RecordFolder(moved)]).missing_images() == []
    table["sources"]["scannet"]["root"] = "../scannet"
    (moved / "manifest.json").write_text(json.dumps(table))
    assert Dataset.open(moved).roots["scannet"].resolve() == root.resolve()
    assert RecordSet.open([RecordFolder(moved)]).missing_images() == []


def test_what_is_written_is_read_back_equal(lettered: Path) -> None:
    dataset = Dataset.open(lettered)
    plan = Plan.open(lettered / "plan")
    assert make_manifest(plan).to_json() == dataset.manifest.to_json()
    assert summarise(plan, lettered) == dataset.summary()
    assert [file.done for file in dataset.shards] == [
        read_done(lettered, n) for n in range(dataset.manifest.shards)
    ]
    assert sum(file.done.rows for file in dataset.shards) == dataset.manifest.rows == 40


def test_a_missing_a_cut_and_another_version_are_told_apart(lettered: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"no data set at .*there is no such folder"):
        Dataset.open(tmp_path / "none")
    with pytest.raises(MissingInput, match=r"no data set at .*it holds no manifest\.json"):
        Dataset.open(tmp_path)
    out = tmp_path / "out"
    shutil.copytree(lettered, out)
    path = Dataset.open(out).files()[0]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RecordError, match=f"{path.name}: .* bytes, .* were written"):
        next(Dataset.open(out).records())
    manifest = dataclasses.replace(Dataset.open(out).manifest).to_json() | {"version": 2}
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RecordError, match=r"manifest\.json: .*version is 2, this release reads 1"):
        Dataset.open(out)
