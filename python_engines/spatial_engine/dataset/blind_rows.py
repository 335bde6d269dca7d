# SPDX-License-Identifier: Apache-2.0
"""What a record tells someone who sees no image: words, numbers, options, and where marks lie."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from spatial_engine.dataset.dataset import Dataset
from spatial_engine.engines.base import Engine
from spatial_engine.records.answers import FREE, WRITTEN, box_centre
from spatial_engine.records.runs import cell_count, grid_shape
from spatial_engine.records.wording import SLOT, wording_of
from spatialcore.errors import SpatialCoreError
from spatialcore.io.parquet import plain_rows

Kind = Literal["choice", "word", "number", "point", "vector"]
Features = dict[str, float]
COLUMNS = (
    "id", "space", "task", "question", "templates", "options", "answer_type", "answer_text",
    "answer_number", "answer_unit", "frames", "images",
)  # fmt: skip
_UNTOLD = ("options", "letter", "word")  # slots that are told otherwise, or are the answer
_CROSSED = 6  # categorical slots that are crossed with each other at most


@dataclass(frozen=True, slots=True)
class Told:
    """A record as a blind reader has it.

    Attributes:
        id: The record's id.
        space: Its room.
        kind: What is to be found: one of the offers, a word, a number, a point or a vector.
        truth: The index of the right offer, the word, or the numbers.
        said: Features of the question: slots of its wording, or its words; marks of its images.
        offers: For each option its features by what they come from, "option" or "dot".
        category: The named category, "" where there is none or several.
        aspect: Height of the last image, of its width.
    """

    id: str
    space: str
    kind: Kind
    truth: Any
    said: Features
    offers: tuple[Mapping[str, Features], ...] = ()
    category: str = ""
    aspect: float = 1.0


@dataclass
class Sample:
    """The records of a task that are looked at: those of the smallest hashes, at most `most`."""

    most: int
    rows: int = 0
    _kept: list[tuple[bytes, Told]] = field(default_factory=list)

    def add(self, key: bytes, told: Told) -> None:
        """Offer one record."""
        self.rows += 1
        self._kept.append((key, told))
        if len(self._kept) > 2 * self.most + 64:
            self._cut()

    def _cut(self) -> None:
        self._kept = sorted(self._kept, key=lambda one: one[0])[: self.most]

    def told(self) -> list[Told]:
        """The records, in the order of their hashes."""
        self._cut()
        return [one for _, one in self._kept]


def read_told(dataset: Dataset, engines: Mapping[str, Engine], most: int) -> dict[str, Sample]:
    """The records of each task as a blind reader has them, at most `most` of each in memory.

    Answers that are walks or maps are left out: they are walked, or scored by parts.
    """
    samples: dict[str, Sample] = {}
    for table in dataset.tables():
        for row in plain_rows(table.select(COLUMNS)):
            engine = engines.get(row["task"])
            if engine is None or row["answer_type"] in (*WRITTEN, FREE):
                continue
            key = hashlib.blake2b(row["id"].encode(), digest_size=8).digest()
            samples.setdefault(row["task"], Sample(most)).add(key, _told(engine, row))
    return samples


def _told(engine: Engine, row: Mapping[str, Any]) -> Told:
    slots, variant = _slots(engine, row)
    said = _said(slots, variant, row)
    kind, truth, offers = _asked(engine, row, slots, variant)
    image = row["images"][-1]
    return Told(
        row["id"], row["space"], kind, truth, said, offers, slots.get("category", ""),
        image["height"] / image["width"],
    )  # fmt: skip


def _asked(
    engine: Engine, row: Mapping[str, Any], slots: Mapping[str, str], variant: str
) -> tuple[Kind, Any, tuple[Mapping[str, Features], ...]]:
    numbers = tuple(row["answer_number"])
    if row["answer_type"] == "letter":
        letters = engine.choices(row["options"])
        return "choice", letters.index(row["answer_text"]), _offers(row, letters, variant)
    if row["answer_type"] == "word":
        return "word", row["answer_text"], ()
    if engine.metric == "within 15 degrees":  # right iff it is in the truth's twelfth
        return "word", f"from {30 * int(numbers[0] // 30)}", ()
    if len(numbers) == 1:
        return "number", numbers[0], ()
    if row["answer_unit"] != "norm1000":
        return "vector", numbers, ()
    if row["answer_type"] == "box":  # where its middle is
        return "point", box_centre(numbers), ()
    try:
        points = [(float(slots[f"x{k}"]), float(slots[f"y{k}"])) for k in (1, 2)]
    except (KeyError, ValueError):
        points = []
    if numbers in points:
        offers = _placed([(x / 1000, y / 1000) for x, y in points], variant)
        return "choice", points.index(numbers), tuple({"option": one} for one in offers)
    return "point", numbers, ()


@cache
def _patterns(task: str, engine: Engine) -> dict[str, re.Pattern[str]]:
    """A pattern for each question of a task, by its id; the names of groups are slots."""
    found = {}
    for variant, texts in wording_of(task, file=engine.templates).questions.items():
        kind = f"question.{variant}" if variant else "question"
        for k, text in enumerate(texts):
            seen: set[str] = set()
            parts = []
            for n, piece in enumerate(SLOT.split(text)):
                if n % 2 == 0:
                    parts.append(re.escape(piece))
                else:
                    parts.append(f"(?P={piece})" if piece in seen else f"(?P<{piece}>.+?)")
                    seen.add(piece)
            found[f"{task}/{kind}/{k}"] = re.compile("".join(parts) + r"\Z", re.DOTALL)
    return found


def _slots(engine: Engine, row: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """The values that the question's wording was filled with, and its variant; {} if unknown."""
    try:
        patterns = _patterns(row["task"], engine)
    except (SpatialCoreError, ValueError):
        return {}, ""
    for name in row["templates"]:
        pattern = patterns.get(name)
        found = pattern.search(row["question"]) if pattern else None
        if found:
            kind = name.rsplit("/", 2)[1]
            return found.groupdict(), kind.partition(".")[2]
    return {}, ""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _said(slots: Mapping[str, str], variant: str, row: Mapping[str, Any]) -> Features:
    """Features of what is asked, options apart."""
    out: Features = {f"variant={variant}": 1.0, "images": len(row["images"]) / 10}
    frames = row["frames"]
    if len(frames) > 1:
        out["order"] = float(frames[0] < frames[1])
    if not slots:
        for word in re.findall(r"[a-z]+", row["question"].lower()):
            out[f"says={word}"] = 1.0
    named = []
    for name, value in slots.items():
        number = _number(value)
        if number is not None:
            out[name] = number / 1000
        elif name not in _UNTOLD:
            named.append(f"{name}={value}")
            for k, told in enumerate(re.findall(r"\d+", value)):
                out[f"{name}.{k}"] = int(told) / 1000
    out |= dict.fromkeys(named, 1.0)
    few = named[:_CROSSED]
    out |= {f"{a}&{b}": 1.0 for k, a in enumerate(few) for b in few[k + 1 :]}
    for k, image in enumerate(row["images"]):
        for mark in image["marks"]:
            if not mark["letter"] and mark["width"]:
                out |= _framed(mark, image)
            elif not mark["letter"]:
                out[f"mark{k}.u"] = mark["u"] / image["width"]
                out[f"mark{k}.v"] = mark["v"] / image["height"]
    return out


def _framed(mark: Mapping[str, Any], image: Mapping[str, Any]) -> Features:
    """Where the box or mask of a colour lies and how large it is, in shares of its image."""
    name, wide, high = f"box.{mark['colour']}", image["width"], image["height"]
    w, h = mark["width"] / wide, mark["height"] / high
    u, v = mark["u"] / wide, mark["v"] / high
    place = {"u": u, "v": v, "w": w, "h": h, "low": v + h / 2}
    if runs := mark["runs"]:
        rows, columns = grid_shape((wide, high))
        place["area"] = cell_count(runs) / (rows * columns)
    return {f"{name}.{what}": value for what, value in place.items()}


def _offers(
    row: Mapping[str, Any], letters: Sequence[str], variant: str
) -> tuple[Mapping[str, Features], ...]:
    """Features of every option: of its text, and of its mark."""
    options = row["options"] or letters
    texts = _worded(options) if list(options) != list(letters) else [{} for _ in letters]
    at = {}
    one: dict[str, float] = {}
    for image in row["images"]:
        for mark in image["marks"]:
            place = mark["u"] / image["width"], mark["v"] / image["height"]
            if mark["letter"]:
                at[mark["letter"]] = place
            else:
                one = {"from.u": place[0], "from.v": place[1]}
    dots: Sequence[Features] = [{} for _ in letters]
    if all(letter in at for letter in letters):
        dots = _placed([at[letter] for letter in letters], variant, one)
    return tuple({"option": {f"at={k}": 1.0, **text}, "dot": dot}
                 for k, (text, dot) in enumerate(zip(texts, dots, strict=True)))  # fmt: skip


def _worded(options: Sequence[str]) -> list[Features]:
    """Features of the texts of options, numbers or words."""
    numbers = [_number(text) for text in options]
    known = [n for n in numbers if n is not None and n > 0]
    if len(known) == len(options):
        return _laddered(known)
    out: list[Features] = []
    for text in options:
        words = [word.strip() for word in re.split(r"[,;]| then ", text) if word.strip()]
        one: Features = {f"is={text}": 1.0}
        for k, word in enumerate(words):
            one[f"has={word}"] = one.get(f"has={word}", 0.0) + 1.0
            one[f"{k}:{word}"] = 1.0
        others = [other for other in options if other != text]
        shared = [len(set(words) & set(re.split(r"[,;] ?", other))) for other in others]
        one["shared"] = sum(shared) / max(1, len(shared) * len(words))
        out.append(one)
    return out


def _laddered(numbers: Sequence[float]) -> list[Features]:
    """Features of a number among numbers."""
    middle = math.exp(sum(map(math.log, numbers)) / len(numbers))
    ordered = sorted(numbers)
    out: list[Features] = []
    for number in numbers:
        rank = ordered.index(number)
        below = number / ordered[rank - 1] if rank else 1.0
        above = ordered[rank + 1] / number if rank + 1 < len(ordered) else 1.0
        out.append({
            f"rank={rank}": 1.0, "of middle": math.log(number / middle), "log": math.log(number),
            "below": math.log(below), "above": math.log(above), "middle": math.log(middle),
            "round": float(number % 5 == 0),
        })  # fmt: skip
    return out


def _placed(
    places: Sequence[tuple[float, float]], variant: str, one: Mapping[str, float] | None = None
) -> list[Features]:
    """Features of a point among points, in shares of the image; with what is asked of them."""
    count = len(places)
    centre = [sum(p[axis] for p in places) / count for axis in (0, 1)]
    out: list[Features] = []
    for u, v in places:
        away = sorted(math.dist((u, v), p) for p in places)[1:]
        features: Features = {
            "u": u, "v": v, "du": u - centre[0], "dv": v - centre[1], "out": abs(u - 0.5),
            "centre": math.dist((u, v), centre), "near": away[0], "mean": sum(away) / len(away),
            "up rank": sum(q[1] < v for q in places) / count,
            "side rank": sum(q[0] < u for q in places) / count,
        }  # fmt: skip
        if one:
            features |= one
            features["moved u"], features["moved v"] = u - one["from.u"], v - one["from.v"]
            features["moved"] = math.hypot(features["moved u"], features["moved v"])
            nearer = sum(math.dist(p, tuple(one.values())) < features["moved"] for p in places)
            features["moved rank"] = nearer / count
            features["|moved v|"] = abs(features["moved v"])
        if variant:
            features |= {f"{variant}*{name}": value for name, value in features.items()}
        out.append(features)
    return out


def spaces_of(rows: Sequence[Told]) -> list[str]:
    """The rooms of records, in an order that their names do not decide."""
    names = {row.space for row in rows}
    return sorted(names, key=lambda name: hashlib.blake2b(name.encode(), digest_size=8).digest())


def folds_of(rows: Sequence[Told], count: int) -> Iterator[tuple[list[int], list[int]]]:
    """(train, held out) indices for each fold: no room is on both sides."""
    spaces = spaces_of(rows)
    count = min(count, len(spaces))
    fold_of = {space: k % count for k, space in enumerate(spaces)}
    for fold in range(count):
        held = [k for k, row in enumerate(rows) if fold_of[row.space] == fold]
        yield [k for k in range(len(rows)) if fold_of[rows[k].space] != fold], held
