# SPDX-License-Identifier: Apache-2.0
"""What the data set class of a VLMEvalKit export calls: its table, its messages, its scores."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spatial_engine.dataset.dataset import Dataset
from spatial_engine.records.record import PLACEHOLDER, QARecord, read_records
from spatial_engine.records.rotations import rotation_of
from spatial_engine.scoring.report import make_report
from spatialcore.errors import RecordError
from spatialcore.files import write_json


class Kit:
    """The questions of one split.

    Args:
        folder: Folder of the target, where its files lie.
        images: Where relative paths of images start.
        records: Folder of the data set that was exported, which holds the answers.
        split: The split.
        files: TSVs, relative to the folder.
        circular: Whether choices are asked in all rotations of their options.
    """

    def __init__(
        self,
        folder: str,
        images: str,
        records: str,
        *,
        split: str,
        files: Sequence[str],
        circular: bool = False,
    ) -> None:
        self._folder, self._images, self._records = Path(folder), Path(images), Path(records)
        self._split, self._files, self._circular = split, tuple(files), circular

    def table(self) -> Any:
        """All rows as a pandas table, numbered through."""
        import pandas as pd

        read = [
            pd.read_csv(self._folder / name, sep="\t", dtype=str, keep_default_na=False)
            for name in self._files
        ]
        made = pd.concat(read, ignore_index=True)
        made["index"] = range(len(made))
        return made

    def message(self, row: Mapping[str, Any], paths: str | Sequence[str]) -> list[dict[str, str]]:
        """The prompt of a row: texts, and each image where its tag stands.

        Args:
            row: Its columns.
            paths: Its images: a list, a list as text, or one path.

        Raises:
            RecordError: The prompt names another number of images.
        """
        shown = [str(self._images / path) for path in _paths(paths)]  # absolute ones stay
        texts = str(row["prompt"]).split(PLACEHOLDER)
        if len(texts) - 1 != len(shown):
            raise RecordError(f"{row['id']}: {len(texts) - 1} tags for {len(shown)} images")
        parts: list[dict[str, str]] = []
        for number, text in enumerate(texts):
            if number:
                parts.append({"type": "image", "value": shown[number - 1]})
            if text.strip():
                parts.append({"type": "text", "value": text.strip("\n")})
        return parts

    def evaluate(self, predictions: Any, path: str) -> Any:
        """Scores of predictions as a pandas table, the whole report beside their file.

        Args:
            predictions: Table with the columns `id` and `prediction`.
            path: Its file; `_spatialcore.json` replaces the ending of its name for the report.

        Raises:
            RecordError: A prediction is of no record of the data set.
        """
        import pandas as pd

        told = zip(predictions["id"], predictions["prediction"], strict=True)
        # Tables of numbers alone are read back as numbers, and no text as one that is not itself.
        said = {str(name): "" if text is None or text != text else str(text) for name, text in told}
        report = make_report(self._asked(said), said, circular=self._circular).to_json()
        write_json(Path(re.sub(r"\.\w+$", "", path) + "_spatialcore.json"), report)
        rows = [(row["task"], row["n"], row["value"], row["chance"]) for row in report["rows"]]
        rows += [(name, report["n"], report[name], None) for name in ("macro", "micro")]
        return pd.DataFrame(rows, columns=["task", "n", "score", "chance"])

    def _asked(self, names: Iterable[str]) -> Iterator[QARecord]:
        """The records that were asked, which may be part of the split."""
        wanted = {rotation_of(name)[0] if self._circular else name for name in names}
        for file in Dataset.open(self._records).shards:
            if file.done.split == self._split:
                yield from (one for one in read_records(file.path) if one.id in wanted)


def _paths(paths: str | Sequence[str]) -> Sequence[str]:
    if not isinstance(paths, str):
        return paths
    listed = ast.literal_eval(paths) if paths.startswith("[") else paths
    return [listed] if isinstance(listed, str) else listed
