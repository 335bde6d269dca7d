# SPDX-License-Identifier: Apache-2.0
"""Records with their images: opened lazily from the sources, marks drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spatial_engine.check.verify import load_manifest, source_roots
from spatial_engine.dataset.make import done_path, shard_path
from spatial_engine.records.marks import draw_marks
from spatial_engine.records.record import QARecord, read_records
from spatialcore.errors import RecordError

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class OpenedRecord:
    """A record and where its images lie.

    Attributes:
        record: The record.
        root: Root of its source.
        letter_height_share: Height of a mark's letter, of the image's width.
    """

    record: QARecord
    root: Path
    letter_height_share: float

    def images(self) -> list[Image]:
        """The images in the order shown, with their marks drawn; decoded on each call.

        Raises:
            SceneFormatError: An image is missing or damaged.
        """
        from spatialcore.io.images import open_image

        out = []
        for reference in self.record.images:
            height = max(8, round(self.letter_height_share * reference.width))
            image = open_image(self.root, reference.uri)
            out.append(draw_marks(image, reference.marks, letter_height=height))
        return out


def data_files(out: str | Path) -> list[Path]:
    """The finished record files of a data set, in order; RecordError when there is none."""
    out = Path(out)
    manifest = load_manifest(out)
    splits = sorted(p.name for p in (out / "data").iterdir()) if (out / "data").is_dir() else []
    numbers = [n for n in range(manifest["shards"]) if done_path(out, n).exists()]
    paths = [shard_path(out, split, n) for n in numbers for split in splits]
    found = [path for path in paths if path.exists()]
    if not found:
        raise RecordError(f"{out}: no finished shard; run `spatialcore generate` first")
    return found


def open_records(
    out: str | Path, *, roots: Mapping[str, Path] | None = None
) -> Iterator[OpenedRecord]:
    """Iterate the records of a data set; images are opened only when asked for.

    Args:
        out: Folder of the data set.
        roots: Source key -> folder, where sources have moved.

    Raises:
        RecordError: There is no data set, or a file of it is damaged.
    """
    out = Path(out).resolve()
    manifest = load_manifest(out)
    found = source_roots(manifest, out, roots)
    share = float(manifest["recipe"]["letter_height_share"])
    for path in data_files(out):
        for record in read_records(path):
            yield OpenedRecord(record, found.get(record.source, out), share)
