# SPDX-License-Identifier: Apache-2.0
"""Where the pixels of a record's frames lie: by depth and poses, point maps, or VGGT heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from spatialcore.errors import MissingInput, RecordError, UsageError
from spatialmllm.config import ProcessorConfig, Sampler
from spatialmllm.data.clips import ShownFrames, shown_settings
from spatialmllm.geometry import GeometryProvider, PointMaps, from_depth, from_npz

if TYPE_CHECKING:
    from PIL.Image import Image

    from spatial_engine.records.record import QARecord
    from spatialmllm.data.records import RecordSet

NO_VGGT = "--geometry vggt needs --geometry-model, a VGGT or Spatial-MLLM folder"
PointSource = Literal["depth", "point_head"]
# A frame of a clip by its position -> its image.
ImageOf = Callable[[int], "Image"]


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """What a command says of clips, instead of a model's own settings; None: as the model says.

    Attributes:
        sampler: How frames are chosen.
        frames: Frames of a clip at most.
        clip_from: Images from which a record is a clip; 0: never.
        geometry: As in `WalkGeometry`.
        geometry_model: As in `WalkGeometry`.
        device: As in `WalkGeometry`.
    """

    sampler: Sampler | None = None
    frames: int | None = None
    clip_from: int | None = None
    geometry: str | None = None
    geometry_model: Path | None = None
    device: str | None = None

    @property
    def given(self) -> bool:
        """Whether anything is said."""
        return any(value is not None for value in
                   (self.sampler, self.frames, self.clip_from, self.geometry))  # fmt: skip

    def settings(self, processor: ProcessorConfig) -> ProcessorConfig:
        """A model's settings with what is said."""
        return shown_settings(
            processor, sampler=self.sampler, frames=self.frames, clip_from=self.clip_from
        )

    def stills(self) -> ShownFrames | None:
        """Which frames a model of another package is shown; None where nothing is said."""
        if not self.given:
            return None
        return ShownFrames(self.settings(ProcessorConfig()), self.walk_geometry())

    def walk_geometry(self) -> WalkGeometry | None:
        """Where pixels lie, where that is said."""
        if self.geometry is None:
            return None
        return WalkGeometry(self.geometry, model=self.geometry_model, device=self.device)


class WalkGeometry:
    """Providers of point maps for the frames of records, by their position in the record.

    Args:
        where: `depth` (depth images and poses of the source), `vggt` (the images alone), or a
            folder with an npz of point maps for each scene, a row for each frame of the scene.
        model: VGGT or Spatial-MLLM folder, for `vggt`.
        device: Where that runs; None: the GPU where there is one.

    Raises:
        UsageError: The place is not there, or `vggt` has no model.
    """

    def __init__(self, where: str, *, model: Path | None = None, device: str | None = None) -> None:
        self.where, self._model, self._device = where, model, device
        if where == "vggt" and model is None:
            raise UsageError(
                "--geometry vggt needs --geometry-model, a VGGT or Spatial-MLLM folder"
            )
        if where not in ("depth", "vggt") and not Path(where).is_dir():
            raise UsageError(
                f"--geometry takes depth, vggt or a folder of SCENE.npz; {where} is no folder"
            )

    def identity(self) -> str:
        """What makes its choices what they are, for the header of results."""
        return self.where if self._model is None else f"{self.where} {self._model.name}"

    def __call__(self, record: QARecord, images: RecordSet) -> GeometryProvider:
        """The provider for a record's frames.

        Raises:
            RecordError: The record's scene cannot be opened again, or lacks its frames.
            MissingInput: There is no file for its scene.
        """
        if self.where == "vggt":
            return self._vggt()(lambda number: images.image(record, number))
        scene = images.scene(record)
        rows = {frame.name: row for row, frame in enumerate(scene.frames)}
        missing = [name for name in record.frame_names if name not in rows]
        if missing:
            raise RecordError(f"{record.id}: {scene.id} has no frame {missing[0]!r} any more")
        at = [rows[name] for name in record.frame_names]
        if self.where == "depth":
            return _moved(from_depth(scene), at)
        file = Path(self.where) / f"{scene.id}.npz"
        if not file.is_file():
            raise MissingInput(f"{file}: no point maps of the scene {scene.id}")
        return _moved(from_npz(file), at)

    def _vggt(self) -> Callable[[ImageOf], GeometryProvider]:
        return vggt_of(str(self._model), "depth", self._device)


@lru_cache(maxsize=1)
def vggt_of(
    folder: str, point_source: PointSource, device: str | None
) -> Callable[[ImageOf], GeometryProvider]:
    """Point maps from images alone, through the heads of a VGGT or Spatial-MLLM folder.

    Args:
        folder: The folder.
        point_source: Its depth and cameras, or its point head.
        device: Where it runs; None: the GPU where there is one.
    """
    from spatialmllm.checkpoints.vggt import load_vggt
    from spatialmllm.evaluation.run import pick_device
    from spatialmllm.model.vggt.geometry import from_vggt

    heads: tuple[Any, ...] = ("camera", "depth") if point_source == "depth" else ("point",)
    model = load_vggt(folder, heads=heads, device=pick_device(device))
    return lambda image: from_vggt(model, image, point_source=point_source)


def _moved(provider: GeometryProvider, rows: Sequence[int]) -> GeometryProvider:
    """A provider by position in a record, from one by row of its scene."""

    def provide(indices: Sequence[int]) -> PointMaps:
        return provider([rows[i] for i in indices])

    return provide
