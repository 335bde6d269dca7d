# SPDX-License-Identifier: Apache-2.0
"""Names of parameters in files and in memory, and which public layout a file has.

| layout       | in the file                                   | in memory                      |
|--------------|-----------------------------------------------|--------------------------------|
| spatial-mllm | `spatial_encoder.vggt_model.*`, `connector.*` | the same                       |
| qwen         | `visual.*`, `model.*`, `lm_head.weight`       | the same                       |
| qwen-nested  | `model.visual.*`, `model.language_model.*`    | `visual.*`, `model.*`          |
| vggt         | `aggregator.*`, `camera_head.*`, ...          | `spatial_encoder.vggt_model.*` |
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from spatialcore.errors import SpatialCoreError

Layout = Literal["spatial-mllm", "qwen", "qwen-nested", "vggt"]

SPATIAL_PREFIX = "spatial_encoder.vggt_model."
MATCHING_PREFIX = SPATIAL_PREFIX + "aggregator.matching."
VGGT_ROOTS = ("aggregator.", "camera_head.", "point_head.", "depth_head.", "track_head.")
_FIRST_GENERATION = ("vggt.", "vggt_embedding_merger.")
# (prefix in the file, prefix in memory); the first that fits is taken.
_PREFIXES: dict[Layout, tuple[tuple[str, str], ...]] = {
    "spatial-mllm": (("", ""),),
    "qwen": (("", ""),),
    "qwen-nested": (
        ("model.visual.", "visual."),
        ("model.language_model.", "model."),
        ("lm_head.", "lm_head."),
    ),
    "vggt": tuple((root, SPATIAL_PREFIX + root) for root in VGGT_ROOTS),
}


class CheckpointFormatError(SpatialCoreError):
    """A checkpoint's files do not hold what the model needs; the message lists the names."""


def detect_layout(names: Iterable[str]) -> Layout:
    """Which public layout the parameter names of one checkpoint follow.

    Raises:
        CheckpointFormatError: The first generation of Spatial-MLLM (v1.0), or an unknown layout.
    """
    found = set(names)
    if any(name.startswith(_FIRST_GENERATION) for name in found):
        raise CheckpointFormatError(
            "this is a Spatial-MLLM v1.0 checkpoint (keys `vggt.*`, `vggt_embedding_merger.*`): "
            "its connector and merge order differ and cannot be converted; use the v1.1 weights"
        )
    if any(name.startswith(SPATIAL_PREFIX) for name in found):
        return "spatial-mllm"
    if any(name.startswith("aggregator.") for name in found):
        return "vggt"
    if any(name.startswith(("model.language_model.", "model.visual.")) for name in found):
        return "qwen-nested"
    if any(name.startswith("visual.") for name in found):
        return "qwen"
    shown = ", ".join(sorted(found)[:5])
    raise CheckpointFormatError(f"unknown checkpoint layout; its first names: {shown or 'none'}")


def to_memory(name: str, layout: Layout) -> str:
    """Name in memory of a parameter of a file; unknown names are returned as they are."""
    for in_file, in_memory in _PREFIXES[layout]:
        if name.startswith(in_file):
            return in_memory + name[len(in_file) :]
    return name


def is_tolerated(name: str, *, tied: bool) -> bool:
    """Whether a name in memory that the model does not have may be left out of loading.

    Heads of the spatial encoder that are not built, and a head that repeats tied embeddings.
    """
    if tied and name == "lm_head.weight":
        return True
    heads = tuple(SPATIAL_PREFIX + root for root in VGGT_ROOTS if root != "aggregator.")
    return name.startswith(heads)


def may_be_missing(name: str, *, init_connector: bool) -> bool:
    """Whether a parameter of the model may be absent from the files."""
    if name.endswith(".mask_token"):
        return True
    return init_connector and name.startswith(("connector.", MATCHING_PREFIX))
