# SPDX-License-Identifier: Apache-2.0
"""Training curves as SVG: a few lines over steps, written by hand, read by any browser."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 16, 44
# Told apart by people who see few colours: Okabe and Ito's palette.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_POINTS = 400


def read_losses(run: Path) -> list[tuple[int, float]]:
    """(step, loss) of every line of a run's metrics."""
    text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    return [(int(line["step"]), float(line["loss"])) for line in lines]


def curves_svg(curves: Mapping[str, Sequence[tuple[int, float]]], title: str, top: float) -> str:
    """Curves over steps as an SVG document.

    Args:
        curves: (step, value) by name, in the order of the legend.
        title: Name of the vertical axis.
        top: Largest value shown; what lies above leaves the picture.

    Returns:
        The document's text.

    Raises:
        ValueError: No curve has a point.
    """
    last = max((step for points in curves.values() for step, _ in points), default=0)
    if not last:
        raise ValueError("there is nothing to draw")
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<clipPath id="plot"><rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" '
        f'height="{HEIGHT - TOP - BOTTOM}"/></clipPath>',
        *_grid(last, top),
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">step</text>',
        f'<text x="{LEFT}" y="{HEIGHT - 8}">{escape(title)}</text>',
    ]
    for number, (name, points) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = " ".join(
            "{:.1f},{:.1f}".format(*_place(s, v, last, top)) for s, v in _thin(points)
        )
        lines.append(
            f'<polyline clip-path="url(#plot)" fill="none" stroke="{colour}" stroke-width="1.8" '
            f'points="{places}"/>'
        )
        y = TOP + 18 + 18 * number
        lines.append(f'<path d="M{WIDTH - 190} {y - 4}h24" stroke="{colour}" stroke-width="3"/>')
        lines.append(f'<text x="{WIDTH - 160}" y="{y}">{escape(name)}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _grid(last: int, top: float) -> list[str]:
    made = []
    for i in range(6):
        x, y = _place(last * i / 5, top * i / 5, last, top)
        made += [
            f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>',
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * i / 5:.2g}</text>',
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
            f"{last * i / 5:.0f}</text>",
        ]
    return made


def _place(step: float, value: float, last: int, top: float) -> tuple[float, float]:
    x = LEFT + (WIDTH - LEFT - RIGHT) * step / last
    return x, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top


def _thin(points: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """At most some hundreds of points, the last one among them."""
    stride = -(-len(points) // _POINTS)
    return [*points[::stride], points[-1]] if stride > 1 else points
