# SPDX-License-Identifier: Apache-2.0
"""What to make: the configuration of a sample set, which is also what the command line takes."""

from __future__ import annotations

from dataclasses import dataclass

LAYOUTS = ("scannet", "posed_images", "tapvid3d")
REVISITED = "rescan"
"""The layout of rooms that are scanned twice, with things moved between; written where named."""
PRESET_NAMES = ("default", "tiny")
STRIDE = 5  # the exported layout holds the frames whose number is divisible by this


@dataclass(frozen=True, slots=True)
class SampleConfig:
    """What a sample set holds.

    Attributes:
        rooms: Number of RGB-D rooms; default: the preset's (4).
        clips: Number of clips with moving bodies; default: the preset's (4).
        frames: Frames a room; default: the preset's (200).
        clip_frames: Frames a clip.
        tracks: 3-D point tracks a clip.
        seed: Another seed gives other rooms.
        preset: default, or tiny: small sparse rooms, made by the thousand.
        layouts: Which layouts to write; default: scannet, posed_images and tapvid3d, of the preset
            tiny: scannet. `rescan` makes every room twice, with things moved between.
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
        if self.preset not in PRESET_NAMES:
            raise ValueError(
                f"preset must be one of {', '.join(PRESET_NAMES)}, got {self.preset!r}"
            )
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
