# SPDX-License-Identifier: Apache-2.0
"""docs/recipes.md: every key of both kinds of recipe, from the dataclasses that decode them.

python docs/make_recipes.py
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

from spatial_engine.recipe import Recipe
from spatialcore.settings_words import describe, unit_of
from spatialmllm.training.recipe import Recipe as TrainingRecipe

PAGE = Path(__file__).with_name("recipes.md")
HEAD = """# Every key of a recipe

Made by `python docs/make_recipes.py` from the dataclasses that decode the files; a test compares.

A recipe is a TOML file. Every key may be left out and has then the default below. A wrong key,
type, literal, length or value ends the command before anything runs, with the file, the path and
the nearest right word:

```
mine.toml: $.rounding: 'truncated' is not one of nearest, truncate; did you mean 'truncate'?
```

## What is asked: `plan` and `generate --recipe FILE`

`rules` decides what an index holds and is what `spatialcore index --recipe FILE` reads: the name
of a preset, `rules = "default"` or `rules = "multispa-paper"`, or a table with keys of its own.
The rest is what is asked of the index; one index serves every recipe with the same rules. The
recipes that come with the package are in `python_engines/spatial_engine/recipes`, the rules in
`src/spatialcore/index/presets`.
"""
TRAINING = """
## How a model is trained: `train --config FILE --set section.key=value`

The recipes that come with the package are in `src/spatialmllm/training/recipes`;
[model.md](model.md) says what each is for.
"""


def described(kind: type) -> dict[str, str]:
    """What the class's docstring says of each field."""
    _, _, text = inspect.getdoc(kind).partition("Attributes:\n")  # type: ignore[union-attr]
    found = re.findall(r"^    (\w+): (.*(?:\n     .*)*)", text, re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in found}


def sections(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """The tables of a recipe, outermost first, as instances with every default."""
    yield at, value
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        if dataclasses.is_dataclass(inner):
            yield from sections(inner, f"{at}.{field.name}".lstrip("."))


def table(value: Any, skip: tuple[str, ...] = ()) -> str:
    """The keys of one TOML table."""
    hints = get_type_hints(type(value), include_extras=True)
    texts = described(type(value))
    lines = ["| key | value | unit | default | meaning |", "|---|---|---|---|---|"]
    for field in dataclasses.fields(value):
        default = getattr(value, field.name)
        if field.name in skip or dataclasses.is_dataclass(default):
            continue
        kind, unit = hints[field.name], unit_of(hints[field.name])
        shown = json.dumps(default).replace("|", "\\|")
        lines.append(
            f"| `{field.name}` | {describe(kind)} | {unit} | `{shown}` | "
            f"{texts.get(field.name, '')} |"
        )
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for at, value in sections(Recipe()):
        parts.append(
            f"\n### {f'[{at}]' if at else 'Top of the file'}\n\n{table(value, ('name',))}\n"
        )
    parts.append(TRAINING)
    for at, value in sections(TrainingRecipe()):
        if len(dataclasses.fields(value)) and at:
            parts.append(f"\n### [{at}]\n\n{table(value)}\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
