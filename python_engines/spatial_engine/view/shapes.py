# SPDX-License-Identifier: Apache-2.0
"""Lines and labels of a drawing, as data: pages get them as JSON, `svg` writes them as a picture.

A line is `[name, d]` with the path data of SVG, a label `[name, x, y, text]`. The name is a class
of `drawing.css`, which alone knows colours and widths; a line that only moves and stops is a dot.
Coordinates of a map are whole centimetres, x to the right and y downward on the page; those of an
image are its pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import TypeAlias
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

Shape: TypeAlias = list[str | int]
Box: TypeAlias = tuple[int, int, int, int]  # x, y, width, height

_HEAD = 0.16  # of an arrow's length; between these, in the drawing's units
_HEAD_LEAST, _HEAD_MOST = 6.0, 28.0
_FAR = 100_000  # what lies beyond is not drawn


def line(name: str, points: ArrayLike, *, closed: bool = False) -> Shape:
    """A line through (N, 2) points."""
    whole = np.rint(np.clip(np.asarray(points, dtype=np.float64), -_FAR, _FAR)).astype(int)
    text = "L".join(f"{x} {y}" for x, y in whole.tolist())
    return [name, f"M{text}{'Z' if closed else ''}"]


def lines(name: str, parts: Iterable[ArrayLike]) -> Shape:
    """Several lines as one."""
    return [name, "".join(str(line(name, part)[1]) for part in parts)]


def dot(name: str, point: ArrayLike) -> Shape:
    """A dot, whose size is the width of its line."""
    x, y = np.rint(np.asarray(point, dtype=np.float64)).astype(int).tolist()
    return [name, f"M{x} {y}h0"]


def ring(name: str, point: ArrayLike, radius: float) -> Shape:
    """A circle around a point."""
    x, y = np.rint(np.asarray(point, dtype=np.float64)).astype(int).tolist()
    r = round(radius)
    return [name, f"M{x - r} {y}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0"]


def label(name: str, point: ArrayLike, text: str) -> Shape:
    """A word at a point."""
    x, y = np.rint(np.asarray(point, dtype=np.float64)).astype(int).tolist()
    return [name, x, y, text]


def arrow(name: str, start: ArrayLike, end: ArrayLike) -> Shape:
    """An arrow; a dot where both ends are one."""
    a, b = (np.asarray(p, dtype=np.float64) for p in (start, end))
    length = math.hypot(*(b - a))
    if length < 1:
        return dot(name, a)
    along = (b - a) / length * min(max(_HEAD * length, _HEAD_LEAST), _HEAD_MOST)
    across = np.array([-along[1], along[0]]) * 0.5
    return lines(name, [[a, b], [b - along + across, b, b - along - across]])


def cells(name: str, grid: NDArray[np.bool_], origin: ArrayLike, side: float) -> Shape:
    """The set cells of a grid as filled runs, row by row.

    Args:
        name: Class of the line.
        grid: (H, W) bool; row 0 lies at the least y of the world.
        origin: (2,) outer corner of cell (0, 0) on the page, whose y runs downward.
        side: Side of a cell on the page.
    """
    x0, y0 = np.asarray(origin, dtype=np.float64)
    parts = []
    for row, values in enumerate(grid):
        edges = np.flatnonzero(np.diff(values.astype(np.int8), prepend=0, append=0))
        for start, stop in edges.reshape(-1, 2).tolist():
            left, right = round(x0 + start * side), round(x0 + stop * side)
            top, bottom = round(y0 - (row + 1) * side), round(y0 - row * side)
            parts.append(f"M{left} {top}H{right}V{bottom}H{left}Z")
    return [name, "".join(parts)]


def bounds(points: ArrayLike, margin: float = 0.0) -> Box:
    """The box around (N, 2) points, wider by `margin` on all sides."""
    p = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    p = p[np.isfinite(p).all(axis=1)]
    if not len(p):
        return (-100, -100, 200, 200)
    low, high = np.floor(p.min(axis=0) - margin), np.ceil(p.max(axis=0) + margin)
    width, height = np.maximum(high - low, 1)
    return int(low[0]), int(low[1]), int(width), int(height)


def drawing_style() -> str:
    """The rules of `drawing.css`."""
    return (files("spatial_engine.view") / "page" / "drawing.css").read_text(encoding="utf-8")


def font_size(box: Box) -> float:
    """Height of a map's letters, in its units: alike on the page for every room."""
    return max(box[2], box[3]) / 26


def svg(
    shapes: Sequence[Shape],
    box: Box,
    *,
    title: str,
    style: bool = False,
    floor: Sequence[Shape] = (),
    base: str = "",
) -> str:
    """The shapes as the text of an SVG picture.

    Args:
        shapes: What is drawn, the lowest first.
        box: The part of the drawing that is shown.
        title: Said by screen readers.
        style: Whether the picture carries its own rules, to be looked at alone.
        floor: What lies below everything else.
        base: Id of the `symbol` that lies below the shapes, or "".
    """
    view = " ".join(map(str, box))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" viewBox="{view}" role="img"'
    parts = [f'{head} font-size="{font_size(box):.4g}"><title>{escape(title)}</title>']
    if style:
        parts.append(f"<style>{drawing_style()}</style>")
    parts += map(_element, floor)
    if base:
        parts.append(f'<use href="#{base}"/>')
    return "".join([*parts, *map(_element, shapes), "</svg>"])


def symbol(shapes: Sequence[Shape], name: str) -> str:
    """An unseen picture whose shapes other pictures of the page lie on; see `svg`."""
    inner = "".join(map(_element, shapes))
    return (
        f'<svg class="drawing" width="0" height="0"><defs><g id="{name}">{inner}</g></defs></svg>'
    )


def _element(shape: Shape) -> str:
    name = escape(str(shape[0]), {'"': "&quot;"})
    if len(shape) == 2:
        return f'<path class="{name}" d="{shape[1]}"/>'
    _, x, y, text = shape
    return f'<text class="{name}" x="{x}" y="{y}">{escape(str(text))}</text>'
