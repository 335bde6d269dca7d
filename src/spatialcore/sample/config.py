# SPDX-License-Identifier: Apache-2.0
"""What to make: the configuration of a sample set and its presets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatialcore.sample.render import PERFECT, Sensor
from spatialcore.types import Camera

LAYOUTS = ("scannet", "posed_images", "tapvid3d")
REVISITED = "rescan"
"""The layout of rooms that are scanned twice, with things moved between; written where named."""
STRIDE = 5  # the exported layout holds the frames whose number is divisible by this


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


@dataclass(frozen=True, slots=True)
class SampleConfig:
    """What `write_sample` makes. None takes the preset's number.

    Attributes:
        rooms: Number of RGB-D rooms.
        clips: Number of clips with moving bodies.
        frames: Frames a room.
        clip_frames: Frames a clip.
        tracks: 3-D point tracks a clip.
        seed: Another seed gives other rooms.
        preset: "default", or "tiny": small sparse rooms, made by the thousand.
        layouts: Which layouts to write; () = the preset's.
        walks: Scans of every room: other walks past the same furniture, all of one space.
    """

    rooms: int | None = None
    clips: int | None = None
    frames: int | None = None
    clip_frames: int = 60
    tracks: int = 256
    seed: int = 0
    preset: str = "default"
    layouts: tuple[str, ...] = ()
    walks: int = 1

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {self.preset!r}")
        known = (*LAYOUTS, REVISITED)
        unknown = [name for name in self.layouts if name not in known]
        if unknown:
            raise ValueError(f"layouts must be among {', '.join(known)}, got {unknown[0]!r}")
        limits = {
            "rooms": (0, 10_000),
            "clips": (0, 10_000),
            "frames": (1, 100_000),
            "clip_frames": (2, 10_000),
            "tracks": (16, 20_000),
            "walks": (1, 100),
        }
        for name, (lo, hi) in limits.items():
            value = getattr(self, name)
            if value is not None and not lo <= value <= hi:
                raise ValueError(f"{name} must be within {lo}..{hi}, got {value}")

    def resolved(self) -> SampleConfig:
        """The configuration with the preset's numbers filled in."""
        preset = PRESETS[self.preset]
        return SampleConfig(
            rooms=preset.rooms if self.rooms is None else self.rooms,
            clips=preset.clips if self.clips is None else self.clips,
            frames=preset.frames if self.frames is None else self.frames,
            clip_frames=self.clip_frames,
            tracks=self.tracks,
            seed=self.seed,
            preset=self.preset,
            layouts=self.layouts or preset.layouts,
            walks=self.walks,
        )
