# SPDX-License-Identifier: Apache-2.0
"""What an engine is: candidates that pass every guard, facts for chosen ones, facts again.

An engine makes one task. `candidates` lists what may be asked in a scene, `facts` gives the answers
and evidence of the rows that were chosen, and `recompute` derives the same facts a second time from
the source by the float64 reference. All three are pure. Text, ids and provenance are added here,
alike for all tasks; so `verify` can compare whole records, words included.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_engine.records.answers import Answer
from spatial_engine.records.marks import Mark
from spatialcore.draws import fold_all, fold_table, text_hash
from spatialcore.index.visibility import depth_rule

if TYPE_CHECKING:
    import pyarrow as pa

    from spatial_engine.recipe import Recipe
    from spatial_engine.reference.scene import ReferenceScene
    from spatialcore.index.store import SceneIndex
    from spatialcore.types import Source, Track3D

T = TypeVar("T")
Takes = Callable[[str, NDArray[Any], ArrayLike, NDArray[np.uint64]], NDArray[np.bool_]]


class Row(NamedTuple):
    """One candidate: frames in the order shown, and point, object or track ids."""

    frames: tuple[int, ...]
    items: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CandidateTable:
    """What may be asked of a scene: only rows that pass every guard (n rows).

    Attributes:
        frames: (n, k) int32 frame indices in the order shown; -1 fills shorter rows.
        items: (n, m) int64 point, object or track ids; -1 fills shorter rows.
        bin: (n,) int16 quota bin.
        stratum: (n,) int8 index into the engine's strata.
        hash: (n,) uint64 draw of the slot `select`.
        rejected: How many possibilities each guard turned away, by reason.
    """

    frames: NDArray[np.int32]
    items: NDArray[np.int64]
    bin: NDArray[np.int16]
    stratum: NDArray[np.int8]
    hash: NDArray[np.uint64]
    rejected: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        frames: ArrayLike,
        items: ArrayLike,
        hash: NDArray[np.uint64],
        *,
        bin: ArrayLike = 0,
        stratum: ArrayLike = 0,
        rejected: Mapping[str, int] | None = None,
    ) -> CandidateTable:
        """A table with the column types of the contract; `bin` and `stratum` may be scalars."""
        n = len(hash)
        return cls(
            np.asarray(frames, dtype=np.int32).reshape(n, -1 if n else 0),
            np.asarray(items, dtype=np.int64).reshape(n, -1 if n else 0),
            np.array(np.broadcast_to(bin, n), dtype=np.int16),
            np.array(np.broadcast_to(stratum, n), dtype=np.int8),
            hash,
            {reason: int(count) for reason, count in (rejected or {}).items() if count},
        )

    @classmethod
    def empty(cls, rejected: Mapping[str, int] | None = None) -> CandidateTable:
        """A table without rows."""
        return cls.build([], [], np.zeros(0, np.uint64), rejected=rejected)

    def __len__(self) -> int:
        return len(self.hash)

    def take(self, chosen: NDArray[Any]) -> CandidateTable:
        """The rows that a mask or an index array chooses."""
        return CandidateTable(
            self.frames[chosen], self.items[chosen], self.bin[chosen], self.stratum[chosen],
            self.hash[chosen], self.rejected,
        )  # fmt: skip

    def between(self, low: int, high: int) -> CandidateTable:
        """The rows whose hash lies in [low, high]."""
        return self.take((self.hash >= np.uint64(low)) & (self.hash <= np.uint64(high)))

    def rows(self) -> list[Row]:
        """Every row as plain integers, without the filling."""
        return list(map(Row, _unfilled(self.frames), _unfilled(self.items)))


def _unfilled(columns: NDArray[Any]) -> list[tuple[int, ...]]:
    """Each row of a table as a tuple, without the -1 that fills it."""
    rows = columns.tolist()
    if not (columns < 0).any():
        return list(map(tuple, rows))
    return [tuple(n for n in row if n >= 0) for row in rows]


class Facts(NamedTuple):
    """What a row says, before any text.

    Attributes:
        answer: The typed answer.
        evidence: The numbers that the answer came from: SI units, plain JSON values. The row's item
            ids are added as "items".
        slots: Values for the slots of the question and answer templates, as text.
        marks: For each shown frame its marks; () when no image carries any.
        options: What a choice offers.
        variant: Which list of questions and answers is meant, e.g. "closer"; "" when there is one.
    """

    answer: Answer
    evidence: Mapping[str, Any]
    slots: Mapping[str, str]
    marks: tuple[tuple[Mark, ...], ...] = ()
    options: tuple[str, ...] = ()
    variant: str = ""


class FrameImage(NamedTuple):
    """Name, uri and size of a frame's image."""

    name: str
    uri: str
    width: int
    height: int


class FrameTable(NamedTuple):
    """Frames, ascending, and their images as an Arrow struct array (name, uri, width, height)."""

    frame: NDArray[np.int64]
    images: pa.StructArray

    def take(self, frames: NDArray[np.int64]) -> pa.StructArray:
        """The images of frames, each of which must be there."""
        import pyarrow as pa

        return self.images.take(pa.array(np.searchsorted(self.frame, frames)))


@dataclass(frozen=True, eq=False)
class Place:
    """Where a record comes from, and the draws of its scene.

    Attributes:
        frame_images: Image of every frame, by frame index.
        rule: The depth rule as text.
    """

    source: str
    space: str
    scene: str
    split: str
    recipe: Recipe
    seed: int
    depth_map: str
    frame_images: Mapping[int, FrameImage]
    _states: dict[tuple[str, str], int] = field(default_factory=dict, repr=False)

    @cached_property
    def rule(self) -> str:
        """The depth rule as text, e.g. "tolerance(0.1,0.05)"."""
        return str(depth_rule(self.recipe.rules))

    def state(self, task: str, slot: str) -> int:
        """Hash of (seed, task, source, scene, slot), before any integer is folded in."""
        key = (task, slot)
        state = self._states.get(key)
        if state is None:
            state = text_hash(self.seed, task, self.source, self.scene, slot)
            self._states[key] = state
        return state

    def draw(self, task: str, ints: Sequence[int], slot: str) -> int:
        """`spatialcore.draws.draw` of this scene: a uniform 64-bit integer."""
        return fold_all(self.state(task, slot), ints)

    @cached_property
    def frame_table(self) -> FrameTable:
        """The images of all frames as columns, for composing many rows."""
        import pyarrow as pa

        frames = sorted(self.frame_images)
        images = [self.frame_images[frame] for frame in frames]
        columns = {
            name: pa.array([getattr(image, name) for image in images], kind)
            for name, kind in (
                ("name", pa.string()), ("uri", pa.string()),
                ("width", pa.int32()), ("height", pa.int32()),
            )
        }  # fmt: skip
        return FrameTable(
            np.array(frames, dtype=np.int64),
            pa.StructArray.from_arrays(list(columns.values()), names=list(columns)),
        )

    def draw_rows(self, task: str, columns: Sequence[ArrayLike], slot: str) -> NDArray[np.uint64]:
        """`draw` for many rows at once: one integer column after the other, uint64 (n,)."""
        table = np.stack([np.asarray(column, dtype=np.int64) for column in columns], axis=1)
        return fold_table(self.state(task, slot), table)


@dataclass(frozen=True, eq=False)
class SceneContext:
    """One indexed scene with a recipe and a seed; what several tasks need is computed once.

    Attributes:
        scene: The scene's index.
        place: Names, provenance and draws.
        scene_quota: Rows that are asked of each scene, by task (depth_perception uses it).
        open_track: Opens the clip in its source, for engines that read tracks.
        takes: (task, bin, stratum, hash) -> which rows the plan takes; None before there is a plan.
            An engine with costly guards leaves out what is not taken.
    """

    scene: SceneIndex
    place: Place
    scene_quota: Mapping[str, int] = field(default_factory=dict)
    open_track: Callable[[], Track3D] | None = None
    takes: Takes | None = None
    _cache: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def open(
        cls,
        scene: SceneIndex,
        recipe: Recipe,
        seed: int,
        split: str,
        *,
        scene_quota: Mapping[str, int] | None = None,
        source: Source | None = None,
    ) -> SceneContext:
        """Context of a scene; `source` is needed for clips, whose tracks stay there."""
        table = scene.frames
        images = {
            int(frame): FrameImage(table.name[k], table.image[k] or "", width, height)
            for k, (frame, width, height) in enumerate(
                zip(table.frame.tolist(), table.width.tolist(), table.height.tolist(), strict=True)
            )
        }
        place = Place(
            scene.source, scene.space, scene.scene, split, recipe, seed, scene.depth_map, images
        )
        opener = None if source is None else (lambda: scene.open_track(source))
        return cls(scene, place, dict(scene_quota or {}), opener)

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        return self.place.recipe

    def cached(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, computed on the first call with this key."""
        if key not in self._cache:
            self._cache[key] = make()
        value: T = self._cache[key]
        return value

    @property
    def track(self) -> Track3D:
        """The clip's tracks, read from the source on first use."""
        if self.open_track is None:
            raise ValueError(f"{self.place.scene}: no source was given to read tracks from")
        return self.cached("track", self.open_track)


class Engine(Protocol):
    """One task. Implementations are frozen dataclasses listed in `engines.ENGINES`."""

    @property
    def task(self) -> str:
        """`<family>.<quantity>[.<form>]`."""

    @property
    def question_type(self) -> str:
        """The published name of the task, or of its VSI-Bench type."""

    @property
    def kind(self) -> Literal["scene", "clip"]:
        """Whether it asks about scans or about clips of tracks."""

    @property
    def words(self) -> tuple[str, ...]:
        """The closed set of answer words or letters; () for numbers."""

    @property
    def needs_up(self) -> bool:
        """Whether gravity must be known."""

    def bin_count(self, recipe: Recipe) -> int:
        """Quota bins, empty ones included."""

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """Name and share of the quota of each stratum, e.g. one for each word."""

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Every row that passes every guard, and how many did not, by reason."""

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """Answer, evidence, slots and marks of each of n candidates. It cannot reject.

        What a row says does not depend on the others: they come together so that arrays hold them.
        """

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The facts of a row from the source, by the float64 reference and another code path.

        Returns:
            The facts, and the first guard that the row breaks or "".
        """


class OneBin:
    """For engines whose rows have no overlap or size to balance."""

    __slots__ = ()

    def bin_count(self, recipe: Recipe) -> int:
        """One."""
        del recipe
        return 1


class OneStratum:
    """For engines whose words need no shares: answers are numbers, or letters by keyed draws."""

    __slots__ = ()

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """One."""
        del recipe
        return (("", 1.0),)


def family_of(task: str) -> str:
    """Family of a task, which also names its template file."""
    return task.partition(".")[0]


def form_of(task: str) -> str:
    """Presentation of a task: "coordinate", "marked", "choice", or "" for plain text."""
    return task.split(".")[2] if task.count(".") > 1 else ""


def usable(engine: Engine, scene: SceneIndex) -> str:
    """Why the engine may not ask about the scene, or "" when it may."""
    if (engine.kind == "clip") != scene.is_clip:
        return "other_kind"
    if not scene.metric:
        return "not_metric"
    if engine.needs_up and scene.up == "unknown":
        return "up_unknown"
    return ""


def candidates_of(engine: Engine, context: SceneContext) -> CandidateTable:
    """The engine's candidates, or none with the reason why the scene cannot be asked about."""
    reason = usable(engine, context.scene)
    if reason:
        return CandidateTable.empty({} if reason == "other_kind" else {reason: 1})
    return engine.candidates(context)
