# SPDX-License-Identifier: Apache-2.0
"""One part of an export: the records of one file in every target, then their done marks."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial_engine.dataset.chains import thought_of
from spatial_engine.dataset.dataset import Dataset
from spatial_engine.dataset.manifest import MANIFEST_NAME
from spatial_engine.export.images import ImageStore, encoded, marked
from spatial_engine.export.limit import evenly
from spatial_engine.export.request import Part, Request
from spatial_engine.export.sample import Sample, Target
from spatial_engine.records.chains import assistant_text
from spatial_engine.records.rotations import rotations
from spatialcore.errors import RecordError, UsageError
from spatialcore.files import child, file_stamp, whole_file, write_json
from spatialcore.locks import claimed

if TYPE_CHECKING:
    from spatial_engine.dataset.dataset import OpenedRecord
    from spatial_engine.records.record import QARecord

# Target -> the suffix of its files; the module of that name holds its Writer.
TARGETS = {
    "multispa": "jsonl", "internvl": "jsonl", "llava": "json", "qwen": "json", "trl": "parquet",
    "llamafactory": "jsonl", "swift": "jsonl", "sharegpt": "jsonl", "vlmevalkit": "tsv",
    "trl-grpo": "parquet", "prompts": "jsonl", "webdataset": "tar", "jsonl": "jsonl",
    "lmms-eval": "jsonl",
}  # fmt: skip
EVALUATION = ("prompts", "vlmevalkit")  # these hold no answer and no evidence
HOLDS_IMAGES = ("webdataset",)  # their rows are made of the images themselves


def module_of(target: str) -> Any:
    """The module of a target."""
    return import_module(f"spatial_engine.export.{target.replace('-', '_')}")


def done_path(folder: Path, target: str, number: int) -> Path:
    """The mark of a finished part of a target."""
    return folder / target / "done" / f"{number:05d}.json"


def read_done(folder: Path, target: str, number: int) -> dict[str, Any] | None:
    """What the mark of a part says; None when the part is not there as it was written."""
    try:
        report = json.loads(done_path(folder, target, number).read_text(encoding="utf-8"))
        files = report["files"]
        whole = all((folder / target / name).stat().st_size == n for name, n in files.items())
        return dict(report) if whole and report["records"] >= 0 else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


@lru_cache(maxsize=1)
def _opened(
    path: Path, roots: tuple[tuple[str, Path], ...], _stamp: tuple[int, int, int]
) -> Dataset:
    return Dataset.open(path, roots=dict(roots))


def export_part(
    part: Part,
    *,
    dataset: Path,
    roots: tuple[tuple[str, Path], ...],
    folder: Path,
    request: Request,
) -> dict[str, Any]:
    """Make a part, or leave it when it is done; returns what its mark says.

    A part that another process is making is waited for, and is then done.
    """
    with claimed(folder, "parts", part.number):
        found = [read_done(folder, target, part.number) for target in request.targets]
        if all(report is not None for report in found):
            return found[0] or {}
        missing = tuple(
            target for target, report in zip(request.targets, found, strict=True) if not report
        )
        data = _opened(dataset, roots, file_stamp(dataset / MANIFEST_NAME))
        matching = (o for o in data.opened_file(part.number) if request.matches(o.record.task))
        try:
            return write_part(
                evenly(matching, part.shares), part, folder, replace(request, targets=missing)
            )
        except RecordError as error:
            if str(dataset) in str(error):
                raise
            raise RecordError(f"{dataset}: {error}") from error


def write_part(
    records: Iterable[OpenedRecord], part: Part, folder: Path, request: Request
) -> dict[str, Any]:
    """Write records as the files of a part.

    Raises:
        UsageError: A record shows marks that are not to be rendered.
        RecordError: A record is no conversation.
        UnsafeName: A record's scene, source or frame is no name of a file.
    """
    counts: dict[str, Counter[str]] = {n: Counter() for n in ("tasks", "sources", "splits")}
    left_out = unchained = 0
    store = ImageStore(folder, request.images, absolute=request.paths == "absolute")
    with ExitStack() as stack:
        files = stack.enter_context(PartFiles(folder, part, request))
        for opened in records:
            record = opened.record
            split = _split(opened, part, request)
            if split is None:
                left_out += 1
                continue
            asked = rotations(record) if request.circular else (record,)
            for one in asked:
                sample = _sample(replace(opened, record=one), split, request, store)
                files.write(sample)
            unchained += request.chains and "<think>" not in sample.thought
            for name, value in (("tasks", record.task), ("sources", record.source),
                                ("splits", split)):  # fmt: skip
                counts[name][value] += 1
    report = {
        "records": sum(counts["tasks"].values()), "left_out": left_out, "unchained": unchained,
        **{name: dict(sorted(found.items())) for name, found in counts.items()},
    }  # fmt: skip
    for target in request.targets:
        sizes = {path.relative_to(folder / target).as_posix(): path.stat().st_size
                 for path in files.made[target]}  # fmt: skip
        write_json(done_path(folder, target, part.number), {**report, "files": sizes})
    return report


class PartFiles:
    """The open files of a part: whole when the block ends, absent when it fails."""

    def __init__(self, folder: Path, part: Part, request: Request) -> None:
        self.made: dict[str, list[Path]] = {target: [] for target in request.targets}
        self._folder, self._part, self._request = folder, part, request
        self._open: dict[tuple[str, str, str], Target] = {}
        self._stack = ExitStack()

    def __enter__(self) -> PartFiles:
        return self

    def write(self, sample: Sample) -> None:
        """Write a sample in every target."""
        for target in self._request.targets:
            holds = self._request.embed or target in HOLDS_IMAGES
            shown = sample if holds else replace(sample, contents=())
            self._writer(target, sample).write(shown)

    def _writer(self, target: str, sample: Sample) -> Target:
        module = module_of(target)
        group = module.group_of(sample) if hasattr(module, "group_of") else ""
        key = (target, sample.split, group)
        if key not in self._open:
            name = f"{group}part-{self._part.number:05d}.{TARGETS[target]}"
            path = child(self._folder, target, sample.split, name)
            temporary = self._stack.enter_context(whole_file(path))
            self._open[key] = module.Writer(temporary)
            self.made[target].append(path)
        return self._open[key]

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        for writer in self._open.values():
            writer.close()
        self._stack.__exit__(kind, error, traceback)


def _split(opened: OpenedRecord, part: Part, request: Request) -> str | None:
    """Train or val; None for a record that shows both sides of a held-out stretch."""
    if request.stretch is None:
        return part.split
    _, _, first, last = request.stretch
    inside = {first <= frame <= last for frame in opened.record.frames}
    return None if len(inside) > 1 else ("val" if inside == {True} else "train")


def _sample(opened: OpenedRecord, split: str, request: Request, store: ImageStore) -> Sample:
    """The record with its images made; whoever makes an image makes the same."""
    record = opened.record
    if not record.messages:
        raise RecordError(f"record {record.id} has no messages")
    if any(image.marks for image in record.images) and not request.render_marks:
        raise UsageError(
            f"{record.id} shows marks: let them be rendered, or leave its task out with --tasks"
        )
    contents: tuple[bytes, ...] = ()
    paths: tuple[str, ...] = ()
    if request.embed or set(request.targets) & set(HOLDS_IMAGES):
        contents = tuple(
            marked(opened, k) if image.marks else encoded(opened.root, image.uri)
            for k, image in enumerate(record.images)
        )
    if request.embed:
        paths = tuple(map(_data_uri, contents))
    elif not set(request.targets) <= set(HOLDS_IMAGES):
        paths = tuple(store.place(opened, k) for k in range(len(record.images)))
    return Sample(record, paths, contents, split, _thought(record) if request.chains else "")


def _thought(record: QARecord) -> str:
    """Chain and answer; the answer block alone where the engine tells no chain."""
    return thought_of(record) or assistant_text("", record.answer)


def _data_uri(content: bytes) -> str:
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def stretch_of(dataset: Dataset, share: float) -> tuple[str, str, int, int]:
    """The last frames of the one scene of a data set, whose questions are a share of all kept.

    Questions that show frames on both sides are left out, so that no picture is in both splits.

    Args:
        dataset: A data set of one scene.
        share: Of the records that lie on one side.

    Raises:
        ValueError: It has several scenes, or no stretch has questions of its own.
    """
    scenes: set[tuple[str, str]] = set()
    spans: list[tuple[int, int]] = []
    for table in dataset.tables():
        scenes |= set(zip(table["source"].to_pylist(), table["scene"].to_pylist(), strict=True))
        spans += [(min(f), max(f)) for f in table["frames"].to_pylist()]
    if len(scenes) != 1:
        raise ValueError(
            f"a stretch is held out of a data set of one scene, this has {len(scenes)}; "
            "plan with --val-share instead"
        )
    last = max(high for _, high in spans)
    best = None
    for first in sorted({low for low, _ in spans}, reverse=True):
        val = sum(low >= first for low, _ in spans)
        train = sum(high < first for _, high in spans)
        if not train:
            break
        best = first
        if val >= share * (val + train):
            break
    if best is None:
        raise ValueError("no stretch of the walk has questions of its own")
    source, scene = scenes.pop()
    return source, scene, best, last
