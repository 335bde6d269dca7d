# SPDX-License-Identifier: Apache-2.0
"""An audit of a public set: what is stored, what follows from the metadata, and how far apart.

A list holds ids, numbers, single answers and hashes, no text of a question, so it may be passed on.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from spatial_engine.scoring.benchmarks import Entries, read_entries
from spatial_engine.scoring.dialects import Benchmark
from spatialcore.errors import RecordError

Verdict = Literal["agrees", "disagrees", "not decidable"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_DIGITS = 4  # of recomputed numbers and margins in a list: tenths of millimetres
_SHOWN = 5  # scenes that a message names


@dataclass(frozen=True, slots=True)
class Finding:
    """What the metadata says about one question.

    Attributes:
        verdict: Whether the stored answer follows from it.
        formula: Name of the rule that was applied, explained in `AuditSet.formulas`.
        recomputed: The answer by that rule, as the set would write it; "" = there is none.
        margin: For numbers stored minus recomputed in the question's unit; for choices how far the
            right option is ahead of the next one, in metres or degrees; None = there is none.
        remark: Why nothing could be decided, or what explains a difference; "" = nothing to say.
    """

    verdict: Verdict
    formula: str
    recomputed: str = ""
    margin: float | None = None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One line of a list.

    Attributes:
        id: Of the question, as in the file of questions.
        origin: Its id in the set's own file, where another collection lists it under a new one.
        question_type: Its type.
        scene: The scene it is about.
        stored: Its published answer.
        recomputed, formula, margin, verdict, remark: As in `Finding`.
        question_sha256: Of the question's entry in canonical JSON.
        metadata_sha256: Of the scene's metadata in canonical JSON; "" = there is none.
    """

    id: str
    origin: str
    question_type: str
    scene: str
    stored: str
    recomputed: str
    formula: str
    margin: float | None
    verdict: Verdict
    remark: str
    question_sha256: str
    metadata_sha256: str


class AuditSet(ABC):
    """A public set that can be audited.

    Attributes:
        benchmark: Its name in `spatial_engine.scoring.benchmarks`, which reads its questions.
        formulas: Name of a rule to one sentence that says it.
    """

    benchmark: ClassVar[Benchmark]
    formulas: ClassVar[Mapping[str, str]]

    @abstractmethod
    def is_scene(self, value: Any) -> bool:
        """Whether a value of a metadata file describes a scene of this set."""

    @abstractmethod
    def scene_of(self, entry: Mapping[str, Any]) -> str:
        """Id of the scene that a question is about."""

    def origin_of(self, entry: Mapping[str, Any], number: str) -> str:
        """Id of a question in the set's own file; its id in this file unless told otherwise."""
        return str(entry.get("index_origin", number))

    @abstractmethod
    def find(self, kind: str, entry: Mapping[str, Any], stored: str, scene: Any) -> Finding:
        """What the metadata of a scene says about a question of a type."""


@dataclass(frozen=True, slots=True)
class Audit:
    """A finished audit.

    Attributes:
        rows: One for each question, in the order of the file.
        ignored: Files of the metadata's folder that describe no scene of the set.
    """

    rows: tuple[AuditRow, ...]
    ignored: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Scenes that questions are about and the metadata lacks, sorted."""
        return tuple(sorted({row.scene for row in self.rows if not row.metadata_sha256}))

    def table(self) -> dict[str, Counter[Verdict]]:
        """Verdicts by question type, sorted."""
        found: dict[str, Counter[Verdict]] = {}
        for row in self.rows:
            found.setdefault(row.question_type, Counter())[row.verdict] += 1
        return {name: found[name] for name in sorted(found)}

    def lines(self) -> Iterator[str]:
        """The list as JSON lines."""
        for row in self.rows:
            yield json.dumps(asdict(row), ensure_ascii=False) + "\n"


def canonical_hash(value: Any) -> str:
    """sha256 of a value as JSON with sorted keys and no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_metadata(audited: AuditSet, folder: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Scenes of all JSON files of a folder by id, and the files that hold none.

    Raises:
        RecordError: The folder holds no scene of the set, one twice with different content, or a
            file of scenes with an entry that describes none.
    """
    scenes: dict[str, Any] = {}
    ignored = []
    if not folder.is_dir():
        raise RecordError(f"{folder}: no folder; give the folder of the set's metadata files")
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise RecordError(f"{path}: cannot be read as JSON: {error}") from error
        wrong = [k for k, v in content.items() if not audited.is_scene(v)] if (
            isinstance(content, dict) and content
        ) else None  # fmt: skip
        if wrong is None or len(wrong) == len(content):
            ignored.append(path.name)
            continue
        if wrong:
            raise RecordError(f"{path}: {wrong[0]!r} describes no scene as the others do")
        for name, value in content.items():
            if scenes.setdefault(name, value) != value:
                raise RecordError(f"{path}: another file describes {name!r} in another way")
    if not scenes:
        raise RecordError(f"{folder}: none of its {len(ignored)} JSON files describes scenes")
    return scenes, tuple(ignored)


def run_audit(audited: AuditSet, metadata: Path, questions: Path) -> Audit:
    """Derive every answer of a file of questions again.

    Args:
        audited: The public set.
        metadata: Folder of its metadata files.
        questions: Its file of questions and answers.

    Returns:
        A row for each question.

    Raises:
        RecordError: A file is not of the set's form, or no question's scene is in the metadata.
    """
    scenes, ignored = read_metadata(audited, metadata)
    entries: Entries = read_entries(audited.benchmark, questions)
    rows = []
    for number, (question, entry) in enumerate(entries):
        try:
            scene = audited.scene_of(entry)
            rows.append(
                _row(audited, question.id, question.task, question.references[0], scene, entry,
                     scenes.get(scene))
            )  # fmt: skip
        except (KeyError, TypeError, IndexError) as error:
            raise RecordError(
                f"{questions}: entry {number} lacks what an audit needs: {error!r}"
            ) from error
    audit = Audit(tuple(rows), ignored)
    if rows and all(not row.metadata_sha256 for row in rows):
        raise RecordError(
            f"{metadata} describes none of the scenes of {questions}, "
            f"such as {', '.join(audit.missing[:_SHOWN])}"
        )
    return audit


def _row(
    audited: AuditSet,
    number: str,
    kind: str,
    stored: str,
    name: str,
    entry: Mapping[str, Any],
    scene: Any,
) -> AuditRow:
    if scene is None:
        found = Finding("not decidable", "none", remark="scene_missing")
    else:
        found = audited.find(kind, entry, stored, scene)
    return AuditRow(
        id=number,
        origin=audited.origin_of(entry, number),
        question_type=kind,
        scene=name,
        stored=stored,
        recomputed=found.recomputed,
        formula=found.formula,
        margin=None if found.margin is None else round(found.margin, _DIGITS) + 0.0,
        verdict=found.verdict,
        remark=found.remark,
        question_sha256=canonical_hash(dict(entry)),
        metadata_sha256="" if scene is None else canonical_hash(scene),
    )
