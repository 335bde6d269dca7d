# SPDX-License-Identifier: Apache-2.0
"""Options of the readers: one frozen dataclass, from which command lines are made."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spatialcore.io.matrices import parse_world_up

_KEY = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a source is read.

    Attributes:
        key: Source key of the records; None takes the name of the reader.
        stride: Keep frames whose number is divisible by it; None is 5 for raw ScanNet scans and
            1 for every other layout.
        world_up: "x,y,z", "+x" ... "-z" or "auto"; None reads what the layout says.
        metric: Whether lengths are metres; None reads what the layout says.
        static_camera: Clips without extrinsics have a camera that stands still.
        allow_source: Collections that are left out unless named, such as "drivetrack".
        labels: Path of a ScanNet label table; None looks for it beside the scenes.
        trust_source: Take a source whose depth maps contradict its poses as it is.
    """

    key: str | None = None
    stride: int | None = None
    world_up: str | None = None
    metric: bool | None = None
    static_camera: bool = False
    allow_source: tuple[str, ...] = ()
    labels: str | None = None
    trust_source: bool = False

    def __post_init__(self) -> None:
        if self.key is not None and _KEY.match(self.key) is None:
            raise ValueError(f"key must be 1 to 64 of A-Z a-z 0-9 . _ -, got {self.key!r}")
        if self.stride is not None and self.stride < 1:
            raise ValueError(f"stride must be at least 1, got {self.stride}")
        if self.world_up is not None:
            parse_world_up(self.world_up)
