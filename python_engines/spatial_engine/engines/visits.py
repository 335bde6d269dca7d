# SPDX-License-Identifier: Apache-2.0
"""Two visits of a room: what each of their images shows, and which things moved between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spatial_engine.engines.budgets import shown_frames
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.references import Sights, sights_of
from spatial_engine.engines.view_set import ViewSet, reference_views, views_of_index
from spatial_engine.records.place import Place
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.verdict import Reason
from spatialcore.visits import object_in, visit_of_frame

if TYPE_CHECKING:
    from spatial_engine.reference.scene import ReferenceScene

IMAGES = 3  # of each visit ...
FRAMES = 32  # ... from so many, spread over it
MOVED_M, STILL_M = 0.3, 0.1  # least shift of what moved, most of what stayed
NEAR_M, STILL_SHARE = 0.05, 0.75  # of what stayed, so many points lie so near where some were
SIZE_SHARE, SIZE_M = 0.2, 0.05  # by which the sides of what moved may differ between the visits


class Moves(NamedTuple):
    """One way to measure.

    Attributes:
        shift: Metres between the middles of a thing's upright boxes.
        near_share: Share of its later points with an earlier one within so many metres.
    """

    shift: Callable[[SceneObject, SceneObject], float]
    near_share: Callable[[SceneObject, SceneObject, float], float]


def _shift(before: SceneObject, after: SceneObject) -> float:
    x, y, z = (after.centroid - before.centroid).tolist()
    return float(np.sqrt(x * x + y * y + z * z))


def _near_share(before: SceneObject, after: SceneObject, metres: float) -> float:
    from scipy.spatial import cKDTree

    away, _ = cKDTree(before.outline).query(after.outline, distance_upper_bound=2 * metres)
    return float((away <= metres).mean())


MOVES = Moves(_shift, _near_share)


class Move(NamedTuple):
    """What became of a thing.

    Attributes:
        metres: From its middle at the first visit to that at the later one.
        near_share: Share of its later points that lie where some were.
        same_size: Whether both visits show a thing of one size.
    """

    metres: float
    near_share: float
    same_size: bool

    @property
    def moved(self) -> bool:
        """Whether it is clearly somewhere else."""
        return self.metres >= MOVED_M and self.same_size

    @property
    def still(self) -> bool:
        """Whether it is clearly where it was."""
        return self.metres <= STILL_M and self.near_share >= STILL_SHARE


@dataclass(frozen=True, eq=False)
class Visits:
    """A room at two times.

    Attributes:
        place: Names and draws.
        first: The images of the first visit.
        later: Those of the later one.
        sights_of: Boxes of objects in images of the later visit.
        moves: How it is measured.
    """

    place: Place
    first: ViewSet
    later: ViewSet
    open_sights: Callable[[], Sights]
    moves: Moves = MOVES
    _found: dict[int, Move | Reason] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def sights(self) -> Sights:
        """Where the later images show the objects."""
        return self.open_sights()

    @cached_property
    def things(self) -> tuple[int, ...]:
        """The things of both visits."""
        return tuple(k for k in self.first.rows if object_in(k, 1) in self.later.rows)

    def split(self, frames: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The frames of each visit."""
        a, b = (tuple(f for f in frames if visit_of_frame(f) == v) for v in (0, 1))
        return a, b

    def pairs(self, thing: int) -> tuple[SceneObject, SceneObject]:
        """A thing as both visits know it."""
        return self.first.object(thing), self.later.object(object_in(thing, 1))

    def name(self, thing: int) -> str:
        """What it is called."""
        return self.first.category(thing)

    def move(self, thing: int) -> Move | Reason:
        """What became of a thing, or why that is not known.

        Returns:
            `category_not_seen` (one visit lacks it) or `name_ambiguous` (they name it differently).
        """
        if thing not in self._found:
            self._found[thing] = self._move(thing)
        return self._found[thing]

    def _move(self, thing: int) -> Move | Reason:
        if thing not in self.first.rows or object_in(thing, 1) not in self.later.rows:
            return Reason.CATEGORY_NOT_SEEN
        before, after = self.pairs(thing)
        if before.category != after.category:
            return Reason.NAME_AMBIGUOUS
        a, b = (np.sort(one.box.size) for one in (before, after))
        near = np.abs(a - b) <= np.maximum(SIZE_M, SIZE_SHARE * np.maximum(a, b))
        return Move(
            self.moves.shift(before, after), self.moves.near_share(before, after, NEAR_M),
            bool(near.all()),
        )  # fmt: skip

    def moved(self, thing: int) -> bool:
        """Whether a thing is clearly somewhere else."""
        found = self.move(thing)
        return isinstance(found, Move) and found.moved

    def still(self, thing: int) -> bool:
        """Whether a thing is clearly where it was."""
        found = self.move(thing)
        return isinstance(found, Move) and found.still

    def fault(self, things: Sequence[int], frames: Sequence[int]) -> Reason | None:
        """Why the images do not show and name things in both visits, or None."""
        a, b = self.split(frames)
        fault = self.first.name_fault(things, a)
        return fault or self.later.name_fault([object_in(k, 1) for k in things], b)

    def anchored(self, thing: int, frames: Sequence[int], anchors: Sequence[int] = ()) -> bool:
        """Whether something that stayed is in one image with a thing, on both visits.

        Without it nobody could tell from the images where the thing was, and where it is.

        Args:
            thing: What moved.
            frames: Of both visits.
            anchors: What may be it; () is everything that stayed.
        """
        return any(
            other != thing and self.still(other) and all(self._together(thing, other, frames))
            for other in anchors or self.things
        )

    def _together(self, a: int, b: int, frames: Sequence[int]) -> Iterator[bool]:
        """For each visit, whether one of its images shows two things and nothing of their names."""
        for visit, mine in enumerate(self.split(frames)):
            views = (self.first, self.later)[visit]
            rows = [views.rows[object_in(k, visit)] for k in (a, b)]
            columns = [views.columns[frame] for frame in mine]
            both = (views.shown & views.sole)[np.ix_(rows, columns)]
            yield bool(both.all(axis=0).any())

    def images(self, task: str, things: Sequence[int], last: int = -1) -> tuple[int, ...]:
        """Images of both visits that show the things; () where there are none.

        Args:
            task: Whose draws decide between equal ones.
            things: What is to be shown.
            last: The last image, where it is given.
        """
        out: list[int] = []
        for visit, views in enumerate((self.first, self.later)):
            ids = [object_in(k, visit) for k in things]
            rows = [views.rows[k] for k in ids]
            clear = [f for f, c in views.columns.items() if views.sole[rows, c].all()]
            draws = {f: self.place.draw(task, (*things, f), "image") for f in clear}
            taken = [last] if visit and last >= 0 else []
            clear = [f for f in clear if f not in taken]
            left = {k for k in ids if not any(views.shows(k, f) for f in taken)}
            while clear and len(taken) < IMAGES:
                best = min(
                    clear, key=lambda f: (-_shown(views, left, f), -_shown(views, ids, f), draws[f])
                )
                taken.append(best)
                clear.remove(best)
                left = {k for k in left if not views.shows(k, best)}
            if left or len(taken) < IMAGES:
                return ()
            out += sorted(taken, key=lambda f: (f == last, f))
        return tuple(out)


def _shown(views: ViewSet, ids: set[int] | Sequence[int], frame: int) -> int:
    return sum(views.shows(k, frame) for k in ids)


def visits_of(context: SceneContext) -> Visits:
    """Both visits of an indexed scene; made once."""

    def make() -> Visits:
        valid = context.valid_frames.tolist()
        a, b = (shown_frames([f for f in valid if visit_of_frame(f) == v], FRAMES) for v in (0, 1))
        return Visits(
            context.place, views_of_index(context, a), views_of_index(context, b),
            lambda: sights_of(context, b),
        )  # fmt: skip

    return context.shared("visits", make)


def reference_visits(reference: ReferenceScene, frames: Sequence[int]) -> Visits:
    """What frames show of both visits, as the source and the float64 reference give it."""
    from spatial_engine.reference import moves

    a, b = (tuple(sorted(f for f in frames if visit_of_frame(f) == v)) for v in (0, 1))
    return Visits(
        reference.place, reference_views(reference, a), reference_views(reference, b),
        lambda: sights_of(reference, b),
        Moves(moves.reference_shift, moves.reference_near_share),
    )  # fmt: skip
