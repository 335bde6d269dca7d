# SPDX-License-Identifier: Apache-2.0
"""What a process keeps: folders made again are read again, and scenes that are done are let go."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from spatial_engine.engines.context import SceneContext
from spatialcore import cli

QUESTION = ["--tasks", "camera_movement.distance", "--limit", "4", "--workers", "1"]


def test_another_plan_and_another_set_of_the_same_name(
    sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index, plan, out, to = (tmp_path / name for name in ("index", "plan", "out", "to"))
    assert cli.main(["index", str(sample_dir / "scannet"), "-o", str(index), "--workers", "1"]) == 0
    texts = []
    for seed in ("1", "2"):
        for folder in (plan, out, to):
            shutil.rmtree(folder, ignore_errors=True)
        assert cli.main(["plan", str(index), "-o", str(plan), "--seed", seed, *QUESTION]) == 0
        assert cli.main(["generate", str(plan), "-o", str(out), "--workers", "1"]) == 0
        assert cli.main(["verify", str(out), "--workers", "1"]) == 0
        export = ["export", str(out), "-o", str(to), "--to", "jsonl", "--images", "none"]
        assert cli.main(export) == 0
        texts.append("".join(p.read_text() for p in sorted(to.rglob("*.jsonl"))))
    assert texts[0] != texts[1]
    manifest = json.loads((out / "manifest.json").read_text())
    del manifest["sources"]["scannet"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    shutil.rmtree(to)
    capsys.readouterr()
    assert cli.main(export) == 1
    assert "has no source 'scannet'" in capsys.readouterr().err


def _context_in_cycles() -> SceneContext:
    scene = SimpleNamespace(valid_frames=np.arange(40))
    context = SceneContext(scene, None)  # type: ignore[arg-type]
    walk = context.on((1, 2)).referring("boxed")
    walk.cached("views", lambda: [lambda: walk])
    context.shared("views", lambda: [lambda: context])
    return context


@pytest.mark.parametrize("forgets", [False, True])
def test_a_context_that_forgets_is_gone_without_a_search_for_cycles(forgets: bool) -> None:
    gc.disable()
    try:
        context = _context_in_cycles()
        walk = context.on((1, 2))
        gone = [weakref.ref(one) for one in (context, walk, walk.referring("boxed"))]
        if forgets:
            context.forget()
        del context, walk
        assert [one() is None for one in gone] == [forgets] * 3
    finally:
        gc.enable()
