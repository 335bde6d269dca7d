# SPDX-License-Identifier: Apache-2.0
"""Write docs/examples.md and its pictures: one record of each task of a data set.

spatialcore sample DIR --layouts scannet tapvid3d rescan
spatialcore generate DIR/scannet DIR/tapvid3d DIR/rescan -o OUT
python docs/make_examples.py OUT
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from PIL import Image

from spatial_engine.dataset.dataset import OpenedRecord, open_records
from spatial_engine.engines import engines
from spatial_engine.records.task_name import family_of
from spatial_engine.view import choose_examples

DOCS = Path(__file__).resolve().parent
SHEET_WIDTH = 640  # pixels of a whole sheet ...
MARKED_WIDTH = 960  # ... and where letters beside marks have to be read
GAP = 4


def sheet(images: Sequence[Image.Image], whole: int = SHEET_WIDTH) -> Image.Image:
    """The images of one record side by side, at most four in a row."""
    across = min(len(images), 4)
    width = whole // 2 if across == 1 else (whole - GAP * (across - 1)) // across
    height = round(width * images[0].height / images[0].width)
    down = -(-len(images) // across)
    size = (across * width + GAP * (across - 1), down * height + GAP * (down - 1))
    out = Image.new("RGB", size, "white")
    for k, image in enumerate(images):
        place = ((k % across) * (width + GAP), (k // across) * (height + GAP))
        out.paste(image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS), place)
    return out


def section(opened: OpenedRecord, folder: Path) -> str:
    """Heading, picture, question and answer of one record."""
    record = opened.record
    name = f"{record.task}.jpg"
    marked = any(image.marks for image in record.images)
    drawn = sheet(opened.images(), MARKED_WIDTH if marked else SHEET_WIDTH)
    drawn.save(folder / name, quality=72, optimize=True)
    question = record.question.replace("\n", "  \n")
    return (
        f"### {record.task}\n\n![frames of {record.scene}](images/examples/{name})\n\n"
        f"{question}\n\n> {record.answer}\n"
    )


def _not_asked(chosen: Collection[str]) -> str:
    """The tasks without a record, in a sentence; empty where there are none."""
    lacking = [f"`{one.task}`" for one in engines() if one.task not in chosen]
    if not lacking:
        return ""
    return f"\nNot asked of so few rooms: {', '.join(lacking)}.\n"


def main(out: str) -> None:
    """Write the page."""
    folder = DOCS / "images" / "examples"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.jpg"):
        old.unlink()
    chosen = choose_examples(open_records(out), 1)
    sections, family = [], ""
    for task, records in chosen.items():
        if family_of(task) != family:
            family = family_of(task)
            sections.append(f"## {family}\n")
        sections.append(section(records[0], folder))
    head = (
        "# Examples\n\nOne record of each task that the default rooms, visits and clips can be "
        "asked, made by `spatialcore sample DIR --layouts scannet tapvid3d rescan` and "
        "`spatialcore generate DIR/scannet DIR/tapvid3d DIR/rescan -o OUT`, written here by "
        "`python docs/make_examples.py OUT`.\n"
        f"{_not_asked(chosen)}"
    )
    (DOCS / "examples.md").write_text("\n".join([head, *sections]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
