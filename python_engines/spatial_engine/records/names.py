# SPDX-License-Identifier: Apache-2.0
"""How a text says the name of an object, so that the sentence around it stays English.

Labels are what somebody typed: "office chair", but also "i am a bunny book" or "scissors". A noun
is said as it is; a title, a sentence or a plural is quoted, as in `the object labelled "scissors"`,
so that "the {name} is" and "how many {names} are" are right with any label.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from spatialcore.io.categories import is_noun, plural_category

PLURAL = "_plural"
"""What a template adds to the name of a slot for the plural: `{category_plural}`."""
_MOST_WORDS = 3  # of a name that is no title; "of" and what follows it do not count
_PLAIN = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
# Words of a sentence, not of a noun's name.
_SENTENCE = frozenset(
    (
        "a",
        "am",
        "an",
        "and",
        "are",
        "be",
        "i",
        "is",
        "it",
        "me",
        "my",
        "not",
        "our",
        "please",
        "the",
    )
) | {"this", "to", "we", "you"}


@lru_cache(maxsize=4096)
def spoken(name: str) -> str:
    """A name as it stands after "the".

    Example:
        >>> spoken("office chair"), spoken("i am a bunny book")
        ('office chair', 'object labelled "i am a bunny book"')
    """
    return name if _is_plain(name) else f"object labelled {_quoted(name)}"


@lru_cache(maxsize=4096)
def spoken_plural(name: str) -> str:
    """A name as it stands after "how many".

    Example:
        >>> spoken_plural("shelf"), spoken_plural("gizmo")
        ('shelves', 'objects labelled "gizmo"')
    """
    plural = plural_category(name) if _is_plain(name) else None
    return f"objects labelled {_quoted(name)}" if plural is None else plural


def said(slots: Mapping[str, str], names: Sequence[str]) -> Mapping[str, str]:
    """Values of slots, those that hold names as they are said, and the plurals beside them."""
    if not names:
        return slots
    found = dict(slots)
    for slot in names:
        found[slot] = spoken(slots[slot])
        found[slot + PLURAL] = spoken_plural(slots[slot])
    return found


def _is_plain(name: str) -> bool:
    if is_noun(name):
        return True
    words = name.split()
    head = name.partition(" of ")[0].split()
    if not head or len(head) > _MOST_WORDS or not _SENTENCE.isdisjoint(w.lower() for w in words):
        return False
    if not all(_PLAIN.fullmatch(word) for word in words):
        return False
    # Most unknown words in -s are plurals, and a plural takes another verb.
    return is_noun(head[-1]) or not head[-1].endswith("s") or head[-1].endswith("ss")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', "'") + '"'
