# SPDX-License-Identifier: Apache-2.0
"""The export: a stream of records into every target at once, then the card, then one rename."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from spatial_engine.export.card import write_card
from spatial_engine.export.images import ImageMode, ImageStore, count_images, encoded, marked
from spatial_engine.export.sample import Sample, Target
from spatialcore.errors import RecordError
from spatialcore.folders import check_free, whole_folder
from spatialcore.workers import Lost, Workers, run_pieces

if TYPE_CHECKING:
    from spatial_engine.dataset.dataset import Dataset, OpenedRecord

# Target -> its file; the module of that name holds its Writer.
TARGETS = {
    "multispa": "multispa.jsonl", "internvl": "internvl.jsonl", "llava": "llava.json",
    "qwen": "qwen.json", "trl": "trl.parquet", "llamafactory": "llamafactory.jsonl",
    "swift": "swift.jsonl", "sharegpt": "sharegpt.jsonl", "vlmevalkit": "vlmevalkit.tsv",
    "prompts": "prompts.jsonl", "webdataset": "webdataset.tar",
}  # fmt: skip
EVALUATION = ("prompts", "vlmevalkit")  # these hold no answer and no evidence
_BATCH = 16  # records whose images are made in one piece
Result = TypeVar("Result")


@dataclass
class Exported:
    """What an export has written so far.

    Attributes:
        records: Records.
        images: Image files, links aside; known at the end.
        tasks: Records by task.
        sources: Records by source.
        lost: Records that are not there, since the workers that made their images died twice.
    """

    records: int = 0
    images: int = 0
    tasks: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Images:
    """What becomes of the images of a record.

    Attributes:
        folder: The export.
        mode: Whether those without marks are linked or copied.
        contents: Their bytes are in the rows of a target.
        embed: They are in the rows of every target.
        files: They are files of the export.
    """

    folder: Path
    mode: ImageMode
    contents: bool
    embed: bool
    files: bool


Batch = tuple["OpenedRecord", ...]


def export(
    records: Iterable[OpenedRecord],
    folder: str | Path,
    targets: Sequence[str],
    dataset: Dataset,
    *,
    images: ImageMode = "link",
    render_marks: bool = True,
    embed_images: bool = False,
    workers: int | Workers | None = 1,
) -> Iterator[Exported]:
    """Write records in the shape of each target; yields the running counts after each record.

    Memory does not grow with the number of records. The folder appears when all is written.

    Args:
        records: As `dataset.opened` gives them, or some of them.
        folder: Where the export goes; it must not exist, or be empty.
        targets: Keys of `TARGETS`.
        dataset: The data set, for the card.
        images: Link to the source's files, copy their bytes, or name the source's uri.
        render_marks: Draw the marks of marked questions into JPEGs of their own; without it,
            nothing that holds a source's pixels is made, and a marked question is an error.
        embed_images: Put the images into the rows: bytes in trl, base64 elsewhere.
        workers: Processes that make the images; the files are the same for any number.

    Raises:
        ValueError: An unknown target, or a marked record without `render_marks`.
        FolderInUse: The folder holds something.
        UnsafeName: A record's scene, source or frame is no name of a file.
    """
    final = Path(folder).resolve()
    _check(final, targets, images, embed_images)
    counts, workers = Exported(), Workers.of(workers)
    with ExitStack() as stack:
        work = stack.enter_context(whole_folder(final))
        writers: dict[str, Target] = {}
        stack.callback(_close, writers)
        _open(targets, work, writers)
        contents = embed_images or "webdataset" in targets
        files = not embed_images and set(targets) != {"webdataset"}
        make = partial(_samples, how=_Images(work, images, contents, embed_images, files))
        batches = _batches(records, render_marks, dataset.path)
        results = stack.enter_context(closing(run_pieces(make, batches, workers, _name)))
        for result in _in_order(results):
            if isinstance(result, Lost):
                counts.lost.append(str(result))
                continue
            for sample in result:
                for name, writer in writers.items():
                    holds = embed_images or name == "webdataset"
                    writer.write(sample if holds else replace(sample, contents=()))
                counts.records += 1
                counts.tasks[sample.record.task] += 1
                counts.sources[sample.record.source] += 1
                yield counts
        _close(writers)
        writers.clear()
        counts.images = count_images(work)
        write_card(work / "README.md", targets, dataset, counts.tasks, counts.sources)


def _check(final: Path, targets: Sequence[str], images: ImageMode, embed: bool) -> None:
    unknown = [name for name in targets if name not in TARGETS]
    if unknown or not targets:
        raise ValueError(f"--to must name targets of {', '.join(TARGETS)}; got {unknown}")
    check_free(final)
    if images == "none" and embed:
        raise ValueError("--embed-images needs images: leave out --images none")
    if images == "none" and "webdataset" in targets:
        raise ValueError("webdataset holds its images: leave out --images none")


def _open(targets: Sequence[str], work: Path, writers: dict[str, Target]) -> None:
    for name in dict.fromkeys(targets):
        module = import_module(f"spatial_engine.export.{name}")
        writers[name] = module.Writer(work / TARGETS[name])


def _close(writers: dict[str, Target]) -> None:
    """Close all files; also after an interruption, before their folder is removed."""
    for writer in writers.values():
        writer.close()


def _batches(records: Iterable[OpenedRecord], render_marks: bool, path: Path) -> Iterator[Batch]:
    """The records of a data set, some at a time.

    Raises:
        ValueError: A record shows marks that are not to be rendered.
        RecordError: A record is no conversation.
    """
    waiting = iter(records)
    while batch := tuple(islice(waiting, _BATCH)):
        for record in (opened.record for opened in batch):
            if not record.messages:
                raise RecordError(f"{path}: record {record.id} has no messages")
            if any(image.marks for image in record.images) and not render_marks:
                raise ValueError(
                    f"{record.id} shows marks: let them be rendered, or leave its task out with "
                    "--tasks"
                )
        yield batch


def _name(batch: Batch) -> str:
    return f"{batch[0].record.id} and the {len(batch) - 1} records after it"


def _samples(batch: Batch, *, how: _Images) -> list[Sample]:
    """The records with their images made; whoever makes an image makes the same."""
    store = ImageStore(how.folder, how.mode)
    out = []
    for opened in batch:
        contents: tuple[bytes, ...] = ()
        paths: tuple[str, ...] = ()
        if how.contents:
            contents = tuple(
                marked(opened, k) if image.marks else encoded(opened.root, image.uri)
                for k, image in enumerate(opened.record.images)
            )
        if how.embed:
            paths = tuple(map(_data_uri, contents))
        elif how.files:
            paths = tuple(store.place(opened, k) for k in range(len(opened.record.images)))
        out.append(Sample(opened.record, paths, contents))
    return out


def _in_order(results: Iterable[tuple[int, Result]]) -> Iterator[Result]:
    """Results by position; those that come early wait."""
    early: dict[int, Result] = {}
    ahead = 0
    for position, result in results:
        early[position] = result
        while ahead in early:
            yield early.pop(ahead)
            ahead += 1


def _data_uri(content: bytes) -> str:
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
