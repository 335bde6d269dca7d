# SPDX-License-Identifier: Apache-2.0
"""InternVL: JSON lines, and the meta file that its trainer is given."""

from __future__ import annotations

from typing import Any

from spatial_engine.export.sample import JsonLines, Sample
from spatialcore.files import write_json


class Writer(JsonLines):
    """Rows of this format."""

    def row_of(self, sample: Sample) -> dict[str, Any]:
        """The row of a sample."""
        return {
            "id": self.count,
            "image": list(sample.images),
            "width_list": [image.width for image in sample.record.images],
            "height_list": [image.height for image in sample.record.images],
            "conversations": sample.conversations,
        }

    def close(self) -> None:
        """Close the file and write internvl_meta.json."""
        super().close()
        entry = {
            "root": ".", "annotation": self.path.name, "data_augment": False,
            "repeat_time": 1, "length": self.count,
        }  # fmt: skip
        write_json(self.path.with_name("internvl_meta.json"), {"spatialcore": entry})
