# SPDX-License-Identifier: Apache-2.0
"""Write the table of tasks of docs/engines.md: what each engine of this package says of its task.

python docs/make_task_table.py
"""

from __future__ import annotations

import re
from pathlib import Path

from spatial_engine.engines import OURS, engines
from spatial_engine.engines.base import Engine
from spatial_engine.records.task_name import family_of

PAGE = Path(__file__).resolve().parent / "engines.md"
BEGIN, END = "<!-- tasks: written by make_task_table.py -->", "<!-- end of tasks -->"
HEAD = (
    "| task | family | answer | unit | chance | metric | subject | published row |\n"
    "|---|---|---|---|---|---|---|---|"
)
UNITS = {"word": "", "letter": "", "steps": "", "norm1000": "0-1000"}  # as they are written here


def row(engine: Engine) -> str:
    """The line of one task."""
    answer = engine.answer
    said = ", ".join(engine.words) if answer.type == "word" else answer.type
    guess = engine.chance(())
    about, published = engine.subject, engine.published
    cells = (
        engine.task, family_of(engine.task), said,
        UNITS.get(answer.unit, answer.unit),
        "" if guess is None else f"1/{round(1 / guess)}",
        engine.metric,
        about.about + (", by its items" if about.of_items else ""),
        "" if published is None else f"{published.table}: {published.row}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def task_table() -> str:
    """The table, the tasks of this package in the order of a plan."""
    ours = [one for one in engines() if type(one).__module__.partition(".")[0] == OURS]
    return "\n".join([HEAD, *map(row, ours)])


def written(page: str) -> str:
    """The page with the present table."""
    between = re.compile(f"(?<={re.escape(BEGIN)}\n).*(?=\n{re.escape(END)})", re.DOTALL)
    return between.sub(lambda _: task_table(), page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
