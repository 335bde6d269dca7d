# SPDX-License-Identifier: Apache-2.0
"""The published tables that a task may stand in, and their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Table = Literal["MultiSPA", "VSI-Bench"]
# The rows of each table, in its order.
ROWS: dict[Table, tuple[str, ...]] = {
    "MultiSPA": (
        "depth comparison", "depth value", "correspondence coordinate", "correspondence choice",
        "camera rotation direction", "camera rotation degree", "camera translation direction",
        "camera distance", "camera vector", "object movement distance", "object movement vector",
        "object size",
    ),
    "VSI-Bench": (
        "object_counting", "object_abs_distance", "object_size_estimation", "room_size_estimation",
        "object_rel_distance", "object_rel_direction", "route_planning", "obj_appearance_order",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Published:
    """A row of a published table.

    Attributes:
        table: The table.
        row: Its row, one of `ROWS`.
        by_source: Whether the benchmark counts each source of scenes as a subtask of its own.
    """

    table: Table
    row: str
    by_source: bool = False

    def __post_init__(self) -> None:
        if self.row not in ROWS.get(self.table, ()):
            raise ValueError(f"{self.table} has no row {self.row!r}")
