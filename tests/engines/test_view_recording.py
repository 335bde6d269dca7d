# SPDX-License-Identifier: Apache-2.0
"""Records as a recording: every step has its text, its images and the evidence in its scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spatial_engine.commands import generate, view
from spatial_engine.dataset.dataset import Dataset
from spatialcore.index.index import Index

pytest.importorskip("rerun", reason="rerun-sdk (extra viz) is not installed")


def test_each_record_is_a_step(
    sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rerun.chunk import RrdReader

    out, path = tmp_path / "out", tmp_path / "out.rrd"
    assert generate.main([str(sample_dir / "scannet"), "-o", str(out), "--limit", "150"]) == 0
    assert view.main([str(out), "--rerun", str(path), "--tasks", "scene_layout.*"]) == 0
    dataset = Dataset.open(out)
    records = [one.record for one in dataset.opened() if one.record.task.startswith("scene_layout")]
    tables: dict[str, list] = {}
    for chunk in RrdReader(str(path)).stream().to_chunks():
        tables.setdefault(chunk.entity_path, []).append(chunk.to_record_batch())

    def cells(entity: str, column: str) -> dict[int, object]:
        """Step -> what was written at it."""
        batches = [b for b in tables.get(entity, []) if column in b.schema.names]
        return {
            step: cell
            for b in batches
            for step, cell in zip(b["record"].to_pylist(), b[column].to_pylist(), strict=True)
            if cell is not None
        }

    texts = cells("/record/text", "TextDocument:text")
    assert len(texts) == len(records)
    for step, record in enumerate(records):
        assert record.question in texts[step][0]
        assert record.id in texts[step][0]
        assert step in cells("/record/images/1", "EncodedImage:blob")
    boxes = cells("/world/evidence/objects", "Boxes3D:centers")
    index = Index.open(dataset.index_of(dataset.manifest.parts[0]))
    checked = 0
    for step, record in enumerate(records):
        ids = record.facts.get("object_ids")
        if not ids:
            continue
        rows = {row.object_id: row for row in index.open_scene(record.source, record.scene).objects}
        expected = [rows[i].box_center for i in dict.fromkeys(ids)]
        assert np.allclose(np.asarray(boxes[step]), expected, atol=1e-5)
        checked += 1
    assert checked
    assert "records" in capsys.readouterr().out
    assert view.main([str(out), "--rerun", "--per-task", "1"]) == 0  # beside the records
    assert f"{path}: " in capsys.readouterr().out


def test_a_page_and_a_recording_are_two_requests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert view.main([str(tmp_path), "--rerun", str(tmp_path / "a.rrd"), "--serve"]) == 2
    assert "leave out --serve" in capsys.readouterr().err
