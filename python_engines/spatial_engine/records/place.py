# SPDX-License-Identifier: Apache-2.0
"""Where a record comes from: the names and images of its scene, its provenance and its draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore.draws import fold_all, fold_table, text_hash
from spatialcore.index.visibility import depth_rule

if TYPE_CHECKING:
    import pyarrow as pa

    from spatial_engine.recipe import Recipe


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
