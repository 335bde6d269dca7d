# SPDX-License-Identifier: Apache-2.0
"""The Croissant description of an export: what its files are and what a row of them holds.

Format: MLCommons Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html).
Files are named by globs below the folder, so the description is as short for a thousand parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from spatial_engine.export.request import Exported, part_files
from spatialcore.files import write_json

CROISSANT_NAME = "croissant.json"

# Target -> media type; the others are no tables of rows.
_TABLES = {
    "trl": "application/x-parquet", "trl-grpo": "application/x-parquet",
    "jsonl": "application/jsonlines", "swift": "application/jsonlines",
    "internvl": "application/jsonlines", "prompts": "application/jsonlines",
}  # fmt: skip
_NAMED = {
    "id": "The name of the record; it says the task and the scene.",
    "task": "What is asked, as docs/engines.md names it.",
    "split": "train or val: no space is in both.",
}
_PLAIN = {
    "source": "Key of the source of the images.",
    "space": "The room or place; several scenes may show one.",
    "scene": "The scene or clip.",
    "question": "The question, as it is put.",
    "answer": "The answer, as a sentence.",
    "answer_type": "word, choice, number, ...: how answers are compared.",
    "answer_text": "The answer alone.",
    "answer_unit": "Unit of numbers: m, cm, deg, ...; word for words.",
}
_CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs",
    "column": "cr:column", "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/", "data": {"@id": "cr:data", "@type": "@json"},
    "equivalentProperty": "cr:equivalentProperty", "samplingRate": "cr:samplingRate",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract",
    "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key",
    "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path",
    "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex",
    "repeated": "cr:repeated", "replace": "cr:replace", "sc": "https://schema.org/",
    "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
    "transform": "cr:transform",
}  # fmt: skip


def write_croissant(
    folder: Path, targets: Sequence[str], counts: Exported, version: str, licences: Sequence[str]
) -> None:
    """Write croissant.json; an export without tables of rows gets none.

    Args:
        folder: The export, with the files of every target that lies in it.
        targets: These targets.
        counts: What the export holds.
        version: Of the package that made the records.
        licences: Of the sources, each once.
    """
    tables = [target for target in _TABLES if target in targets]
    path = folder / CROISSANT_NAME
    if not tables:
        path.unlink(missing_ok=True)
        return
    described = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "spatial-questions",
        "description": f"{counts.records:,} spatial questions about images, every answer computed "
        "from the geometry of its scene by spatialcore.",
        "license": list(licences),
        "version": version,
        "citeAs": "@misc{spatialcore, title = {spatialcore: spatial questions with computed "
        "answers}, howpublished = {made with spatialcore-mllm}}",
        "distribution": [files for target in tables for files in _file_sets(folder, target)],
        "recordSet": [rows for target in tables for rows in _record_sets(folder, target)],
    }
    write_json(path, described)


def _splits(folder: Path, target: str) -> list[str]:
    return sorted({split for split, _ in part_files(folder, target)})


def _file_sets(folder: Path, target: str) -> Iterator[dict[str, Any]]:
    """The files of a target, a set a split."""
    ends = {path.suffix for _, path in part_files(folder, target)}
    for split in _splits(folder, target):
        yield {
            "@type": "cr:FileSet",
            "@id": f"{target}-{split}-files",
            "encodingFormat": _TABLES[target],
            "includes": [f"{target}/{split}/*{end}" for end in sorted(ends)],
        }


def _record_sets(folder: Path, target: str) -> Iterator[dict[str, Any]]:
    """The rows of a target, a set a split: the columns that are text in every row."""
    columns = _NAMED | (_PLAIN if target == "jsonl" else {})
    for split in _splits(folder, target):
        name = f"{target}-{split}"
        fields = [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column}",
                "description": what,
                "dataType": "sc:Text",
                "source": {"fileSet": {"@id": f"{name}-files"}, "extract": {"column": column}},
            }
            for column, what in columns.items()
        ]
        yield {"@type": "cr:RecordSet", "@id": name, "key": {"@id": f"{name}/id"}, "field": fields}
