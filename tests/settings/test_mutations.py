# SPDX-License-Identifier: Apache-2.0
"""Every field of every settings file that ships, changed in every wrong way, is refused.

`VALID` lists the changes that give another right setting, with the reason; each entry has to be
met, so the list cannot outgrow what it is for.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest

from spatial_engine.plan.meta import read_meta
from spatial_engine.recipe import load_recipe
from spatial_engine.records.wording import parse_wordings
from spatialcore.errors import SceneFormatError, SceneIndexError, SettingsError
from spatialcore.index.config import IndexConfig
from spatialcore.index.rules import load_rules
from spatialcore.io.matrices import read_scene_meta
from spatialcore.io.object_files import ObjectList
from spatialcore.io.paths import read_typed
from spatialcore.settings import read_json
from tests.settings.mutations import mutations, toml

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "python_engines/spatial_engine"
TRAINING = ROOT / "src/spatialmllm/training/recipes"
REFUSALS = (SettingsError, SceneFormatError, SceneIndexError)

# "field: change" as a regular expression -> why the result is right.
VALID = {
    r"excluded_categories\.0: misspelt": "any text may be a category",
    r"excluded_categories: shorter": "fewer categories are structure",
    r"truncated_tasks: shorter": "fewer tasks are truncated",
    r"families: shorter": "fewer families are made",
    r"freeze: shorter": "fewer parts are frozen",
    r"fullatt_block_indexes: shorter": "fewer blocks attend in full",
    r"lora\.alpha: fraction": "a number need not be whole",
    r"objects\.0\.name: misspelt": "any text may be a category",
    r"objects\.0\.name: empty": "a name that is none leaves its object out, with a note",
    r"objects: shorter": "fewer objects are annotated",
    r"world_up\.0: negative": "a direction may point anywhere",
    # Wordings: what the linter takes is said; the rest is known to the engine of the task.
    r"descriptions\.\w+\.0: misspelt": "another text",
    r"descriptions\.(boxed|pointed|masked): shorter": "its task needs one less of them",
    r"phrases: shorter": "fewer slots hold phrases",
    r"repeated: shorter": "fewer slots come again",
    r"notes: shorter": "what its words mean is said in fewer ways",
    r"(questions|answers)(\.\w*)?\.0: misspelt": "another text",
    r"(questions|answers): table": "an engine may ask for a variant of this name",
    r"(questions|answers)\.\w*: key": "an engine may ask for a variant of this name",
    r"tasks\.[a-z_]+(\.[a-z_]+)?: key": "an engine may have that task",
    r"unit: empty": "an engine's answer may have no unit",
    r"words: shorter": "an engine's answer may be one of fewer words",
    r"forbid\.0: misspelt": "any word may be forbidden",
    r"forbid: shorter": "fewer words are forbidden",
    # Plans: another plan, which its seal tells from the one that was saved.
    r"config\.seed: negative": "any seed is one",
    r"config\.(tasks|scenes): shorter": "fewer globs or names choose",
    r"config\.(tasks|scenes)\.0: misspelt": "another glob or name chooses",
    r"scene_quota: shorter": "less is asked of each scene",
    r"parts: shorter": "a shard may be empty",
    r"sources\.scannet\.root: misspelt": "any folder may hold the source",
    r"index: misspelt": "any folder may hold the index",
}


class Door(NamedTuple):
    """A settings file and the way a user's file of its kind comes in."""

    name: str
    tree: dict[str, Any]
    write: Callable[[dict[str, Any]], str]
    file: str
    read: Callable[[Path], Any]


def tables(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def training_recipe(path: Path) -> Any:
    from spatialmllm.training.recipe import load_recipe as load

    return load(str(path))


def wordings(path: Path) -> Any:
    return parse_wordings(path.read_text(encoding="utf-8"), path.stem)


def one_task_files(path: Path) -> Iterator[dict[str, Any]]:
    """The wording of each task as a file of its own, which is quick to read.

    A task in the words of another has that one beside it.
    """
    whole = tables(path)
    for name, task in whole["tasks"].items():
        tasks = {name: task}
        if "like" in task:
            tasks[task["like"]] = whole["tasks"][task["like"]]
        used = {other["description"] for other in tasks.values() if "description" in other}
        described = {key: whole["descriptions"][key] for key in sorted(used)}
        yield {"descriptions": described, "tasks": tasks}


def plan_meta() -> dict[str, Any]:
    """A plan of one scene and one shard, as `Plan.save` writes it."""
    recipe = json.loads(load_recipe().to_json())
    row = ["scannet", "scene0000_00"]
    task = "camera_movement.distance"
    return {
        "version": 2, "index": "idx", "tasks": [task], "rows": 3, "wording": "0" * 32,
        "config": {
            "seed": 0, "tasks": ["camera_movement.*"], "limit": 5, "split": "train",
            "scenes": ["scene0000_00"], "val_share": 0.0, "balance": "carry", "benchmark": None,
        },
        "recipe": recipe | {"truncated_tasks": [task], "families": ["camera_movement"]},
        "sources": {"scannet": {"kind": "scannet", "root": "scans", "options": {}}},
        "scenes": [[*row, "scene0000", "train", "scene", "0" * 32]],
        "scene_quota": [[task, "scannet", "train", 40]],
        "files": {"thresholds.parquet": "0" * 32, "rejections.parquet": "0" * 32}, "seal": "0" * 32,
        "shards": [{"split": "train", "rows": 3, "parts": [[*row, "0" * 16, "f" * 16]]}],
    }  # fmt: skip


def doors() -> Iterator[Door]:
    for path in sorted((ROOT / "src/spatialcore/index/presets").glob("*.toml")):
        yield Door(path.stem + " rules", {"rules": tables(path)}, toml, "mine.toml", load_rules)
    recipes = sorted((ENGINE / "recipes").glob("*.toml"))
    for path in [*recipes, *sorted(ROOT.glob("benchmarks/*/questions/*.toml"))]:
        yield Door(path.stem + " recipe", tables(path), toml, "mine.toml", load_recipe)
    whole = json.loads(load_recipe().to_json())
    del whole["name"], whole["families"], whole["truncated_tasks"]
    yield Door("every key of a recipe", whole, toml, "mine.toml", load_recipe)
    for path in sorted(TRAINING.glob("*.toml")):
        yield Door(path.stem + " training", tables(path), toml, "mine.toml", training_recipe)
    for path in sorted((ENGINE / "templates").glob("*.toml")):
        for tree in one_task_files(path):
            name = f"{path.stem}.{next(iter(tree['tasks']))} wording"
            yield Door(name, tree, toml, path.name, wordings)
    yield Door("plan", plan_meta(), json.dumps, "plan.json", read_meta)
    config = json.loads(json.dumps(IndexConfig().to_json()))
    yield Door(
        "index", config, json.dumps, "index.json",
        lambda path: IndexConfig.from_json(read_json(path), path),
    )  # fmt: skip
    meta = {"metric": True, "world_up": [0.5, 0.0, 1.0], "depth_scale": 0.001}
    yield Door(
        "scene_meta", meta, json.dumps, "scene_meta.json", lambda p: read_scene_meta(p.parent)
    )
    objects = {"objects": [{"instance": 1, "name": "chair"}]}
    yield Door(
        "objects", objects, json.dumps, "objects.json",
        lambda path: read_typed(ObjectList, path, "objects_bad", foreign=True),
    )  # fmt: skip


DOORS = {door.name: door for door in doors()}


class Outcome(NamedTuple):
    """What became of a change: `said` is the error, "" where it was taken."""

    where: str
    said: str


@cache
def outcomes(name: str) -> list[Outcome]:
    """Every change of a file, read."""
    door, found = DOORS[name], []
    with TemporaryDirectory() as folder:
        path = Path(folder) / door.file
        path.write_text(door.write(door.tree), encoding="utf-8")
        assert door.read(path)
        for change in mutations(door.tree):
            path.unlink()  # what is written over goes to the disk at once: 2 ms a change
            path.write_text(door.write(change.tree), encoding="utf-8")
            said = ""
            try:
                door.read(path)
            except REFUSALS as error:
                said = str(error)
            found.append(Outcome(f"{'.'.join(map(str, change.path))}: {change.kind}", said))
    return found


def reason(where: str) -> str:
    """The entry of `VALID` that a change falls under, or ""."""
    return next((rule for rule in VALID if re.search(rf"(?:^|\.){rule}$", where)), "")


@pytest.mark.parametrize("name", DOORS)
def test_every_wrong_change_of_a_field_is_refused(name: str) -> None:
    found, file = outcomes(name), DOORS[name].file
    assert [o.where for o in found if not o.said and not reason(o.where)] == []
    assert [o for o in found if o.said and (file not in o.said or "$" not in o.said)] == []


def test_nothing_is_listed_as_right_that_is_refused() -> None:
    taken = {reason(o.where) for name in DOORS for o in outcomes(name) if not o.said}
    assert set(VALID) - taken == set()
