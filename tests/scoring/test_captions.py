# SPDX-License-Identifier: Apache-2.0
"""Values worked out by hand."""

from __future__ import annotations

import math

import pytest

from spatial_engine.scoring.captions import (
    bleu,
    cider_d,
    exact_match,
    refined_match,
    rouge_l,
    split,
)


def test_bleu_by_hand():
    words, reference = split("the cat sat down"), split("the cat sat on the mat")
    # 1-grams 3/4, 2-grams 2/3; brevity exp(1 - 6/4)
    expected = math.sqrt(3 / 4 * 2 / 3) * math.exp(1 - 6 / 4)
    assert bleu([words], [[reference]], 2) == pytest.approx(expected)
    # clipped: "the the" has one "the" of the reference's two... of "the cat" only one
    assert bleu([split("the the")], [[split("the cat")]], 1) == pytest.approx(0.5)
    assert bleu([reference], [[reference, words]]) == pytest.approx(1.0)
    assert bleu([split("x y")], [[split("a b")]]) == 0


def test_rouge_by_hand():
    # longest common part 2, precision 2/2, recall 2/4
    expected = (1 + 1.44) * 1 * 0.5 / (0.5 + 1.44 * 1)
    assert rouge_l([split("left chair")], [[split("left of the chair")]]) == pytest.approx(expected)
    assert rouge_l([[]], [[split("a")]]) == 0


def test_cider_by_hand():
    # Two rows with one reference each; every word of the first row is unique to it: idf = log 2.
    same = cider_d([split("a b"), split("c d")], [[split("a b")], [split("c d")]])
    # orders 1 and 2 give cosine 1, orders 3 and 4 have no n-gram: 10 * 2/4
    assert same == pytest.approx(5.0)
    longer = cider_d([split("a"), split("c d")], [[split("a b")], [split("c d")]])
    # first row: only order 1 overlaps, cosine 1/sqrt(2), length penalty exp(-1/72)
    first = 10 * (1 / math.sqrt(2)) / 4 * math.exp(-1 / 72)
    assert longer == pytest.approx((first + 5.0) / 2)


def test_matches():
    assert exact_match("left.", ["right", "left"])
    assert not exact_match("the left", ["left"])
    assert refined_match("The left.", ["left"])
    assert not refined_match("", ["left"])


def test_as_many_references_as_predictions():
    with pytest.raises(ValueError, match="1 predictions, 0 lists"):
        rouge_l([["x"]], [])
