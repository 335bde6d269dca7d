# SPDX-License-Identifier: Apache-2.0
"""How far a reader of the code walks with one depth map."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from spatialcore.io.open import open_source
from tests.walk import Stay, lines, walk

# Where the cloud is built from the maps, they are tried with four sizes of voxels.
MOST_RETURNS = {"scannet": 16, "posed_images": 20, "no_mesh": 59}
PASSED = ("index/scene_build.py", "index/depths.py", "index/visibility.py", "occlusion.py", "_cpu")


def walked(place: Path) -> tuple[list[Stay], str]:
    stays = walk(place, open_source(place).scene_ids()[0])
    return stays, "\n".join(lines(stays))


def returns(stays: list[Stay]) -> int:
    return sum(stay.again for stay in stays)


@pytest.mark.parametrize("layout", ["scannet", "posed_images"])
def test_a_map_comes_back_to_few_files(sample_dir: Path, layout: str) -> None:
    stays, story = walked(sample_dir / layout)
    files = [stay.file for stay in stays]
    assert {*PASSED, f"io/{'sens' if layout == 'scannet' else 'depth_png'}.py"} <= {*files}, story
    assert files[0] == files[-1] == "index/build.py"
    assert any("save_array" in stay.functions for stay in stays), story
    assert returns(stays) == len(files) - len({*files})
    assert returns(stays) <= MOST_RETURNS[layout], story


def test_a_map_that_a_cloud_is_built_from_comes_back_to_few(
    sample_dir: Path, tmp_path: Path
) -> None:
    scene = next(p.parent for p in (sample_dir / "posed_images").glob("*/posed_images"))
    shutil.copytree(scene / "posed_images", tmp_path / "rooms" / scene.name / "posed_images")
    stays, story = walked(tmp_path / "rooms")
    assert {*PASSED, "index/cloud.py"} <= {stay.file for stay in stays}, story
    assert returns(stays) <= MOST_RETURNS["no_mesh"], story
