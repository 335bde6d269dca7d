# SPDX-License-Identifier: Apache-2.0
"""The rules that an index depends on: what is visible, what counts as an object, what may be asked.

Two sets of rules come with the package, `default` and `multispa-paper`; a recipe file names one of
them (`rules = "default"`) or holds its own in a table `[rules]`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from spatialcore.errors import SettingsError
from spatialcore.settings import (
    Count,
    Factor,
    Metres,
    Name,
    Share,
    check_fields,
    decode,
    parse_toml,
    read_toml,
)
from spatialcore.settings_words import nearest

PRESETS = ("default", "multispa-paper")


@dataclass(frozen=True, slots=True)
class AskableGuards:
    """Where a point may be asked about: what the index's `askable` mask holds a visible point to.

    Attributes:
        depth_min_m: Least depth, metres.
        depth_max_m: Greatest depth, metres.
        border: Whether the mark's disc must lie inside the image.
        edge_share: Share of the valid readings in the disc that must be near the point's depth;
            0 switches it off.
        edge_relative: How near, as a share of the depth ...
        edge_absolute_m: ... and at least, metres.
        agreement_relative: How near the point's own reading must be, as a share of the depth ...
        agreement_absolute_m: ... and at least, metres.
        mark_radius_share: Radius of a mark, of the image width; at least 3 pixels.
    """

    depth_min_m: Metres = 0.3
    depth_max_m: Metres = 6.0
    border: bool = True
    edge_share: Share = 0.8
    edge_relative: Factor = 0.05
    edge_absolute_m: Metres = 0.05
    agreement_relative: Factor = 0.015
    agreement_absolute_m: Metres = 0.02
    mark_radius_share: Share = 1 / 130

    def __post_init__(self) -> None:
        check_fields(self)
        if self.depth_min_m > self.depth_max_m:
            raise ValueError(
                f"depth_min_m {self.depth_min_m} is above depth_max_m {self.depth_max_m}"
            )


@dataclass(frozen=True, slots=True)
class Rules:
    """What an index is made by.

    Attributes:
        rule: Depth rule, see `spatialcore.occlusion.DepthRule`.
        rule_relative: Share of the depth that the tolerance rule allows.
        rule_absolute_m: Least tolerance, metres.
        depth_map: Pixel map from colour to depth: by both intrinsics, or by the ratio of sizes.
        object_axes: "oriented" gravity-aligned box, or the "aligned" box of the room's axes.
        object_min_vertices: A frame sees an object from this many vertices on ...
        object_min_share: ... and from this share of its vertices on.
        objects: Which vertices tell that a frame shows an object: those on the "surface" that the
            depth map itself shows, or all that the depth rule calls "visible".
        surface_relative: Noise of the sensor as a share of the depth: how near to its reading a
            vertex on the surface must be ...
        surface_absolute_m: ... and at least, metres.
        surface_share: Least share of an object's vertices in the image that must be on the
            surface; of a whole object in plain view it is about a half.
        object_points: Which labelled points of a cloud built from depth are an object's: the
            largest dense "cluster", or "all", strays of its masks included.
        excluded_categories: Categories that are structure, not objects.
        excluded_on: Whether the raw or the canonical category is tested.
        askable: "guarded", or "visible" where every visible point may be asked.
        segmentation: How tracks are clustered to rigid parts, see `spatialcore.rigid_segments`.
        guards: Where a point may be asked about.
    """

    rule: Literal["tolerance", "strict"] = "tolerance"
    rule_relative: Share = 0.1
    rule_absolute_m: Metres = 0.05
    depth_map: Literal["from_intrinsics", "from_sizes"] = "from_intrinsics"
    object_axes: Literal["oriented", "aligned"] = "oriented"
    object_min_vertices: Count = 20
    object_min_share: Share = 0.05
    objects: Literal["surface", "visible"] = "surface"
    surface_relative: Share = 0.015
    surface_absolute_m: Metres = 0.02
    surface_share: Share = 0.15
    object_points: Literal["cluster", "all"] = "cluster"
    excluded_categories: tuple[Name, ...] = (
        "wall",
        "floor",
        "ceiling",
        "window",
        "door frame",
        "window sill",
        "object",
        "unknown",
        "remove",
        "structure",
    )
    excluded_on: Literal["canonical", "raw"] = "canonical"
    askable: Literal["guarded", "visible"] = "guarded"
    segmentation: Literal["published", "robust"] = "robust"
    guards: AskableGuards = field(default_factory=AskableGuards)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def name(self) -> str:
        """The preset that these rules are, or "custom"."""
        return next((name for name in PRESETS if preset(name) == self), "custom")

    def parts(self) -> dict[str, Any]:
        """The fields that decide an index, by name; what is switched off decides nothing."""
        table = dataclasses.asdict(self)
        if self.objects == "visible":
            table = {name: v for name, v in table.items() if not name.startswith("surface_")}
        guards = table.pop("guards")
        if self.askable == "guarded":
            table |= {f"guards.{key}": value for key, value in guards.items()}
        return table

    def hash(self) -> str:
        """Hash of what decides an index; equal rules give equal files."""
        text = json.dumps(self.parts(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def difference(self, other: Rules) -> str:
        """The first field on which two indexes would differ, with both values; "" when none."""
        mine, theirs = self.parts(), other.parts()
        for name in sorted(mine.keys() | theirs.keys()):
            if mine.get(name) != theirs.get(name):
                return f"{name} is {mine.get(name)!r}, not {theirs.get(name)!r}"
        return ""


@cache
def preset(name: str) -> Rules:
    """The rules that come with the package under a name."""
    text = (files("spatialcore.index") / "presets" / f"{name}.toml").read_text(encoding="utf-8")
    made: Rules = decode(Rules, parse_toml(text, f"{name}.toml"), f"{name}.toml")
    return made


def rules_of(table: dict[str, Any], file: str) -> Rules:
    """The rules of a recipe's tables: `rules` is a preset's name, a table, or left out.

    Raises:
        SettingsError: The preset is unknown, or the table holds no rules.
    """
    if "rules" not in table and (typo := nearest("rules", table)):
        key = typo.strip("'")
        raise SettingsError(file, f"$.{key}", f"there is no setting {typo} here", "'rules'")
    value = table.get("rules", "default")
    if isinstance(value, str):
        if value not in PRESETS:
            what = f"{value!r} is not one of {', '.join(PRESETS)}"
            raise SettingsError(file, "$.rules", what, nearest(value, PRESETS))
        return preset(value)
    made: Rules = decode(Rules, value, file, "$.rules")
    return made


def load_rules(name: str | Path = "default") -> Rules:
    """Rules by the name of a preset, or those of a recipe file; its questions are not read.

    Raises:
        SettingsError: The name is unknown, or the file holds no rules.
    """
    if str(name) in PRESETS:
        return preset(str(name))
    require_recipe_file(name, PRESETS)
    return rules_of(read_toml(name), str(name))


def require_recipe_file(name: str | Path, known: tuple[str, ...]) -> None:
    """SettingsError when a name is neither a known one nor a file."""
    if not Path(name).is_file():
        what = f"neither a recipe file nor one of {', '.join(known)}"
        raise SettingsError("--recipe", str(name), what, nearest(name, known))
