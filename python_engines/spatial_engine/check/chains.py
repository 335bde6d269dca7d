# SPDX-License-Identifier: Apache-2.0
"""Chains of an export, held against records that were made again from their source."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spatial_engine.dataset.chains import chain_of
from spatial_engine.records.chains import Chain, assistant_text, departures, parts_of
from spatial_engine.records.record import QARecord
from spatialcore.errors import MissingInput, RecordError

_SUFFIXES = (".json", ".jsonl", ".parquet")
_DEEPEST = 8


def chain_files(folder: Path, numbers: Sequence[int]) -> dict[int, list[Path]]:
    """The files of an export that hold the records of each shard.

    Args:
        folder: An export, or one target of it.
        numbers: Shards.

    Raises:
        MissingInput: The folder holds no rows that could hold chains.
    """
    found: dict[int, list[Path]] = {}
    wanted = set(numbers)
    every = [p for p in sorted(folder.rglob("part-*")) if p.suffix in _SUFFIXES]
    if not every:
        what = f"{folder}: no rows ({', '.join(_SUFFIXES)}) of an export"
        raise MissingInput(f"{what}; name a folder of `spatialcore export --chains`")
    for path in every:
        number = path.stem.rpartition("-")[2]
        if number.isdecimal() and int(number) in wanted:
            found.setdefault(int(number), []).append(path)
    return found


def chains_in(path: Path) -> Iterator[tuple[str, str]]:
    """Id and assistant's text of every row of a file that holds a thought or an answer block.

    Raises:
        RecordError: The file is none of rows with ids.
    """
    try:
        for row in _rows(path):
            text = _assistant(row)
            if text is not None:
                yield str(row["id"]), text
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        raise RecordError(f"{path}: no rows with ids: {type(error).__name__}: {error}") from error


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.suffix == ".parquet":
        from spatialcore.io.parquet import ParquetFile, plain_rows

        with ParquetFile(path) as file:
            names = [name for name in file.schema.names if name != "images"]
            for table in file.read_groups(names):
                yield from plain_rows(table)
        return
    with path.open(encoding="utf-8") as lines:
        for text in lines:
            one = text.strip().removesuffix(",")
            if one not in ("", "[", "]", "[]"):  # arrays hold a row a line
                yield json.loads(one)


def _assistant(value: Any, depth: int = 0) -> str | None:
    """The first text of a row that has the parts of a chain."""
    if isinstance(value, str):
        return value if "<answer>" in value else None
    if depth > _DEEPEST or not isinstance(value, Mapping | list):
        return None
    inner = value.values() if isinstance(value, Mapping) else value
    return next((t for one in inner if (t := _assistant(one, depth + 1)) is not None), None)


def chain_faults(record: QARecord, told: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(what a chain says, what it should say) of every departure from a record made again.

    Args:
        record: Made again from the source; its evidence and its texts are not those of a file.
        told: Assistants' texts of the record.
    """
    try:
        chain = chain_of(record)
    except RecordError as error:
        yield from ((text, str(error)) for text in told)
        return
    for text in told:
        yield from _departures(record, chain, text)


def _departures(record: QARecord, chain: Chain | None, text: str) -> Iterator[tuple[str, str]]:
    if chain is None:
        right = assistant_text("", record.answer)
        if text != right:
            yield text, right
        return
    parts = parts_of(text)
    if parts is None:
        yield text, assistant_text(chain.text, record.answer)
        return
    yield from departures(chain, parts[0])
    if parts[1] != record.answer:
        yield parts[1], record.answer


class Chains:
    """The chains of one shard: read once, then looked up by id."""

    def __init__(self, paths: Sequence[Path] = ()) -> None:
        self._of: dict[str, list[str]] = {}
        for path in paths:
            for record_id, text in chains_in(path):
                self._of.setdefault(record_id, []).append(text)
        self.checked = 0

    def strangers(self, ids: Sequence[str]) -> list[str]:
        """Ids of chains that are none of a shard's records."""
        return sorted(self._of.keys() - set(ids))

    def faults(self, record: QARecord) -> Iterator[tuple[str, str]]:
        """`chain_faults` of a record made again, which is counted."""
        told = self._of.get(record.id, [])
        self.checked += len(told)
        return chain_faults(record, told) if told else iter(())
