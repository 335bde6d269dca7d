# SPDX-License-Identifier: Apache-2.0
"""`plan` takes what `generate` takes, and gives the same plan; copied data verifies."""

import json
import shutil

import numpy as np
import pytest

from spatial_engine.commands import generate, plan, verify
from spatialcore.commands import index
from tests.io.test_agreement import write_posed

ASKED = ["--limit", "60", "--tasks", "camera_movement.*,depth_perception.*"]


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    root = tmp_path_factory.mktemp("front") / "scans"
    write_posed(root / "my office")
    return root


def test_a_plan_of_sources_is_the_plan_of_their_index(scans, tmp_path, capsys):
    assert plan.main([str(scans), "-o", str(tmp_path / "plan"), *ASKED, "--json"]) == 0
    of_sources = json.loads(capsys.readouterr().out)
    assert index.main([str(scans), "-o", str(tmp_path / "idx")]) == 0
    capsys.readouterr()
    assert plan.main([str(tmp_path / "idx"), "-o", str(tmp_path / "plan2"), *ASKED, "--json"]) == 0
    of_index = json.loads(capsys.readouterr().out)
    assert of_sources["rows"] == of_index["rows"] > 40
    assert of_sources["tasks"] == of_index["tasks"]
    out = tmp_path / "out"
    assert generate.main([str(tmp_path / "plan"), "-o", str(out)]) == 0
    direct = tmp_path / "direct"
    assert generate.main([str(scans), "-o", str(direct), *ASKED]) == 0
    parts = [sorted(o.glob("data/*/*.parquet")) for o in (out, direct)]
    assert [p.read_bytes() for p in parts[0]] == [p.read_bytes() for p in parts[1]]


def test_a_copied_data_set_and_copied_sources_verify(scans, tmp_path, capsys):
    shutil.copytree(scans, tmp_path / "first")
    out = tmp_path / "out"
    assert generate.main([str(tmp_path / "first"), "-o", str(out), *ASKED]) == 0
    # New times, same bytes, other places: cp -r of both.
    for name, to in (("first", "second"), ("out", "copy")):
        shutil.copytree(tmp_path / name, tmp_path / to, copy_function=shutil.copyfile)
    shutil.rmtree(tmp_path / "first")
    root = f"posed_images={tmp_path / 'second'}"
    assert verify.main([str(tmp_path / "copy"), "--root", root]) == 0
    depth = next((tmp_path / "second").rglob("00003.png"))
    changed = bytearray(depth.read_bytes())
    changed[-20] ^= 1
    depth.write_bytes(bytes(changed))
    capsys.readouterr()
    assert verify.main([str(tmp_path / "copy"), "--root", root]) == 1
    captured = capsys.readouterr()
    assert "source_changed" in captured.out + captured.err


def test_nothing_but_contradictions_is_a_refusal(tmp_path, capsys):
    write_posed(tmp_path / "scans" / "room", np.linalg.inv)
    for verb, out in ((index, "idx"), (plan, "plan"), (generate, "out")):
        assert verb.main([str(tmp_path / "scans"), "-o", str(tmp_path / out)]) == 3
        captured = capsys.readouterr()
        assert "looks like world-to-camera poses" in captured.out + captured.err
