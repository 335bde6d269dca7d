# SPDX-License-Identifier: Apache-2.0
"""Marks on images: what a question points at, and the only code that draws it.

A mark is stored as numbers in the record and drawn when the image is opened, so generating a
record decodes no image. A disc, the frame of a box or the line around a mask carries a white and a
black ring and shows on any background.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from spatial_engine.records.runs import cells_of, runs_fault

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

# Saturated colours that differ in hue and lightness, also for the common colour deficiencies.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (230, 25, 25),
    "green": (20, 170, 60),
    "blue": (30, 80, 235),
    "yellow": (250, 220, 0),
    "orange": (245, 130, 0),
    "purple": (145, 30, 180),
    "cyan": (0, 190, 220),
    "magenta": (240, 30, 200),
}
Refer = Literal["", "boxed", "pointed", "masked"]
"""How a question points at objects; "" where it names them."""
CELLS = 50
"""Cells across an image, of what it shows of an object."""
_TINT = 0.4  # of a mask's colour over what it covers
_SUPERSAMPLING = 4  # the drawing is made this much larger and reduced, for smooth rings
_CORNERS = ((1, -1), (-1, -1), (1, 1), (-1, 1))  # right-up, left-up, right-down, left-down


@dataclass(frozen=True, slots=True)
class Mark:
    """A disc, the frame of a box, or a mask on an image, with a letter beside it or none.

    Attributes:
        u: Column of the centre, pixels.
        v: Row of the centre, pixels.
        radius: Radius of the disc without its rings, pixels; the line of a box or a mask is half as
            wide.
        colour: A key of `COLOURS`.
        letter: "A" to "D", or "".
        width: From the first to the last column of a box, or of the box around what a mask covers,
            pixels; 0 for a disc.
        height: From its first to its last row, pixels; 0 for a disc.
        runs: Of a mask: row, first and last column of each run of its cells (`records.runs`).
    """

    u: float
    v: float
    radius: int
    colour: str
    letter: str = ""
    width: float = 0.0
    height: float = 0.0
    runs: tuple[int, ...] = ()

    @property
    def is_box(self) -> bool:
        """Whether it is the frame of a box."""
        return self.width > 0 and self.height > 0 and not self.runs

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """First column, first row, last column and last row that it frames; of a disc its place."""
        u, v, half_w, half_h = self.u, self.v, 0.5 * self.width, 0.5 * self.height
        return u - half_w, v - half_h, u + half_w, v + half_h

    def fault(self, width: int, height: int) -> str:
        """What is wrong with it on an image of so many pixels, or ""."""
        sizes = (self.u, self.v, self.width, self.height, self.radius)
        if any(one is None for one in (*sizes, self.colour, self.letter)):  # null in a file
            return "a mark lacks a number or a word"
        if not all(map(math.isfinite, sizes)):
            return "a mark is not finite"
        if self.runs and not (self.width > 0 and self.height > 0):
            return "a mask has no box around it"
        if self.width < 0 or self.height < 0 or bool(self.width) != bool(self.height):
            return f"a mark of {self.width:g}x{self.height:g} pixels is neither disc nor box"
        u0, v0, u1, v1 = self.corners
        if u0 < 0 or v0 < 0 or u1 >= width or v1 >= height:
            kind = "box around" if self.width else "mark at"
            return f"a {kind} ({self.u:g}, {self.v:g}) lies outside its {width}x{height} image"
        if not 1 <= self.radius <= max(width, height):
            return f"a mark of radius {self.radius} on an image of {width}x{height}"
        if self.colour not in COLOURS or len(self.letter) > 1:
            return f"a mark of colour {self.colour[:20]!r} with the letter {self.letter[:20]!r}"
        return runs_fault(self.runs, (width, height))


def cell_of(x: float, y: float, size: tuple[int, int]) -> tuple[int, int]:
    """Column and row of the cell that holds a point in 0..1000 of an image of W x H pixels.

    Example:
        >>> cell_of(500, 1000, (640, 480))
        (25, 37)
    """
    width, height = size
    last = math.ceil(CELLS * height / width) - 1
    column, row = math.floor(CELLS * x / 1000), math.floor(CELLS * y * height / (1000 * width))
    return min(max(column, 0), CELLS - 1), min(max(row, 0), last)


def box_mark(corners: tuple[float, float, float, float], width: int, colour: str) -> Mark:
    """The frame of a box on an image of `width` columns.

    Args:
        corners: First column, first row, last column and last row, pixels.
        width: Columns of the image.
        colour: A key of `COLOURS`.

    Example:
        >>> box_mark((10, 20, 50, 40), 648, "red").corners
        (10.0, 20.0, 50.0, 40.0)
    """
    u0, v0, u1, v1 = corners
    centre = 0.5 * (u0 + u1), 0.5 * (v0 + v1)
    size = float(u1 - u0), float(v1 - v0)
    return Mark(*centre, mark_radius(width), colour, "", *size)


def mask_mark(
    runs: tuple[int, ...], corners: tuple[float, float, float, float], width: int, colour: str
) -> Mark:
    """A mask on an image of `width` columns.

    Args:
        runs: Runs of its cells, one or more.
        corners: The box around what it covers, as of `box_mark`.
        width: Columns of the image.
        colour: A key of `COLOURS`.
    """
    return replace(box_mark(corners, width, colour), runs=runs)


def mark_radius(width: int, share: float = 1 / 130) -> int:
    """Radius of a mark on an image of `width` columns: max(3, round(share * width)) pixels.

    Example:
        >>> mark_radius(1296), mark_radius(320)
        (10, 3)
    """
    return max(3, round(share * width))


def letter_height(width: int, share: float) -> int:
    """Height of a mark's letter for `width` columns: max(8, round(share * width)) pixels.

    Example:
        >>> letter_height(640, 2.5 / 130), letter_height(640, 0.06)
        (12, 38)
    """
    return max(8, round(share * width))


def letter_corner(
    mark: Mark, others: Sequence[Mark], size: tuple[int, int], height: int
) -> tuple[int, int]:
    """Centre of the mark's letter: the first diagonal corner that is on the canvas and free.

    A corner is free when the letter's square stays off every other disc; when none is, the first
    one on the canvas is taken, moved inside where it must be.

    Args:
        mark: The mark whose letter is placed.
        others: The other marks of the image.
        size: (W, H) of the image.
        height: Height of the letter, pixels.

    Returns:
        (column, row) of the letter's centre, pixels.
    """
    half = (height + 1) // 2 + 1
    if mark.width:  # inside the upper left corner of a box
        u, v = (round(corner) + mark.radius + half for corner in mark.corners[:2])
        return min(max(u, half), size[0] - half - 1), min(max(v, half), size[1] - half - 1)
    reach = mark.radius + 2 + half
    on_canvas: list[tuple[int, int]] = []
    for sign_u, sign_v in _CORNERS:
        u, v = round(mark.u) + sign_u * reach, round(mark.v) + sign_v * reach
        if not (half <= u < size[0] - half and half <= v < size[1] - half):
            continue
        on_canvas.append((u, v))
        gaps = [max(abs(u - other.u), abs(v - other.v)) - other.radius - 2 for other in others]
        if all(gap >= half for gap in gaps):
            return u, v
    if on_canvas:
        return on_canvas[0]
    u, v = round(mark.u) + reach, round(mark.v) - reach
    return min(max(u, half), size[0] - half - 1), min(max(v, half), size[1] - half - 1)


def draw_marks(image: PilImage, marks: Sequence[Mark], *, letter_height: int) -> PilImage:
    """The image with its marks drawn: discs, frames and masks with white and black rings, letters.

    Args:
        image: PIL image of the size the marks were made for; it is not changed.
        marks: Marks in pixels of this image.
        letter_height: Height of the letters, pixels.

    Returns:
        A new RGB image, or the image itself, converted to RGB, when there are no marks.

    Raises:
        ValueError: A mark lies outside the image, is larger than it, or its colour is unknown.
    """
    canvas = image.convert("RGB")
    if not marks:
        return canvas
    canvas = canvas.copy() if canvas is image else canvas
    for mark in marks:
        if fault := mark.fault(*canvas.size):
            raise ValueError(fault)
    # Discs and small boxes lie on top, masks below.
    for mark in sorted(marks, key=lambda one: (not one.runs, -one.width)):
        draw = _draw_mask if mark.runs else _draw_frame if mark.is_box else _draw_disc
        draw(canvas, mark)
    for mark in marks:
        if mark.letter:
            others = [other for other in marks if other is not mark]
            corner = letter_corner(mark, others, canvas.size, letter_height)
            _draw_letter(canvas, mark, corner, letter_height)
    return canvas


def _draw_disc(canvas: PilImage, mark: Mark) -> None:
    from PIL import Image, ImageDraw

    ring = max(1, round(mark.radius * 0.2))
    outer = mark.radius + 2 * ring
    side, scale = 2 * outer + 1, _SUPERSAMPLING
    mask_of = {}
    for name, radius in (("black", outer), ("white", mark.radius + ring), ("disc", mark.radius)):
        mask = Image.new("L", (side * scale, side * scale), 0)
        centre, reach = side * scale / 2, (radius + 0.5) * scale
        box = (centre - reach, centre - reach, centre + reach - 1, centre + reach - 1)
        ImageDraw.Draw(mask).ellipse(box, fill=255)
        mask_of[name] = mask.resize((side, side), Image.Resampling.BOX)
    corner = (round(mark.u) - outer, round(mark.v) - outer)
    for name, colour in (
        ("black", (0, 0, 0)),
        ("white", (255, 255, 255)),
        ("disc", COLOURS[mark.colour]),
    ):
        canvas.paste(colour, (*corner, corner[0] + side, corner[1] + side), mask_of[name])


def _draw_frame(canvas: PilImage, mark: Mark) -> None:
    """A line around the box, just outside of it, between a black and a white one."""
    from PIL import ImageDraw

    line = max(2, round(mark.radius * 0.5))
    ring = max(1, line // 3)
    u0, v0, u1, v1 = mark.corners
    pen, first, last = ImageDraw.Draw(canvas), (round(u0), round(v0)), (round(u1), round(v1))
    for colour, inner, wide in (
        ((0, 0, 0), line + ring, ring),
        (COLOURS[mark.colour], 0, line),
        ((255, 255, 255), -ring, ring),
    ):
        # Away from the box by `inner`, but always on the canvas.
        reach = inner + wide
        corner = [max(0, c - reach) for c in first]
        other = [min(side - 1, c + reach) for c, side in zip(last, canvas.size, strict=True)]
        pen.rectangle((*corner, *other), outline=colour, width=wide)


def _draw_mask(canvas: PilImage, mark: Mark) -> None:
    """A tint over the cells, whose edge is smoothed, and a line around it, as of a frame."""
    from PIL import Image, ImageChops, ImageFilter

    line = max(2, round(mark.radius * 0.5))
    ring = max(1, line // 3)
    cells = cells_of(mark.runs, canvas.size)
    columns, (width, height) = cells.shape[1], canvas.size
    whole = Image.fromarray(np.where(cells, 255, 0).astype(np.uint8)).resize(
        canvas.size, Image.Resampling.BICUBIC, box=(0, 0, columns, columns * height / width)
    )
    covered = whole.point([0] * 128 + [255] * 128)
    reach = line + ring
    u0, v0, u1, v1 = covered.getbbox() or (0, 0, 0, 0)
    at = max(0, u0 - reach), max(0, v0 - reach), min(width, u1 + reach), min(height, v1 + reach)
    covered = covered.crop(at)
    canvas.paste(COLOURS[mark.colour], at, covered.point([0] * 255 + [round(255 * _TINT)]))

    def grown(image: PilImage, pixels: int, by: ImageFilter.RankFilter) -> PilImage:
        for _ in range(pixels):
            image = image.filter(by)
        return image

    less, more = ImageFilter.MinFilter(3), ImageFilter.MaxFilter(3)
    inner, outer = grown(covered, ring, less), grown(covered, line, more)
    rim = grown(outer, ring, more)
    for colour, area, without in (
        ((255, 255, 255), covered, inner), (COLOURS[mark.colour], outer, covered),
        ((0, 0, 0), rim, outer),
    ):  # fmt: skip
        canvas.paste(colour, at, ImageChops.subtract(area, without))


def _draw_letter(canvas: PilImage, mark: Mark, centre: tuple[int, int], height: int) -> None:
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(size=_font_size(height))
    half = (height + 1) // 2
    u, v = centre
    area = canvas.crop(
        (
            max(0, u - half),
            max(0, v - half),
            min(canvas.width, u + half),
            min(canvas.height, v + half),
        )
    )
    luminance = float(np.asarray(area.convert("L"), dtype=np.float64).mean()) if area.width else 0.0
    # Black or white, whichever is farther from what lies below; the outline is the other one.
    fill, outline = ((0, 0, 0), (255, 255, 255)) if luminance > 127 else ((255,) * 3, (0,) * 3)
    stroke = max(1, height // 10)
    pen = ImageDraw.Draw(canvas)
    pen.text(
        centre, mark.letter, fill=fill, font=font, anchor="mm", stroke_width=stroke,
        stroke_fill=outline,
    )  # fmt: skip


def _font_size(height: int) -> int:
    """Font size whose capitals are `height` pixels: a capital is about 0.72 of the size."""
    return max(6, round(height / 0.72))
