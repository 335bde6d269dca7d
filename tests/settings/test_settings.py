# SPDX-License-Identifier: Apache-2.0
"""The strict decoder: what it refuses, how it says so, and how soon."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta

from spatial_engine.recipe import Recipe, load_recipe
from spatialcore.errors import SettingsError, SpatialCoreError
from spatialcore.settings import Count, Share, check_fields, decode, parse_json, read_settings

# The wrong values that were once taken: engines' recipes, then training recipes.
ENGINE = [
    ('[rules]\nrule = "strickt"', "$.rules.rule", "'strict'"),
    ("[rules]\nrule_relative = -3.0", "$.rules.rule_relative", ""),
    ("[rules]\nrule_absolute_m = nan", "$.rules.rule_absolute_m", ""),
    ('[rules]\ndepth_map = "from_size"', "$.rules.depth_map", "'from_sizes'"),
    ('[rules]\nobject_axes = "orientated"', "$.rules.object_axes", "'oriented'"),
    ('[rules]\nobject_min_vertices = "twenty"', "$.rules.object_min_vertices", ""),
    ('[rules]\naskable = "visibly"', "$.rules.askable", "'visible'"),
    ('[rules]\nexcluded_categories = "wall"', "$.rules.excluded_categories", ""),
    ('[rules.guards]\nborder = "yes"', "$.rules.guards.border", ""),
    ('rounding = "truncated"', "$.rounding", "'truncate'"),
    ('balance = "evenly"', "$.balance", "'even'"),
    ('[quota]\n"camera_movement.distances" = 4', "$.quota", "'camera_movement.distance'"),
    ('[quota]\n"*" = -40', "$.quota.'*'", ""),
    ('truncated_tasks = ["camera_movement.yaw"]', "$.truncated_tasks",
     "'camera_movement.yaw_angle'"),
    ('families = ["navigate"]', "$.families", "'navigation'"),
]  # fmt: skip
TRAINING = [
    ('[optimiser]\nlr = "fast"', "$.optimiser.lr", ""),
    ("[optimiser]\nbeta2 = 1.5", "$.optimiser.beta2", ""),
    ('[optimiser]\nfreeze = ["visoin"]', "$.optimiser.freeze[0]", "'vision'"),
    ("[optimiser]\nclip = -1.0", "$.optimiser.clip", ""),
    ("[schedule]\nepochs = -1", "$.schedule.epochs", ""),
    ("[schedule]\nmax_steps = 2.5", "$.schedule.max_steps", ""),
    ("[schedule]\nsave_every = 0", "$.schedule.save_every", ""),
    ("[schedule]\ncheckpointing = 1", "$.schedule.checkpointing", ""),
    ('[schedule]\nshape = "cosin"', "$.schedule.shape", "'cosine'"),
    ('[data]\ntarget = "spans"', "$.data.target", "'span'"),
    ("[data]\nworkers = -4", "$.data.workers", ""),
    ('[lora]\ntargets = ["q_prj"]', "$.lora.targets[0]", "'q_proj'"),
    ('[model.connector]\nkind = "mlp_ad"', "$.model.connector.kind", "'mlp_add'"),
]


def load_training(path: Path) -> Any:
    from spatialmllm.training.recipe import load_recipe as load

    return load(str(path))


CASES = [(load_recipe, *case) for case in ENGINE] + [(load_training, *case) for case in TRAINING]


@pytest.mark.parametrize(("load", "text", "path", "near"), CASES, ids=[c[1] for c in CASES])
def test_a_wrong_value_names_file_path_and_nearest(
    load: Any, text: str, path: str, near: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(file)
    assert (caught.value.file, caught.value.path, caught.value.nearest) == (str(file), path, near)
    assert str(caught.value).startswith(f"{file}: {path}: ")


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ("optimiser.lr=fast", "$.optimiser.lr"),
        ("optimiser.lrr=1e-4", "$.optimiser.lrr"),
        ("schedule.max_steps=3.5", "$.schedule.max_steps"),
        ('optimiser.freeze="vision"', "$.optimiser.freeze"),
        ("schedule=3", "$.schedule"),
        ("schedule.seed=nan", "$.schedule.seed"),
    ],
)
def test_a_setting_of_the_command_line_is_typed_too(setting: str, path: str) -> None:
    from spatialmllm.training.recipe import load_recipe as load

    with pytest.raises(SettingsError, match="--set") as caught:
        load("tiny", [setting])
    assert caught.value.path == path
    assert load("tiny", ["schedule.shape=cosine"]).schedule.shape == "cosine"
    for wrong in ("schedule.seed", "schedule.seed=1\nname=2", "name.first=1", "schedule.seed=[1"):
        with pytest.raises(SettingsError, match="--set"):
            load("tiny", [wrong])


@dataclass(frozen=True, slots=True)
class Part:
    share: Share = 0.5


@dataclass(frozen=True, slots=True)
class Whole:
    count: Count
    kind: Literal["wide", "narrow"] = "wide"
    sides: Annotated[tuple[Count, ...], Meta(min_length=1, max_length=2)] = (1,)
    part: Part | None = None
    parts: Mapping[str, Part] = dataclasses.field(default_factory=dict)
    text: str | tuple[str, ...] = ""

    def __post_init__(self) -> None:
        check_fields(self)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "$.count: missing"),
        ({"count": True}, "$.count: true is not a whole number from 0 to 1,000,000,000"),
        ({"count": 10**30}, "$.count"),
        ({"count": 10**400}, "$.count: a whole number beyond every range"),
        ({"count": 1, "part": 3}, "$.part: 3 is not a table, or null"),
        ({"count": 1, "part": {"share": 2}}, "$.part.share: 2 is not a number from 0 to 1"),
        ({"count": 1, "part": {"shares": 2}}, "$.part.shares: there is no setting 'shares' here; "
         "did you mean 'share'?"),
        ({"count": 1, "share": 2}, "$.share: there is no setting 'share' here; did you mean "
         "$.part.share?"),
        ({"count": 1, "parts": {"a b": {"share": -1}}}, "$.parts.'a b'.share: -1 is not a number"),
        ({"count": 1, "sides": []}, "$.sides: [] is not a list of length 1 to 2"),
        ({"count": 1, "sides": [1, 2, 3]}, "$.sides"),
        ({"count": 1, "sides": [1, -2]}, "$.sides[1]: -2"),
        ({"count": 1, "sides": [2, 2]}, "$.sides[1]: 2 stands twice"),
        ({"count": 1, "text": 3}, "$.text"),
        ({"count": 1, "text": "a\ud800"}, "$.text: a text that is not Unicode"),
        ({"count": 1, "kind": "wid"}, "$.kind: 'wid' is not one of wide, narrow; did you mean "
         "'wide'?"),
        ([1], "$: [1] is not a table"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(table: Any, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        decode(Whole, table, "x.json")
    assert str(caught.value).startswith(f"x.json: {said}")


def test_what_is_right_is_decoded() -> None:
    table = {"count": 1, "part": {"share": 1}, "parts": {"a": {}}, "text": ["a", "b"]}
    made = decode(Whole, table, "x.json")
    assert made == Whole(1, part=Part(1.0), parts={"a": Part()}, text=("a", "b"))
    assert type(made.part.share) is float
    assert decode(Whole, {"count": 1, "other": 2}, "x.json", foreign=True) == Whole(1)
    assert Whole(1, sides=[1, 2]).sides == (1, 2)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"Whole: \$\.count: -1 is not"):
        Whole(-1)


def test_the_error_is_a_value_error_and_travels_between_processes() -> None:
    error = SettingsError("a.toml", "$.b", "is wrong", "'c'")
    assert isinstance(error, ValueError)
    assert isinstance(error, SpatialCoreError)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.path) == ("a.toml: $.b: is wrong; did you mean 'c'?", "$.b")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.json", b'{"count": 1, "count": 2}', "'count' stands twice"),
        ("a.toml", b"count = 1\ncount = 2", "not TOML"),
        ("a.json", b'{"count": NaN}', "NaN"),
        ("a.json", b'{"count": 1e999}', "not a finite number"),
        ("a.json", b'{"count": ' + b"9" * 6000 + b"}", "not JSON"),
        ("a.json", b"[" * 100_000, "nested too deep"),
        ("a.toml", b"a = " + b"[" * 100_000, "nested too deep"),
        ("a.toml", b"a = " + b"{b = " * 100_000, "nested too deep"),
        ("a.toml", b".".join([b"a"] * 300) + b" = 1", "nested deeper than 32"),
        ("a.json", b"[" * 40 + b"]" * 40, "nested deeper than 32"),
        ("a.json", b"\xff\xfe", "not UTF-8"),
        ("a.json", b"", "not JSON"),
    ],
)
def test_files_that_are_no_settings(name: str, data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SettingsError, match=said) as caught:
        read_settings(Whole, tmp_path / name)
    assert caught.value.file == str(tmp_path / name)


@pytest.mark.parametrize("name", ["a.json", "a.toml"])
def test_a_file_of_100_mb_is_not_even_read(name: str, tmp_path: Path) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(SettingsError, match="100,000,000 bytes, more than"):
        read_settings(Whole, tmp_path / name)


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    for path in (tmp_path, tmp_path / "pipe.toml"):
        with pytest.raises(SettingsError, match="not a file"):
            read_settings(Whole, path)
    with pytest.raises(SettingsError, match="No such file"):
        read_settings(Whole, tmp_path / "none.json")
    with pytest.raises(SettingsError, match="cannot be a file"):
        read_settings(Whole, "a\0b.json")


def test_a_plan_that_was_changed_is_not_run(tmp_path: Path) -> None:
    from spatial_engine.plan.plan import Plan, PlanConfig
    from spatialcore.errors import PlanError

    plan = Plan(
        tmp_path, PlanConfig(), Recipe(), ("camera_movement.distance",), {}, (), {}, (), (), (),
        "0" * 32,
    )  # fmt: skip
    plan.save(tmp_path)
    assert Plan.open(tmp_path).recipe == Recipe()
    text = (tmp_path / "plan.json").read_text(encoding="utf-8")
    (tmp_path / "plan.json").write_text(text.replace('"seed": 0', '"seed": 1'), encoding="utf-8")
    with pytest.raises(PlanError, match=r"plan\.json: damaged"):
        Plan.open(tmp_path)


def test_importing_the_package_reads_no_decoder() -> None:
    code = "import sys, spatialcore; spatialcore.open; print('msgspec' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_json_text_keeps_its_numbers() -> None:
    assert parse_json('{"a": [1, 2.5, null, "x"]}', "x") == {"a": [1, 2.5, None, "x"]}
    assert json.loads(Recipe().to_json())["name"] == "default"
