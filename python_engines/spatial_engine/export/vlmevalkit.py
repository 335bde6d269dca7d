# SPDX-License-Identifier: Apache-2.0
"""VLMEvalKit: TSVs of questions without answers, and the class that asks and scores them.

The class gives a model the prompt that `eval` gives it, each image where its tag stands, and scores
predictions by the rules of this package, against the records of the data set.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from spatial_engine.export.request import Finished
from spatial_engine.export.sample import Sample
from spatial_engine.records.task_name import family_of
from spatialcore.files import write_text

NAME = "spatialcore"
FILE = "spatialcore_vlmevalkit.py"
COLUMNS = (
    "index", "image_path", "question", "prompt", "category", "l2-category", "split", "id",
)  # fmt: skip


class Writer:
    """Rows of this format; several images are a list, as VLMEvalKit reads it."""

    def __init__(self, path: Path) -> None:
        self._out = path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._out, delimiter="\t", lineterminator="\n")
        self._count = 0

    def write(self, sample: Sample) -> None:
        """Write one line; the first one decides whether the images are in the rows, as base64.

        Embedded images have names beside them, under which VLMEvalKit unpacks them.
        """
        if not self._count:
            self._rows.writerow([*COLUMNS, *(["image"] if sample.contents else [])])
        record = sample.record
        name = hashlib.blake2b(record.id.encode(), digest_size=12).hexdigest()
        held = [base64.b64encode(content).decode() for content in sample.contents]
        paths = [f"{name}-{k}.jpg" for k in range(len(held))] if held else sample.images
        self._rows.writerow(
            [self._count, _listed(paths), record.question, sample.prompt, record.task,
             family_of(record.task), sample.split, record.id, *([_listed(held)] if held else [])]
        )  # fmt: skip
        self._count += 1

    def close(self) -> None:
        """Close the file."""
        self._out.close()


def _listed(texts: list[str] | tuple[str, ...]) -> str:
    return texts[0] if len(texts) == 1 else str(list(texts))


def register(made: Finished) -> None:
    """Write the class, with a data set a split."""
    here = made.folder / "vlmevalkit"
    sets = {}
    for split in sorted({split for split, _ in made.files}):
        files = sorted(path for its, path in made.files if its == split)
        sets[NAME if split == "val" else f"{NAME}_{split}"] = {
            "split": split, "files": [path.relative_to(here).as_posix() for path in files],
        }  # fmt: skip
    write_text(here / FILE, _class(made, sets))


def _class(made: Finished, sets: Mapping[str, object]) -> str:
    lines = [
        '"""These questions as a data set of VLMEvalKit; scored by spatial_engine.scoring.',
        "",
        "In its folder, with the arguments of VLMEvalKit's own run.py:",
        "",
        f"    python {FILE} PATH/OF/VLMEvalKit/run.py --data {next(iter(sets))} --model NAME",
        "",
        "or in Python: `import spatialcore_vlmevalkit; spatialcore_vlmevalkit.register()`.",
        '"""', "", "import os", "import runpy", "import sys", "",
        "import vlmeval.dataset", "from vlmeval.dataset.image_base import ImageBaseDataset",
        "from vlmeval.smp import load", "",
        "from spatial_engine.scoring.vlmevalkit import Kit", "",
        f"RECORDS = {json.dumps(str(made.dataset))}  # the data set, which holds the answers",
        f"IMAGES = {json.dumps(str(made.folder))}  # where relative paths of images start",
        f"SETS = {json.dumps(sets)}",
        f"CIRCULAR = {made.request.circular}",
        "HERE = os.path.dirname(os.path.abspath(__file__))", "", "",
        "class SpatialCore(ImageBaseDataset):",
        '    """Spatial questions with computed answers."""', "",
        '    TYPE = "VQA"', '    MODALITY = "IMAGE"', "",
        "    @classmethod", "    def supported_datasets(cls):", "        return list(SETS)", "",
        "    def load_data(self, dataset):",
        "        self.kit = Kit(HERE, IMAGES, RECORDS, circular=CIRCULAR, **SETS[dataset])",
        '        self.img_root = os.path.join(HERE, "unpacked", dataset)',
        "        return self.kit.table()", "",
        "    def build_prompt(self, line):",
        "        if not hasattr(line, \"keys\"):",
        "            line = self.data.iloc[int(line)]",
        "        paths = self.dump_image(line) if \"image\" in line else line[\"image_path\"]",
        "        return self.kit.message(line, paths)", "",
        "    def evaluate(self, eval_file, **judge_kwargs):",
        "        return self.kit.evaluate(load(eval_file), eval_file)", "", "",
        "def register():",
        '    """Add the class to the ones that VLMEvalKit builds data sets of."""',
        "    vlmeval.dataset.SpatialCore = SpatialCore",
        "    vlmeval.dataset.DATASET_CLASSES.insert(0, SpatialCore)",
        "    vlmeval.dataset.SUPPORTED_DATASETS.extend(SETS)", "", "",
        'if __name__ == "__main__":',
        "    register()",
        "    sys.argv = sys.argv[1:]",
        '    sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[0])))',
        '    runpy.run_path(sys.argv[0], run_name="__main__")',
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
