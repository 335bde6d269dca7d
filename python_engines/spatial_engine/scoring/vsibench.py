# SPDX-License-Identifier: Apache-2.0
"""VSI-Bench: mean relative accuracy in its published dialects, question types, aggregation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Literal

import numpy as np

from spatial_engine.engines.imported import VSI_CHOICES, VSI_NUMBERS
from spatial_engine.scoring.extract import Extractor, extract_choice, extract_number

MraDialect = Literal["official", "spatial-mllm", "exact"]
_DIRECTION = "object_rel_direction"
_OFFICIAL = np.linspace(0.5, 0.95, int((0.95 - 0.5) / 0.05 + 2))
_PUBLISHED = np.float32(1) - np.arange(0.5, 0.975, 0.05).astype(np.float32)
_EXACT = [Fraction(50 - 5 * i, 100) for i in range(10)]


def mean_relative_accuracy(
    prediction: float, truth: float, dialect: MraDialect = "official"
) -> float:
    """Share of ten thresholds theta = .50 .. .95 with |p - g| / g below 1 - theta.

    The dialects differ exactly at thresholds, where small integers lie, and through rounding, so
    each keeps its own arithmetic: "official" (also lmms-eval) compares by <= in float64,
    "spatial-mllm" by < in float32, "exact" by <= on rational numbers, for reading only.

    Args:
        prediction: p.
        truth: g; at 0 only an equal prediction counts, as 1.
        dialect: Whose arithmetic.

    Returns:
        A multiple of 0.1.

    Raises:
        ValueError: Unknown dialect.

    Examples:
        >>> [mean_relative_accuracy(4, 5, d) for d in ("spatial-mllm", "official", "exact")]
        [0.6, 0.6, 0.7]
    """
    if dialect not in ("official", "spatial-mllm", "exact"):
        raise ValueError(f"unknown dialect {dialect!r}")
    if not (math.isfinite(prediction) and math.isfinite(truth)):
        return 0.0
    if truth == 0:
        return float(prediction == 0)
    if dialect == "spatial-mllm":
        p, g = np.float32(prediction), np.float32(truth)
        error = np.abs(p - g) / (np.abs(g) + np.float32(1e-8))
        return int((error < _PUBLISHED).sum()) / 10
    if dialect == "official":
        relative = abs(prediction - truth) / abs(truth)
        return int((relative <= 1 - _OFFICIAL).sum()) / 10
    p_exact, g_exact = Fraction(repr(float(prediction))), Fraction(repr(float(truth)))
    ratio = abs(p_exact - g_exact) / abs(g_exact)
    return sum(ratio <= threshold for threshold in _EXACT) / 10


def score_row(
    question_type: str,
    ground_truth: str,
    response: str,
    *,
    dialect: MraDialect = "official",
    extractor: Extractor = "official",
) -> float:
    """Score of one row of the benchmark's file: 0 or 1 for a choice, MRA for a number.

    Raises:
        ValueError: Unknown question type.
    """
    if question_type in VSI_CHOICES:
        said = extract_choice(response, extractor)
        return float(said == ground_truth.strip().lower())
    if question_type not in VSI_NUMBERS:
        raise ValueError(f"unknown question type {question_type!r}")
    number = extract_number(response, extractor, VSI_NUMBERS[question_type])
    truth = float(str(ground_truth).replace(",", ""))
    return 0.0 if number is None else mean_relative_accuracy(number, truth, dialect)


def number_or_letter(response: str, ground_truth: str) -> float:
    """Score of a row whose truth says itself whether it is a number, by the first word said.

    Example:
        >>> number_or_letter("B.", "B"), number_or_letter("1.86", "2.0"), number_or_letter("", "3")
        (1.0, 0.9, 0.0)
    """
    truth = extract_number(ground_truth, "official")
    if truth is None:
        return float(extract_choice(response.strip(), "official") == ground_truth.strip().lower())
    number = extract_number(response.strip(), "official")
    return 0.0 if number is None else mean_relative_accuracy(number, truth)


# Question types of ReVSI that count as one task, by how their names begin.
_REVSI = ("object_rel_direction", "object_rel_distance", "object_counting", "room_size_estimation")


def revsi_aggregate(scores: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Mean of each task of ReVSI, the types of a task evenly, of the tasks, and of the samples."""
    by_type: dict[str, list[float]] = {}
    for question_type, value in scores:
        by_type.setdefault(question_type, []).append(value)
    tasks: dict[str, list[float]] = {}
    for question_type, values in sorted(by_type.items()):
        task = next((name for name in _REVSI if question_type.startswith(name)), question_type)
        tasks.setdefault(task, []).append(sum(values) / len(values))
    means = {task: sum(values) / len(values) for task, values in tasks.items()}
    every = [value for values in by_type.values() for value in values]
    return {
        **means,
        "macro": sum(means.values()) / max(1, len(means)),
        "micro": sum(every) / max(1, len(every)),
    }


def aggregate(scores: Iterable[tuple[str, float]]) -> Mapping[str, float]:
    """Mean of each task, of the tasks, and of the samples.

    The three difficulties of relative direction count as one task, the unweighted mean of those
    that occur.

    Args:
        scores: (question type, score) of each row.

    Returns:
        {task: mean, "macro": mean of tasks, "micro": mean of samples}.
    """
    by_type: dict[str, list[float]] = {}
    for question_type, value in scores:
        by_type.setdefault(question_type, []).append(value)
    if not by_type:
        return {"macro": math.nan, "micro": math.nan}
    means = {name: sum(values) / len(values) for name, values in sorted(by_type.items())}
    directions = [means.pop(name) for name in list(means) if name.startswith(_DIRECTION)]
    if directions:
        means[_DIRECTION] = sum(directions) / len(directions)
    every = [value for values in by_type.values() for value in values]
    return {
        **means,
        "macro": sum(means.values()) / len(means),
        "micro": sum(every) / len(every),
    }
