# SPDX-License-Identifier: Apache-2.0
"""The forty classes of NYU Depth v2, and the class of an object by the votes of its pixels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

# In their order, from 1.
NYU40 = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf",
    "picture", "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror",
    "floor mat", "clothes", "ceiling", "books", "refrigerator", "television", "paper", "towel",
    "shower curtain", "box", "whiteboard", "person", "nightstand", "toilet", "sink", "lamp",
    "bathtub", "bag", "otherstructure", "otherfurniture", "otherprop",
)  # fmt: skip
# Colours under which ScanNet and Structured3D paint them, 0 = none first.
_COLOURS = np.array([
    (0, 0, 0), (174, 199, 232), (152, 223, 138), (31, 119, 180), (255, 187, 120), (188, 189, 34),
    (140, 86, 75), (255, 152, 150), (214, 39, 40), (197, 176, 213), (148, 103, 189),
    (196, 156, 148), (23, 190, 207), (178, 76, 76), (247, 182, 210), (66, 188, 102),
    (219, 219, 141), (140, 57, 197), (202, 185, 52), (51, 176, 203), (200, 54, 131), (92, 193, 61),
    (78, 71, 183), (172, 114, 82), (255, 127, 14), (91, 163, 138), (153, 98, 156), (140, 153, 101),
    (158, 218, 229), (100, 125, 154), (178, 127, 135), (120, 185, 128), (146, 111, 194),
    (44, 160, 44), (112, 128, 144), (96, 207, 209), (227, 119, 194), (213, 92, 176), (94, 106, 211),
    (82, 84, 163), (100, 85, 144),
], dtype=np.int64)  # fmt: skip
_STEP = 4  # every fourth pixel of a row and column votes: objects are larger
_PACKED = _COLOURS @ np.array([1 << 16, 1 << 8, 1])
_ORDER = np.argsort(_PACKED)


def labels_of_colours(rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Class of every pixel of a painted map, 0 for none and for other colours.

    Example:
        >>> labels_of_colours(np.array([[(31, 119, 180), (1, 2, 3)]], np.uint8)).tolist()
        [[3, 0]]
    """
    packed = rgb.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    row = np.minimum(np.searchsorted(_PACKED[_ORDER], packed), len(_ORDER) - 1)
    found = _ORDER[row]
    return np.where(_PACKED[found] == packed, found, 0)


def pixel_votes(instance: NDArray[np.integer], label: NDArray[np.integer]) -> NDArray[np.int64]:
    """Rows of (instance, label, pixels) of one frame; ids from 1 to 65535 vote.

    Args:
        instance: (h, w).
        label: (h, w), 1 to 40.
    """
    ids, labels = (m[::_STEP, ::_STEP].astype(np.int64) for m in (instance, label))
    kept = (ids > 0) & (ids < 1 << 16) & (labels > 0) & (labels <= len(NYU40))
    both, counts = np.unique(ids[kept] << 8 | labels[kept], return_counts=True)
    return np.stack([both >> 8, both & 255, counts], axis=1)


def elected(votes: Iterable[NDArray[np.int64]]) -> dict[int, str]:
    """The class that most pixels of an instance have, by instance; ties go to the first class."""
    pixels: dict[tuple[int, int], int] = {}
    for number, label, count in np.concatenate([np.zeros((0, 3), np.int64), *votes]).tolist():
        pixels[number, label] = pixels.get((number, label), 0) + count
    best: dict[int, tuple[int, int]] = {}
    for (number, label), count in pixels.items():
        best[number] = max(best.get(number, (0, 0)), (count, -label))
    return {number: NYU40[-label - 1] for number, (_, label) in sorted(best.items())}
