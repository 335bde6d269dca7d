# SPDX-License-Identifier: Apache-2.0
"""Recipes: what is asked, over the rules of an index."""

import dataclasses
from pathlib import Path

import pytest

from spatial_engine.engines import select_tasks
from spatial_engine.recipe import BUILT_IN, Recipe, decode_recipe, load_recipe, recipe_for
from spatialcore.errors import SettingsError
from spatialcore.index.rules import PRESETS, Rules, load_rules, preset


def test_what_is_written_out_is_what_is_used_without_a_file() -> None:
    assert load_rules() == preset("default") == Rules()
    assert load_recipe() == Recipe()
    assert PRESETS == BUILT_IN


def test_a_recipe_file_names_its_rules_or_holds_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('rules = "multispa-paper"\nbin_percent = 10\n')
    assert load_recipe(path).rules == load_rules(path) == preset("multispa-paper")
    path.write_text('bin_percent = 10\n[rules]\nrule = "strict"\n')
    assert load_recipe(path).rules == load_rules(path) == Rules(rule="strict")
    assert load_rules(path).name == "custom"
    path.write_text("bin_percent = 10\n")
    assert load_recipe(path).rules == load_rules(path) == Rules()


def test_a_task_without_rows_is_not_asked_and_cannot_be_named(tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text('[quota]\n"camera_movement.pitch_angle" = 40\n"camera_movement.vector" = 0\n')
    recipe = load_recipe(path)
    assert select_tasks((), recipe) == ("camera_movement.pitch_angle",)
    assert len(select_tasks(("camera_movement.*",), recipe, without_rows=True)) > 1
    for glob in ("camera_movement.vector", "depth_perception.*"):
        with pytest.raises(ValueError, match=f"no row to a task that matches '{glob}'.*`quota`"):
            select_tasks(("camera_movement.*", glob), recipe)


def test_the_hash_of_rules_is_of_what_decides_an_index() -> None:
    paper, plain = preset("multispa-paper"), Rules()
    wider = dataclasses.replace(plain.guards, depth_max_m=8.0)
    assert dataclasses.replace(plain, guards=wider).hash() != plain.hash()
    assert "depth_max_m is 6.0, not 8.0" in plain.difference(
        dataclasses.replace(plain, guards=wider)
    )
    # Where every visible point may be asked the guards decide nothing.
    assert dataclasses.replace(paper, guards=wider).hash() == paper.hash()


def test_an_index_alone_means_the_recipe_of_its_rules() -> None:
    assert [recipe_for(preset(name)).name for name in PRESETS] == list(BUILT_IN)
    sizes = dataclasses.replace(Rules(), depth_map="from_sizes")
    assert recipe_for(sizes) == dataclasses.replace(load_recipe(), name="custom", rules=sizes)
    with pytest.raises(ValueError, match="--recipe"):
        recipe_for(dataclasses.replace(Rules(), rule_absolute_m=0.2))


def test_a_recipe_is_read_back_as_it_was_written() -> None:
    import json

    for name in BUILT_IN:
        recipe = load_recipe(name)
        assert decode_recipe(json.loads(recipe.to_json()), "plan.json") == recipe


@pytest.mark.parametrize(
    ("text", "path", "near"),
    [
        ('name = "mine"', "$.name", ""),
        ('rules = "multispa"', "$.rules", "'multispa-paper'"),
        ("depth_max_m = 3.0", "$.depth_max_m", "$.rules.guards.depth_max_m"),
        ("[guards]\ndepth_max_m = 3.0", "$.guards.depth_max_m", "$.rules.guards.depth_max_m"),
        ('families = ["camera_motion"]', "$.families", "'camera_movement'"),
        ('truncated_tasks = ["camera_movement.distence"]', "$.truncated_tasks",
         "'camera_movement.distance'"),
        ('[quota]\n"camera_movement.distence" = 4', "$.quota",
         "'camera_movement.distance'"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_told_with_the_right_one(
    text: str, path: str, near: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_recipe(file)
    assert (caught.value.file, caught.value.path, caught.value.nearest) == (str(file), path, near)
    with pytest.raises(SettingsError, match="did you mean 'multispa-paper'"):
        load_recipe("multispa-papre")
