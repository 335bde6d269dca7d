# SPDX-License-Identifier: Apache-2.0
"""Attackers: what constants, a logistic model and a small forest score without images.

What a model answers of a room was learnt in other rooms. scikit-learn (extra `stress`) is imported
on first use.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine.dataset.blind_rows import Features, Told, folds_of
from spatial_engine.dataset.constants import POINT_RADIUS, TOLERANCE, best_guess

Float64 = NDArray[np.float64]
FOLDS = 5
_MOST_FEATURES = 600  # the most frequent ones: what a forest can hold
_LEAST_SEEN = 3  # records that a feature must occur in
_NUMBER_BIN = 1.15  # ratio of neighbouring bins of a number
_TREES = 60


class Guessed(NamedTuple):
    """What one attacker makes of n held-out records.

    Attributes:
        right: (n,) whether its answer is right.
        sure: (n,) its probability of the true answer: how much the record gives away.
    """

    right: NDArray[np.bool_]
    sure: Float64


Attack = Callable[[Sequence[Told], Sequence[Told]], Guessed]  # (others, held out) -> of held out


def held_out(rows: Sequence[Told], attack: Attack) -> Guessed:
    """The attack on every record, made by what the other rooms' records taught."""
    right, sure = np.zeros(len(rows), dtype=bool), np.zeros(len(rows))
    for train, test in folds_of(rows, FOLDS):
        found = attack([rows[k] for k in train], [rows[k] for k in test])
        right[test], sure[test] = found
    return Guessed(right, sure)


def constant(train: Sequence[Told], test: Sequence[Told]) -> Guessed:
    """The one answer that is right most often: a word, a number, a point, a place of an option."""
    if train[0].kind in ("word", "choice"):
        best = Counter(row.truth for row in train).most_common(1)[0][0]
        right = np.array([row.truth == best for row in test])
    elif train[0].kind == "number":
        guess, _ = best_guess(_truths(train))
        right = _near(np.array(guess), _truths(test))
    else:
        tried, judges = train[:: max(1, len(train) // 100)], train[:: max(1, len(train) // 500)]
        best = max(tried, key=lambda one: sum(_hits(one.truth, row) for row in judges)).truth
        right = np.array([_hits(best, row) for row in test])
    return Guessed(right, right.astype(np.float64))


def by_category(train: Sequence[Told], test: Sequence[Told]) -> Guessed:
    """Of numbers the best constant for the named category: what anybody knows of its size."""
    groups: dict[str, list[float]] = defaultdict(list)
    for row in train:
        groups[row.category].append(row.truth)
    every, _ = best_guess(_truths(train))
    guess = {name: best_guess(np.array(numbers))[0] for name, numbers in groups.items()}
    right = _near(np.array([guess.get(row.category, every) for row in test]), _truths(test))
    return Guessed(right, right.astype(np.float64))


def among_offers(parts: Sequence[str], said: bool, model: str) -> Attack:
    """An attack on choices by features of each option: of its text, its mark, and what is said.

    Args:
        parts: "option", "dot".
        said: Whether the question is read, too.
        model: "logistic" or "forest".
    """

    def features(row: Told) -> list[Features]:
        found = []
        for offer in row.offers:
            one = {f"{p} {n}": v for p in parts for n, v in offer.get(p, {}).items()}
            if said:
                words = [name for name in one if "=" in name or ":" in name]
                asked = [name for name in row.said if "=" in name and "&" not in name]
                one |= {f"{a} / {b}": 1.0 for a in asked for b in words} | row.said
            found.append(one)
        return found

    def attack(train: Sequence[Told], test: Sequence[Told]) -> Guessed:
        rows = [one for row in train for one in features(row)]
        right = np.array([k == row.truth for row in train for k in range(len(row.offers))])
        score = _fitted(model, rows, right)([one for row in test for one in features(row)])[:, 1]
        ends = np.cumsum([len(row.offers) for row in test])[:-1]
        shares = [part / max(part.sum(), 1e-12) for part in np.split(score, ends)]
        truth = [row.truth for row in test]
        return Guessed(
            np.array([int(share.argmax()) == t for share, t in zip(shares, truth, strict=True)]),
            np.array([share[t] for share, t in zip(shares, truth, strict=True)]),
        )

    return attack


def by_words(model: str) -> Attack:
    """An attack on words by what is said."""

    def attack(train: Sequence[Told], test: Sequence[Told]) -> Guessed:
        names = sorted({row.truth for row in train})
        truth = np.array([names.index(row.truth) for row in train])
        score = _fitted(model, [row.said for row in train], truth)([row.said for row in test])
        known = np.array([names.index(r.truth) if r.truth in names else -1 for r in test])
        sure = np.where(known < 0, 0.0, score[np.arange(len(test)), np.maximum(known, 0)])
        return Guessed(score.argmax(axis=1) == known, sure)

    return attack


def by_numbers(model: str) -> Attack:
    """An attack on numbers: how likely each bin is, and the guess that most of them allow."""

    def attack(train: Sequence[Told], test: Sequence[Told]) -> Guessed:
        bins = _number_bins(_truths(train))
        names, truth = np.unique(bins, return_inverse=True)
        score = _fitted(model, [row.said for row in train], truth)([row.said for row in test])
        score = score[:, : len(names)]  # of a single bin there is a second, empty class
        middles = np.where(names < 0, 0.0, _NUMBER_BIN ** (names + 0.5))
        allowed = np.array([_near(guess, middles) for guess in middles])  # guess x bin
        mass = score @ allowed.T
        best = mass.argmax(axis=1)
        # The bin says where; of its own numbers the best constant is as good as any.
        own = [best_guess(_truths([r for r, b in zip(train, bins, strict=True) if b == name]))[0]
               for name in names]  # fmt: skip
        guesses = np.where(allowed.sum(axis=1) > 1, middles, own)[best]
        right = _near(guesses, _truths(test))
        near = np.array([_near(middles, row.truth) for row in test])
        return Guessed(right, (score * near).sum(axis=1))

    return attack


def by_places(train: Sequence[Told], test: Sequence[Told]) -> Guessed:
    """An attack on points and vectors by a forest over what is said."""
    from sklearn.ensemble import RandomForestRegressor

    table, fit = _vectorised([row.said for row in train])
    forest = RandomForestRegressor(_TREES, min_samples_leaf=3, random_state=0)
    forest.fit(fit, np.array([row.truth for row in train]))
    found = forest.predict(table([row.said for row in test]))
    right = np.array([_hits(guess, row) for guess, row in zip(found, test, strict=True)])
    return Guessed(right, right.astype(np.float64))


def attacks_of(rows: Sequence[Told]) -> Mapping[str, Sequence[Attack]]:
    """What is tried on the records of a task, by what it sees: "option", "dot", "text"."""
    kind, models = rows[0].kind, ("logistic", "forest")
    if kind == "choice":
        parts = [p for p in ("option", "dot") if any(row.offers[0].get(p) for row in rows[:50])]
        alone = {p: [among_offers([p], False, model) for model in models] for p in parts}
        return {**alone, "text": [among_offers(parts, True, model) for model in models]}
    if kind == "word":
        return {"text": [by_words(model) for model in models]}
    if kind == "number":
        return {"text": [by_category, *(by_numbers(model) for model in models)]}
    return {"text": [by_places]}


def _truths(rows: Sequence[Told]) -> Float64:
    return np.array([row.truth for row in rows], dtype=np.float64)


def _near(guess: Any, truth: Any) -> NDArray[np.bool_]:
    return np.asarray(np.abs(guess - truth) <= TOLERANCE * np.abs(truth))


def _hits(guess: Any, row: Told) -> bool:
    """Whether a point or a vector is right for a record."""
    away = np.asarray(guess, dtype=np.float64) - np.asarray(row.truth)
    if row.kind == "point":
        return bool(np.linalg.norm(away * [1.0, row.aspect]) <= POINT_RADIUS)
    return bool(np.linalg.norm(away) <= TOLERANCE * np.linalg.norm(row.truth))


def _number_bins(truths: Float64) -> NDArray[np.int64]:
    """The bin of each number, -1 for 0."""
    logs = np.log(np.maximum(np.abs(truths), 1e-9)) / np.log(_NUMBER_BIN)
    return np.where(truths == 0, -1, np.floor(logs)).astype(np.int64)


def _vectorised(rows: Sequence[Features]) -> tuple[Callable[[Sequence[Features]], Any], Any]:
    """How features become columns, learnt from rows: the most frequent ones; and those of rows."""
    from sklearn.feature_extraction import DictVectorizer

    seen = Counter(name for row in rows for name, value in row.items() if value)
    names = {n for n, count in seen.most_common(_MOST_FEATURES) if count >= _LEAST_SEEN}
    table = DictVectorizer(sparse=False, dtype=np.float32)

    def chosen(features: Sequence[Features]) -> list[Features]:
        return [
            {n: v for n, v in row.items() if n in names} or {"nothing": 0.0} for row in features
        ]

    fit = table.fit_transform(chosen(rows))
    return lambda features: table.transform(chosen(features)), fit


def _fitted(
    model: str, rows: Sequence[Features], truth: NDArray[Any]
) -> Callable[[Sequence[Features]], Float64]:
    """A model learnt from rows: features -> (n, classes) probabilities, classes ascending."""
    classes = np.unique(truth)
    if len(classes) < 2:
        return partial(_certain, int(classes[0]))
    table, fit = _vectorised(rows)
    learner = _learner(model)
    learner.fit(fit, truth)
    return lambda features: np.asarray(learner.predict_proba(table(features)), dtype=np.float64)


def _certain(one: int, features: Sequence[Features]) -> Float64:
    """Of a single class: all of the probability."""
    out = np.zeros((len(features), max(2, one + 1)))
    out[:, one] = 1.0
    return out


def _learner(model: str) -> Any:
    if model == "forest":
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(
            _TREES, min_samples_leaf=3, max_features="sqrt", random_state=0
        )
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=300))
