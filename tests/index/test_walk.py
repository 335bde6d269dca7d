# SPDX-License-Identifier: Apache-2.0
"""How far a reader of the code walks with one depth map."""

from __future__ import annotations

from pathlib import Path

import pytest

from spatialcore.io.open import open_source
from tests.walk import lines, walk

MOST_RETURNS = 31
PASSED = ("index/scene_build.py", "index/depths.py", "index/visibility.py", "occlusion.py", "_cpu")


@pytest.mark.parametrize("layout", ["scannet", "posed_images"])
def test_a_map_comes_back_to_few_files(sample_dir: Path, layout: str) -> None:
    place = sample_dir / layout
    stays = walk(place, open_source(place).scene_ids()[0])
    story = "\n".join(lines(stays))
    files = [stay.file for stay in stays]
    assert {*PASSED, f"io/{'sens' if layout == 'scannet' else 'depth_png'}.py"} <= {*files}, story
    assert files[0] == files[-1] == "index/build.py"
    assert any("save_array" in stay.functions for stay in stays), story
    assert sum(stay.again for stay in stays) == len(files) - len({*files})
    assert sum(stay.again for stay in stays) <= MOST_RETURNS, story
