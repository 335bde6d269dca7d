# SPDX-License-Identifier: Apache-2.0
"""Cognitive maps: where named objects stand on a map of 10 x 10 cells that lies over the room.

A map has no north. Where one is to be drawn or read, the cells of two objects are given: they fix
how it lies. Where maps are compared, none of them is mirrored, and no turn makes a wrong one right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, get_args

from spatial_engine.engines.base import LETTER, AnswerForm, Facts, Metric, equal_shares
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.chains import of_plans
from spatial_engine.engines.contents import content_of
from spatial_engine.engines.walk_task import WalkEngine, WalkScene, listed
from spatial_engine.records import answers
from spatial_engine.records.names import spoken
from spatialcore.draws import uniform_below
from spatialcore.relations.floor_plan import MAP_CELLS, CellMap, far_apart, misfit
from spatialcore.relations.verdict import Answer, Reason, Rejection

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling

Quantity = Literal["places", "cell", "choice"]
LETTERS = ("A", "B", "C", "D")
ASKED = (3, 4, 5)  # objects whose cells are asked
LEAST_ANCHORS = 4  # cells between the two that are given
LEAST_CELLS = 3  # between what may be taken for each other
LEAST_MISFIT = 1.5  # cells, in the mean, between a wrong map and the right one, however turned
MOST_OUT = 1.0  # cells, by which one of a pair may be nearer to the middle of the map
WIDEST_M = 2.5  # what is longer stands in many cells


@dataclass(frozen=True, slots=True)
class CognitiveMap(WalkEngine):
    """One of the tasks about maps.

    Attributes:
        quantity: "places" draws a map, "cell" reads one, "choice" picks the right one of four.
    """

    quantity: Quantity

    @property
    def task(self) -> str:
        """Task name."""
        return f"cognitive_map.{self.quantity}"

    @property
    def words(self) -> tuple[str, ...]:
        """The letters of a choice, () for a map."""
        return () if self.quantity == "places" else LETTERS

    @property
    def answer(self) -> AnswerForm:
        """A map, or a letter."""
        return AnswerForm("map", "cell") if self.quantity == "places" else LETTER

    @property
    def metric(self) -> Metric:
        """A map is scored by its places and by its pairs."""
        return "map" if self.quantity == "places" else "accuracy"

    @property
    def needs_metres(self) -> bool:
        """A map has no scale, but an object that is too long for it has."""
        return True

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """Which of two names is right; one of maps."""
        if recipe.word_strata and self.quantity == "cell":
            return equal_shares(("first", "second"))
        return (("", 1.0),)

    def left_out(self, walk: WalkScene) -> Mapping[str, int]:
        """Objects whose names a map cannot list, and those that are longer than a few cells."""
        unique = walk.layout.unique
        named = [item for item in unique if spoken(item.category) == item.category]
        long = sum(item.box.longest_side > WIDEST_M for item in named)
        return {
            str(Reason.NAME_AMBIGUOUS): len(unique) - len(named), str(Reason.OBJECT_LARGE): long,
        }  # fmt: skip

    def possible(self, walk: WalkScene) -> Iterator[tuple[int, ...]]:
        """Two objects that are given and those that are asked; or two pairs of objects."""
        layout = walk.layout
        plain = [item for item in layout.unique if spoken(item.category) == item.category]
        pool = walk.pool(self.task, (i for i in plain if i.box.longest_side <= WIDEST_M))
        if self.quantity == "choice":
            for a, b, c, d in combinations(pool, 4):
                yield from ((a, b, c, d), (a, c, b, d), (a, d, b, c))
            return
        for anchors in combinations(pool, 2):
            others = [k for k in pool if k not in anchors]
            if self.quantity == "places":
                yield from self._drawn(walk, anchors, others)
            else:
                yield from self._read(walk, anchors, others)

    def _drawn(
        self, walk: WalkScene, anchors: tuple[int, ...], others: Sequence[int]
    ) -> Iterator[tuple[int, ...]]:
        """Three to five of the others."""
        for count in ASKED:
            asked = self._sorted(walk, anchors, others, str(count))[:count]
            if len(asked) == count:
                yield (*anchors, *sorted(asked))

    def _read(
        self, walk: WalkScene, anchors: tuple[int, ...], others: Sequence[int]
    ) -> Iterator[tuple[int, ...]]:
        """One of the others, and three that stand elsewhere."""
        for target in others:
            rest = self._sorted(walk, (*anchors, target), others, "distractor")
            chosen = [target]
            for k in rest:
                if len(chosen) < 4 and k != target and self._apart(walk, anchors, [*chosen, k]):
                    chosen.append(k)
            if len(chosen) == 4:
                yield (*anchors, *chosen)

    def _sorted(
        self, walk: WalkScene, key: tuple[int, ...], ids: Sequence[int], slot: str
    ) -> list[int]:
        place = walk.layout.place
        return sorted(ids, key=lambda k: (place.draw(self.task, (*key, k), slot), k))

    def _apart(self, walk: WalkScene, anchors: tuple[int, ...], ids: Sequence[int]) -> bool:
        found = self._map(walk, anchors)
        if found is None:
            return False
        return far_apart([self._cell(walk, found, anchors, k) for k in ids], LEAST_CELLS)

    def _cell(
        self, walk: WalkScene, found: CellMap, anchors: tuple[int, ...], k: int
    ) -> tuple[int, int]:
        """The cell of an object on the map that lies along two others; found once."""
        return walk.layout.of_whole(
            ("cell", self.task, *anchors, k), lambda: found.cell(walk.layout.object(k).centroid)
        )

    def _map(self, walk: WalkScene, items: tuple[int, ...]) -> CellMap | None:
        """The map of a row: it lies along the first two objects, turned by drawn quarters."""
        return walk.layout.of_whole(
            ("map", self.task, *items[:2]), lambda: self._along(walk, *items[:2])
        )

    def _along(self, walk: WalkScene, first: int, second: int) -> CellMap | None:
        if walk.rectangle is None:
            return None
        begin, end = (walk.layout.object(k).centroid[:2] for k in (first, second))
        turns = uniform_below(walk.layout.place.draw(self.task, (first, second), "turns"), 4)
        return CellMap.around(walk.rectangle, end - begin, turns)

    def ask(self, walk: WalkScene, items: tuple[int, ...]) -> Answer[Any] | Rejection:
        """The cells of the items, where they can be told from each other."""
        found = self._map(walk, items)
        if found is None:
            return Rejection(Reason.ROOM_SMALL)
        centres = [walk.layout.object(k).centroid[:2] for k in items]
        cells = [found.cell(centre) for centre in centres]
        evidence = {
            "cells": [list(cell) for cell in cells],
            "places": [list(found.place(centre)) for centre in centres],
            "side_m": found.side_m,
        }
        if self.quantity == "choice":
            return self._chosen(cells, evidence)
        (ax, ay), (bx, by) = cells[:2]
        if math.hypot(bx - ax, by - ay) < LEAST_ANCHORS or len(set(cells)) < len(cells):
            return Rejection(Reason.PLACES_CLOSE, evidence)
        if self.quantity == "cell" and not far_apart(cells[2:], LEAST_CELLS):
            return Rejection(Reason.PLACES_CLOSE, evidence)
        return Answer(cells, evidence)

    def _chosen(
        self, cells: list[tuple[int, int]], evidence: dict[str, Any]
    ) -> Answer[Any] | Rejection:
        """The four maps, the right one first, if no turn of a wrong one is like the right one."""
        # Rugs lie in the middle and wardrobes at walls: what is exchanged is equally far out.
        out = [
            max(abs(2 * x - MAP_CELLS), abs(2 * y - MAP_CELLS)) / 2 for x, y in evidence["places"]
        ]
        if max(abs(out[0] - out[1]), abs(out[2] - out[3])) > MOST_OUT:
            return Rejection(Reason.DEAD_ZONE, evidence)
        maps = _swapped(cells)
        misfits = [misfit(a, b) for a, b in combinations(maps, 2)]
        evidence = {**evidence, "misfits": misfits}
        if min(misfits) < LEAST_MISFIT:
            return Rejection(Reason.PLACES_CLOSE, evidence)
        return Answer(maps, evidence)

    def said(self, walk: WalkScene, items: tuple[int, ...], value: Any) -> tuple[int, int]:
        """Two of the names; of four maps that are alike none says more than the others."""
        del value
        if self.quantity != "cell":
            return 0, 0
        names = [walk.layout.object(k).category for k in items]
        other = names[3 + uniform_below(walk.layout.place.draw(self.task, items, "content"), 3)]
        return int(names[2] > other), content_of(names[2], other)

    def tell(self, walk: WalkScene, row: Row, found: Answer[Any]) -> Facts:
        """Slots are names, cells and maps."""
        names = [walk.layout.object(k).category for k in row.items]
        if self.quantity == "choice":
            return self._options(walk, row, names, found)
        cells = [answers.places_text([("", *cell)]).strip() for cell in found.value]
        slots = {
            "first": names[0], "second": names[1], "first_cell": cells[0], "second_cell": cells[1],
        }  # fmt: skip
        anchors = [[name, *cell] for name, cell in zip(names[:2], found.value, strict=False)]
        evidence = {**found.evidence, "anchors": anchors}
        if self.quantity == "places":
            asked = dict(zip(names[2:], found.value[2:], strict=True))
            order = self.shuffled(walk, row, names[2:], "listed")
            told = answers.map_places([(name, *asked[name]) for name in order])
            slots |= {"objects": listed(order), "map": told.span}
            return Facts(told, evidence, slots)
        options = tuple(self.shuffled(walk, row, names[2:], "order"))
        letter = LETTERS[options.index(names[2])]
        slots |= {
            "cell": cells[2], "options": answers.option_lines(options), "letter": letter,
        }  # fmt: skip
        return Facts(answers.letter(letter), evidence, slots, options=options)

    def _options(
        self, walk: WalkScene, row: Row, names: Sequence[str], found: Answer[Any]
    ) -> Facts:
        """Four maps that list the objects in one order."""
        listing = self.shuffled(walk, row, list(names), "listed")
        texts = []
        for cells in found.value:
            at = dict(zip(names, cells, strict=True))
            texts.append(answers.places_text([(name, *at[name]) for name in listing]))
        options = tuple(self.shuffled(walk, row, texts, "order"))
        letter = LETTERS[options.index(texts[0])]
        slots = {
            "objects": listed(sorted(names)), "options": answers.option_lines(options),
            "letter": letter,
        }  # fmt: skip
        return Facts(answers.letter(letter), found.evidence, slots, options=options)

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_plans.cognitive_map(told, self.quantity)


def _swapped(cells: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """The cells of two pairs, then with the first, the second and both pairs exchanged.

    The four are alike: whichever is right, the same four are offered.
    """
    a, b, c, d = cells
    return [[a, b, c, d], [b, a, c, d], [a, b, d, c], [b, a, d, c]]


COGNITIVE_MAP = tuple(CognitiveMap(quantity) for quantity in get_args(Quantity))
