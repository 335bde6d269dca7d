# SPDX-License-Identifier: Apache-2.0
"""How sources are read: the options of every verb that is given scenes and clips."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spatialcore.io.options import ReadOptions


@dataclass(frozen=True)
class Reading:
    """How sources are read.

    Attributes:
        stride: Keep frames whose number is divisible by it; default: 5 for raw ScanNet, else 1.
        world_up: Up in the source's world: x,y,z or +x ... -z, or auto to estimate it from the
            cameras; default: what the layout says.
        static_camera: Clips without extrinsics have a camera that stands still.
        allow_source: Collections that are left out unless named, such as drivetrack.
        labels: A ScanNet label table; default: the one beside the scans.
        trust_source: Take a source whose depth maps contradict its poses as it is.
    """

    stride: int | None = None
    world_up: str | None = None
    static_camera: bool = False
    allow_source: tuple[str, ...] = ()
    labels: str | None = None
    trust_source: bool = False

    def options(self) -> ReadOptions:
        """What the readers take; ValueError where a value is none."""
        from spatialcore.io.options import ReadOptions

        return ReadOptions(**asdict(self))


@dataclass(frozen=True)
class KeyedReading(Reading):
    """How sources are read whose records are kept.

    Attributes:
        key: Source key in the records; default: the name of the layout. One source only.
    """

    key: str | None = None
