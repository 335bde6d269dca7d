# SPDX-License-Identifier: Apache-2.0
"""Import: rows of stranger's files become the shards of a data set, in bounded memory.

The data set is one like any other, but that nothing of its answers can be derived: its records say
so (`rule` is "imported"), its manifest does, and `verify` leaves them out and counts them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from spatial_engine.dataset.make import summary_of
from spatial_engine.dataset.manifest import (
    IMPORTED_KIND,
    MANIFEST_NAME,
    MANIFEST_VERSION,
    SUMMARY_NAME,
    Imported,
    Manifest,
    ShardDone,
    SourceEntry,
    Split,
    Summary,
    done_path,
    shard_path,
)
from spatial_engine.importing.draft import Draft, LeftOut
from spatial_engine.importing.media import Media, Placed
from spatial_engine.importing.rows import BENCHMARKS, Kind, files_of, kind_of, reader_of
from spatial_engine.recipe import Recipe
from spatial_engine.records.answers import FREE
from spatial_engine.records.record import (
    IMPORTED,
    PLACEHOLDER,
    SCHEMA_VERSION,
    Message,
    QARecord,
    check_record,
    write_records,
)
from spatialcore import __version__
from spatialcore.errors import RecordError, UsageError
from spatialcore.files import content_hash, write_json
from spatialcore.folders import check_free, whole_folder
from spatialcore.io.raw_rows import raw_rows

SHARD_ROWS = 16_384
MAX_TASKS = 256
_TAG = re.compile(r"(<image>|<video>)\n?")
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_EXAMPLES = 3


class TooFewRows(RecordError):
    """More rows than allowed could not be taken; nothing was written."""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What is imported.

    Attributes:
        source: A file, or a folder of files of one form.
        kind: Their form; None: told by the first row.
        name: Key of the source in records; None: the kind and the name of the file.
        split: Split of all records; None: val of benchmarks, train of conversations.
        images: Folder that the paths of pictures start at; None: that of the file.
        questions: SQA3D's file of questions.
        frames: Frames taken of a video.
        without_images: Take questions alone: nothing is looked for.
        max_left_out: Share of rows that may be left out.
    """

    source: Path
    kind: Kind | None = None
    name: str | None = None
    split: Split | None = None
    images: Path | None = None
    questions: Path | None = None
    frames: int = 16
    without_images: bool = False
    max_left_out: float = 0.1

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise UsageError(f"--frames must be positive, not {self.frames}")
        if not 0.0 <= self.max_left_out <= 1.0:
            raise UsageError(f"--max-left-out is a share from 0 to 1, not {self.max_left_out}")


@dataclass
class ImportReport:
    """What came of it.

    Attributes:
        kind: The form of the files.
        rows: Rows read.
        records: Records written.
        without_images: Of these, records that show nothing.
        tasks: Records by task.
        left_out: Reason -> rows.
        notes: What was mended -> rows.
        examples: Reason -> where the first such rows stand.
    """

    kind: str
    rows: int = 0
    records: int = 0
    without_images: int = 0
    tasks: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def leave_out(self, reason: str, where: str) -> None:
        """Count a row that is not taken."""
        self.left_out[reason] += 1
        seen = self.examples.setdefault(reason, [])
        if len(seen) < _EXAMPLES:
            seen.append(where)


def import_files(
    request: ImportRequest, out: str | Path, on_progress: Callable[[int], None] | None = None
) -> ImportReport:
    """Write a data set of the rows of files; it appears when all is written.

    Args:
        request: What is imported.
        out: Folder of the data set; it must not exist, or be empty.
        on_progress: Called with the rows read so far, now and then.

    Raises:
        MissingInput: There are no such files.
        RecordError: A file is damaged, or of another form; the message names file and line.
        TooFewRows: More rows than allowed had to be left out.
        FolderInUse: `out` holds something.
    """
    final = Path(out).resolve()
    check_free(final)
    files = files_of(request.source)
    kind = request.kind or _kind(files)
    with whole_folder(final) as work:
        maker = _Maker(request, kind, work)
        reports = list(maker.shards(files, on_progress))
        maker.check(request)
        _write(maker, files, work, reports)
    return maker.report


def _kind(files: list[Path]) -> Kind:
    for path in files:
        for row in raw_rows(path):
            return kind_of(row)
    raise RecordError(f"{files[0]}: holds no row")


class _Maker:
    """Makes records of rows, counts what is left out, and writes shards."""

    def __init__(self, request: ImportRequest, kind: Kind, work: Path) -> None:
        self.kind, self._request, self._work = kind, request, work
        stem = _NO_NAME.sub("-", request.source.resolve().stem).strip("-.") or "rows"
        self.name = request.name or f"{kind}-{stem}"[:100]
        if _NO_NAME.search(self.name) or not self.name:
            raise UsageError(f"--name {self.name!r}: letters, digits, '.', '_' and '-' alone")
        self.split: Split = request.split or ("val" if kind in BENCHMARKS else "train")
        base = request.source if request.source.is_dir() else request.source.parent
        self.media = Media(request.images or base, work, request.frames)
        self.report = ImportReport(kind)

    def shards(
        self, files: list[Path], on_progress: Callable[[int], None] | None
    ) -> Iterator[ShardDone]:
        """Write the records of files, a shard at a time."""
        held: list[QARecord] = []
        number = 0
        for record in self._records(files, on_progress):
            held.append(record)
            if len(held) == SHARD_ROWS:
                yield self._shard(number, held)
                held, number = [], number + 1
        if held:
            yield self._shard(number, held)

    def _records(
        self, files: list[Path], on_progress: Callable[[int], None] | None
    ) -> Iterator[QARecord]:
        report = self.report
        for path in files:
            draft_of = reader_of(self.kind, self._request.questions, path)
            for row in raw_rows(path):
                report.rows += 1
                if on_progress is not None and report.rows % 1000 == 0:
                    on_progress(report.rows)
                try:
                    record = self._record(draft_of(row), report.rows)
                except LeftOut as reason:
                    report.leave_out(str(reason), row.where)
                    continue
                except RecordError as error:
                    raise _placed(error, row.where) from error
                self._count(record, row.where)
                yield record

    def _count(self, record: QARecord, where: str) -> None:
        report = self.report
        report.records += 1
        report.tasks[record.task] += 1
        report.without_images += not record.images
        if len(report.tasks) > MAX_TASKS:
            raise RecordError(
                f"{where}: more than {MAX_TASKS} kinds of rows by `question_type`, `category` or "
                "`task`: these fields do not name kinds; take them out of the file"
            )

    def _record(self, draft: Draft, row: int) -> QARecord:
        placed: list[list[Placed]] = []
        if not self._request.without_images:
            placed = self.media.place(draft.shown)
        turns = _with_tags(draft, placed)
        flat = [one for group in placed for one in group]
        self.report.notes.update(draft.notes)
        scene = draft.scene or (Path(flat[0].image.uri).parent.name if flat else "")
        scene = _NO_NAME.sub("-", scene).strip("-.")[:128] or "rows"
        text = f"{self.name}|{row}|{draft.id}"
        mark = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
        answer = draft.answer
        record = QARecord(
            id=f"{draft.task}/{scene}/{mark}", source=self.name,
            # Where no scene is named, a picture is a place of its own: leaks are found by it.
            space=draft.scene or (flat[0].image.uri if flat else mark), scene=scene,
            split=self.split, task=draft.task, question_type=draft.task.partition(".")[2], form="",
            frames=_frames(draft, flat),
            frame_names=tuple(one.name for one in flat), images=tuple(one.image for one in flat),
            question=draft.question or _TAG.sub("", turns[-1].content).strip(),
            answer=draft.sentence, options=draft.options, answer_type=answer.type,
            answer_text=answer.text, answer_number=answer.number, answer_unit=answer.unit,
            messages=(*turns, Message("assistant", draft.sentence)),
            evidence=_evidence(draft, self.kind, row), recipe=IMPORTED, seed=0, rule=IMPORTED,
            depth_map="", templates=(),
        )  # fmt: skip
        check_record(record)
        return record

    def _shard(self, number: int, records: list[QARecord]) -> ShardDone:
        target = shard_path(self._work, self.split, number)
        for parent in (target.parent, done_path(self._work, number).parent):
            parent.mkdir(parents=True, exist_ok=True)
        write_records(target, records)
        done = ShardDone(
            number, self.split, len(records), target.stat().st_size, content_hash(target),
            dict(sorted(Counter(record.task for record in records).items())), 0.0, 0,
        )  # fmt: skip
        write_json(done_path(self._work, number), done.to_json())
        return done

    def check(self, request: ImportRequest) -> None:
        """Refuse a set of which too much is missing, or whose pictures lie in two places."""
        report = self.report
        if self.media.paths and self.media.embedded:
            raise RecordError(
                f"{request.source}: some rows hold their pictures and others name them; import "
                "them apart"
            )
        gone = sum(report.left_out.values())
        if report.records and gone <= request.max_left_out * report.rows:
            return
        if not report.rows:
            raise RecordError(f"{request.source}: holds no row")
        reason, count = report.left_out.most_common(1)[0]
        where = report.examples[reason][0]
        raise TooFewRows(
            f"{request.source}: {gone:,} of {report.rows:,} rows cannot be taken, {count:,} "
            f"of them for {reason} (first {where}); {_next_step(reason, request)}"
        )


def _next_step(reason: str, request: ImportRequest) -> str:
    if any(word in reason for word in ("picture", "video", "frames")):
        return (
            "name the folder of pictures with --images, or take questions alone with "
            "--without-images"
        )
    return f"--max-left-out allows more than {request.max_left_out:g}"


def _placed(error: RecordError, where: str) -> RecordError:
    return error if where in str(error) else RecordError(f"{where}: {error}")


def _with_tags(draft: Draft, placed: list[list[Placed]]) -> list[Message]:
    """The turns with an `<image>` for each picture of what a tag stands for; none without."""
    left = iter(placed)

    def tags(_: re.Match[str]) -> str:
        group = next(left, [])
        return "".join(f"{PLACEHOLDER}\n" for _ in group)

    return [
        Message(turn.role, _TAG.sub(tags, turn.content) if turn.role == "user" else turn.content)
        for turn in draft.turns
    ]


def _frames(draft: Draft, flat: list[Placed]) -> tuple[int, ...]:
    """Numbers of the pictures in their walk; pictures of no walk have none that ascend."""
    if any(one.video for one in draft.shown):
        return tuple(one.frame for one in flat)
    return tuple(range(len(flat))) if draft.walk else (0,) * len(flat)


def _evidence(draft: Draft, kind: str, row: int) -> str:
    told = {"imported": {"from": kind, "id": draft.id, "row": row}, **draft.about}
    if draft.answer.type == FREE:
        told["references"] = list(draft.references)
    try:
        return json.dumps(told, separators=(",", ":"), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RecordError(f"a field that is no JSON: {error}") from error


def _write(maker: _Maker, files: list[Path], work: Path, reports: list[ShardDone]) -> Summary:
    """The manifest and the summary."""
    report = maker.report
    hashes = {path.name: content_hash(path) for path in files}
    joined = hashlib.blake2b(json.dumps([maker.kind, hashes]).encode(), digest_size=16).hexdigest()
    entry = SourceEntry(IMPORTED_KIND, maker.media.root, {}, {})
    manifest = Manifest(
        version=MANIFEST_VERSION, record_version=SCHEMA_VERSION,
        versions={"spatialcore": __version__}, config={}, seed=0, recipe=Recipe(),
        tasks=tuple(sorted(report.tasks)), index="index", sources={maker.name: entry},
        plan_hash=joined, wording=joined, shards=len(reports), rows=report.records,
        imported=Imported(maker.kind, hashes, report.rows, dict(report.left_out),
                          dict(report.notes)),
    )  # fmt: skip
    summary = summary_of(reports)
    write_json(work / MANIFEST_NAME, manifest.to_json())
    write_json(work / SUMMARY_NAME, summary.to_json())
    return summary
