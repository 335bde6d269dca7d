# SPDX-License-Identifier: Apache-2.0
"""InternVL: JSON lines, and the meta file that its trainer is given, an entry a file."""

from __future__ import annotations

from typing import Any

from spatial_engine.export.request import Finished
from spatial_engine.export.sample import JsonLines, Sample
from spatialcore.files import write_json


class Writer(JsonLines):
    """Rows of this format."""

    def row_of(self, sample: Sample) -> dict[str, Any]:
        """The row of a sample."""
        return {
            **sample.named,
            "image": list(sample.images),
            "width_list": [image.width for image in sample.record.images],
            "height_list": [image.height for image in sample.record.images],
            "conversations": sample.conversations,
        }


def register(made: Finished) -> None:
    """Write meta_train.json, and meta_val.json where there is such a split."""
    folder, files, counts, *_ = made
    for split in sorted({split for split, _ in files}):
        entries = {
            f"spatialcore_{split}_{k:05d}": {
                "root": str(folder),
                "annotation": str(path),
                "data_augment": False,
                "repeat_time": 1,
                "length": counts[path.relative_to(folder / "internvl").as_posix()],
            }
            for k, path in enumerate(path for its, path in files if its == split)
        }
        write_json(folder / "internvl" / f"meta_{split}.json", entries)
