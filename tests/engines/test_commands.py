# SPDX-License-Identifier: Apache-2.0
"""What the reading commands print and write: show, view, stats and score."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image, ImageChops, ImageStat

from spatial_engine.commands import generate, score, show, stats, view
from spatial_engine.dataset.dataset import open_records
from spatialcore.io.images import open_image


@pytest.fixture(scope="module")
def made(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set of every task of rooms and clips."""
    out = tmp_path_factory.mktemp("commands") / "out"
    sources = [str(sample_dir / name) for name in ("scannet", "tapvid3d")]
    assert generate.main([*sources, "-o", str(out), "--limit", "200"]) == 0
    return out


def difference(a: Image.Image, b: Image.Image) -> float:
    """Largest mean difference of a channel."""
    return max(ImageStat.Stat(ImageChops.difference(a, b)).mean)


def test_view_needs_a_record(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [str(made), "-o", str(tmp_path / "page"), "--tasks", "nothing.*"]
    assert view.main(argv) == 2
    assert "no task matches 'nothing.*'" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


def test_show_draws_the_marks_that_the_question_names(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [str(made), "--random", "2", "--task", "depth_perception.comparison.marked"]
    assert show.main([*argv, "--images", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    pictures = sorted(tmp_path.glob("*.jpg"))
    assert len(pictures) == text.count("image 1: ") == 2
    shown = [o for o in open_records(made) if o.record.id in text]
    assert len(shown) == 2
    for opened in shown:
        record = opened.record
        assert " ".join(record.question.split()) in " ".join(text.split())
        assert record.answer in text
        # The written picture is near the drawn one and far from the unmarked one at the mark.
        mark = record.images[0].marks[0]
        box = tuple(round(x) for x in (mark.u - 2, mark.v - 2, mark.u + 3, mark.v + 3))
        with Image.open(tmp_path / f"{record.id.replace('/', '-')}-1.jpg") as image:
            written = image.convert("RGB").crop(box)
        drawn = opened.images()[0].convert("RGB").crop(box)
        plain = open_image(opened.root, record.images[0].uri).convert("RGB").crop(box)
        assert difference(written, drawn) < 40 < difference(plain, drawn)
        drawing = ElementTree.parse(tmp_path / f"{record.id.replace('/', '-')}-why.svg").getroot()
        classes = {one.get("class") for one in drawing.iter()}
        assert {"cloud", "camera", "ray", "point"} <= classes
        assert any(one.tag.endswith("style") for one in drawing)


def test_show_is_the_same_for_one_seed(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = []
    for seed in ("1", "1", "2"):
        assert show.main([str(made), "--random", "3", "--seed", seed, "--json"]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        ids.append([row["id"] for row in rows])
    assert ids[0] == ids[1] != ids[2]


def test_an_unknown_id_is_a_usage_error(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show.main([str(made), "no-such-id"]) == 2
    assert "no-such-id" in capsys.readouterr().err


def test_stats_counts_what_is_there(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stats.main([str(made), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    counted = {task: row["rows"] for task, row in report["tasks"].items()}
    found: dict[str, int] = {}
    for opened in open_records(made):
        found[opened.record.task] = found.get(opened.record.task, 0) + 1
    assert counted == found
    assert 150 < sum(found.values()) <= 200


def test_places_have_no_size_in_stats(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stats.main([str(made)]) == 0
    printed = capsys.readouterr().out
    assert "places in an image" in printed
    assert "norm1000" not in printed


@pytest.mark.parametrize(("baseline", "least", "most"), [("oracle", 1.0, 1.0), ("random", 0, 0.6)])
def test_score_of_baselines(
    made: Path, baseline: str, least: float, most: float, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        score.main(["--baseline", baseline, "--records", str(made), "--split", "train", "--json"])
        == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert least <= report["micro"] <= most
