# SPDX-License-Identifier: Apache-2.0
"""LLaMA-Factory: messages and images, registered in dataset_info.json."""

from __future__ import annotations

from typing import Any

from spatial_engine.export.sample import JsonLines, Sample
from spatialcore.files import write_json


class Writer(JsonLines):
    """Rows of this format."""

    def row_of(self, sample: Sample) -> dict[str, Any]:
        """The row of a sample."""
        return {"messages": sample.turns, "images": list(sample.images)}

    def close(self) -> None:
        """Close the file and write dataset_info.json."""
        super().close()
        tags = {
            "role_tag": "role", "content_tag": "content",
            "user_tag": "user", "assistant_tag": "assistant",
        }  # fmt: skip
        entry = {
            "file_name": self.path.name,
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "images": "images"},
            "tags": tags,
        }
        write_json(self.path.with_name("dataset_info.json"), {"spatialcore": entry})
