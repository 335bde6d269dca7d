# SPDX-License-Identifier: Apache-2.0
"""`loss.png`: the loss of every step and its running mean, drawn with Pillow alone."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from spatialcore.files import whole_file

WIDTH, HEIGHT, LEFT, BOTTOM, MARGIN = 960, 540, 70, 40, 20
_SMOOTHING = 0.95


def plot_loss(metrics: Path, target: Path) -> None:
    """Draw the losses of a `metrics.jsonl`; nothing is written while it holds no step."""
    from PIL import Image, ImageDraw, ImageFont

    if not metrics.is_file():
        return
    lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    points = [(int(line["step"]), float(line["loss"])) for line in lines]
    if not points:
        return
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=14)
    top, last = _nice(max(loss for _, loss in points)), max(step for step, _ in points)

    def place(step: float, loss: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - MARGIN) * step / max(1, last)
        return x, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - MARGIN) * loss / top

    for i in range(6):
        loss = top * i / 5
        y = place(0, loss)[1]
        pen.line([(LEFT, y), (WIDTH - MARGIN, y)], fill=(225, 225, 225))
        pen.text((LEFT - 8, y), f"{loss:.3g}", fill="black", font=font, anchor="rm")
        step = last * i / 5
        x = place(step, 0)[0]
        pen.text((x, HEIGHT - BOTTOM + 8), f"{step:.0f}", fill="black", font=font, anchor="mt")
    raw = [place(*point) for point in points]
    pen.line(raw, fill=(170, 195, 230), width=1)
    pen.line([place(*point) for point in running_mean(points)], fill=(20, 80, 170), width=3)
    pen.text((WIDTH - MARGIN, MARGIN), "loss, and its running mean", fill="black", font=font,
             anchor="ra")  # fmt: skip
    with whole_file(target) as temporary:
        image.save(temporary, "PNG")


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


def _nice(value: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not below `value`."""
    if not 0 < value < math.inf:
        return 1.0
    scale = 10.0 ** math.floor(math.log10(value))
    return next(scale * f for f in (1, 2, 2.5, 5, 10) if scale * f >= value)
