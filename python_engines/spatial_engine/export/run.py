# SPDX-License-Identifier: Apache-2.0
"""The export: a stream of records into every target at once, then the card, then one rename."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from spatial_engine.export.card import write_card
from spatial_engine.export.images import ImageMode, ImageStore, encoded, marked
from spatial_engine.export.sample import Sample, Target
from spatialcore.folders import check_free, whole_folder

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


@dataclass
class Exported:
    """What an export has written so far."""

    records: int = 0
    images: int = 0
    tasks: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)


def export(
    records: Iterable[OpenedRecord],
    folder: str | Path,
    targets: Sequence[str],
    dataset: Dataset,
    *,
    images: ImageMode = "link",
    render_marks: bool = True,
    embed_images: bool = False,
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

    Raises:
        ValueError: An unknown target, or a marked record without `render_marks`.
        FolderInUse: The folder holds something.
        UnsafeName: A record's scene, source or frame is no name of a file.
    """
    final = Path(folder).resolve()
    _check(final, targets, images, embed_images)
    counts = Exported()
    with ExitStack() as stack:
        work = stack.enter_context(whole_folder(final))
        store = ImageStore(work, images)
        writers: dict[str, Target] = {}
        stack.callback(_close, writers)
        _open(targets, work, writers)
        for opened in records:
            _write(opened, writers, store, render_marks=render_marks, embed=embed_images)
            counts.records += 1
            counts.images = store.written
            counts.tasks[opened.record.task] += 1
            counts.sources[opened.record.source] += 1
            yield counts
        _close(writers)
        writers.clear()
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


def _write(
    opened: OpenedRecord,
    writers: Mapping[str, Target],
    store: ImageStore,
    *,
    render_marks: bool,
    embed: bool,
) -> None:
    record = opened.record
    if any(image.marks for image in record.images) and not render_marks:
        raise ValueError(
            f"{record.id} shows marks: let them be rendered, or leave its task out with --tasks"
        )
    numbers = range(len(record.images))
    contents: tuple[bytes, ...] = ()
    if embed or "webdataset" in writers:
        contents = tuple(
            marked(opened, k) if image.marks else encoded(opened.root, image.uri)
            for k, image in enumerate(record.images)
        )
    if embed:
        paths = tuple(_data_uri(content) for content in contents)
    elif set(writers) == {"webdataset"}:
        paths = ()
    else:
        paths = tuple(store.place(opened, number) for number in numbers)
    for name, writer in writers.items():
        holds = embed or name == "webdataset"
        writer.write(Sample(record, paths, contents if holds else ()))


def _data_uri(content: bytes) -> str:
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
