# SPDX-License-Identifier: Apache-2.0
"""All malformed inputs by name: damages of sound scenes, and files made to harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.robustness.hostile.bases import BASES, Written
from tests.robustness.hostile.damages import damages_of, kinds_of_files


@dataclass(frozen=True)
class Case:
    """A malformed input.

    Attributes:
        name: What is wrong with it.
        reader: Whose input it is.
        make: From a folder that is not there yet to what is named to the verbs.
        base: The sound scene that was damaged, or "".
        large: Whether it takes seconds to make or to refuse; `make hostile` runs it.
    """

    name: str
    reader: str
    make: Callable[[Path], Path]
    base: str = ""
    large: bool = False


def damaged_scenes(written: Written) -> Iterator[Case]:
    """Every damage of every kind of file of every layout."""
    for name, base in BASES.items():
        if not base.there:
            continue
        for relative in kinds_of_files(written.original(name)):
            for what, damage in damages_of(relative).items():

                def make(to: Path, name=name, relative=relative, damage=damage) -> Path:
                    root = written.copy(name, to)
                    damage(root / relative)
                    return root / BASES[name].place

                yield Case(f"{name}: {relative}: {what}", base.kind, make, name)


def all_cases(written: Written, *, damaged: bool = True) -> list[Case]:
    """All malformed inputs in one order; without `damaged` those alone that are made to harm."""
    from tests.robustness.hostile.bombs import bombs
    from tests.robustness.hostile.crowds import crowds
    from tests.robustness.hostile.long_lists import long_lists

    scenes = list(damaged_scenes(written)) if damaged else []
    return [*scenes, *bombs(written), *crowds(written), *long_lists(written)]
