# SPDX-License-Identifier: Apache-2.0
"""Recipes: the one place where visibility rule, overlap band, rounding and guards are fixed.

A recipe is a TOML file of the fields below. Two come with the package: `default` (guards on) and
`multispa-paper` (the published rules). Changing any field of either makes the recipe `custom`.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

BUILT_IN = ("default", "multispa-paper")
CHOICES = {
    "coverage": ("extent", "bins"),
    "segmentation": ("published", "robust"),
    "track_pool": ("moving", "all"),
    "track_cap": ("fixed", "fifth_bin"),
}
FAMILIES = (
    "camera_movement",
    "depth_perception",
    "visual_correspondence",
    "object_perception",
    "object_movement",
    "scene_layout",
    "spatial_relation",
    "navigation",
)


@dataclass(frozen=True, slots=True)
class Guards:
    """What makes a question well-defined. A limit of 0 (or the widest value) switches it off.

    The first block decides the `askable` mask and is part of the index; the rest is applied by the
    engines. Lengths in metres, angles in degrees, shares in [0, 1] of the image width W.
    """

    # Where a point may be asked about; stored as the index's `askable` mask.
    depth_min_m: float = 0.3
    depth_max_m: float = 6.0
    border: bool = True  # the mark's disc lies inside the image
    edge_share: float = 0.8  # of the valid readings in the disc, near z
    edge_relative: float = 0.05
    edge_absolute_m: float = 0.05
    agreement_relative: float = 0.05
    agreement_absolute_m: float = 0.03
    mark_radius_share: float = 1 / 130  # of W, at least 3 px

    # Camera movement.
    min_component_m: float = 0.05
    min_component_share: float = 0.10  # of the distance
    min_angle_deg: float = 5.0
    max_yaw_turn_deg: float = 170.0
    max_abs_pitch_deg: float = 60.0
    max_roll_change_deg: float = 20.0
    min_distance_m: float = 0.10

    # Points and marks.
    min_depth_gap_m: float = 0.15
    min_depth_gap_share: float = 0.10  # of the larger depth
    min_pixel_separation: float = 0.06  # of W
    min_coordinate_gap: int = 20  # of 1000
    distractor_pixel_share: float = 0.05  # of W
    distractor_distance_m: float = 0.15
    points_apart_share: float = 0.10  # of W, several samples in one frame

    # Objects; from how many vertices a frame sees one is a field of the recipe.
    object_other_share: float = 0.01  # another instance seen by more makes the category ambiguous
    object_unique: bool = True
    object_min_side_m: float = 0.10
    object_partial_vertices: int = 200

    # Tracks.
    moving_min_m: float = 0.05
    static_max_m: float = 0.01
    static_max_share: float = 0.20

    # Layout and navigation.
    direction_border_deg: float = 10.0
    turn_border_deg: float = 15.0

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if not isinstance(value, bool) and not value >= 0:
                raise ValueError(f"guards.{f.name} must not be negative, got {value}")

    @property
    def index_fields(self) -> dict[str, Any]:
        """The fields that the `askable` mask depends on."""
        names = [f.name for f in dataclasses.fields(self)]
        last = names.index("mark_radius_share")
        return {name: getattr(self, name) for name in names[: last + 1]}


@dataclass(frozen=True, slots=True)
class Recipe:
    """A complete configuration of what is visible, what is asked and how answers are written.

    Attributes:
        name: "default", "multispa-paper", or "custom" for anything else.
        rule: Depth rule, see `spatialcore.occlusion.DepthRule`.
        rule_relative: Share of z that the tolerance rule allows.
        rule_absolute_m: Least tolerance, metres.
        depth_map: Pixel map from colour to depth: by both intrinsics, or by the ratio of sizes.
        band_percent: Lowest and highest overlap of a pair, percent.
        bin_percent: Width of an overlap bin, percent.
        object_axes: "oriented" gravity-aligned box, or the "aligned" box of the room's axes.
        object_min_vertices: A frame sees an object from this many vertices on ...
        object_min_share: ... and from this share of its vertices on.
        coverage: When frames show a side of an object: "extent" asks for both of its ends, "bins"
            also for everything between them, in tenths of the side; sets of 3 and 4 frames exist.
        excluded_categories: Categories that are structure, not objects.
        excluded_on: Whether the raw or the canonical category is tested.
        askable: "guarded", or "visible" where every visible point may be asked.
        rounding: Default rounding of every number in an answer.
        truncated_tasks: Tasks whose numbers are truncated toward zero instead.
        guards: The dead zones and thresholds.
        segmentation: How tracks are clustered to rigid parts, see `spatialcore.rigid_segments`.
        track_pool: Pairs of frames from which the bins of distance of a track are filled: those in
            which it moved, or all of them.
        track_cap: Most pairs of a bin: a fixed number, or the size of the track's fifth bin where
            that is smaller.
        track_reversed: Share of the pairs that are shown later frame first, in train and in val.
        track_pixel_offset: Metres added to z before a track is projected.
        quota: Rows for each task; "*" is the number for each scene and unnamed task.
        balance: How a bin's unused quota is carried: to the next bin, or evenly.
        word_strata: Whether each word of a direction task gets an equal share of the quota.
        letter_height_share: Height of the letter beside a mark, of W; marks carry their radius.
        wordings: Only so many descriptions, questions and answers of a task, the first; 0 = all.
        descriptions: Whether a question begins with a sentence about what is shown.
        families: Families of tasks that the recipe makes.
    """

    name: str = "default"
    rule: Literal["tolerance", "strict"] = "tolerance"
    rule_relative: float = 0.1
    rule_absolute_m: float = 0.05
    depth_map: Literal["from_intrinsics", "from_sizes"] = "from_intrinsics"
    band_percent: tuple[int, int] = (10, 80)
    bin_percent: int = 2
    object_axes: Literal["oriented", "aligned"] = "oriented"
    object_min_vertices: int = 20
    object_min_share: float = 0.05
    coverage: Literal["extent", "bins"] = "extent"
    excluded_categories: tuple[str, ...] = ()
    excluded_on: Literal["canonical", "raw"] = "canonical"
    askable: Literal["guarded", "visible"] = "guarded"
    rounding: Literal["nearest", "truncate"] = "nearest"
    truncated_tasks: tuple[str, ...] = ()
    guards: Guards = field(default_factory=Guards)
    segmentation: Literal["published", "robust"] = "robust"
    track_pool: Literal["moving", "all"] = "moving"
    track_cap: Literal["fixed", "fifth_bin"] = "fixed"
    track_reversed: tuple[float, float] = (0.5, 0.5)
    track_pixel_offset: float = 0.0
    quota: Mapping[str, int] = field(default_factory=dict)
    balance: Literal["carry", "even"] = "carry"
    word_strata: bool = True
    letter_height_share: float = 2.5 / 130
    wordings: int = 0
    descriptions: bool = True
    families: tuple[str, ...] = FAMILIES

    def __post_init__(self) -> None:
        lo, hi = self.band_percent
        if not 0 <= lo < hi <= 100 or self.bin_percent < 1 or (hi - lo) % self.bin_percent:
            raise ValueError(
                f"band_percent {self.band_percent} must lie in 0..100 and be a whole number of "
                f"bins of {self.bin_percent}"
            )
        if self.wordings < 0:
            raise ValueError(f"wordings must not be negative, got {self.wordings}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        if len(self.track_reversed) != 2 or not all(0 <= s <= 1 for s in self.track_reversed):
            raise ValueError(f"track_reversed must be two shares, got {self.track_reversed}")
        if not 0 <= self.track_pixel_offset < 1:
            raise ValueError(f"track_pixel_offset must be small, got {self.track_pixel_offset}")

    def to_json(self) -> str:
        """Canonical JSON of every field; equal recipes give equal text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))

    def index_parts(self) -> dict[str, Any]:
        """The fields that an index depends on."""
        names = (
            "rule",
            "rule_relative",
            "rule_absolute_m",
            "depth_map",
            "object_axes",
            "object_min_vertices",
            "object_min_share",
            "excluded_categories",
            "excluded_on",
            "askable",
            "segmentation",
        )
        parts = {name: getattr(self, name) for name in names}
        if self.askable == "guarded":
            parts |= {f"guards.{k}": v for k, v in self.guards.index_fields.items()}
        return parts

    def index_hash(self) -> str:
        """Hash of the fields that an index depends on."""
        text = json.dumps(self.index_parts(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _checked(cls: type, table: Mapping[str, Any], where: str) -> dict[str, Any]:
    known = [f.name for f in dataclasses.fields(cls)]
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{where}: unknown key {key!r}{hint}")
    return {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}


def parse_recipe(text: str, where: str) -> Recipe:
    """Recipe from TOML text; ValueError names the file, the key and the nearest known one."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: {error}") from error
    fields = _checked(Recipe, table, where)
    fields["guards"] = Guards(**_checked(Guards, table.get("guards", {}), f"{where}: [guards]"))
    return Recipe(**fields)


def load_recipe(name: str | Path = "default") -> Recipe:
    """A built-in recipe by name, or one read from a TOML file.

    A file whose fields equal a built-in recipe's keeps that name, any other is `custom`.

    Raises:
        ValueError: The name is unknown, or the file is not a recipe.
    """
    if str(name) in BUILT_IN:
        source = files("spatialcore.index") / "recipes" / f"{name}.toml"
        return parse_recipe(source.read_text(encoding="utf-8"), f"{name}.toml")
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"{name}: neither a recipe file nor one of {', '.join(BUILT_IN)}")
    recipe = parse_recipe(path.read_text(encoding="utf-8"), str(path))
    for built_in in BUILT_IN:
        candidate = dataclasses.replace(recipe, name=built_in)
        if candidate.to_json() == load_recipe(built_in).to_json():
            return candidate
    return dataclasses.replace(recipe, name="custom")
