# SPDX-License-Identifier: Apache-2.0
"""Relations between objects: topology, direction, distance and size.

The geometry is in `spatialcore.relations.pairs` and `.sizes`. A size is a named quantity; the plain
word is only asked where all of them agree. View directions are asked of one frame that sees both
objects; the others of the frames of a layout question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from spatial_engine.engines.base import (
    WORD,
    AnswerForm,
    Engine,
    Facts,
    Named,
    Subject,
    equal_shares,
)
from spatial_engine.engines.budgets import FrameAnswer
from spatial_engine.engines.candidates import CandidateTable, Gathered, Row
from spatial_engine.engines.chains import of_objects
from spatial_engine.engines.contents import content_of, in_order, pair_content
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import (
    OBJECTS,
    LayoutScene,
    answered,
    layout_of,
    layout_scene,
    reference_layout,
)
from spatial_engine.engines.seen_answers import all_nearer
from spatial_engine.engines.seen_parts import agreed
from spatial_engine.engines.seen_sizes import size_fault
from spatial_engine.records import answers
from spatialcore.relations import pairs, sizes
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.verdict import Answer, Rejection
from spatialcore.types import Float64

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.reference.scene import ReferenceScene

Relation = Literal[
    "topology", "height", "side", "depth", "nearer", "size", "size.longest_side", "size.height",
    "size.floor_area", "size.volume",
]  # fmt: skip
_SIZES = ("larger", "smaller", "similar")
WORDS: Mapping[str, tuple[str, ...]] = {
    "topology": ("contains", "intersects", "adjacent", "disjoint"),
    "height": ("above", "below"),
    "side": ("right", "left"),
    "depth": ("behind", "in front"),
    "nearer": ("nearer", "farther"),
    "size": _SIZES,
    **{f"size.{by}": _SIZES for by in sizes.MEASURES},
}
_VIEWED = ("side", "depth")
_WHOLE = {"topology": pairs.topological, "height": pairs.vertical}
# What a word becomes when the first two objects are asked the other way round.
_PAIRS = [(words[0], words[1]) for name, words in WORDS.items() if name != "topology"]
_TURNED = dict(_PAIRS) | {b: a for a, b in _PAIRS}


@dataclass(frozen=True, slots=True)
class SpatialRelation(Engine):
    """One type of relation between two objects, or of two objects to a third.

    Attributes:
        relation: What is asked.
    """

    relation: Relation
    answer: ClassVar[AnswerForm] = WORD
    subject: ClassVar[Subject] = OBJECTS
    needs_objects: ClassVar[bool] = True
    needs_up: ClassVar[bool] = True

    @property
    def task(self) -> str:
        """Task name."""
        return f"spatial_relation.{self.relation}"

    @property
    def of_walk(self) -> bool:
        """Whether it is asked of the frames of a walk, not of one that sees both objects."""
        return self.relation not in _VIEWED

    @property
    def words(self) -> tuple[str, ...]:
        """The closed set of answers; they exclude each other."""
        return WORDS[self.relation]

    @property
    def paired_contents(self) -> bool:
        """Of sizes: a bed is mostly larger than what it stands beside, whatever that is."""
        return self.relation.startswith("size")

    def bin_count(self, recipe: Recipe) -> int:
        """Asked in the order of the alphabet, or the other way round."""
        return 2 if recipe.word_strata else 1

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """Each word, as said in the order of the alphabet, where the recipe balances words."""
        if recipe.word_strata:
            return equal_shares(self.words)
        return (("", 1.0),)

    @property
    def opposite(self) -> Mapping[str, str]:
        """What a word becomes when the first two objects are asked the other way round."""
        return _TURNED

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Every ordered set of unique objects whose relation is clear."""
        layout = layout_scene(context)
        rows, rejected = self._clear(layout, context.scene.world_from_cam)
        rejected.update(layout.unnamed())
        gathered = Gathered(self.task, context.place, rejected)
        # On sides decides where one looks from: no pair of categories tells them. What stands at
        # walls is mostly behind what does not.
        content = pair_content if self.paired_contents else content_of
        for row, word in rows:
            a, b = (layout.object(k).category for k in row.items[:2])
            gathered.keep(
                row, bin=int(a > b), stratum=self.words.index(in_order(word, (a, b), _TURNED)),
                content=0 if self.relation == "side" else content(a, b),
            )  # fmt: skip
        return gathered.table()

    def _clear(
        self, layout: LayoutScene, pose_of: Callable[[int], Float64]
    ) -> tuple[list[tuple[Row, str]], Counter[str]]:
        """The rows that have an answer, with its word, and the others by reason."""
        if self.relation == "nearer" and len(layout.frames) > 1:
            return all_nearer(layout)
        rows, rejected = list[tuple[Row, str]](), Counter[str]()
        for frames, items in self._possible(layout):
            found = self._ask(layout, items, frames, pose_of)
            if isinstance(found, Rejection):
                rejected[str(found.reason)] += 1
            elif found.value in self.words:  # "inside" is asked the other way round
                rows.append((Row(frames, items), found.value))
        return rows, rejected

    def _possible(self, layout: LayoutScene) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Frames and object ids of everything that might be asked."""
        if len(layout.frames) < 2:
            return
        unique = [item.object_id for item in layout.unique]
        if self.relation not in _VIEWED:
            for items in permutations(unique, 3 if self.relation == "nearer" else 2):
                yield layout.frames, items
            return
        row_of = {item.object_id: row for row, item in enumerate(layout.objects)}
        for column, frame in enumerate(layout.frames):
            here = [k for k in unique if layout.shown[row_of[k], column]]
            for items in permutations(here, 2):
                yield (frame,), items

    def _ask(
        self,
        layout: LayoutScene,
        items: tuple[int, ...],
        frames: tuple[int, ...],
        world_from_cam: Callable[[int], Float64],
    ) -> Answer[str] | Rejection:
        """The word about the first object as the second (and third) see it."""
        things, rules = [layout.object(k) for k in items], layout.relation_rules
        if self.relation in _WHOLE:
            ask = _WHOLE[self.relation]  # whatever frames show
            return layout.of_whole((self.relation, *items), lambda: ask(*things, rules=rules))
        if self.relation.startswith("size"):
            return self._compared(layout, things)
        if self.relation == "nearer":
            whole, parts = pairs.nearer(*things[2:], *things[:2], rules=rules), things
            if isinstance(whole, Answer):
                parts = layout.seen_parts(things)
            return agreed(whole, pairs.nearer(*parts[2:], *parts[:2], rules=rules))
        # "Where is the first from the second" starts at the second.
        pose = world_from_cam(frames[0])
        return pairs.view_direction(things[1], things[0], pose, self.relation, rules=rules)

    def _compared(
        self, layout: LayoutScene, things: Sequence[SceneObject]
    ) -> Answer[str] | Rejection:
        """Which of two is larger, by the quantity that is asked or by all of them."""
        by, (a, b), rules = self.relation.removeprefix("size."), things, layout.relation_rules
        ask = sizes.plain_size if self.relation == "size" else partial(sizes.size_relation, by=by)
        key = self.relation, a.object_id, b.object_id
        found = layout.of_whole(key, lambda: ask(a, b, rules=rules))
        if isinstance(found, Rejection):
            return found
        return size_fault(layout, a, by) or size_fault(layout, b, by) or found

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """Answer and evidence of candidates."""
        layout, pose_of = layout_scene(context), context.scene.world_from_cam
        return [
            self._facts(layout, row, self._ask(layout, row.items, row.frames, pose_of))
            for row in rows
        ]

    def _facts(self, layout: LayoutScene, row: Row, found: Answer[str] | Rejection) -> Facts:
        found = answered(self.task, row, found)
        answer = answers.word(found.value)
        names = [layout.object(k).category for k in row.items]
        slots = dict(zip(("first", "second", "third"), names, strict=False))
        evidence: dict[str, Any] = dict(found.evidence)
        return Facts(answer, evidence, slots | {"word": answer.span})

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The same facts from the source's cloud and the reference's visibility.

        Raises:
            ValueError: The row names an object that the source does not have, or has no answer.
        """
        layout = reference_layout(reference, row.frames)
        found = self._ask(layout, row.items, row.frames, reference.world_from_cam)
        facts = self._facts(layout, row, found)
        return facts, layout.name_fault([layout.object(k) for k in row.items])

    def told(self, scene: SceneContext | ReferenceScene, row: Row) -> FrameAnswer:
        """The word that the row's frames give; directions of view, which need a pose, are not."""
        layout = layout_of(scene, row.frames)
        if fault := layout.name_fault([layout.object(k) for k in row.items]):
            return FrameAnswer("", fault)
        found = self._ask(layout, row.items, row.frames, _no_pose)
        return (
            FrameAnswer("", str(found.reason))
            if isinstance(found, Rejection)
            else FrameAnswer(found.value)
        )

    def named(self, reference: ReferenceScene, row: Row) -> list[Named]:
        """The objects that are compared."""
        del reference
        return [Named(k, row.frames) for k in row.items]

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_objects.spatial_relation(told, self.relation)


def _no_pose(frame: int) -> Float64:
    raise ValueError(f"a relation of a walk needs no pose, but asked for that of frame {frame}")


SPATIAL_RELATION = tuple(SpatialRelation(relation) for relation in get_args(Relation))
