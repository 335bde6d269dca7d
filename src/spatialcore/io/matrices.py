# SPDX-License-Identifier: Apache-2.0
"""Matrices in text files, what makes a pose usable, and which way is up."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from spatialcore.errors import SceneFormatError
from spatialcore.io.intrinsics import focal_fault
from spatialcore.io.paths import read_text, read_typed
from spatialcore.io.refusals import present
from spatialcore.types import Camera, Float64

# Entries of R^T R - I; text with three decimals is as far as this from a rotation. A scale of 1.001
# is twice 1e-3 there.
_RIGID_TOLERANCE = 2e-3
# Positions beyond this are damage, and their squares would overflow float32 clouds.
_FARTHEST_M = 1e6
_UP_MIN_NORM = 0.8
Coordinate = Annotated[float, Meta(ge=-1e9, le=1e9)]
_AXES = {"x": 0, "y": 1, "z": 2}
_NUMBERS, _TOO_LARGE = frozenset((int, float)), 1e15


def is_number(value: object) -> bool:
    """Whether a value out of JSON is a number that float64 holds; not a bool."""
    return type(value) is float or (type(value) is int and abs(value) < 1 << 53)


def parse_words(words: Iterable[str], path: Path) -> Float64:
    """One number a word: float64 (n,); may be non-finite."""
    try:
        return np.fromiter(map(float, words), np.float64)
    except ValueError as error:
        raise SceneFormatError(
            path, f"holds a word that is no number: {str(error)[:80]}", code="matrix_bad"
        ) from error


def number_rows(
    rows: Iterable[Sequence[str]], width: int, path: Path, what: str, *, longer: bool = False
) -> Float64:
    """Numbers of a list: float64 (n, width); may be non-finite.

    The words of one row are held at a time: of a long list they take ten times its bytes.

    Args:
        rows: The words of each row.
        width: How many are numbers, from the first.
        path: Named in errors.
        what: What is wrong with a row of another length.
        longer: Whether rows may have more words.

    Raises:
        SceneFormatError: A row of another length (code "list_bad"), or a word that is no number.
    """

    def words() -> Iterator[str]:
        for row in rows:
            if len(row) < width or (len(row) > width and not longer):
                raise SceneFormatError(path, what, code="list_bad")
            yield from row[:width]

    return parse_words(words(), path).reshape(-1, width)


def parse_numbers(text: str, path: Path) -> Float64:
    """Every number of a text, whitespace or commas between: float64 (n,); may be non-finite."""
    return parse_words(text.replace(",", " ").split(), path)


def read_matrix(path: Path, *shapes: tuple[int, int]) -> Float64:
    """A matrix of one of `shapes` from a text file: float64, entries may be non-finite.

    Raises:
        SceneFormatError: The file is missing, is not text, or holds another count of numbers.
    """
    numbers = parse_numbers(read_text(path, 1 << 16), path)
    for rows, columns in shapes:
        if numbers.size == rows * columns:
            return numbers.reshape(rows, columns)
    wanted = " or ".join(f"{r}x{c}" for r, c in shapes)
    raise SceneFormatError(
        path, f"holds {numbers.size} numbers, expected a {wanted} matrix", code="matrix_bad"
    )


def read_K(path: Path) -> Float64:  # noqa: N802
    """K (3, 3) of a text file: as a 3x3 or 4x4 matrix, or as the four numbers fx fy cx cy.

    Raises:
        SceneFormatError: As `read_matrix`.
    """
    found = read_matrix(path, (4, 4), (3, 3), (1, 4))
    if found.shape == (1, 4):
        fx, fy, cx, cy = found[0].tolist()
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    return found[:3, :3]


def read_intrinsic(path: Path, width: int, height: int) -> Camera:
    """The pinhole camera whose K the text file `path` holds, see `read_K`."""
    return make_camera(read_K(path), width, height, path)


def make_camera(K: Float64, width: int, height: int, path: Path) -> Camera:
    """Camera of the top-left 3x3 of `K`.

    Raises:
        SceneFormatError: K is unusable (code "intrinsic"), or its principal point lies outside the
            image (code "principal_point_outside").
    """
    top = np.array(K[:3, :3], dtype=np.float64)
    if top[0, 0] < 0 or top[1, 1] < 0:
        raise SceneFormatError(
            path,
            "has a mirrored axis: a focal length is negative",
            "the poses have to say where the camera looks, and K that x is right and y down",
            code="source_contradicts",
        )
    try:
        if not (top[2] == (0.0, 0.0, 1.0)).all() or top[1, 0] != 0:
            raise ValueError("K must be upper triangular with last row (0, 0, 1)")
        camera = Camera(top, width, height)
    except ValueError as error:
        raise SceneFormatError(path, str(error), code="intrinsic") from error
    if not (0 <= top[0, 2] < width and 0 <= top[1, 2] < height):
        raise SceneFormatError(
            path,
            f"has its principal point ({top[0, 2]:.1f}, {top[1, 2]:.1f}) outside the "
            f"{width}x{height} image",
            "K belongs to images of another size: scale it with them",
            code="principal_point_outside",
        )
    if focal_fault(top, width):
        raise SceneFormatError(
            path,
            f"has a focal length of {top[0, 0]:.3g} pixels for images {width} wide",
            "no lens is as wide or as long",
            code="intrinsic_out_of_range",
        )
    return camera


def matrix_rows(rows: Any, *shapes: tuple[int, int]) -> Float64 | None:
    """A matrix out of JSON, as a list of rows.

    Args:
        rows: What was stored.
        shapes: (rows, columns) that it may have.

    Returns:
        float64, all NaN where an entry is not finite or has sixteen digits before the point; None
        where it is no matrix of numbers of one of the shapes.

    Example:
        >>> matrix_rows([[1, 2.5]], (1, 2)), matrix_rows([[1, "2"]], (1, 2))
        (array([[1. , 2.5]]), None)
    """
    if type(rows) is not list or not all(type(row) is list for row in rows):
        return None
    width = len(rows[0]) if rows else 0
    numbers = [x for row in rows for x in row]
    if (len(rows), width) not in shapes or len(numbers) != len(rows) * width:
        return None
    if not _NUMBERS.issuperset(map(type, numbers)) or any(len(row) != width for row in rows):
        return None
    if not all(map(_TOO_LARGE.__gt__, map(abs, numbers))):
        return np.full((len(rows), width), np.nan)
    return np.array(numbers, dtype=np.float64).reshape(len(rows), width)


def pose_reason(world_from_cam: Float64) -> str:
    """Why a (4, 4) pose cannot be used, or "" when it can.

    "pose_nonfinite", "pose_mirrored" where it is a rotation but for one axis, "pose_not_rigid".
    """
    # Plain floats: numpy's overhead on 4x4 matrices was a third of the time to open a scene.
    numbers: list[float] = world_from_cam.ravel().tolist()
    if not all(map(math.isfinite, numbers)):
        return "pose_nonfinite"
    x0, y0, z0, t0, x1, y1, z1, t1, x2, y2, z2, t2, *last = numbers
    largest = max(map(abs, (x0, x1, x2, y0, y1, y2, z0, z1, z2)))
    if largest > 2 or max(abs(t0), abs(t1), abs(t2)) > _FARTHEST_M:
        return "pose_not_rigid"
    away = max(
        abs(x0 * x0 + x1 * x1 + x2 * x2 - 1),
        abs(y0 * y0 + y1 * y1 + y2 * y2 - 1),
        abs(z0 * z0 + z1 * z1 + z2 * z2 - 1),
        abs(x0 * y0 + x1 * y1 + x2 * y2),
        abs(x0 * z0 + x1 * z1 + x2 * z2),
        abs(y0 * z0 + y1 * z1 + y2 * z2),
    )
    volume = (x1 * y2 - x2 * y1) * z0 + (x2 * y0 - x0 * y2) * z1 + (x0 * y1 - x1 * y0) * z2
    affine = max(abs(last[0]), abs(last[1]), abs(last[2]), abs(last[3] - 1)) <= 1e-6
    if away > _RIGID_TOLERANCE or not affine:
        return "pose_not_rigid"
    return "" if volume > 0 else "pose_mirrored"


def rigid_alignment(aligned_from_world: Float64, path: Path) -> Float64:
    """The (4, 4) change of world, checked to keep lengths: a rotation and a translation.

    Raises:
        SceneFormatError: It scales, mirrors or shears (code "alignment_not_rigid").
    """
    if pose_reason(aligned_from_world):
        raise SceneFormatError(
            path,
            "has an axis alignment that is no rotation and translation",
            "it would change every length",
            code="alignment_not_rigid",
        )
    return aligned_from_world


def unit_vector(values: Iterable[float]) -> Float64 | None:
    """`values` scaled to length 1: (3,) float64, or None when it is no direction."""
    v = np.array([float(x) for x in values], dtype=np.float64)
    length = math.sqrt(float((v * v).sum())) if v.shape == (3,) and np.isfinite(v).all() else 0.0
    return v / length if 1e-9 < length < 1e9 else None


def parse_world_up(text: str) -> Float64 | None:
    """The up direction that an option names.

    Args:
        text: "x,y,z" numbers, or an axis with an optional sign such as "z", "+y", "-y"; "auto"
            means estimate it.

    Returns:
        (3,) unit vector float64, or None for "auto".

    Raises:
        ValueError: The text is none of these.
    """
    word = text.strip().lower()
    if word == "auto":
        return None
    axis = word.lstrip("+-")
    if axis in _AXES and len(word) - len(axis) <= 1:
        up = np.zeros(3)
        up[_AXES[axis]] = -1.0 if word.startswith("-") else 1.0
        return up
    try:
        vector = unit_vector(float(part) for part in word.split(","))
    except ValueError:
        vector = None
    if vector is None:
        raise ValueError(f"world up must be x,y,z or +x -x ... +z -z or auto, got {text!r}")
    return vector


def estimate_up(world_from_cam: Iterable[Float64]) -> Float64 | None:
    """Minus the mean camera-down axis of (4, 4) poses, or None when its length is under 0.8.

    Cameras that are held upright agree on it; a camera that rolls or looks straight down does
    not. docs/contracts.md, section 1, gives the rule.
    """
    down = [np.asarray(m, dtype=np.float64)[:3, 1] for m in world_from_cam]
    if not down:
        return None
    mean = -np.mean(down, axis=0)
    return unit_vector(mean) if math.sqrt(float((mean * mean).sum())) >= _UP_MIN_NORM else None


@dataclass(frozen=True, slots=True)
class SceneMeta:
    """What a file `scene_meta.json` may say of the folders beside and below it.

    Attributes:
        metric: Whether lengths are metres; null: what the layout says.
        world_up: Up in the source's world, of any length but 0; null: unknown.
        depth_scale: Metres of a unit of the depth images; null: what the layout says.
    """

    metric: bool | None = None
    world_up: tuple[Coordinate, Coordinate, Coordinate] | None = None
    depth_scale: Annotated[float, Meta(gt=0, lt=1e3, extra={"unit": "m"})] | None = None


def read_scene_meta(folder: Path) -> dict[str, Any]:
    """`scene_meta.json` of a folder, checked: world_up (3,) or None, metric, depth_scale or None.

    Returns:
        {} when the folder has none.

    Raises:
        SceneFormatError: The file is malformed, or a field has another type.
    """
    path = folder / "scene_meta.json"
    if not present(path):
        return {}
    stored = read_typed(SceneMeta, path, "scene_meta_bad")
    up = None if stored.world_up is None else unit_vector(stored.world_up)
    if stored.world_up is not None and up is None:
        what = f"$.world_up: {list(stored.world_up)} is no direction"
        raise SceneFormatError(path, what, code="scene_meta_bad")
    return {"world_up": up, "metric": stored.metric, "depth_scale": stored.depth_scale}
