# SPDX-License-Identifier: Apache-2.0
"""A data set on disk, and the only door to it: manifest, roots, shards, records, marked images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from spatial_engine.dataset.manifest import (
    IMPORTED_KIND,
    Dropped,
    Manifest,
    ShardDone,
    Summary,
    dropped_of,
    read_done,
    read_manifest,
    read_summary,
    shard_path,
)
from spatial_engine.recipe import Recipe
from spatial_engine.records.marks import draw_marks, letter_height
from spatial_engine.records.partial import may_hold, read_chosen
from spatial_engine.records.record import ImageRef, QARecord, read_records, read_tables
from spatialcore.errors import RecordError
from spatialcore.settings_words import nearest

# Of the image's width: of records that belong to no data set, whose recipe would say it.
LETTER_HEIGHT_SHARE = Recipe().letter_height_share

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL.Image import Image

    from spatialcore.types import Source


def shown_image(root: Path, image: ImageRef, letter_height_share: float) -> Image:
    """An image of a record as it is shown, everywhere: at its recorded size, its marks drawn.

    Args:
        root: Folder of the source.
        image: The image.
        letter_height_share: The recipe's height of a letter, of the image's width.

    Raises:
        SceneFormatError: The image is missing or damaged.
        RecordError: It is not of the recorded size, or a mark cannot be drawn on it.
    """
    return _marked(_plain(root, image), root, image, letter_height_share)


def _plain(root: Path, image: ImageRef) -> Image:
    from spatialcore.io.images import open_image

    opened = open_image(root, image.uri)
    if opened.size != (image.width, image.height):
        raise RecordError(
            f"{root / image.uri}: {opened.width}x{opened.height} pixels, "
            f"recorded as {image.width}x{image.height}"
        )
    return opened


def _marked(plain: Image, root: Path, image: ImageRef, letter_height_share: float) -> Image:
    height = letter_height(image.width, letter_height_share)
    try:
        return draw_marks(plain, image.marks, letter_height=height)
    except ValueError as error:
        raise RecordError(f"{root / image.uri}: {error}") from error


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

    def image(self, number: int) -> Image:
        """Image `number` in the order shown, its marks drawn; see `shown_image`."""
        return shown_image(self.root, self.record.images[number], self.letter_height_share)

    def plain(self, number: int) -> Image:
        """Image `number` without its marks, RGB."""
        return _plain(self.root, self.record.images[number]).convert("RGB")

    def marked(self, plain: Image, number: int) -> Image:
        """What `image` gives, of an image that `plain` has opened, which is not changed."""
        return _marked(plain, self.root, self.record.images[number], self.letter_height_share)

    def images(self) -> list[Image]:
        """All images in the order shown; decoded on each call."""
        return [self.image(number) for number in range(len(self.record.images))]


class ShardFile(NamedTuple):
    """A finished record file and what its done file says of it."""

    path: Path
    done: ShardDone


@dataclass(frozen=True)
class Dataset:
    """A data set, whole or with the shards that are done so far.

    Attributes:
        path: Its folder.
        manifest: What it was made of.
        roots: Source key -> folder of the source.
        given: The roots that the caller named; they hold for every merged part.
    """

    path: Path
    manifest: Manifest
    roots: Mapping[str, Path]
    given: Mapping[str, Path]

    @classmethod
    def open(cls, out: str | Path, *, roots: Mapping[str, Path] | None = None) -> Dataset:
        """Open a data set.

        Args:
            out: Its folder.
            roots: Source key -> folder, where sources have moved.

        Raises:
            MissingInput: There is no data set.
            RecordError: Its manifest is damaged.
            ValueError: A root names a source that the data set does not have.
        """
        path = Path(out).resolve()
        manifest = read_manifest(path)
        given = {key: Path(root) for key, root in (roots or {}).items()}
        for key in given:
            if key not in manifest.sources:
                near = nearest(key, manifest.sources)
                known = ", ".join(manifest.sources)
                raise ValueError(
                    f"{path} has no source {key!r}"
                    + (f"; did you mean {near}?" if near else f"; its sources are {known}")
                )
        return cls(path, manifest, source_roots(manifest, path, given), given)

    def roots_of(self, part: Manifest) -> dict[str, Path]:
        """Roots of the sources of one of the manifest's parts."""
        return source_roots(part, self.path, self.given)

    def index_of(self, part: Manifest) -> Path:
        """The index of one of the manifest's parts: as recorded, else OUT/index."""
        recorded = self.path / part.index
        return recorded if recorded.exists() else self.path / "index"

    def source(self, key: str) -> Source:
        """A source of the data set, opened again as it was read.

        Raises:
            SceneFormatError: It is not there any more, or not what it was.
            RecordError: It has no geometry: its records were imported.
        """
        from spatial_engine.plan.open import reopen_source

        entry = self.manifest.sources[key]
        if entry.kind == IMPORTED_KIND:
            raise RecordError(f"{self.path}: {key} was imported: no depth and no poses are known")
        return reopen_source(key, entry.kind, self.roots[key], entry.options)

    @cached_property
    def shards(self) -> tuple[ShardFile, ...]:
        """The finished record files, in order of their numbers.

        Raises:
            RecordError: There is none; or one is missing or cut, or its done file is damaged.
        """
        found = []
        for number in range(self.manifest.shards):
            done = read_done(self.path, number)
            if done is not None:
                file = ShardFile(shard_path(self.path, done.split, number), done)
                _check_size(file)
                found.append(file)
        if not found:
            raise RecordError(f"{self.path}: no finished shard; run `spatialcore generate` first")
        return tuple(found)

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits of the finished shards, in alphabetical order."""
        return tuple(sorted({file.done.split for file in self.shards}))

    def asked_split(self, wanted: str | None) -> str:
        """The split that a model is asked: the one wanted, else val, else the only one.

        Raises:
            ValueError: No finished shard is of that split.
        """
        if wanted is None:
            return "val" if "val" in self.splits else self.splits[0]
        if wanted not in self.splits:
            raise ValueError(
                f"{self.path} has no records of the split {wanted!r}; "
                f"its splits are {', '.join(self.splits)}"
            )
        return wanted

    @property
    def dropped(self) -> tuple[Dropped, ...]:
        """Records of the plan that the finished shards do not have, and why."""
        return dropped_of(file.done for file in self.shards)

    def files(self, split: str | None = None) -> list[Path]:
        """Paths of the finished record files, of one split or of all."""
        return [file.path for file in self.shards if split in (None, file.done.split)]

    def tables(self, split: str | None = None) -> Iterator[pa.Table]:
        """The records as Arrow tables, one row group at a time; see `read_tables`."""
        for path in self.files(split):
            yield from read_tables(path)

    def records(self, split: str | None = None) -> Iterator[QARecord]:
        """The records, of one split or of all; each is checked.

        Raises:
            RecordError: A file or a record is damaged.
        """
        for path in self.files(split):
            yield from read_records(path)

    def opened(self, split: str | None = None) -> Iterator[OpenedRecord]:
        """The records with their images, which are opened only when asked for.

        Raises:
            RecordError: A file or a record is damaged, or names a source that is not there.
        """
        for path in self.files(split):
            yield from self._opened(path)

    def opened_file(self, number: int) -> Iterator[OpenedRecord]:
        """The records of one finished shard; see `opened`.

        Raises:
            RecordError: The shard is not there, or damaged.
        """
        done = read_done(self.path, number)
        if done is None:
            raise RecordError(f"{self.path}: shard {number} is not done")
        file = ShardFile(shard_path(self.path, done.split, number), done)
        _check_size(file)
        yield from self._opened(file.path)

    def chosen(
        self, tasks: Collection[str], ids: Collection[str] | None = None
    ) -> Iterator[OpenedRecord]:
        """The records of some tasks, all of them or those of some ids; see `opened`."""
        for file in self.shards:
            if any(task in tasks for task in file.done.tasks):
                yield from self._with_images(file.path, read_chosen(file.path, tasks, ids))

    def find(self, id: str) -> OpenedRecord | None:
        """The record of an id, or None; only shards that may hold it are read.

        Raises:
            RecordError: A file or a record is damaged.
        """
        task, _, rest = id.partition("/")
        scene = rest.rpartition("/")[0]
        for file in self.shards:
            if task in file.done.tasks and may_hold(file.path, "scene", scene):
                found = next((o for o in self._opened(file.path) if o.record.id == id), None)
                if found is not None:
                    return found
        return None

    def _opened(self, path: Path) -> Iterator[OpenedRecord]:
        return self._with_images(path, read_records(path))

    def _with_images(self, path: Path, records: Iterable[QARecord]) -> Iterator[OpenedRecord]:
        share = self.manifest.recipe.letter_height_share
        for record in records:
            root = self.roots.get(record.source)
            if root is None:
                raise RecordError(
                    f"{path}: {record.id}: the manifest has no source {record.source!r}"
                )
            yield OpenedRecord(record, root, share)

    def summary(self) -> Summary | None:
        """Its summary; None while shards are missing; RecordError when it is damaged."""
        return read_summary(self.path)


def source_roots(
    manifest: Manifest, out: Path, given: Mapping[str, Path] | None = None
) -> dict[str, Path]:
    """Root of each source: as given, else as recorded, else of that name beside or below OUT.

    A recorded root that is relative starts at OUT.
    """
    roots = {}
    for key, source in manifest.sources.items():
        recorded = out / source.root
        choices = [recorded, out / recorded.name, out.parent / recorded.name]
        found = next((path for path in choices if path.exists()), recorded)
        roots[key] = (given or {}).get(key, found)
    return roots


def open_records(
    out: str | Path, *, roots: Mapping[str, Path] | None = None
) -> Iterator[OpenedRecord]:
    """Iterate the records of a data set; see `Dataset.open` and `Dataset.opened`."""
    yield from Dataset.open(out, roots=roots).opened()


def _check_size(file: ShardFile) -> None:
    """Refuse a record file that is gone or was cut, before a row of it is believed."""
    again = "run the same `spatialcore generate` again"
    if not file.path.is_file():
        raise RecordError(f"{file.path}: missing, though its shard is done; {again}")
    size = file.path.stat().st_size
    if size != file.done.bytes:
        raise RecordError(f"{file.path}: {size:,} bytes, {file.done.bytes:,} were written; {again}")
