# SPDX-License-Identifier: Apache-2.0
"""A scene as engines see it: its index, recipe, seed, and what several tasks compute once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_engine.engines.budgets import shown_frames, walk_sets
from spatial_engine.records.marks import Refer
from spatial_engine.records.place import FrameImage, Place

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatialcore.index.store import SceneIndex
    from spatialcore.types import Source, Track3D

T = TypeVar("T")
Takes = Callable[[str, NDArray[Any], ArrayLike, NDArray[np.uint64]], NDArray[np.bool_]]


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
        within: First and last frame that may be shown: one side of a walk whose end is held out;
            None is all.
        frames: The frames that layout questions show; () = those spread over the whole walk.
        root: The context of the whole walk, of a context that shows other frames.
        refer: How objects are pointed at; "" where they are named.
        plain: The context whose objects are named, of one whose objects are pointed at.
    """

    scene: SceneIndex
    place: Place
    scene_quota: Mapping[str, int] = field(default_factory=dict)
    open_track: Callable[[], Track3D] | None = None
    takes: Takes | None = None
    within: tuple[int, int] | None = None
    frames: tuple[int, ...] = ()
    root: SceneContext | None = None
    refer: Refer = ""
    plain: SceneContext | None = None
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
        within: tuple[int, int] | None = None,
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
        return cls(scene, place, dict(scene_quota or {}), opener, within=within)

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        return self.place.recipe

    @property
    def valid_frames(self) -> NDArray[Any]:
        """The scene's valid frames that may be shown, ascending."""
        frames = self.scene.valid_frames
        return frames[self.holds(frames)]

    def holds(self, frames: NDArray[Any]) -> NDArray[np.bool_]:
        """Which frames may be shown."""
        if self.within is None:
            return np.ones(frames.shape, dtype=np.bool_)
        first, last = self.within
        return np.asarray((frames >= first) & (frames <= last))

    @property
    def shown(self) -> tuple[int, ...]:
        """The frames that layout questions show."""
        return self.frames or shown_frames(self.valid_frames.tolist())

    def on(self, frames: tuple[int, ...]) -> SceneContext:
        """A context whose layout shows these frames; what does not depend on them is shared."""
        root = self if self.root is None else self.root
        if frames == root.shown:
            return root
        return root.cached(
            ("on", frames), lambda: replace(root, frames=frames, root=root, _cache={})
        )

    def referring(self, by: Refer) -> SceneContext:
        """A context of the same frames whose objects have no names and are pointed at."""
        return self.cached(
            ("referring", by), lambda: replace(self, refer=by, plain=self, _cache={})
        )

    def walks(self) -> list[SceneContext]:
        """The contexts of all sets of frames that the recipe shows of the scene."""
        sets = walk_sets(self.valid_frames.tolist(), self.recipe.walks)
        return [self.on(frames) for frames in sets]

    def shared(self, key: Hashable, make: Callable[[], T]) -> T:
        """As `cached`, for what does not depend on the frames that are shown."""
        return (self if self.root is None else self.root).cached(key, make)

    def cached(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, computed on the first call with this key."""
        if key not in self._cache:
            self._cache[key] = make()
        value: T = self._cache[key]
        return value

    def forget(self) -> None:
        """Let go of all that was computed: what is kept refers to the context, and would stay."""
        kept = list(self._cache.values())
        self._cache.clear()
        for value in kept:
            if isinstance(value, SceneContext):
                value.forget()

    @property
    def track(self) -> Track3D:
        """The clip's tracks, read from the source on first use."""
        if self.open_track is None:
            raise ValueError(f"{self.place.scene}: no source was given to read tracks from")
        return self.cached("track", self.open_track)
