# SPDX-License-Identifier: Apache-2.0
"""What a name and a label may be: the one place where text of strangers becomes text of records.

| text | rule |
|---|---|
| scene id | `[A-Za-z0-9._-]{1,128}`, from the folder's name, spelt in these |
| path in a source | any letters and spaces; no control character, backslash or `#`, and UTF-8 |
| label, category | one printable line in NFC, at most 200 long, without backtick, `<` and `>` |

Backticks quote, `<image>` holds the place of an image and `#` begins the fragment of a uri.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

_SCENE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")
_NOT_OF_AN_ID = re.compile(r"[^A-Za-z0-9._-]+")
_KEPT_OF_A_NAME = 100  # characters of an id that stem from a name too long for one
_LONGEST_LABEL = 200
_DIGITS = re.compile(r"([0-9]+)")
_MARKUP = frozenset("`<>")
_WITHOUT_MARKUP = str.maketrans("`", "'", "<>")
NO_LABEL = "unknown"  # a category that no rule takes for an object


def is_scene_id(name: str) -> bool:
    """Whether `name` matches `[A-Za-z0-9._-]{1,128}` and is not a folder reference."""
    return _SCENE_ID.match(name) is not None and name not in (".", "..")


def scene_slug(name: str) -> str:
    r"""The scene id of a folder's name: itself where it is one, else in the letters of an id.

    Spaces become underscores. Where more is lost, eight digits of the name's hash follow, so that
    two names never share an id by accident.

    Example:
        >>> scene_slug("scene0000_00"), scene_slug("my office"), scene_slug("\u5ba2\u5385")
        ('scene0000_00', 'my_office', 'scene_71ed75c3')
    """
    if is_scene_id(name):
        return name
    letters = "".join(
        c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c)
    )
    slug = _NOT_OF_AN_ID.sub("_", letters).strip("_")[:_KEPT_OF_A_NAME]
    if slug == "_".join(name.split()) and is_scene_id(slug):
        return slug
    return f"{slug or 'scene'}_{_name_hash(name)}"


def _name_hash(name: str) -> str:
    stored = unicodedata.normalize("NFC", name).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(stored, digest_size=4).hexdigest()


def scene_ids(names: Iterable[str]) -> dict[str, str]:
    """Unique scene ids of the folders of one root: name -> id.

    A name that is an id keeps it; of others whose slugs meet, each gets the hash of its name.
    """
    given = sorted(set(names))
    taken = {name for name in given if is_scene_id(name)}
    slugs = [scene_slug(name) for name in given]
    out = {}
    for name, slug in zip(given, slugs, strict=True):
        shared = name != slug and (slug in taken or slugs.count(slug) > 1)
        out[name] = f"{slug[:_KEPT_OF_A_NAME]}_{_name_hash(name)}" if shared else slug
    return out


def path_fault(name: str) -> str:
    """Why the name of a file or folder cannot be part of a uri: a reason code, or ""."""
    if any(unicodedata.category(c) == "Cs" for c in name):
        return "name_not_utf8"
    bad = any(c in "\\#" or unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in name)
    return "name_unsafe" if bad else ""


def clean_label(text: str) -> str:
    r"""A label or category as records hold it.

    Characters that are not printable become spaces, backticks become apostrophes, angle brackets
    go, and what is left is one line in NFC; nothing left is "unknown".

    Example:
        >>> clean_label("office\tchair"), clean_label("a `red` <image>"), clean_label("\x1b[31m")
        ('office chair', "a 'red' image", '[31m')
    """
    if text.isascii() and text.isprintable() and not _MARKUP.intersection(text):
        plain = text[:_LONGEST_LABEL]
        return plain if plain.strip() else NO_LABEL
    one_form = unicodedata.normalize("NFC", text).translate(_WITHOUT_MARKUP)
    printable = "".join(c if c.isprintable() else " " for c in one_form)
    return " ".join(printable.split())[:_LONGEST_LABEL].strip() or NO_LABEL


def natural_order(text: str) -> tuple[tuple[str, int, str], ...]:
    """Sort key under which runs of digits count as numbers: frame_2 comes before frame_10.

    Zero-padded numbers of one width keep the order of plain text. Digits are compared as text of
    their length, so that no number is too long.
    """
    parts = [*_DIGITS.split(text), ""]
    pairs = zip(parts[::2], (digits.lstrip("0") for digits in parts[1::2]), strict=True)
    return (*((word, len(digits), digits) for word, digits in pairs), (text, 0, ""))
