# SPDX-License-Identifier: Apache-2.0
"""Training curves as SVG: a few lines over steps."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

# Told apart by people who see few colours: Okabe and Ito's palette.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")


def read_losses(run: Path) -> list[tuple[int, float]]:
    """(step, loss) of every line of a run's metrics."""
    text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    return [(int(line["step"]), float(line["loss"])) for line in lines]


def curves_svg(curves: Mapping[str, Sequence[tuple[int, float]]], title: str, top: float) -> str:
    """Curves over steps as an SVG document, the same text for the same curves.

    Args:
        curves: (step, value) by name, in the order of the legend.
        title: Name of the vertical axis.
        top: Largest value shown; what lies above leaves the picture.

    Returns:
        The document's text; the group of a curve bears its name as id.

    Raises:
        ValueError: No curve has a point.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    if not any(curves.values()):
        raise ValueError("there is nothing to draw")
    figure = Figure(figsize=(7.6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, points) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        (line,) = axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.8, label=name)
        line.set_gid(name)
    axes.set(xlabel="step", ylabel=title, xlim=(0, None), ylim=(0, top))
    axes.grid(color="#dddddd")
    axes.legend()
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "curves", "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
