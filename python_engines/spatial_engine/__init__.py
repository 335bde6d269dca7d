# SPDX-License-Identifier: Apache-2.0
"""Question-answer engines over the scene index: plan, records, verification, scoring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spatial_engine.dataset.dataset import OpenedRecord, open_records
    from spatial_engine.records.record import QARecord

__all__ = ["OpenedRecord", "QARecord", "open_records"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use: `import spatial_engine` itself imports nothing."""
    if name in ("open_records", "OpenedRecord"):
        from spatial_engine.dataset import dataset

        return getattr(dataset, name)
    if name == "QARecord":
        from spatial_engine.records.record import QARecord

        return QARecord
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
