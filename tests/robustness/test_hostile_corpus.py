# SPDX-License-Identifier: Apache-2.0
"""Malformed inputs of every reader through `check` and `index`: typed, soon, in little memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from spatialcore.io.layouts import LAYOUTS
from tests.robustness.hostile.__main__ import run, warm
from tests.robustness.hostile.bases import BASES, Written
from tests.robustness.hostile.cases import Case, all_cases, damaged_scenes
from tests.robustness.hostile.kept import Kept
from tests.robustness.hostile.measure import Verdict, plain, run_apart, scenes_of


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    warm()
    return Written(tmp_path_factory.mktemp("sound"))


def test_every_layout_has_a_scene_to_damage() -> None:
    assert {base.kind for base in BASES.values()} == {*LAYOUTS}


def test_sound_scenes_are_taken(written: Written, tmp_path: Path) -> None:
    """What is refused below is refused for its damage."""
    for name, base in BASES.items():
        if base.there:
            said = run_apart(["check", str(written.named(name)), "--json"], tmp_path)
            assert (said.code, said.err) == (0, ""), name
            assert plain(scenes_of(said.out)), name


def test_one_damage_of_two_hundred_is_said(written: Written, tmp_path: Path) -> None:
    cases = list(damaged_scenes(written))[::200]
    verdicts = list(run(cases, written, tmp_path))
    assert not [(v.name, v.faults) for v in verdicts if v.faults]
    assert {v.result for v in verdicts} >= {"refused", "said"}


def test_files_made_to_harm_are_refused(written: Written, tmp_path: Path) -> None:
    small = [c for c in all_cases(written, damaged=False) if not c.large][::23]
    verdicts = list(run(small, written, tmp_path))
    assert not [(v.name, v.faults) for v in verdicts if v.faults]


def test_a_run_is_continued_from_kept_verdicts(tmp_path: Path) -> None:
    """What was refused as it has to be is not run again; what was at fault is."""
    cases = [Case(name, "any", lambda to: to) for name in ("sound", "fault", "new")]
    path = tmp_path / "kept" / "verdicts.jsonl"
    first = Kept(path)
    assert first.of(cases) == ([], cases)
    sound = Verdict("sound", "any", "refused", 0.5, 9.0)
    first.add(sound)
    first.add(Verdict("fault", "any", "refused", 9.0, 9.0, ["check: 9.0 s"]))
    old, left = Kept(path).of(cases)
    assert old == [sound]
    assert [case.name for case in left] == ["fault", "new"]
    assert Kept(path).before(old) == 0
    path.write_text(path.read_text().replace('"code": "', '"code": "other'))
    assert Kept(path).before(old) == 1


@pytest.mark.slow
def test_every_malformed_input(written: Written, tmp_path: Path) -> None:
    cases = all_cases(written)
    assert len(cases) >= 400
    verdicts = list(run(cases, written, tmp_path))
    wrong = [f"{v.name}: {'; '.join(v.faults)}" for v in verdicts if v.faults]
    assert not wrong, "\n".join(wrong)
    counts = Counter(v.result for v in verdicts)
    assert counts["refused"] + counts["said"] > 0.8 * len(cases), counts
