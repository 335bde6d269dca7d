# SPDX-License-Identifier: Apache-2.0
"""Comparisons over a room: which kind is more numerous, objects by size, objects by distance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, permutations
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from spatial_engine.engines.base import (
    LETTER,
    WORD,
    AnswerForm,
    Facts,
    Metric,
    Named,
    equal_shares,
)
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.chains import of_objects
from spatial_engine.engines.contents import content_of, in_order, number_strata, number_stratum
from spatial_engine.engines.numeric_choice import NumericChoice
from spatial_engine.engines.seen_parts import agreed
from spatial_engine.engines.seen_sizes import size_fault
from spatial_engine.engines.walk_task import WalkEngine, WalkScene, listed
from spatial_engine.records import answers
from spatial_engine.records.names import spoken
from spatialcore.draws import uniform_below
from spatialcore.relations import layout as geometry
from spatialcore.relations.eye import tells_apart
from spatialcore.relations.layout import LayoutRules
from spatialcore.relations.scene_object import SceneObject, gap
from spatialcore.relations.verdict import Answer, Reason, Rejection

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.reference.scene import ReferenceScene

Quantity = Literal["more", "count_difference", "size_order", "distance_order"]
_COUNTS = ("more", "count_difference")
_MORE = ("more", "fewer", "equal")
_TURNED: Mapping[str, str] = {"more": "fewer", "fewer": "more"}
_ORDERED = (3, 4, 5)  # objects of an order
_RULES = LayoutRules(min_count=1)  # one lamp is fewer than two chairs
LETTERS = ("A", "B", "C", "D")
MOST_RATIO = 2.0  # of neighbouring sizes, which names alone would tell beyond


@dataclass(frozen=True, slots=True)
class Comparison(WalkEngine):
    """One of the comparisons.

    Attributes:
        quantity: What is compared.
    """

    quantity: Quantity
    needs_metres: ClassVar[bool] = True

    @property
    def task(self) -> str:
        """Task name."""
        return f"comparison.{self.quantity}"

    @property
    def words(self) -> tuple[str, ...]:
        """The closed set of words or letters."""
        return {"more": _MORE, "count_difference": ()}.get(self.quantity, LETTERS)

    @property
    def answer(self) -> AnswerForm:
        """A word, a count, or the letter of an order."""
        forms = {"more": WORD, "count_difference": AnswerForm("integer", "count")}
        return forms.get(self.quantity, LETTER)

    @property
    def metric(self) -> Metric:
        """Counts are scored as those of a scene."""
        return "accuracy" if self.words else "MRA"

    @property
    def sole(self) -> int | None:
        """Kinds that are counted may have several objects."""
        return 0 if self.quantity in _COUNTS else None

    @property
    def has_choice(self) -> bool:
        """The difference has a choice."""
        return self.quantity == "count_difference"

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """Words in the order of the alphabet, bins of a number, or which of two comes first."""
        if not recipe.word_strata:
            return (("", 1.0),)
        if self.quantity == "count_difference":
            return number_strata("count")
        return equal_shares(_MORE if self.quantity == "more" else ("first", "second"))

    def possible(self, walk: WalkScene) -> Iterator[tuple[int, ...]]:
        """Pairs of kinds, or sets of objects out of a pool."""
        layout = walk.layout
        if self.quantity in _COUNTS:
            firsts = [layout.by_category[name][0] for name in layout.askable]
            yield from permutations([item.object_id for item in firsts], 2)
            return
        if self.quantity == "size_order":
            sized = (item for item in layout.unique if _sized(walk, item))
            pool = walk.pool(self.task, sized)
            for count in _ORDERED:
                yield from combinations(pool, count)
            return
        pool = walk.pool(self.task, layout.unique)
        for k in pool:
            others = [other for other in pool if other != k]
            for count in _ORDERED[:2]:
                yield from ((k, *some) for some in combinations(others, count))

    def ask(self, walk: WalkScene, items: tuple[int, ...]) -> Answer[Any] | Rejection:
        """The word, the difference, or the names in their order."""
        things = [walk.layout.object(k) for k in items]
        if self.quantity in _COUNTS:
            return self._counted(walk, things)
        return (_by_size if self.quantity == "size_order" else _by_distance)(walk, things)

    def _counted(self, walk: WalkScene, things: list[SceneObject]) -> Answer[Any] | Rejection:
        counts, ids = [], []
        for item in things:
            found = geometry.object_count(
                walk.layout.objects, item.category, seen=walk.layout.seen, rules=_RULES
            )
            if isinstance(found, Rejection):
                return found
            counts.append(found.value)
            ids.append(found.evidence["object_ids"])
        evidence = {"counts": counts, "object_ids": ids}
        if max(counts) < 2:  # two single things are equal in every room
            return Rejection(Reason.COUNT_RANGE, evidence)
        difference = counts[0] - counts[1]
        if self.quantity == "count_difference":
            if difference < 1:  # "how many more" asks about the more numerous ones
                return Rejection(Reason.DEAD_ZONE, evidence)
            return Answer(difference, evidence)
        word = "equal" if not difference else "more" if difference > 0 else "fewer"
        return Answer(word, evidence)

    def said(self, walk: WalkScene, items: tuple[int, ...], value: Any) -> tuple[int, int]:
        """What the pair of kinds says in the order of the alphabet, or two of an order."""
        names = [walk.layout.object(k).category for k in items]
        if self.quantity == "more":
            return _MORE.index(in_order(value, names, _TURNED)), content_of(*names)
        if self.quantity == "count_difference":
            return number_stratum(value), content_of(*names)
        k = _swapped(walk, self.task, items, len(value))[0]
        first, second = value[k], value[k + 1]
        return int(first > second), content_of(first, second)

    def tell(self, walk: WalkScene, row: Row, found: Answer[Any]) -> Facts:
        """Slots are the two kinds, or what is put in order and the four orders."""
        names = [walk.layout.object(k).category for k in row.items]
        if self.quantity in _COUNTS:
            slots = {"first": names[0], "second": names[1]}
            if self.quantity == "more":
                word = answers.word(found.value)
                return Facts(word, found.evidence, slots | {"word": word.span})
            number = answers.integer(found.value, "count")
            return Facts(number, found.evidence, slots | {"count": number.span})
        ordered = self.quantity == "distance_order"
        mine = sorted(names[1:] if ordered else names)
        offered = [
            ", ".join(order) for order in offered_orders(walk, self.task, row.items, found.value)
        ]
        options = tuple(self.shuffled(walk, row, offered, "order"))
        letter = LETTERS[options.index(", ".join(found.value))]
        shown = self.shuffled(walk, row, mine, "listed")
        slots = {
            "objects": listed([spoken(name) for name in shown]),
            "options": answers.option_lines(options),
            "letter": letter,
        }
        if ordered:
            slots["primary"] = names[0]
        return Facts(answers.letter(letter), found.evidence, slots, options=options)

    def named(self, reference: ReferenceScene, row: Row) -> list[Named]:
        """Every instance of kinds that are counted; else the objects."""
        if self.quantity not in _COUNTS:
            return [Named(k, row.frames) for k in row.items]
        from spatial_engine.engines.walk_task import walk_scene

        layout = walk_scene(reference, row.frames).layout
        kinds = {layout.object(k).category for k in row.items}
        counted = [i for i in layout.objects if i.category in kinds and i.object_id in layout.seen]
        return [Named(item.object_id, row.frames) for item in counted]

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_objects.comparison(told, self.quantity)


def _swapped(walk: WalkScene, task: str, items: tuple[int, ...], count: int) -> tuple[int, int]:
    """Two drawn places of an order of so many, where neighbours change places in the options.

    Of 4 and 5 objects no neighbour belongs to both. What the order says at the first is balanced.
    """
    places = permutations(range(count - 1), 2)
    apart = [(i, j) for i, j in places if count == _ORDERED[0] or abs(i - j) > 1]
    return apart[uniform_below(walk.layout.place.draw(task, items, "content"), len(apart))]


def offered_orders(
    walk: WalkScene, task: str, items: tuple[int, ...], truth: Sequence[str]
) -> list[tuple[str, ...]]:
    """Four orders, the truth a drawn one of them: one, and with neighbours swapped here and there.

    Orders drawn at will differ in many pairs, of which a reader of names knows some; these differ
    where the objects are most alike, and each is as far from the others as the truth is.
    """
    i, j = _swapped(walk, task, items, len(truth))
    ways = ((), (i,), (j,), (i, j))
    mine = ways[uniform_below(walk.layout.place.draw(task, items, "member"), len(ways))]
    start = _with_swaps(truth, mine[::-1])
    return [_with_swaps(start, way) for way in ways]


def _with_swaps(order: Sequence[str], places: Sequence[int]) -> tuple[str, ...]:
    swapped = list(order)
    for k in places:
        swapped[k : k + 2] = swapped[k + 1], swapped[k]
    return tuple(swapped)


def _sized(walk: WalkScene, item: SceneObject) -> bool:
    """Whether the frames show how long an object is."""
    layout = walk.layout
    if len(item.outline) < layout.recipe.guards.object_partial_vertices:
        return False
    small = isinstance(geometry.object_size(item, rules=layout.rules), Rejection)
    return not small and size_fault(layout, item, "longest_side") is None


def _by_size(walk: WalkScene, things: list[SceneObject]) -> Answer[tuple[str, ...]] | Rejection:
    """Names from the longest to the shortest, by the longest side."""
    rules = walk.layout.rules
    for item in things:
        if not _sized(walk, item):
            return Rejection(Reason.ENDS_UNSEEN, {"object_id": item.object_id})
    lengths = {item.category: item.box.longest_side for item in things}
    order = sorted(lengths, key=lambda name: (-lengths[name], name))
    evidence = {"longest_side_m": lengths}
    for longer, shorter in pairwise(order):
        if not tells_apart(
            lengths[longer], lengths[shorter],
            share=rules.min_seen_share, metres=rules.min_seen_m,
        ):  # fmt: skip
            return Rejection(Reason.DEAD_ZONE, evidence)
        if lengths[longer] > MOST_RATIO * lengths[shorter]:  # anybody knows that a bed is larger
            return Rejection(Reason.SIZE_KNOWN, evidence)
    return Answer(tuple(order), evidence)


def _by_distance(walk: WalkScene, things: list[SceneObject]) -> Answer[tuple[str, ...]] | Rejection:
    """Names from the nearest to the farthest from the first, whole and by what is seen."""
    whole = _ordered(walk, things)
    if isinstance(whole, Rejection):
        return whole
    parts = walk.layout.seen_parts(things)
    if len(parts) < len(things):
        return Rejection(Reason.CATEGORY_NOT_SEEN, whole.evidence)
    return agreed(whole, _ordered(walk, parts))


def _ordered(walk: WalkScene, things: list[SceneObject]) -> Answer[tuple[str, ...]] | Rejection:
    rules = walk.layout.rules
    gaps = {item.category: gap(things[0], item) for item in things[1:]}
    order = sorted(gaps, key=lambda name: (gaps[name], name))
    evidence = {"gaps_m": gaps, "object_id": things[0].object_id}
    if gaps[order[0]] < rules.min_nearest_m:
        return Rejection(Reason.DISTANCE_RANGE, evidence)
    for near, far in pairwise(order):
        if not tells_apart(
            gaps[near], gaps[far], share=rules.min_seen_share, metres=rules.min_seen_m
        ):
            return Rejection(Reason.DISTANCE_GAP, evidence)
    return Answer(tuple(order), evidence)


OPEN = tuple(Comparison(quantity) for quantity in get_args(Quantity))
COMPARISONS = (*OPEN, *(NumericChoice(one) for one in OPEN if one.has_choice))
