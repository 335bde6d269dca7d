# SPDX-License-Identifier: Apache-2.0
"""`status` follows a data set from its first shard to its last; `report` is one page by itself."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from spatial_engine.commands import generate, plan, report, show, status
from spatial_engine.dataset.dataset import Dataset
from spatial_engine.plan import shards as sharding
from spatial_engine.records.record import read_records

TASKS = ["--tasks", "camera_movement.*,depth_perception.*,spatial_relation.*"]


@pytest.fixture(scope="module")
def planned(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of several shards."""
    folder = tmp_path_factory.mktemp("status")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharding, "SHARD_ROWS", 30)
        argv = [str(sample_dir / "scannet"), "-o", str(folder / "plan"), *TASKS, "--limit", "200"]
        assert plan.main(argv) == 0
    return folder / "plan"


def told(capsys: pytest.CaptureFixture[str], out: Path) -> dict[str, object]:
    capsys.readouterr()
    assert status.main([str(out), "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_status_from_nothing_to_done(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert status.main([str(out)]) == 2
    assert "no data set at" in capsys.readouterr().err
    assert not out.exists()
    count = len(json.loads((planned / "plan.json").read_text())["shards"])
    assert count > 3
    assert generate.main([str(planned), "-o", str(out), "--shard", "1/2"]) == 0
    half = told(capsys, out)
    assert (half["stage"], half["shards"], half["planned_shards"]) == (
        "generate",
        count // 2,
        count,
    )
    assert half["missing"] == [str(k) for k in range(0, count, 2)]
    assert half["rows"] == sum(s.done.rows for s in Dataset.open(out).shards)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert status.main([str(out)]) == 0
    text = capsys.readouterr().out
    assert f"{count // 2:,} of {count:,} shards" in text
    assert "next     spatialcore generate" in text
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert generate.main([str(planned), "-o", str(out), "--shard", "0/2", "--to", "swift"]) == 0
    done = told(capsys, out)
    assert (done["stage"], done["missing"], done["rows"]) == ("done", [], done["planned"])
    assert done["exports"] == {"swift": [count, count]}


class Page(HTMLParser):
    """What a page would load, and its pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.pictures: list[bytes] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href") and value:
                if value.startswith("data:image/jpeg;base64,"):
                    self.pictures.append(base64.b64decode(value.partition(",")[2]))
                else:
                    self.loads.append(value)
        assert tag not in ("script", "iframe", "object")


def test_a_report_holds_all_it_shows(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out <b>&"
    assert generate.main([str(planned), "-o", str(out)]) == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert report.main([str(out)]) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    text = (tmp_path / "out <b>&-report.html").read_text(encoding="utf-8")
    assert "<h1>out &lt;b&gt;&amp;</h1>" in text
    page = Page()
    page.feed(text)
    assert [link for link in page.loads if not link.startswith("#")] == []  # within the page
    assert {f'id="{link[1:]}"' in text for link in page.loads} == {True}  # the scenes' maps
    tasks = {record.task for record in Dataset.open(out).records()}
    assert text.count("<title>The scene from above</title>") >= len(tasks)
    assert len(page.pictures) >= len(tasks)
    for content in page.pictures:
        Image.open(io.BytesIO(content)).verify()
    for task in tasks:
        assert f"<td>{task}</td>" in text
    assert "200 were asked for" in text
    # What is not ours is not written over, and a moved source is said.
    (tmp_path / "mine.html").write_text("mine")
    assert report.main([str(out), "-o", str(tmp_path / "mine.html")]) == 2
    assert (tmp_path / "mine.html").read_text() == "mine"
    capsys.readouterr()
    argv = [str(out), "-o", str(tmp_path / "moved.html"), "--root", f"scannet={tmp_path}"]
    assert report.main(argv) == 0
    assert re.search(r"\d images cannot be opened", (tmp_path / "moved.html").read_text())


def test_a_report_by_workers_is_the_same_page(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main([str(planned), "-o", str(tmp_path / "out")]) == 0
    pages = [tmp_path / f"{count}.html" for count in (1, 2)]
    for count, page in enumerate(pages, 1):
        argv = [str(tmp_path / "out"), "-o", str(page), "--workers", str(count)]
        assert report.main(argv) == 0
    assert pages[0].read_bytes() == pages[1].read_bytes()
    capsys.readouterr()


def test_one_record_is_found_without_reading_the_others(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Record files of other scenes may even be damaged: their footers are enough."""
    out = tmp_path / "out"
    assert generate.main([str(planned), "-o", str(out)]) == 0
    dataset = Dataset.open(out)
    wanted = list(dataset.records())[-1]
    for path in dataset.files():
        scenes = {record.scene for record in read_records(path)}
        if wanted.scene not in scenes:
            content = bytearray(path.read_bytes())
            content[100:400] = bytes(300)
            path.write_bytes(content)
    capsys.readouterr()
    assert show.main([str(out), wanted.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == wanted.id
    assert show.main([str(out), wanted.id + "0", "--json"]) == 2
