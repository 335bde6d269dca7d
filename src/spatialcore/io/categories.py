# SPDX-License-Identifier: Apache-2.0
"""Names of object categories: label tables, the singular form and families, from data files."""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Mapping
from pathlib import Path

from spatialcore.errors import SceneFormatError
from spatialcore.io.names import clean_label
from spatialcore.io.paths import read_text
from spatialcore.types import Object3D

_TABLE = Path(__file__).with_name("categories.tsv")
_FAMILIES = Path(__file__).with_name("families.tsv")
_MAX_LABEL_BYTES = 8 << 20
_TITLE_WORDS = 4


def _rows(path: Path, columns: tuple[str, str]) -> list[tuple[str, str]]:
    """Rows of a tab-separated file with a header, columns picked by name."""
    text = read_text(path, _MAX_LABEL_BYTES)
    reader = csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        header = next(reader, [])
        a, b = (header.index(name) for name in columns)
        return [(row[a].strip(), row[b].strip()) for row in reader if len(row) > max(a, b)]
    except (ValueError, csv.Error) as error:
        raise SceneFormatError(
            path, f"must be tab-separated with the columns {', '.join(columns)}", code="labels_bad"
        ) from error


@functools.cache
def _singular_of() -> dict[str, str]:
    return {plural: singular for singular, plural in _rows(_TABLE, ("category", "plural"))}


@functools.cache
def _plural_of() -> dict[str, str]:
    return dict(_rows(_TABLE, ("category", "plural")))


def is_noun(name: str) -> bool:
    """Whether the table knows a name as a category in the singular.

    Example:
        >>> is_noun("office chair"), is_noun("scissors")
        (True, False)
    """
    return name in _plural_of()


def plural_category(name: str) -> str | None:
    """The plural by the table, of the name or of the noun it ends in; None where it knows neither.

    Example:
        >>> plural_category("shelf"), plural_category("tall bookshelf"), plural_category("gizmo")
        ('shelves', 'tall bookshelves', None)
    """
    if name in _plural_of():
        return _plural_of()[name]
    before, _, last = name.rpartition(" ")
    plural = _plural_of().get(last)
    return None if plural is None or not before else f"{before} {plural}"


def canonical_category(name: str) -> str:
    """Lower case, single spaces, singular where the table knows the plural.

    Example:
        >>> canonical_category(" Office  Chairs ")
        'office chair'
    """
    words = " ".join(name.lower().replace("_", " ").split())
    return _singular_of().get(words, words)


@functools.cache
def _heads() -> dict[str, str]:
    return dict(_rows(_FAMILIES, ("category", "head")))


@functools.cache
def _other_names() -> dict[str, frozenset[str]]:
    return {
        category: frozenset(name.strip() for name in also.split(",") if name.strip())
        for category, also in _rows(_FAMILIES, ("category", "also"))
    }


def head_noun(category: str) -> str:
    """What a category is a kind of, by its name: the table's word, else the last word before "of".

    Example:
        >>> head_noun("coffee table"), head_noun("armchair"), head_noun("bag of chips")
        ('table', 'chair', 'bag')
    """
    last = category.partition(" of ")[0].rpartition(" ")[2]
    return _heads().get(category, _heads().get(last, last))


@functools.cache
def confusable(one: str, other: str) -> bool:
    """Whether two different categories are of one family: a name of one may mean the other.

    They share a head noun (coffee table, dining table), one is the head of the other (table), or
    `families.tsv` says that one is also called by the other's name (desk: table). Two titles, names
    of four words and more, tell themselves apart.

    Example:
        >>> confusable("table", "coffee table"), confusable("sofa", "couch")
        (True, True)
        >>> confusable("table", "chair"), confusable("table", "table")
        (False, False)
    """
    if one == other:
        return False
    if head_noun(one) == head_noun(other):
        return min(len(name.split()) for name in (one, other)) < _TITLE_WORDS
    return any(
        {a, head_noun(a)} & (_other_names().get(b) or _other_names().get(head_noun(b), frozenset()))
        for a, b in ((one, other), (other, one))
    )


@functools.lru_cache(maxsize=8)
def _label_table(path: Path, _mtime_ns: int) -> dict[str, str]:
    rows = _rows(path, ("raw_category", "category"))
    return {
        raw: canonical_category(clean_label(category)) for raw, category in rows if raw and category
    }


def read_label_table(path: Path) -> dict[str, str]:
    """Raw category -> canonical category of a ScanNet label table (columns by name).

    Raises:
        SceneFormatError: The file is missing or lacks a column.
    """
    try:
        mtime_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise SceneFormatError(path, f"cannot be read: {error}", code="file_missing") from error
    return _label_table(path, mtime_ns)


def named_objects(
    labels: Mapping[int, str], table: Mapping[str, str] | None = None
) -> tuple[tuple[Object3D, ...], tuple[str, ...]]:
    """Objects by id with labels that records can hold, and notes on what was changed.

    Args:
        labels: Object id -> label as the source has it.
        table: Label -> category; other labels are their own category.

    Returns:
        Objects by id; "unknown_categories=n" where a table lacks labels, and "labels_cleaned=n"
        where labels held what records may not.
    """
    known, objects, cleaned = table or {}, [], 0
    for number in sorted(labels):
        raw = clean_label(labels[number])
        cleaned += raw != labels[number]
        category = known.get(labels[number]) or canonical_category(raw)
        objects.append(Object3D(number, raw, category))
    unknown = sum(label not in known for label in labels.values()) if known else 0
    notes = {"unknown_categories": unknown, "labels_cleaned": cleaned}
    return tuple(objects), tuple(f"{name}={count}" for name, count in notes.items() if count)
