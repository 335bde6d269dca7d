# SPDX-License-Identifier: Apache-2.0
"""Folders of records as one random-access set, with their images opened and marked on demand."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spatialcore.draws import text_hash
from spatialcore.errors import MissingInput, RecordError, TaskError

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL.Image import Image

    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.records.record import QARecord
    from spatialcore.types import Scene

# Strings of one piece have offsets of 32 bits.
_PIECE_BYTES = 1 << 30
_READ_ROWS = 1024
MAX_WEIGHT = 1000


@dataclass(frozen=True, slots=True)
class RecordFolder:
    """A data set, and its weight: the share of its records that is used.

    Training draws by weight, above 1 as well; elsewhere it is a fixed share.
    """

    path: Path
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of a set that are of one folder."""

    name: str
    weight: float
    start: int
    stop: int


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
        ValueError: The weight is not above 0, or beyond 1,000.

    Example:
        >>> parse_folder("out:0.25").weight
        0.25
    """
    path, colon, weight = text.rpartition(":")
    if colon and weight.replace(".", "", 1).isdigit():
        value = float(weight)
        if not 0 < value <= MAX_WEIGHT:
            raise ValueError(f"{text}: a weight lies above 0 and is at most {MAX_WEIGHT:,}")
        return RecordFolder(Path(path), value)
    return RecordFolder(Path(text))


class RecordSet:
    """Records of several folders, held as Arrow tables; a record is built when it is asked for.

    Args:
        tables: Arrow tables in the record schema.
        roots: Root folder of each source key.
        letters: (source key, recipe) -> height of a mark's letter, of the image's width.
        where: The folders that they are from, for errors.
        datasets: The data sets that they are from, by which scenes are opened again.
        parts: The rows of each folder; () where they are not told apart.

    Reading a record raises RecordError when it contradicts itself.
    """

    def __init__(
        self,
        tables: Sequence[pa.Table],
        roots: Mapping[str, Path],
        letters: Mapping[tuple[str, str], float] | None = None,
        where: str = "records",
        datasets: Sequence[Dataset] = (),
        parts: Sequence[Part] = (),
    ) -> None:
        from spatial_engine.records.record import record_schema

        schema = record_schema()
        full = [table.cast(schema) for table in tables]
        self._batches = [batch for table in _joined(full) for batch in table.to_batches()]
        self._ends = list(accumulate(batch.num_rows for batch in self._batches))
        self.roots = dict(roots)
        self._letters = dict(letters or {})
        self._where = where
        self._datasets = tuple(datasets)
        self.parts = tuple(parts)

    @staticmethod
    def open(
        folders: Iterable[RecordFolder],
        *,
        split: str = "train",
        roots: Mapping[str, Path] | None = None,
        whole: bool = False,
    ) -> RecordSet:
        """Read a split of every folder; a weight below 1 keeps records whose id hashes low enough.

        Args:
            folders: Data sets.
            split: Split to read.
            roots: Root folders that override the recorded ones, by source key.
            whole: Keep all records: the weights in `parts` are for who draws them.

        Raises:
            MissingInput: A folder is no data set, or lacks the split.
            RecordError: A file of it is damaged, or two data sets cannot be told apart.
            ValueError: A root names a source that no data set has.
        """
        from spatial_engine.dataset.dataset import Dataset

        tables: list[pa.Table] = []
        found: dict[str, Path] = {}
        letters: dict[tuple[str, str], float] = {}
        opened = [(Dataset.open(folder.path), folder.weight) for folder in folders]
        parts: list[Part] = []
        for key in roots or {}:
            if not any(key in dataset.roots for dataset, _ in opened):
                known = sorted({name for dataset, _ in opened for name in dataset.roots})
                raise ValueError(f"--root {key}=: no such source; there are {', '.join(known)}")
        for dataset, weight in opened:
            if weight > 1 and not whole:
                raise ValueError(f"{dataset.path}: a weight above 1 is for training alone")
            recipe = dataset.manifest.recipe
            for key, recorded in dataset.roots.items():
                root = (roots or {}).get(key, recorded)
                if found.setdefault(key, root) != root:
                    raise RecordError(
                        f"source {key!r} has two roots, {found[key]} and {root}; give --root {key}="
                    )
                height = recipe.letter_height_share
                if letters.setdefault((key, recipe.name), height) != height:
                    raise RecordError(
                        f"source {key!r} has letters of two heights in recipes named "
                        f"{recipe.name!r}; make its data sets with one letter_height_share"
                    )
            if split not in dataset.splits:
                raise MissingInput(
                    f"{dataset.path} has no records of the split {split!r}; "
                    f"its splits are {', '.join(dataset.splits)}"
                )
            found_here = list(dataset.tables(split))
            _check_tasks(dataset.path, found_here)
            kept = found_here if whole else [_shared(table, weight) for table in found_here]
            start = parts[-1].stop if parts else 0
            rows = sum(table.num_rows for table in kept)
            parts.append(Part(str(dataset.path), weight, start, start + rows))
            tables += kept
        where = ", ".join(str(dataset.path) for dataset, _ in opened)
        return RecordSet(tables, found, letters, where, [one for one, _ in opened], parts)

    @staticmethod
    def of(records: Sequence[QARecord], roots: Mapping[str, Path]) -> RecordSet:
        """A set of records that are already in memory."""
        from spatial_engine.records.record import records_to_table

        return RecordSet([records_to_table(records)], roots)

    def spread(self, count: int) -> RecordSet:
        """At most `count` records, drawn evenly over the tasks and always the same.

        A task with fewer than its share leaves the rest to the others; the order stays.
        """
        by_task: dict[str, list[tuple[int, int]]] = {}
        names = zip(self.column("task"), self.column("id"), strict=True)
        for row, (task, name) in enumerate(names):
            by_task.setdefault(task, []).append((text_hash(0, "spread", "", name, "take"), row))
        taken: list[int] = []
        for left, members in enumerate(sorted(by_task.values(), key=len)):
            share = -(-(count - len(taken)) // (len(by_task) - left))
            taken += [row for _, row in sorted(members)[:share]]
        return self.taken(sorted(taken[:count]))

    def taken(self, rows: Sequence[int]) -> RecordSet:
        """The records of these rows, in their order, as a set of the same images."""
        tables = [self._table.take(np.array(rows, dtype=np.int64))]
        return RecordSet(tables, self.roots, self._letters, self._where, self._datasets)

    def rotated(self) -> RecordSet:
        """The records with every choice in all rotations of its options, one after the other."""
        from spatial_engine.records.record import records_to_table
        from spatial_engine.records.rotations import rotations

        table = records_to_table([one for record in self for one in rotations(record)])
        return RecordSet([table], self.roots, self._letters, self._where, self._datasets)

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
        batch, at = self._place(row)
        return self._record(self._batches[batch].slice(at, 1).to_pylist()[0])

    def __iter__(self) -> Iterator[QARecord]:
        for batch in self._table.to_batches(max_chunksize=_READ_ROWS):
            yield from map(self._record, batch.to_pylist())

    def at(self, rows: Sequence[int]) -> list[QARecord]:
        """The records of these rows, in their order; one read is several times as fast as many.

        Raises:
            IndexError: There is no such row.
        """
        places: dict[int, list[tuple[int, int]]] = {}
        for number, row in enumerate(rows):
            batch, at = self._place(row)
            places.setdefault(batch, []).append((at, number))
        found: dict[int, QARecord] = {}
        for batch, members in places.items():
            taken = self._batches[batch].take([at for at, _ in members]).to_pylist()
            for (_, number), fields in zip(members, taken, strict=True):
                found[number] = self._record(fields)
        return [found[number] for number in range(len(rows))]

    def _record(self, fields: dict[str, Any]) -> QARecord:
        from spatial_engine.records.record import check_record, record_from_row

        try:
            record = record_from_row(fields)
            check_record(record)
        except RecordError as error:
            raise RecordError(f"{self._where}: {error}") from error
        return record

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
        from spatial_engine.dataset.dataset import shown_image

        root = self.roots.get(record.source)
        if root is None:
            raise RecordError(
                f"{self._where}: {record.id}: no root for the source {record.source!r}"
            )
        return shown_image(root, record.images[number], self.letter_height_share(record))

    def scene(self, record: QARecord) -> Scene:
        """The scene of a record, opened again from its source.

        Raises:
            RecordError: No data set says what the source is, or the record is of a clip of tracks.
            SceneFormatError: The scene is not there any more, or damaged.
        """
        for dataset in self._datasets:
            if record.source in dataset.manifest.sources:
                place = (dataset.path, record.source, self.roots[record.source], record.scene)
                return opened_scene(*place)
        raise RecordError(f"{self._where}: {record.id}: no data set names its source")

    def letter_height_share(self, record: QARecord) -> float:
        """Height of the letters of a record's marks, of the image's width."""
        from spatial_engine.dataset.dataset import LETTER_HEIGHT_SHARE

        return self._letters.get((record.source, record.recipe), LETTER_HEIGHT_SHARE)

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


@lru_cache(maxsize=8)
def opened_scene(out: Path, key: str, root: Path, name: str) -> Scene:
    """A scene of a data set's source, kept open: records of one scene come together."""
    from spatial_engine.dataset.dataset import Dataset
    from spatialcore.types import Scene

    scene = Dataset.open(out, roots={key: root}).source(key).open(name)
    if not isinstance(scene, Scene):
        raise RecordError(f"{out}: {name} of {key} is a clip of tracks, and has no depth")
    return scene


def _check_tasks(folder: Path, tables: Iterable[pa.Table]) -> None:
    """RecordError that names the folder when no installed engine makes a task of it."""
    from spatial_engine.engines import engine_of

    for task in {task for table in tables for task in table.column("task").unique().to_pylist()}:
        try:
            engine_of(task)
        except TaskError as error:
            raise RecordError(f"{folder}: {error}") from error


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
    import pyarrow as pa

    if share >= 1:
        return table
    limit = int(share * 2**64)
    ids = table.column("id").to_pylist()
    taken = [text_hash(0, "share", "", str(i), "take") < limit for i in ids]
    return table.filter(pa.array(taken, pa.bool_()))  # of no rows, too
