# SPDX-License-Identifier: Apache-2.0
"""Folders of records as one random-access set, with their images opened and marked on demand."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from spatialcore.draws import text_hash
from spatialcore.errors import RecordError

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL.Image import Image

    from spatial_engine.records.record import QARecord

# Strings of one piece have offsets of 32 bits.
_PIECE_BYTES = 1 << 30
_READ_ROWS = 1024


@dataclass(frozen=True, slots=True)
class RecordFolder:
    """A folder made by `generate`, and the share of its records that is used."""

    path: Path
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class MissingImage:
    """A scene whose first image cannot be opened, and why."""

    source: str
    scene: str
    uri: str
    reason: str


def parse_folder(text: str) -> RecordFolder:
    """Read `OUT` or `OUT:0.3`.

    Raises:
        ValueError: The share is not in (0, 1].

    Example:
        >>> parse_folder("out:0.25").share
        0.25
    """
    path, colon, share = text.rpartition(":")
    if colon and share.replace(".", "", 1).isdigit():
        value = float(share)
        if not 0 < value <= 1:
            raise ValueError(f"{text}: the share must be in (0, 1], got {share}")
        return RecordFolder(Path(path), value)
    return RecordFolder(Path(text))


class RecordSet:
    """Records of several folders, held as Arrow tables; a record is built when it is asked for.

    Args:
        tables: Arrow tables in the record schema.
        roots: Root folder of each source key.
    """

    def __init__(self, tables: Sequence[pa.Table], roots: Mapping[str, Path]) -> None:
        from spatial_engine.records.record import record_schema

        schema = record_schema()
        full = [table.cast(schema) for table in tables]
        self._batches = [batch for table in _joined(full) for batch in table.to_batches()]
        self._ends = list(accumulate(batch.num_rows for batch in self._batches))
        self.roots = dict(roots)

    @staticmethod
    def open(
        folders: Iterable[RecordFolder],
        *,
        split: str = "train",
        roots: Mapping[str, Path] | None = None,
    ) -> RecordSet:
        """Read a split of every folder; a share keeps the records whose id hashes low enough.

        Args:
            folders: Folders made by `generate`.
            split: Split to read.
            roots: Root folders that override the recorded ones, by source key.

        Raises:
            FileNotFoundError: A folder is no record folder, or lacks the split.
            RecordError: A shard breaks the schema.
        """
        from spatial_engine.records.record import read_tables

        tables: list[pa.Table] = []
        found: dict[str, Path] = {}
        for folder in folders:
            for key, root in recorded_roots(folder.path).items():
                if roots is not None and key in roots:
                    continue
                if found.setdefault(key, root) != root:
                    raise RecordError(
                        f"source {key!r} has two roots, {found[key]} and {root}; give --root {key}="
                    )
            parts = sorted((folder.path / "data" / split).glob("part-*.parquet"))
            if not parts:
                raise FileNotFoundError(f"{folder.path}: no records of the split {split!r}")
            for part in parts:
                tables += [_shared(table, folder.share) for table in read_tables(part)]
        return RecordSet(tables, {**found, **(roots or {})})

    @staticmethod
    def of(records: Sequence[QARecord], roots: Mapping[str, Path]) -> RecordSet:
        """A set of records that are already in memory."""
        from spatial_engine.records.record import records_to_table

        return RecordSet([records_to_table(records)], roots)

    def first(self, count: int) -> RecordSet:
        """The first `count` records."""
        return RecordSet([self._table.slice(0, count)], self.roots)

    def digest(self) -> str:
        """Hash of the record ids, in order."""
        digest = hashlib.blake2b(digest_size=16)
        for name in self.column("id"):
            digest.update(f"{name}\n".encode())
        return digest.hexdigest()

    @property
    def _table(self) -> pa.Table:
        import pyarrow as pa

        from spatial_engine.records.record import record_schema

        return pa.Table.from_batches(self._batches, record_schema())

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, row: int) -> QARecord:
        from spatial_engine.records.record import record_from_row

        batch, at = self._place(row)
        return record_from_row(self._batches[batch].slice(at, 1).to_pylist()[0])

    def __iter__(self) -> Iterator[QARecord]:
        from spatial_engine.records.record import record_from_row

        for batch in self._table.to_batches(max_chunksize=_READ_ROWS):
            yield from map(record_from_row, batch.to_pylist())

    def at(self, rows: Sequence[int]) -> list[QARecord]:
        """The records of these rows, in their order; one read is several times as fast as many.

        Raises:
            IndexError: There is no such row.
        """
        from spatial_engine.records.record import record_from_row

        places: dict[int, list[tuple[int, int]]] = {}
        for number, row in enumerate(rows):
            batch, at = self._place(row)
            places.setdefault(batch, []).append((at, number))
        found: dict[int, QARecord] = {}
        for batch, members in places.items():
            taken = self._batches[batch].take([at for at, _ in members]).to_pylist()
            for (_, number), fields in zip(members, taken, strict=True):
                found[number] = record_from_row(fields)
        return [found[number] for number in range(len(rows))]

    def _place(self, row: int) -> tuple[int, int]:
        """The batch that holds a row, and where in it."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        batch = bisect_right(self._ends, row)
        return batch, row - (self._ends[batch] - self._batches[batch].num_rows)

    def column(self, name: str) -> list[str]:
        """All values of a column of strings."""
        return [str(value) for value in self._table.column(name).to_pylist()]

    def image(self, record: QARecord, number: int) -> Image:
        """Image `number` of a record, at full size, with its marks drawn.

        Raises:
            SceneFormatError: The image is missing or damaged.
            RecordError: The source has no root, or the image is not of the recorded size.
        """
        from spatial_engine.records.answers import draw_marks
        from spatialcore.io.images import open_image

        root = self.roots.get(record.source)
        if root is None:
            raise RecordError(f"{record.id}: no root for the source {record.source!r}")
        reference = record.images[number]
        image = open_image(root, reference.uri)
        if image.size != (reference.width, reference.height):
            raise RecordError(
                f"{record.id}: {reference.uri} is {image.width}x{image.height}, "
                f"recorded as {reference.width}x{reference.height}"
            )
        return draw_marks(image, reference.marks)

    def missing_images(self) -> list[MissingImage]:
        """Open the first image of every scene; returns those that cannot be opened."""
        from spatialcore.errors import SpatialCoreError

        first: dict[tuple[str, str], int] = {}
        pairs = zip(self.column("source"), self.column("scene"), strict=True)
        for row, pair in enumerate(pairs):
            first.setdefault(pair, row)
        missing: list[MissingImage] = []
        records = self.at(list(first.values()))
        for (source, scene), record in zip(first, records, strict=True):
            if not record.images:
                continue
            try:
                self.image(record, 0)
            except SpatialCoreError as error:
                missing.append(MissingImage(source, scene, record.images[0].uri, str(error)))
        return missing


def recorded_roots(folder: Path) -> dict[str, Path]:
    """Roots of the sources as the folder's manifest names them; relative ones start at the folder.

    Raises:
        FileNotFoundError: The folder has no manifest.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: no manifest.json, not a folder of records")
    sources = json.loads(path.read_text(encoding="utf-8")).get("sources", {})
    return {key: folder / str(source["root"]) for key, source in sources.items()}


def shared_spaces(train: RecordSet, held_out: RecordSet) -> list[str]:
    """Physical spaces, as `source/space`, that occur on both sides."""

    def spaces(records: RecordSet) -> set[str]:
        pairs = zip(records.column("source"), records.column("space"), strict=True)
        return {f"{source}/{space}" for source, space in pairs}

    return sorted(spaces(train) & spaces(held_out))


def _joined(tables: Sequence[pa.Table]) -> Iterator[pa.Table]:
    """The rows of `tables` in few tables of one piece, as rows are read fastest from."""
    import pyarrow as pa

    group: list[pa.Table] = []
    for table in tables:
        if group and sum(t.nbytes for t in [*group, table]) > _PIECE_BYTES:
            yield pa.concat_tables(group).combine_chunks()
            group = []
        group.append(table)
    if group:
        yield pa.concat_tables(group).combine_chunks()


def _shared(table: pa.Table, share: float) -> pa.Table:
    if share >= 1:
        return table
    limit = int(share * 2**64)
    ids = table.column("id").to_pylist()
    return table.filter([text_hash(0, "share", "", str(i), "take") < limit for i in ids])
