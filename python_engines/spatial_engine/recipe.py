# SPDX-License-Identifier: Apache-2.0
"""Recipes: what is asked of an index, and how answers are written.

A recipe is a TOML file of the fields below. Its `rules` decide the index that it needs: the name
of a preset, or a table of `spatialcore.index.rules.Rules`. Two recipes come with the package:
`default` (guards on) and `multispa-paper` (the published rules). Any other is `custom`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from spatialcore.errors import SettingsError
from spatialcore.index.rules import Rules, require_recipe_file, rules_of
from spatialcore.relations.eye import MIN_SEEN_M, MIN_SEEN_SHARE
from spatialcore.settings import (
    Count,
    Degrees,
    Metres,
    Name,
    Percent,
    Share,
    check_fields,
    decode,
    parse_toml,
    read_toml,
)
from spatialcore.settings_words import nearest

BUILT_IN = ("default", "multispa-paper")


@dataclass(frozen=True, slots=True)
class Guards:
    """What makes a question well-defined, beside where a point may be asked about (the rules).

    A limit of 0 (or the widest value) switches a guard off.

    Attributes:
        min_component_m: Least shift of the camera along an asked direction, metres ...
        min_component_share: ... and of its distance.
        min_angle_deg: Least turn or tilt of the camera.
        max_yaw_turn_deg: Greatest turn of which a side can be told.
        max_abs_pitch_deg: Steepest view of which a turn can be told.
        max_roll_change_deg: Greatest roll between two frames.
        vertical_agrees: Whether a displacement along image 1's vertical axis is only told where the
            height that the camera gained has the same word.
        min_distance_m: Least distance between two cameras.
        min_depth_gap_m: Least difference of two depths that are compared, metres ...
        min_depth_gap_share: ... and of the larger depth.
        min_pixel_separation: Least distance of two marks, of the image width.
        min_coordinate_gap: Least difference of two points told by coordinates, of 1000.
        distractor_pixel_share: Least distance of a distractor's mark, of the image width.
        distractor_distance_m: Least distance of a distractor's point, metres.
        points_apart_share: Least distance of several points asked in one frame, of the width.
        object_other_share: Share of its vertices from which on another instance that is seen makes
            a category ambiguous.
        object_unique: Whether the category must be unambiguous.
        object_family: Whether it must be so among all names of its family, e.g. no coffee table
            beside a table; docs/labels.md.
        min_seen_share: Least difference of two sizes or distances that are compared or offered,
            as a share of the larger: what a person sees ...
        min_seen_m: ... and at least, metres.
        object_min_side_m: Least side that is asked.
        object_open_share: Least share of the object's vertices in an image that a frame shows where
            a side is asked: how much of it may be hidden.
        object_end_share: Share of the vertices in the outer tenth of a side that one of the frames
            must show, at either end; 0 asks for one vertex.
        object_end_margin: How far inside the image they must lie, of its width.
        object_partial_vertices: Vertices below which an object counts as a fragment.
        moving_min_m: Way from which on a point moves.
        static_max_m: Way below which a point is at rest.
        static_max_share: Most questions about points at rest, of a task.
        direction_border_deg: Least angle to the border of two directions.
        turn_border_deg: Least angle to the border of two turns of a route.
        room_shown_share: Share of a room's floor area that the frames must show where its size is
            asked.
    """

    # Camera movement.
    min_component_m: Metres = 0.05
    min_component_share: Share = 0.10
    min_angle_deg: Degrees = 5.0
    max_yaw_turn_deg: Degrees = 170.0
    max_abs_pitch_deg: Degrees = 60.0
    max_roll_change_deg: Degrees = 20.0
    vertical_agrees: bool = True
    min_distance_m: Metres = 0.10

    # Points and marks.
    min_depth_gap_m: Metres = 0.15
    min_depth_gap_share: Share = 0.20
    min_pixel_separation: Share = 0.06
    min_coordinate_gap: Annotated[int, Meta(ge=0, le=1000)] = 20
    distractor_pixel_share: Share = 0.05
    distractor_distance_m: Metres = 0.15
    points_apart_share: Share = 0.10

    # What a person tells apart.
    min_seen_share: Share = MIN_SEEN_SHARE
    min_seen_m: Metres = MIN_SEEN_M

    # Objects; from how many vertices a frame sees one is a rule.
    object_other_share: Share = 0.01
    object_unique: bool = True
    object_family: bool = True
    object_min_side_m: Metres = 0.10
    object_open_share: Share = 0.30
    object_end_share: Share = 0.15
    object_end_margin: Share = 0.02
    object_partial_vertices: Count = 200

    # Tracks.
    moving_min_m: Metres = 0.05
    static_max_m: Metres = 0.01
    static_max_share: Share = 0.20

    # Layout and navigation.
    direction_border_deg: Degrees = 10.0
    turn_border_deg: Degrees = 15.0
    room_shown_share: Share = 0.7

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A complete configuration of what is visible, what is asked and how answers are written.

    Attributes:
        name: "default", "multispa-paper", or "custom" for anything else; not a key of a file.
        rules: What the index is made by.
        band_percent: Lowest and highest overlap of a pair, percent.
        bin_percent: Width of an overlap bin, percent.
        coverage: When frames show a side of an object: "extent" asks for both of its ends, "bins"
            also for everything between them, in tenths of the side; sets of 3 and 4 frames exist.
        rounding: Default rounding of every number in an answer.
        truncated_tasks: Tasks whose numbers are truncated toward zero instead.
        guards: The dead zones and thresholds.
        track_pool: Pairs of frames from which the bins of distance of a track are filled: those in
            which it moved, or all of them.
        track_cap: Most pairs of a bin: a fixed number, or the size of the track's fifth bin where
            that is smaller.
        track_reversed: Share of the pairs that are shown later frame first, in train and in val.
        track_pixel_offset: Metres added to z before a track is projected.
        quota: Rows for each task; "*" is the number for each scene and unnamed task.
        balance: How a bin's unused quota is carried: to the next bin, or evenly.
        word_strata: Whether what answers say is balanced: words, ranks of numbers, orders of pairs.
        letter_height_share: Height of the letter beside a mark, of W; marks carry their radius.
        wordings: Only so many descriptions, questions and answers of a task, the first; 0 = all.
        descriptions: Whether a question begins with a sentence about what is shown.
        families: Families of tasks that the recipe makes; () is every family that is installed.
        walks: Sets of frames of a scene that layout questions show: spread over the whole walk, and
            over stretches of it.
        budgets: Numbers of frames, rising, for which each record of a walk says whether they answer
            it, and with what; 0, the last, means all. docs/engines.md.
        unpublished: Whether it also makes tasks that stand in no published table.
    """

    name: Literal["default", "multispa-paper", "custom"] = "default"
    rules: Rules = field(default_factory=Rules)
    band_percent: tuple[Percent, Percent] = (10, 80)
    bin_percent: Annotated[int, Meta(ge=1, le=100, extra={"unit": "%"})] = 2
    coverage: Literal["extent", "bins"] = "extent"
    rounding: Literal["nearest", "truncate"] = "nearest"
    truncated_tasks: tuple[Name, ...] = ()
    guards: Guards = field(default_factory=Guards)
    track_pool: Literal["moving", "all"] = "moving"
    track_cap: Literal["fixed", "fifth_bin"] = "fixed"
    track_reversed: tuple[Share, Share] = (0.5, 0.5)
    track_pixel_offset: Annotated[float, Meta(ge=0, lt=1, extra={"unit": "m"})] = 0.0
    quota: Mapping[Name, Count] = field(default_factory=lambda: {"*": 40})
    balance: Literal["carry", "even"] = "carry"
    word_strata: bool = True
    letter_height_share: Share = 2.5 / 130
    wordings: Count = 0
    descriptions: bool = True
    families: tuple[Name, ...] = ()
    walks: Annotated[int, Meta(ge=1, le=16)] = 3
    budgets: tuple[Annotated[int, Meta(ge=0, le=10_000)], ...] = ()
    unpublished: bool = True

    def __post_init__(self) -> None:
        check_fields(self)
        ranks = [budget or 10_001 for budget in self.budgets]
        if ranks != sorted(set(ranks)) or 1 in ranks:
            raise ValueError(
                f"budgets {list(self.budgets)} must rise, from 2 frames on; 0, all, is the last"
            )
        lo, hi = self.band_percent
        if lo >= hi or (hi - lo) % self.bin_percent:
            raise ValueError(
                f"band_percent {list(self.band_percent)} must rise, and be a whole number of "
                f"bins of {self.bin_percent}"
            )

    def to_json(self) -> str:
        """Canonical JSON of every field; equal recipes give equal text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))


def decode_recipe(table: Mapping[str, Any], file: str, at: str = "$") -> Recipe:
    """The recipe whose `to_json` gave this table, or SettingsError; `at` is its place in a file."""
    recipe: Recipe = decode(Recipe, table, file, at)
    check_names(recipe, file, at)
    return recipe


def parse_recipe(text: str, file: str) -> Recipe:
    """Recipe from TOML text; SettingsError names the file, the key and the nearest right word."""
    return _recipe_of(parse_toml(text, file), file)


def _recipe_of(table: dict[str, Any], file: str) -> Recipe:
    if "name" in table:
        what = f"a recipe's name follows from what it holds ({', '.join(BUILT_IN)}, custom)"
        raise SettingsError(file, "$.name", what)
    rules = dataclasses.asdict(rules_of(table, file))
    return decode_recipe(table | {"rules": rules, "name": "custom"}, file)


def check_names(recipe: Recipe, file: str, at: str) -> None:
    """Refuse tasks and families that no engine makes, as `check_tasks`."""
    from spatial_engine.engines import engines
    from spatial_engine.records.task_name import family_of

    check_tasks([task for task in recipe.quota if task != "*"], file, f"{at}.quota")
    check_tasks(recipe.truncated_tasks, file, f"{at}.truncated_tasks")
    families = sorted({family_of(engine.task) for engine in engines()})
    for family in recipe.families:
        if family not in families:
            what = f"{family!r} is no family"
            raise SettingsError(file, f"{at}.families", what, nearest(family, families))


def check_tasks(tasks: Iterable[str], file: str, at: str) -> None:
    """SettingsError for a task that no engine makes; it names the nearest one."""
    from spatial_engine.engines import engines

    known = [engine.task for engine in engines()]
    for task in tasks:
        if task not in known:
            raise SettingsError(file, at, f"{task!r} is no task", nearest(task, known))


@cache
def _built_in(name: str) -> Recipe:
    text = (files("spatial_engine") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    return _named(parse_recipe(text, f"{name}.toml"), name)


def _named(recipe: Recipe, name: str) -> Recipe:
    changed: Recipe = dataclasses.replace(recipe, name=name)  # type: ignore[arg-type]
    return changed


def load_recipe(name: str | Path = "default") -> Recipe:
    """A built-in recipe by name, or one read from a TOML file.

    A file whose fields equal a built-in recipe's has that name, any other is `custom`.

    Raises:
        SettingsError: The name is unknown, or the file is not a recipe.
    """
    if str(name) in BUILT_IN:
        return _built_in(str(name))
    require_recipe_file(name, BUILT_IN)
    recipe = _recipe_of(read_toml(name), str(name))
    same = (built_in for built_in in BUILT_IN if _named(recipe, built_in) == _built_in(built_in))
    return _named(recipe, next(same, "custom"))


def recipe_for(rules: Rules) -> Recipe:
    """The recipe that is meant where only an index is named: the built-in one of its rules.

    The depth map may be another than the recipe's, as `index --depth-map sizes` makes it.

    Raises:
        ValueError: The rules are of a recipe file, which has to be named.
    """
    for name in BUILT_IN:
        recipe = _built_in(name)
        if recipe.rules == rules:
            return recipe
        if dataclasses.replace(recipe.rules, depth_map=rules.depth_map) == rules:
            return dataclasses.replace(recipe, name="custom", rules=rules)
    raise ValueError("the index has the rules of a recipe file; name that file with --recipe")
