# SPDX-License-Identifier: Apache-2.0
"""Sizes, cameras and faults that belong together: what a preset of a sample set is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spatialcore.sample.config import LAYOUTS, SampleConfig
from spatialcore.sample.render import PERFECT, Sensor
from spatialcore.types import Camera


@dataclass(frozen=True, slots=True)
class Preset:
    """Sizes that belong together.

    Attributes:
        rooms: Default number of rooms.
        clips: Default number of clips.
        frames: Default number of frames a room.
        color: Colour camera.
        depth: Depth camera.
        sensor: Faults of the depth camera.
        spacing: Metres between mesh vertices.
        mesh_noise: Metres.
        layouts: Layouts written unless told otherwise.
        val_every: The last room of every so many goes to val.
        shadow_size: Pixels of the shadow map's side.
        faults: Whether one frame has no pose and one no depth.
    """

    rooms: int
    clips: int
    frames: int
    color: Camera
    depth: Camera
    sensor: Sensor
    spacing: float
    mesh_noise: float
    layouts: tuple[str, ...]
    val_every: int
    shadow_size: int
    faults: bool


def camera(fx: float, fy: float, cx: float, cy: float, width: int, height: int) -> Camera:
    """A pinhole camera from its numbers."""
    return Camera(np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]), width, height)


# All numbers are multiples of 1/64, so text of six decimals and float32 both hold them exactly.
# The colour camera has half of the typical ScanNet calibration; the depth camera has another
# focal length and principal point, so the pixel map is neither the identity nor the size ratio.
COLOR = camera(585.09375, 585.09375, 323.625, 241.625, 648, 484)
DEPTH = camera(283.40625, 283.40625, 160.703125, 118.59375, 320, 240)
TINY_COLOR = camera(90.0, 90.0, 55.5, 41.5, 112, 84)
TINY_DEPTH = camera(66.0, 66.0, 42.25, 31.5, 84, 63)
CLIP_CAMERA = camera(272.0, 272.0, 159.5, 119.5, 320, 240)

PRESETS = {
    "default": Preset(4, 4, 200, COLOR, DEPTH, Sensor(), 0.027, 0.002, LAYOUTS, 4, 1024, True),
    "tiny": Preset(
        24, 0, 30, TINY_COLOR, TINY_DEPTH, PERFECT, 0.06, 0.0, ("scannet",), 6, 256, False
    ),
}


def resolved(config: SampleConfig) -> SampleConfig:
    """The configuration with its preset's numbers filled in."""
    preset = PRESETS[config.preset]
    return replace(
        config,
        rooms=preset.rooms if config.rooms is None else config.rooms,
        clips=preset.clips if config.clips is None else config.clips,
        frames=preset.frames if config.frames is None else config.frames,
        layouts=config.layouts or preset.layouts,
    )
