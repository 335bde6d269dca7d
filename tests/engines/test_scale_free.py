# SPDX-License-Identifier: Apache-2.0
"""A reconstruction without a scale is asked nothing about lengths, and everything else."""

from collections import Counter

from spatial_engine import open_records
from spatial_engine.commands import generate, verify
from tests.io.test_reconstructions import write_colmap


def test_only_questions_without_lengths_are_asked(tmp_path):
    write_colmap(tmp_path / "scans" / "room", "bin")
    out = tmp_path / "out"
    assert generate.main([str(tmp_path / "scans"), "-o", str(out), "--limit", "200"]) == 0
    assert verify.main([str(out)]) == 0
    tasks = Counter(opened.record.task for opened in open_records(out))
    assert tasks["visual_correspondence.match.coordinate"]
    assert tasks["camera_movement.z_direction"]
    assert tasks["depth_perception.comparison.marked"]
    units = {opened.record.answer_unit for opened in open_records(out)}
    assert not units & {"mm", "m", "cm", "m2"}
