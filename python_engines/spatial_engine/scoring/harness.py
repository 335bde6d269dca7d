# SPDX-License-Identifier: Apache-2.0
"""What evaluation harnesses call: prompts, images and scores of the rows of an export."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial_engine.records.record import PLACEHOLDER, QARecord, check_record, record_from_row
from spatial_engine.scoring.multispa import score

if TYPE_CHECKING:
    from PIL.Image import Image

_OWN = {"macro", "micro"}


class Harness:
    """The functions of a task folder of lmms-eval.

    Args:
        root: Folder of the export, where relative paths of images start.
        tasks: Tasks of the records.

    Example:
        >>> harness = Harness(".", ["a.b"])
        >>> harness.macro([("a.b", 1.0), ("a.b", 0.0), ("a.c", 1.0)])
        0.75
    """

    def __init__(self, root: str, tasks: Sequence[str]) -> None:
        self._root = Path(root)
        self._tasks = tuple(tasks)

    def doc_to_visual(self, doc: Mapping[str, Any]) -> list[Image]:
        """The images of a row, in the order shown, RGB."""
        from spatialcore.io.images import decode_image

        paths = [self._root / name for name in doc["images"]]  # absolute ones stay what they are
        return [decode_image(path.read_bytes(), path) for path in paths]

    def doc_to_text(self, doc: Mapping[str, Any], lmms_eval_specific_kwargs: Any = None) -> str:
        """The prompt without tags, for models that are given the images apart."""
        del lmms_eval_specific_kwargs
        return re.sub(rf"{PLACEHOLDER}\n?", "", doc["prompt"]).strip()

    def doc_to_messages(
        self, doc: Mapping[str, Any], lmms_eval_specific_kwargs: Any = None
    ) -> list[dict[str, Any]]:
        """The prompt as a chat, each image where its tag stands."""
        del lmms_eval_specific_kwargs
        images = iter(self.doc_to_visual(doc))
        content: list[dict[str, Any]] = []
        for number, text in enumerate(doc["prompt"].split(PLACEHOLDER)):
            if number:
                content.append({"type": "image", "url": next(images)})
            if text.strip():
                content.append({"type": "text", "text": text.strip("\n")})
        return [{"role": "user", "content": content}]

    def process_results(
        self, doc: Mapping[str, Any], results: Sequence[str]
    ) -> dict[str, tuple[str, float]]:
        """The score of a response under the name of every metric that it counts to."""
        record = _record(doc["record"])
        found = (record.task, score(record, str(results[0])).value)
        return dict.fromkeys((*sorted(_OWN), record.task.replace(".", "_")), found)

    def micro(self, results: Sequence[tuple[str, float]]) -> float:
        """Mean over records."""
        return sum(value for _, value in results) / len(results) if results else 0.0

    def macro(self, results: Sequence[tuple[str, float]]) -> float:
        """Mean over tasks of their means."""
        by_task: dict[str, list[float]] = {}
        for task, value in results:
            by_task.setdefault(task, []).append(value)
        means = [sum(values) / len(values) for values in by_task.values()]
        return sum(means) / len(means) if means else 0.0


@lru_cache(maxsize=256)
def _record(text: str) -> QARecord:
    record = record_from_row(json.loads(text))
    check_record(record)
    return record
