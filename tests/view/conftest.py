# SPDX-License-Identifier: Apache-2.0
"""A small data set of every task, and its gallery."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from spatial_engine.commands import generate, view
from spatial_engine.dataset.dataset import open_records
from spatial_engine.records.record import QARecord


class Gallery(NamedTuple):
    """A data set, its records by id, and the folder of its page."""

    out: Path
    records: dict[str, QARecord]
    page: Path

    def data(self, folder: str, number: int = 0) -> Any:
        """What a data file hands to the page."""
        return read_data(self.page / folder / f"{number}.js")

    @property
    def cards(self) -> list[dict[str, Any]]:
        """All records as the page knows them, in the order of its positions."""
        count = len(list((self.page / "pages").iterdir()))
        return [card for k in range(count) for card in self.data("pages", k)]


def read_data(path: Path) -> Any:
    text = path.read_text(encoding="ascii")
    assert text.startswith("spatialcoreData(")
    assert text.endswith(");\n")
    return json.loads(f"[{text[len('spatialcoreData(') : -len(');') - 1]}]")[2]


@pytest.fixture(scope="session")
def gallery(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """The page of 260 records of rooms and clips, with data files of ten records each."""
    from spatial_engine.view import gallery as module

    out = tmp_path_factory.mktemp("gallery") / "out"
    sources = [str(sample_dir / name) for name in ("posed_images", "tapvid3d")]
    assert generate.main([*sources, "-o", str(out), "--limit", "260"]) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PAGE_ROWS", 10)
        patch.setattr(module, "TEXT_ROWS", 100)
        assert view.main([str(out)]) == 0
    records = {opened.record.id: opened.record for opened in open_records(out)}
    return Gallery(out, records, out / "gallery")
