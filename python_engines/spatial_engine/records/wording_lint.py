# SPDX-License-Identifier: Apache-2.0
"""The rules of the templates: each returns what is wrong, in words, and nothing when all is well.

A template may not repeat another one, in the same words or in nearly the same, lose a slot, hide
its unit, show an answer or give it away, or hold a second machine answer. `forbid` of a task names
the words that would change what is asked, such as "path length" where the answer is a straight
line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations

from spatial_engine.records.names import PLURAL
from spatial_engine.records.wording import SLOT, Wording

# How a question may name its unit.
UNIT_WORDS = {
    "mm": r"millimet(?:re|er)s?|\bmm\b",
    "cm": r"centimet(?:re|er)s?|\bcm\b",
    "m": r"\bmet(?:re|er)s?\b|\bm\b",
    "m2": r"square met(?:re|er)s?|\bm2\b",
    "cm/s": r"centimet(?:re|er)s? (?:per|a|each) second|\bcm/s\b",
    "degree": r"degrees?",
    "count": r"how many|number|count",
}
MOST_SHARED = {"description": 0.8, "question": 0.7, "answer": 0.75}
"""Words that two texts of a list may share, of all words that either has."""
_SPAN = re.compile(r"`([^`]*)`")
_AFTER_THE = re.compile(r"\bthe \{([a-z0-9_]+)\}", re.IGNORECASE)
_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
# What tells a reader which answer to expect, or that it is easy.
_GIVEAWAYS = ("clearly", "obviously", "of course", "surely", "certainly", "as you know", "trick")


def lint(wording: Wording) -> list[str]:
    """Everything that is wrong with the templates of one task."""
    return [
        f"{wording.task}: {problem}"
        for rule in (
            _counts,
            _repeated,
            _named,
            _repeats,
            _near,
            _questions,
            _answers,
            _descriptions,
            _notes,
        )
        for problem in rule(wording)
    ]


def _folded(text: str) -> str:
    """Text without case and punctuation: what a reader would call the same sentence."""
    return " ".join(re.sub(r"[^\w{} ]", " ", text.casefold()).split())


def _counts(wording: Wording) -> Iterator[str]:
    descriptions, questions, answers = wording.least
    if len(wording.descriptions) < descriptions:
        yield f"{len(wording.descriptions)} descriptions, at least {descriptions} are wanted"
    for kind, lists, least in (
        ("questions", wording.questions, questions),
        ("answers", wording.answers, answers),
    ):
        for variant, texts in lists.items():
            if len(texts) < least:
                yield f"{len(texts)} {kind} {variant}, at least {least} are wanted"


def _named(wording: Wording) -> Iterator[str]:
    slots = {*wording.question_slots, *wording.answer_slots}
    named = {*wording.names, *wording.phrases}
    for slot in {*wording.names, *wording.phrases}:
        if not slots & {slot, slot + PLURAL}:
            yield f"{slot!r} is a name, but no text says it"
    for slot in slots:
        if slot.endswith(PLURAL) and slot.removesuffix(PLURAL) not in wording.names:
            yield f"{slot!r} is the plural of no name"
    for text in (text for texts in wording.questions.values() for text in texts):
        for slot in {s.removesuffix(PLURAL) for s in _AFTER_THE.findall(text)} - named:
            yield f'{slot!r} stands after "the" and is no name: {text!r}'


def _repeated(wording: Wording) -> Iterator[str]:
    for slot in set(wording.repeated) - {*wording.question_slots, *wording.answer_slots}:
        yield f"{slot!r} may be repeated, but is no slot"


def _repeats(wording: Wording) -> Iterator[str]:
    lists = [wording.descriptions, *wording.questions.values(), *wording.answers.values()]
    for texts in lists:
        for text, count in Counter(map(_folded, texts)).items():
            if count > 1:
                yield f"occurs {count} times: {text!r}"


def _near(wording: Wording) -> Iterator[str]:
    """Texts that say the same in nearly the same words.

    Slots, the closed set, notes, and the machine answer are in all of them and do not count.
    """
    lists = [("description", wording.descriptions)]
    lists += [
        ("question", tuple(_without(text, wording.notes) for text in texts))
        for texts in wording.questions.values()
    ]
    lists += [("answer", texts) for texts in wording.answers.values()]
    closed = set(_WORD.findall(" ".join(wording.words).casefold()))
    for kind, texts in lists:
        words = [_content(text) - closed for text in texts]
        for a, b in combinations(range(len(texts)), 2):
            shared, either = words[a] & words[b], words[a] | words[b]
            if len(shared) > MOST_SHARED[kind] * len(either):
                share = f"{100 * len(shared) / len(either):.0f} % of their words"
                yield f"two {kind}s share {share}: {texts[a]!r} and {texts[b]!r}"


def _without(text: str, notes: tuple[str, ...]) -> str:
    """A question without what tells the meaning of its words."""
    for note in notes:
        text = text.replace(f" {note}", "")
    return text


def _content(text: str) -> set[str]:
    return set(_WORD.findall(SLOT.sub(" ", _SPAN.sub(" ", text.casefold()))))


def _slots(text: str, wanted: tuple[str, ...], repeated: tuple[str, ...]) -> Iterator[str]:
    found = Counter(SLOT.findall(text))
    for slot in wanted:
        if found[slot] != 1 and not (found[slot] > 1 and slot in repeated):
            yield f"slot {{{slot}}} occurs {found[slot]} times in {text!r}"
    for slot in found.keys() - set(wanted):
        yield f"unknown slot {{{slot}}} in {text!r}"


def _questions(wording: Wording) -> Iterator[str]:
    for texts in wording.questions.values():
        for text in texts:
            yield from _slots(text, wording.question_slots, wording.repeated)
            yield from _plain(text, wording)
            unit = UNIT_WORDS.get(wording.unit)
            if unit and not re.search(unit, text, re.IGNORECASE):
                yield f"names no unit: {text!r}"
            missing = [w for w in wording.words if not re.search(rf"\b{w}\b", text, re.IGNORECASE)]
            if missing:
                yield f"does not offer {missing[0]!r}: {text!r}"


def _descriptions(wording: Wording) -> Iterator[str]:
    for text in wording.descriptions:
        yield from _plain(text, wording)
        if SLOT.search(text):
            yield f"a description has no slots: {text!r}"
        if wording.coordinates and "1000" not in text:
            yield f"does not say that coordinates run to 1000: {text!r}"


def _notes(wording: Wording) -> Iterator[str]:
    for note in wording.notes:
        if SLOT.search(note):
            yield f"a note has no slots: {note!r}"
        if not note.endswith("."):
            yield f"a note is a sentence: {note!r}"


def _plain(text: str, wording: Wording) -> Iterator[str]:
    """What neither a description nor a question may hold."""
    if "`" in text:
        yield f"a backtick outside an answer: {text!r}"
    for word in _GIVEAWAYS:
        if re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE):
            yield f"{word!r} gives something away: {text!r}"
    for word in wording.forbid:
        if re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE):
            yield f"{word!r} changes the meaning: {text!r}"


def _answers(wording: Wording) -> Iterator[str]:
    for texts in wording.answers.values():
        for text in texts:
            spans = _SPAN.findall(text)
            if len(spans) != 1 or text.count("`") != 2:
                yield f"needs exactly one backticked span: {text!r}"
                continue
            yield from _slots(text, wording.answer_slots, wording.repeated)
            outside = text.replace(f"`{spans[0]}`", "")
            if SLOT.search(outside):
                yield f"a slot outside the machine answer: {text!r}"
