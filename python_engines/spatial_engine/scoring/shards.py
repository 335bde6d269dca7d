# SPDX-License-Identifier: Apache-2.0
"""Scores of a whole data set, record file by record file, by any number of workers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from spatial_engine.dataset.dataset import Dataset, ShardFile
from spatial_engine.records.partial import read_ids
from spatial_engine.records.reading import Dialect
from spatial_engine.records.record import read_records
from spatial_engine.records.rotations import rotation_of
from spatial_engine.scoring.baselines import Baseline, Learning, Learnt
from spatial_engine.scoring.report import Report, Scored, refuse_unknown
from spatialcore.errors import WorkerError
from spatialcore.workers import Lost, Workers, run_pieces

Progress = Callable[[str, int, int], None]
Result = TypeVar("Result")


class _Piece(NamedTuple):
    """A record file, its number, and the responses to its records where they were given."""

    path: Path
    number: int
    said: Mapping[str, str]


def score_baseline(
    dataset: Dataset,
    split: str,
    name: Baseline,
    *,
    training: str = "train",
    dialect: Dialect = "multispa",
    circular: bool = False,
    workers: int | Workers | None = 1,
    on_progress: Progress | None = None,
) -> Report:
    """Score what a baseline says to the records of a split.

    It learns from another split, and of tasks that that one does not have from the records
    themselves. Memory does not grow with the records.

    Args:
        dataset: The data set.
        split: Split that is asked.
        name: The baseline.
        training: Split that it learns from.
        dialect: How responses are read.
        circular: Whether choices count only where every rotation is right (`scoring.circular`).
        workers: Who reads the files; the report is the same for any number.
        on_progress: Is told what is done, the files that are through, and how many there are.

    Raises:
        RecordError: A file is damaged.
        TaskError: No installed engine makes a record's task.
        WorkerError: A worker died twice over a file.
    """
    learning = Learning(name)
    for learnt_from in (training, split) if name != "oracle" else ():
        known = frozenset(learning.tasks)
        files = [one for one in _files(dataset, learnt_from) if not one.done.tasks.keys() <= known]
        learn = partial(_learn, name=name, known=known)
        pieces = (_Piece(one.path, one.done.shard, {}) for one in files)
        for _, part in _each(learn, pieces, len(files), workers, "learning", on_progress):
            learning.merge(part)
    respond = partial(_score_baseline, learnt=Learnt(learning), dialect=dialect, circular=circular)
    files = _files(dataset, split)
    pieces = (_Piece(one.path, one.done.shard, {}) for one in files)
    scored = Scored(circular=circular)
    for number, found in _each(respond, pieces, len(files), workers, "scoring", on_progress):
        scored.merge(number, found)
    return scored.report(dialect)


def score_responses(
    dataset: Dataset,
    split: str,
    responses: Mapping[str, str],
    *,
    dialect: Dialect = "multispa",
    circular: bool = False,
    workers: int | Workers | None = 1,
    on_progress: Progress | None = None,
) -> Report:
    """Score responses to the records of a split, by id; see `score_baseline`.

    Raises:
        ResponseError: A response belongs to no record.
    """
    files = _files(dataset, split)
    unknown: dict[str, dict[str, str]] = {}
    for name, text in responses.items():
        unknown.setdefault(rotation_of(name)[0] if circular else name, {})[name] = text

    def pieces() -> Iterator[_Piece]:
        for one in files:
            said = [unknown.pop(i) for i in read_ids(one.path) if i in unknown]
            yield _Piece(one.path, one.done.shard, {k: v for part in said for k, v in part.items()})

    scored = Scored(circular=circular)
    respond = partial(_score_said, dialect=dialect, circular=circular)
    for number, found in _each(respond, pieces(), len(files), workers, "scoring", on_progress):
        scored.merge(number, found)
    refuse_unknown([name for names in unknown.values() for name in names])
    return scored.report(dialect)


def _files(dataset: Dataset, split: str) -> list[ShardFile]:
    return [file for file in dataset.shards if file.done.split == split]


def _each(
    function: Callable[[_Piece], Result],
    pieces: Iterator[_Piece],
    total: int,
    workers: int | Workers | None,
    what: str,
    on_progress: Progress | None,
) -> Iterator[tuple[int, Result]]:
    """Number of a file and what came of it, as files are through."""
    with closing(run_pieces(partial(_numbered, function=function), pieces, workers, _name)) as done:
        for count, (_, found) in enumerate(done, 1):
            if isinstance(found, Lost):
                raise WorkerError(str(found))
            yield found
            if on_progress is not None:
                on_progress(what, count, total)


def _numbered(piece: _Piece, function: Callable[[_Piece], Result]) -> tuple[int, Result]:
    return piece.number, function(piece)


def _name(piece: _Piece) -> str:
    return piece.path.name


def _learn(piece: _Piece, name: Baseline, known: Collection[str]) -> Learning:
    return Learning(name).add(read_records(piece.path), piece.number, without=known)


def _score_baseline(piece: _Piece, learnt: Learnt, dialect: Dialect, circular: bool) -> Scored:
    return Scored.of(read_records(piece.path), learnt.response, dialect, circular=circular)


def _score_said(piece: _Piece, dialect: Dialect, circular: bool) -> Scored:
    said = piece.said
    return Scored.of(
        read_records(piece.path), lambda record: said.get(record.id), dialect, circular=circular
    )
