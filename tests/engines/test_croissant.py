# SPDX-License-Identifier: Apache-2.0
"""The Croissant file of an export, read by its own library."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from spatial_engine.commands import export as export_command
from spatial_engine.commands import generate

mlcroissant = pytest.importorskip("mlcroissant")


@pytest.fixture(scope="module")
def exported(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of two splits as tables and as tars."""
    folder = tmp_path_factory.mktemp("croissant")
    argv = [str(sample_dir / "scannet"), "-o", str(folder / "out"), "--limit", "60"]
    assert generate.main([*argv, "--val-share", "0.5"]) == 0
    argv = [str(folder / "out"), "-o", str(folder / "ex"), "--to", "trl", "jsonl", "webdataset"]
    assert export_command.main(argv) == 0
    return folder / "ex"


# The library calls what rdflib is about to drop.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_is_valid_and_gives_every_row(exported: Path) -> None:
    described = mlcroissant.Dataset(jsonld=str(exported / "croissant.json"))
    assert not described.metadata.issues.errors
    sets = {one.id for one in described.metadata.record_sets}
    splits = {path.name for path in (exported / "trl").iterdir() if path.name in ("train", "val")}
    assert sets == {f"{target}-{split}" for target in ("trl", "jsonl") for split in splits}
    for split in splits:
        tables = [pq.read_table(path) for path in (exported / "trl" / split).iterdir()]
        ids = sorted(name for table in tables for name in table["id"].to_pylist())
        rows = list(described.records(f"trl-{split}"))
        assert sorted(row[f"trl-{split}/id"].decode() for row in rows) == ids
        assert {row[f"trl-{split}/split"] for row in rows} == {split.encode()}
        plain = list(described.records(f"jsonl-{split}"))
        assert sorted(row[f"jsonl-{split}/id"].decode() for row in plain) == ids
        assert all(row[f"jsonl-{split}/question"] for row in plain)


def test_licences_are_those_of_the_card(exported: Path) -> None:
    told = json.loads((exported / "croissant.json").read_text())
    card = (exported / "README.md").read_text()
    assert told["license"]
    assert all(f"| {licence} |" in card for licence in told["license"])


def test_an_export_without_tables_has_none(exported: Path, tmp_path: Path) -> None:
    out = exported.parent / "out"
    assert export_command.main([str(out), "-o", str(tmp_path / "ex"), "--to", "webdataset"]) == 0
    assert not (tmp_path / "ex" / "croissant.json").exists()


def test_a_card_names_the_tars_of_the_widest_rows_first(exported: Path, tmp_path: Path) -> None:
    """`datasets` takes the columns of the first file, and drops the pictures of wider rows."""
    out = exported.parent / "out"
    assert export_command.main([str(out), "-o", str(tmp_path / "ex"), "--to", "webdataset"]) == 0
    card = (tmp_path / "ex" / "README.md").read_text()
    head = card.split("---")[1]
    for split in re.findall(r"split: (\w+)", head):
        widths = [int(w) for w in re.findall(rf"{split}/[0-9]+-([0-9]+)-images", head)]
        assert len(set(widths)) > 1
        assert widths == sorted(widths, reverse=True)
