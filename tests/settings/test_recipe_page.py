# SPDX-License-Identifier: Apache-2.0
"""docs/recipes.md is what the dataclasses say."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_lists_every_key_as_it_is_decoded() -> None:
    made = runpy.run_path(str(DOCS / "make_recipes.py"))["page"]()
    assert (DOCS / "recipes.md").read_text(encoding="utf-8") == made
    for key in ("rule_absolute_m", "depth_max_m", "min_angle_deg", "warmup_share", "nominal_fps"):
        assert f"| `{key}` |" in made
