# SPDX-License-Identifier: Apache-2.0
"""Caption metrics in pure Python: BLEU, ROUGE-L, CIDEr-D and exact match.

Texts are split at spaces. `normalise` is "none", as the published evaluator of ScanQA does, or
"ptb-like": lower case, punctuation off. METEOR is left out: its synonyms and paraphrases are tables
of a Java program, and what matches without them is another number.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

Normalise = Literal["none", "ptb-like"]
Tokens = list[str]
_PUNCTUATION = re.compile(r"[^\w\s'-]")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_CIDER_SIGMA, _CIDER_ORDER = 6.0, 4
_ROUGE_BETA = 1.2


def split(text: str, normalise: Normalise = "none") -> Tokens:
    """Words of a text.

    Example:
        >>> split("A chair, left.", "ptb-like")
        ['a', 'chair', 'left']
    """
    if normalise == "ptb-like":
        text = _PUNCTUATION.sub(" ", text.lower())
    return text.split()


def bleu(
    predictions: Sequence[Tokens], references: Sequence[Sequence[Tokens]], order: int = 4
) -> float:
    """Corpus BLEU with the reference length closest to each prediction (ties: the shorter).

    Raises:
        ValueError: The numbers of predictions and reference lists differ.
    """
    _check(predictions, references)
    matched, total = [0] * order, [0] * order
    length = reference_length = 0
    for words, alternatives in zip(predictions, references, strict=True):
        length += len(words)
        reference_length += min((abs(len(r) - len(words)), len(r)) for r in alternatives)[1]
        for n in range(order):
            counts = _grams(words, n + 1)
            best: Counter[tuple[str, ...]] = Counter()
            for reference in alternatives:
                best |= _grams(reference, n + 1)
            matched[n] += sum((counts & best).values())
            total[n] += max(0, len(words) - n)
    if min(matched) == 0:
        return 0.0
    logarithm = sum(math.log(m / t) for m, t in zip(matched, total, strict=True)) / order
    penalty = min(0.0, 1 - reference_length / length)
    return math.exp(logarithm + penalty)


def rouge_l(predictions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> float:
    """Mean ROUGE-L with beta 1.2, best precision and best recall over the references."""
    _check(predictions, references)
    values = []
    for words, alternatives in zip(predictions, references, strict=True):
        common = [(_longest_common(words, r), len(r)) for r in alternatives]
        precision = max((c / len(words) for c, _ in common), default=0.0) if words else 0.0
        recall = max((c / n for c, n in common if n), default=0.0)
        square = _ROUGE_BETA**2
        both = precision and recall
        value = (1 + square) * precision * recall / (recall + square * precision) if both else 0.0
        values.append(value)
    return _mean(values)


def cider_d(predictions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> float:
    """CIDEr-D: clipped tf-idf cosine of n-grams up to 4, Gaussian length penalty, times 10.

    Document frequencies come from the evaluated references.
    """
    _check(predictions, references)
    frequency: Counter[tuple[str, ...]] = Counter()
    for alternatives in references:
        seen = {g for r in alternatives for n in range(1, 5) for g in _grams(r, n)}
        frequency.update(seen)
    log_count = math.log(max(1, len(references)))
    values = []
    for words, alternatives in zip(predictions, references, strict=True):
        own = _tf_idf(words, frequency, log_count)
        each = [
            _cider_pair(own, _tf_idf(r, frequency, log_count), len(words) - len(r))
            for r in alternatives
        ]
        values.append(10 * _mean(each))
    return _mean(values)


def exact_match(prediction: str, references: Sequence[str]) -> bool:
    """Whether the prediction, without a trailing period, is one of the references."""
    return prediction.rstrip(".").strip() in [reference.strip() for reference in references]


def refined_match(prediction: str, references: Sequence[str]) -> bool:
    """EM-R1 of SQA3D: one holds the other, after lower case, articles and punctuation are off."""

    def plain(text: str) -> str:
        return " ".join(_ARTICLES.sub(" ", _PUNCTUATION.sub(" ", text.lower())).split())

    said = plain(prediction)
    return any(said and r and (said in r or r in said) for r in map(plain, references))


def _grams(words: Tokens, n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _tf_idf(
    words: Tokens, frequency: Counter[tuple[str, ...]], log_count: float
) -> list[dict[tuple[str, ...], float]]:
    """Weights of the n-grams of each order; the counts are raw, as published."""
    return [
        {
            gram: count * (log_count - math.log(max(1, frequency[gram])))
            for gram, count in _grams(words, n).items()
        }
        for n in range(1, _CIDER_ORDER + 1)
    ]


def _cider_pair(
    own: list[dict[tuple[str, ...], float]],
    other: list[dict[tuple[str, ...], float]],
    difference: int,
) -> float:
    values = []
    for a, b in zip(own, other, strict=True):
        norm = math.sqrt(sum(w * w for w in a.values()) * sum(w * w for w in b.values()))
        product = sum(min(weight, b[gram]) * b[gram] for gram, weight in a.items() if gram in b)
        values.append(product / norm if norm else 0.0)
    return _mean(values) * math.exp(-(difference**2) / (2 * _CIDER_SIGMA**2))


def _longest_common(first: Tokens, second: Tokens) -> int:
    row = [0] * (len(second) + 1)
    for word in first:
        before = 0
        for j, other in enumerate(second, 1):
            before, row[j] = row[j], before + 1 if word == other else max(row[j], row[j - 1])
    return row[-1]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _check(predictions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> None:
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions, {len(references)} lists of references")
