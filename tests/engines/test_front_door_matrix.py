# SPDX-License-Identifier: Apache-2.0
"""Every verb that takes scenes finds the same ones at every path that a person may name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from spatialcore import cli
from spatialcore.index.index import Index
from tests.fabricate import ply
from tests.robustness.hostile.bases import SCAN, clips, scannet, tum
from tests.robustness.hostile.bases import folders as posed_folders

VERBS = ("check", "index", "plan", "generate")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans, and a folder of captures of several kinds beside something that is none."""
    root = tmp_path_factory.mktemp("tree")
    scannet(root / "data")
    rng = np.random.default_rng(2)
    mesh = root / "data/scans" / SCAN / f"{SCAN}_vh_clean_2.ply"
    # Eight vertices, as the segments have, spread over the room so that frames share some.
    mesh.write_bytes(ply(rng.uniform((1, 1, 0), (4, 3, 2), (8, 3)), [(0, 1, 2)]))
    mixed = root / "my captures"
    for write in (tum, posed_folders, clips):
        write(mixed)
    (mixed / "room").rename(mixed / "Küche 客厅")
    (mixed / "drafts").mkdir()
    (root / "linked").symlink_to(mixed)
    (root / "room on another disk").symlink_to(mixed / "Küche 客厅")
    return root


PATHS = {
    "scans itself": "data/scans",
    "one scan": f"data/scans/{SCAN}",
    "the folder above": "data",
    "a name of spaces and letters": "my captures/Küche 客厅",
    "a mixed folder": "my captures",
    "a link to a folder": "linked",
    "a link to a scene": "room on another disk",
}


def scenes_of(verb: str, place: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Source and scene of all that a verb took or listed as skipped."""
    shutil.rmtree(out, ignore_errors=True)
    if verb == "check":
        code = cli.main(["check", str(place), "--json", "--count", "0"])
        sources = json.loads(capsys.readouterr().out)["sources"]
        found = {f"{s['kind']}/{scene['id']}" for s in sources for scene in s["scenes"]}
    else:
        few = [] if verb == "index" else ["--tasks", "camera_movement.distance", "--limit", "2"]
        code = cli.main([verb, str(place), "-o", str(out), *few])
        capsys.readouterr()
        index = Index.open(out if verb == "index" else out / "index")
        skipped = [(s.source, s.scene) for s in index.skipped]
        found = {f"{source}/{scene}" for source, scene in (*index.scenes(), *skipped)}
    assert code in (0, 1, 3), verb
    return found


@pytest.mark.parametrize("path", PATHS)
def test_verbs_agree(
    tree: Path, tmp_path: Path, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {
        verb: scenes_of(verb, tree / PATHS[path], tmp_path / "out", capsys) for verb in VERBS
    }  # fmt: skip
    assert found["check"]
    assert len({frozenset(scenes) for scenes in found.values()}) == 1, found
    if "captures" in PATHS[path] and "/" not in PATHS[path]:
        assert {name.partition("/")[0] for name in found["check"]} == {
            "tum", "posed_images", "tapvid3d",
        }  # fmt: skip
        assert any(name.endswith("/drafts") for name in found["check"])
