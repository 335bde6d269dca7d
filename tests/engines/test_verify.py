# SPDX-License-Identifier: Apache-2.0
"""One wrong digit, word or picture order in a record of any task is found."""

from __future__ import annotations

import dataclasses
import gc
import json
import weakref
from pathlib import Path

import pytest

from spatial_engine.check.scenes import keep_scenes, kept_scene
from spatial_engine.check.verify import check_against
from spatial_engine.commands import generate
from spatial_engine.dataset.dataset import Dataset
from spatial_engine.plan.open import open_index, reopen_source
from spatial_engine.recipe import recipe_for
from spatial_engine.records.answers import WRITTEN, steps
from spatial_engine.records.record import Message, QARecord
from spatial_engine.reference.scene import ReferenceScene


@pytest.fixture(scope="module")
def dataset(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """What the sample rooms give."""
    out = tmp_path_factory.mktemp("verify") / "out"
    assert generate.main([str(sample_dir / "scannet"), "-o", str(out)]) == 0
    return Dataset.open(out)


@pytest.fixture(scope="module")
def checked(
    dataset: Dataset,
) -> tuple[dict[str, QARecord], dict[tuple[str, str], ReferenceScene]]:
    """One record of each task that the sample rooms give, and their scenes for checking."""
    manifest = dataset.manifest
    records = {record.task: record for record in dataset.records()}
    index = open_index(Path(manifest.index))
    scenes = {}
    for record in records.values():
        entry = manifest.sources[record.source]
        source = reopen_source(record.source, entry.kind, entry.root, entry.options)
        scenes[record.scene, record.split] = ReferenceScene(
            source.open(record.scene), recipe_for(index.rules), manifest.seed, record.split
        )
    return records, scenes


def with_answer(record: QARecord, span: str, **columns: object) -> QARecord:
    """The record with another machine answer, consistent in text and columns."""
    answer = record.answer.replace(f"`{record.answer.split('`')[1]}`", f"`{span}`")
    turns = tuple(Message(t.role, answer) if t.role == "assistant" else t for t in record.messages)
    return dataclasses.replace(record, answer=answer, messages=turns, **columns)  # type: ignore[arg-type]


def falsified(record: QARecord) -> QARecord:
    """The smallest lie: one unit more, or another word of the same task."""
    if record.answer_number:
        number = (record.answer_number[0] + 1, *record.answer_number[1:])
        typed = record.typed_answer._replace(number=number)
        return with_answer(record, typed.span, answer_number=number)
    if record.answer_type == "steps":
        first, *rest = record.typed_answer.steps
        longer = dataclasses.replace(first, distance_m=first.distance_m + 0.1)
        return with_answer(record, steps([longer, *rest]).span)
    opposite = {
        "left": "right", "right": "left", "up": "down", "down": "up", "forward": "backward",
        "backward": "forward", "nearer": "farther", "farther": "nearer", "above": "below",
        "below": "above", "behind": "in front", "in front": "behind", "larger": "smaller",
        "smaller": "larger", "similar": "larger", "disjoint": "adjacent", "A": "B",
    }  # fmt: skip
    word = opposite.get(
        record.answer_text or "", "A" if record.answer_type == "letter" else "disjoint"
    )
    return with_answer(record, word, answer_text=word)


def test_every_task_is_covered_and_true(checked: tuple) -> None:
    records, scenes = checked
    assert len(records) > 20
    for record in records.values():
        assert check_against(scenes[record.scene, record.split], record) == []


def test_one_wrong_digit_or_word_is_found(checked: tuple) -> None:
    records, scenes = checked
    for task, record in records.items():
        found = check_against(scenes[record.scene, record.split], falsified(record))
        fields = {m.field for m in found}
        # A map or a walk that is no longer one cannot be compared at all.
        unread = {"record"} if record.answer_type in WRITTEN else set()
        assert fields & {"answer", "answer_number", "answer_text", *unread}, task


def test_swapped_pictures_are_found(checked: tuple) -> None:
    records, scenes = checked
    record = records["camera_movement.z_direction"]
    swapped = dataclasses.replace(
        record, frames=record.frames[::-1], frame_names=record.frame_names[::-1],
        images=record.images[::-1],
    )  # fmt: skip
    assert check_against(scenes[record.scene, record.split], swapped)


def test_changed_evidence_is_found(checked: tuple) -> None:
    records, scenes = checked
    record = records["camera_movement.distance"]
    facts = record.facts
    key = next(k for k, v in facts.items() if isinstance(v, float))
    facts[key] += 1e-3
    lie = dataclasses.replace(record, evidence=json.dumps(facts, sort_keys=True))
    found = check_against(scenes[record.scene, record.split], lie)
    assert [m.field for m in found] == [f"evidence.{key}"]


def test_a_scene_that_is_done_is_let_go(dataset: Dataset) -> None:
    layout = [r for r in dataset.records() if r.task.startswith("scene_layout.")]
    source, scene = layout[0].source, layout[0].scene
    mine = list({r.task: r for r in layout if (r.source, r.scene) == (source, scene)}.values())
    roots = dataset.roots_of(dataset.manifest)

    def used(split: str) -> weakref.ref[ReferenceScene]:
        reference = kept_scene(dataset.manifest, roots, source, scene, split)
        for record in mine[:4]:
            assert check_against(reference, dataclasses.replace(record, split=split)) == []
        return weakref.ref(reference)

    keep_scenes(0)
    gc.disable()  # in a long run it looks for cycles too seldom
    try:
        seen = [used(split) for split in ("train", "val", "test", "other")]
        assert [one() is not None for one in seen] == [False, False, True, True]
        keep_scenes(0)
        assert [one() for one in seen] == [None] * 4
    finally:
        gc.enable()
