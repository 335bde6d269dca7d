# SPDX-License-Identifier: Apache-2.0
"""Chains: every engine tells one, it ends in the answer, and each of its numbers is checked."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spatial_engine.commands import export, generate, show, verify
from spatial_engine.dataset.chains import chain_of, thought_of
from spatial_engine.dataset.dataset import open_records
from spatial_engine.engines import engine_of, engines
from spatial_engine.engines.base import Engine
from spatial_engine.engines.camera_movement import CameraMovement
from spatial_engine.records.chains import Chain, Number, departures, line, metres, parts_of
from spatial_engine.records.record import QARecord
from spatial_engine.records.wording import slots_said, wording_of
from spatialcore.commands import exit_codes
from spatialcore.errors import RecordError

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@pytest.fixture(scope="module")
def by_task(every_task: Path) -> dict[str, list[QARecord]]:
    """A few records of every task."""
    found: dict[str, list[QARecord]] = defaultdict(list)
    for opened in open_records(every_task):
        if len(found[opened.record.task]) < 6:
            found[opened.record.task].append(opened.record)
    return found


def test_every_engine_of_ours_tells_a_chain() -> None:
    assert not [e.task for e in engines() if type(e).chain is Engine.chain]


def test_every_record_has_a_chain_that_ends_in_its_answer(
    by_task: dict[str, list[QARecord]],
) -> None:
    for task, records in by_task.items():
        for record in records:
            chain = chain_of(record)  # which refuses a chain that ends elsewhere
            assert chain is not None, task
            assert any(isinstance(piece, Number) for one in chain.lines for piece in one.pieces)
            thought, answer = parts_of(thought_of(record) or "") or ("", "")
            assert (thought, answer) == (chain.text, record.answer), task


def altered(text: str) -> list[str]:
    """The text with each of its numbers changed in its last digit."""
    return [
        text[: m.end() - 1] + str((int(text[m.end() - 1]) + 1) % 10) + text[m.end() :]
        for m in _NUMBER.finditer(text)
    ]


def test_a_chain_with_any_one_number_altered_is_refused(
    by_task: dict[str, list[QARecord]],
) -> None:
    count = 0
    for task, records in by_task.items():
        chain = chain_of(records[0])
        assert chain is not None
        assert not list(departures(chain, chain.text)), task
        for text in altered(chain.text):
            assert list(departures(chain, text)), (task, text)
            count += 1
    assert count > 800


def test_a_number_between_two_roundings_may_be_said_either_way() -> None:
    chain = Chain((line("It is {} m away.", metres(1.2345)),), ())
    for text, faults in (("1.234", 0), ("1.235", 0), ("1.236", 1), ("1.2345", 1), ("x", 1)):
        assert len(list(departures(chain, f"It is {text} m away."))) == faults
    assert len(list(departures(chain, f"{chain.text}\nSo it is."))) == 1
    assert str(Number(-0.0001, 3)) == "0.000"


def test_an_answer_that_does_not_follow_has_no_chain(by_task: dict[str, list[QARecord]]) -> None:
    record = by_task["camera_movement.distance"][0]
    facts = record.facts | {"distance_m": record.facts["distance_m"] + 0.01}
    with pytest.raises(RecordError, match="the chain ends in"):
        chain_of(replace(record, evidence=json.dumps(facts)))
    del facts["distance_m"]
    with pytest.raises(RecordError, match="gives no chain"):
        chain_of(replace(record, evidence=json.dumps(facts)))
    with pytest.raises(RecordError, match="templates do not give its question"):
        chain_of(replace(record, question="How far?"))


def test_the_slots_of_a_question_are_read_from_it(by_task: dict[str, list[QARecord]]) -> None:
    for records in by_task.values():
        for record in records:
            wording = wording_of(record.task, file=engine_of(record.task).templates)
            slots = slots_said(record.question, wording, record.templates)
            assert slots is not None
            assert all(value in record.question for value in slots.values())


@pytest.fixture(scope="module")
def told(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set, beside an export with chains of it in three formats."""
    out = tmp_path_factory.mktemp("chains") / "out"
    argv = [str(sample_dir / "scannet"), "-o", str(out), "--limit", "24"]
    assert generate.main([*argv, "--tasks", "camera_movement.*", "depth_perception.*"]) == 0
    argv = [str(out), "-o", str(out.parent / "told"), "--chains", "--to"]
    assert export.main([*argv, "trl", "llava", "jsonl"]) == 0
    return out


def test_verify_makes_every_number_of_an_export_again(
    told: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = told.parent / "told"
    assert verify.main([str(told), "--chains", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["chains"] == 3 * 24
    (path,) = (folder / "llava").glob("*/part-*.json")
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    for row in rows:
        assert row["conversations"][1]["value"].startswith("<think>\n")
    said = rows[3]["conversations"][1]
    said["value"] = altered(said["value"])[-2]
    rows[5]["id"] = "nobody"
    path.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n", encoding="utf-8")
    assert verify.main([str(told), "--chains", str(folder / "llava"), "--json"]) == 1
    faults = {m[0]: m[1] for m in json.loads(capsys.readouterr().out)["mismatches"]}
    assert faults == {rows[3]["id"]: "chain", "nobody": "chain"}


def test_an_export_without_chains_is_told_apart(
    told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain"
    assert export.main([str(told), "-o", str(plain), "--to", "swift"]) == 0
    assert verify.main([str(told), "--chains", str(plain)]) == exit_codes.FAILED
    assert "no row holds a chain" in capsys.readouterr().err
    assert verify.main([str(told), "--chains", str(tmp_path)]) != 0
    argv = [str(told), "-o", str(tmp_path / "x"), "--chains", "--to", "prompts"]
    assert export.main(argv) == exit_codes.USAGE
    assert "hold no assistant turn" in capsys.readouterr().err


def test_an_engine_without_a_chain_says_so(
    told: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(CameraMovement, "chain", Engine.chain)
    argv = [str(told), "-o", str(tmp_path / "x"), "--chains", "--to", "swift", "--workers", "1"]
    assert export.main(argv) == 0
    assert "have no chain" in capsys.readouterr().out
    assert "tells no chain" in " ".join((tmp_path / "x/README.md").read_text().split())
    assert show.main([str(told), "--task", "camera_movement.*", "--chain"]) == 0
    assert "no chain: the engine" in capsys.readouterr().out


def test_show_prints_the_chain(told: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show.main([str(told), "--task", "depth_perception.value.*", "--chain"]) == 0
    assert "Along the viewing direction its surface is" in capsys.readouterr().out
