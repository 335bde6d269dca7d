# SPDX-License-Identifier: Apache-2.0
"""`loss.png`: the loss of every step and its running mean."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from spatialcore.files import whole_file

_LOG = logging.getLogger(__name__)
_SMOOTHING = 0.95


def plot_loss(metrics: Path, target: Path) -> None:
    """Draw the losses of a `metrics.jsonl`; nothing while it holds no step.

    Without matplotlib (extra `plot`) nothing is drawn, and a warning says so.
    """
    if not metrics.is_file():
        return
    lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    points = [(int(line["step"]), float(line["loss"])) for line in lines]
    if not points:
        return
    try:
        from matplotlib.figure import Figure
    except ImportError:
        _LOG.warning(
            "%s is not drawn: matplotlib is missing; pip install 'spatialcore-mllm[plot]'", target
        )
        return
    figure = Figure(figsize=(9.6, 5.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*points, strict=True), color="#aac3e6", linewidth=1, label="loss")
    mean = running_mean(points)
    axes.plot(*zip(*mean, strict=True), color="#1450aa", linewidth=2.5, label="running mean")
    axes.set_xlabel("step")
    axes.set_ylim(bottom=0)
    axes.grid(color="#e1e1e1")
    axes.legend()
    with whole_file(target) as temporary:
        figure.savefig(temporary, format="png")


def running_mean(
    points: Sequence[tuple[int, float]], keep: float = _SMOOTHING
) -> list[tuple[int, float]]:
    """Exponential mean over steps that keeps a share of the last one; its start is not biased."""
    mean, weight, made = 0.0, 0.0, []
    for step, loss in points:
        mean = keep * mean + (1 - keep) * loss
        weight = keep * weight + (1 - keep)
        made.append((step, mean / weight))
    return made
