# SPDX-License-Identifier: Apache-2.0
"""Tasks about objects that are pointed at in the images: the open task's question without names.

A form of the tasks of the other files: the geometry, the guards and the wording are theirs. Half of
the questions draw the boxes or points on the images, half give them as coordinates; masks are
drawn. What a blind reader could learn from where boxes lie and how large they are is balanced as
names are elsewhere.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from spatial_engine.engines.base import AnswerForm, Engine, Facts, Metric, Named, Subject
from spatial_engine.engines.budgets import FrameAnswer
from spatial_engine.engines.candidates import CandidateTable, Row
from spatial_engine.engines.contents import content_of, in_order
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import OBJECTS
from spatial_engine.engines.one_image import OneImage
from spatial_engine.engines.references import (
    COLOURS,
    PHRASES,
    By,
    Pointed,
    Reference,
    Sights,
    mark_of,
    phrase_of,
    pointed_layout,
    sights_of,
)
from spatial_engine.engines.scene_layout import SceneLayout
from spatial_engine.engines.spatial_relation import SpatialRelation
from spatial_engine.records import answers
from spatial_engine.records.place import Place
from spatial_engine.records.runs import cell_count
from spatialcore.draws import uniform_below
from spatialcore.relations.verdict import Reason

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.records.marks import Mark
    from spatial_engine.reference.scene import ReferenceScene


@dataclass(frozen=True, slots=True)
class Referred(Engine):
    """A task whose objects are pointed at.

    Attributes:
        open: The task that names them.
        by: How they are pointed at.
    """

    open: SceneLayout | SpatialRelation | OneImage
    by: By
    subject: ClassVar[Subject] = OBJECTS
    needs_objects: ClassVar[bool] = True

    @property
    def task(self) -> str:
        """That of the open task with the form."""
        task = self.open.task
        return f"{task}{'_' if task.count('.') > 1 else '.'}{self.by}"

    @property
    def question_type(self) -> str:
        """That of the open task, marked: public benchmarks name the objects."""
        return f"{self.open.question_type}_{self.by}"

    @property
    def answer(self) -> AnswerForm:
        """As the open task."""
        return self.open.answer

    @property
    def words(self) -> tuple[str, ...]:
        """As the open task."""
        return self.open.words

    @property
    def metric(self) -> Metric:
        """As the open task."""
        return self.open.metric

    @property
    def needs_up(self) -> bool:
        """As the open task."""
        return self.open.needs_up

    @property
    def needs_metres(self) -> bool:
        """As the open task."""
        return self.open.needs_metres

    @property
    def of_walk(self) -> bool:
        """As the open task."""
        return self.open.of_walk

    @property
    def sized(self) -> bool:
        """Whether the answer is how large what is pointed at is."""
        return self.open.task.endswith("object_size")

    @property
    def graded_contents(self) -> bool:
        """Contents of sizes are those of boxes."""
        return self.sized

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """As the open task; words are those of the order in which the objects are asked."""
        return self.open.strata(recipe)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """The open task's rows about objects that the images can point at."""
        frames = context.shown
        pointed, sights = pointed_layout(context, frames, self.by), sights_of(context, frames)
        nameless = context.referring(self.by)
        ask = self.open.every if isinstance(self.open, SceneLayout) else self.open.candidates
        table = ask(nameless)
        rejected = Counter(table.rejected) + Counter(pointed.refused)
        found = [self._references(sights, pointed, row) for row in table.rows()]
        rejected += Counter(str(one) for one in found if isinstance(one, Reason))
        kept = np.array([not isinstance(one, Reason) for one in found], dtype=bool)
        if not kept.any():
            return CandidateTable.empty(rejected)
        chosen = table.take(kept)
        rows, references = chosen.rows(), [one for one in found if not isinstance(one, Reason)]
        content, stratum = np.zeros(len(rows), np.uint64), chosen.stratum
        if context.recipe.word_strata:
            content, stratum = self._balance(sights, chosen, rows, references)
        draws = context.place.draw_rows(self.task, [*chosen.frames.T, *chosen.items.T], "select")
        return CandidateTable.build(
            chosen.frames, chosen.items, draws,
            stratum=stratum, content=content, rejected=dict(rejected),
        )  # fmt: skip

    def _references(
        self, sights: Sights, pointed: Pointed, row: Row
    ) -> tuple[Reference, ...] | Reason:
        """Where each object of a row is pointed at; in its one image where it shows one."""
        found = []
        for k in row.items:
            if len(row.frames) == 1:
                one = sights.at(k, row.frames[0], self.by)
            elif self.sized and self.by != "pointed" and k in pointed.references:
                one = sights.evenly(k, self.by)
            else:
                one = pointed.references.get(k, Reason.CATEGORY_NOT_SEEN)
            if isinstance(one, Reason):
                return one
            found.append(one)
        return tuple(found)

    def _balance(
        self,
        sights: Sights,
        table: CandidateTable,
        rows: Sequence[Row],
        references: Sequence[tuple[Reference, ...]],
    ) -> tuple[Any, Any]:
        """Content and stratum: of rows whose boxes tell the same, answers are asked alike."""
        if self.open.answer.type == "letter":
            if self.open.task.endswith("relative_distance"):  # which of four tells no place
                return 0, (table.hash & np.uint64(1)).astype(np.int8)
            return 0, table.stratum
        if isinstance(self.open, SceneLayout):
            if not self.sized:
                return table.content, table.stratum
            return [_size(sights.octaves(one)) for (one,) in references], table.stratum
        # The open task's strata are words in the order of names, which are ids here.
        names = [(f"#{row.items[0]}", f"#{row.items[1]}") for row in rows]
        words = [
            in_order(self.words[k], both, self.open.opposite)
            for k, both in zip(table.stratum.tolist(), names, strict=True)
        ]
        graded = self.open.task.endswith(".size")
        cue = partial(_point_cue, sights) if self.by == "pointed" else partial(_cue, graded=graded)
        return [cue(*both[:2]) for both in references], list(map(self.words.index, words))

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """The open task's facts about what is pointed at."""
        opened = self.open.facts(context.referring(self.by), rows)
        frames = context.shown
        return [self._facts(context, frames, *both) for both in zip(rows, opened, strict=True)]

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The same from the source, where boxes and points are found again.

        Raises:
            ValueError: The row has no answer, or an object that cannot be pointed at.
        """
        pointed = pointed_layout(reference, row.frames, self.by)
        for k in row.items:
            if k not in pointed.references:
                raise ValueError(f"{self.task}: {row} points at {k}, which no image shows well")
        facts, broken = self.open.recompute(reference.referring(self.by), row)
        return self._facts(reference, row.frames, row, facts), broken

    def _facts(
        self,
        scene: SceneContext | ReferenceScene,
        frames: tuple[int, ...],
        row: Row,
        facts: Facts,
    ) -> Facts:
        """Facts with phrases in the place of names, and marks; `frames` are those of the layout."""
        pointed = pointed_layout(scene, frames, self.by)
        sights = sights_of(scene, frames)
        found = self._references(sights, pointed, row)
        if isinstance(found, Reason):
            raise ValueError(f"{self.task}: {row} cannot be pointed at ({found})")
        if self.by == "masked":
            found = tuple(map(sights.drawn, row.items, found))
        place, key = scene.place, (*sorted(row.frames), *row.items)
        drawn = self.by == "masked" or bool(place.draw(self.task, key, "drawn") & 1)
        texts = PHRASES[f"{self.by} {'drawn' if drawn else 'given'}"]
        text = texts[uniform_below(place.draw(self.task, key, "phrase"), len(texts))]
        first = uniform_below(place.draw(self.task, key, "colour"), len(COLOURS))
        colours = [COLOURS[(first + k) % len(COLOURS)] for k in range(len(found))]
        phrases = {
            f"#{k}": phrase_of(one, place, row.frames, text, colour)
            for k, one, colour in zip(row.items, found, colours, strict=True)
        }
        evidence = {**facts.evidence, "references": [
            {"object_id": k, "image": row.frames.index(one.frame) + 1, "drawn": drawn,
             "box": list(one.corners), "point": list(one.point),
             **({"cells": cell_count(one.runs)} if one.runs else {})}
            for k, one in zip(row.items, found, strict=True)
        ]}  # fmt: skip
        marks = _marks(place, row.frames, found, colours) if drawn else ()
        options = tuple(phrases.get(text, text) for text in facts.options)
        slots = {name: phrases.get(value, value) for name, value in facts.slots.items()}
        if options:
            if options != facts.options:
                options = tuple(f"the {text}" for text in options)
            slots["options"] = answers.option_lines(options)
        return facts._replace(evidence=evidence, slots=slots, marks=marks, options=options)

    def told(self, scene: SceneContext | ReferenceScene, row: Row) -> FrameAnswer:
        """What the open task's frames tell, where they can point at the objects."""
        pointed = pointed_layout(scene, row.frames, self.by)
        if not all(k in pointed.references for k in row.items):
            return FrameAnswer("", str(Reason.CATEGORY_NOT_SEEN))
        on_frames = scene.on(row.frames) if isinstance(scene, SceneContext) else scene
        told = self.open.told(on_frames.referring(self.by), row)
        return _pointed_out(told, row, pointed, scene.place)

    def named(self, reference: ReferenceScene, row: Row) -> list[Named]:
        """The objects, each in the image that points at it."""
        pointed = pointed_layout(reference, row.frames, self.by)
        sights = sights_of(reference, row.frames)
        found = self._references(sights, pointed, row)
        if isinstance(found, Reason):
            raise ValueError(f"{self.task}: {row} cannot be pointed at ({found})")
        return [Named(k, (one.frame,)) for k, one in zip(row.items, found, strict=True)]

    def chain(self, told: Telling) -> Chain | None:
        """That of the open task; slots hold phrases where it has names."""
        return self.open.chain(told)


def _pointed_out(told: FrameAnswer, row: Row, pointed: Pointed, place: Place) -> FrameAnswer:
    """An answer that is an object's name as the image and the box that show it."""
    named = {f"#{k}": pointed.references[k] for k in row.items}
    if told.answer not in named:
        return told
    text = PHRASES["boxed given"][0]
    one = named[told.answer]
    return FrameAnswer(phrase_of(one._replace(point=()), place, row.frames, text, ""))


def _marks(
    place: Place, frames: Sequence[int], found: Sequence[Reference], colours: Sequence[str]
) -> tuple[tuple[Mark, ...], ...]:
    """The marks of each shown image."""
    marks: Mapping[int, list[Mark]] = {frame: [] for frame in frames}
    for one, colour in zip(found, colours, strict=True):
        marks[one.frame].append(mark_of(one, place, colour))
    return tuple(tuple(marks[frame]) for frame in frames)


def _size(octaves: float) -> int:
    """The content of a box: how large it is in its image, in octaves."""
    return content_of("box", str(round(octaves)))


def _cue(a: Reference, b: Reference, *, graded: bool) -> int:
    """The content of two boxes: whether they are in one image, and which is larger and lower.

    Where sizes are asked, also how much larger: by up to 1.4 times, by up to 2.8, by more.
    """
    areas = [(r.corners[2] - r.corners[0]) * (r.corners[3] - r.corners[1]) for r in (a, b)]
    low = a.corners[3] > b.corners[3] if a.frame == b.frame else None
    told = [f"larger {areas[0] > areas[1]}", f"lower {low}"]
    if graded:
        octaves = abs(math.log2(max(areas[0], 1) / max(areas[1], 1)))
        told.append(f"by {min(round(octaves), 2)}")
    return content_of("boxes", *told)


def _point_cue(sights: Sights, a: Reference, b: Reference) -> int:
    """The content of two points: whether they are in one image, which is lower and farther out.

    No text tells the boxes around them. What is near to a camera lies low in its image, and wide.
    """
    (u0, v0), (u1, v1) = (np.array(one.point) / sights.size_of(one.frame) for one in (a, b))
    lower, outer = bool(v0 > v1), bool(abs(u0 - 0.5) > abs(u1 - 0.5))
    return content_of("points", f"one {a.frame == b.frame}", f"lower {lower}", f"outer {outer}")


_LAYOUT = (
    "absolute_distance", "relative_distance", "relative_direction_easy",
    "relative_direction_medium", "relative_direction_hard", "object_size",
)  # fmt: skip
# Which of two boxes is farther left says which object is: the side of a view is not asked.
_RELATIONS = ("topology", "height", "depth", "nearer", "size")
_OPEN: tuple[SceneLayout | SpatialRelation | OneImage, ...] = (
    *(SceneLayout(quantity) for quantity in _LAYOUT),  # type: ignore[arg-type]
    *(SpatialRelation(relation) for relation in _RELATIONS),  # type: ignore[arg-type]
    OneImage("nearer"),
)
FORMS: tuple[By, ...] = ("boxed", "pointed", "masked")
REFERRED = tuple(Referred(task, by) for task in _OPEN for by in FORMS)
