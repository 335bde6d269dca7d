# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from spatialmllm.data.positions import sequence_positions

IMAGE, VIDEO = 90, 91


def _positions(tokens, grids, stride=1.0):
    return sequence_positions(tokens, grids, (IMAGE, VIDEO), stride=stride)


def test_text_counts():
    got = _positions([5, 6, 7], [])
    assert got.ids.tolist() == [[0, 1, 2]] * 3
    assert got.next_id == 3


def test_one_image_between_texts():
    # H' = 2, W' = 3: the block starts at 2, the text after it at 2 + max(1, 2) + 1 = 5
    got = _positions([1, 2, *[IMAGE] * 6, 3], [(1, 4, 6)])
    assert got.ids.tolist() == [
        [0, 1, 2, 2, 2, 2, 2, 2, 5],
        [0, 1, 2, 2, 2, 3, 3, 3, 5],
        [0, 1, 2, 3, 4, 2, 3, 4, 5],
    ]
    assert got.next_id == 6


def test_two_clips_each_start_after_the_other():
    got = _positions([*[VIDEO] * 2, 1, *[VIDEO] * 3], [(2, 2, 2), (3, 2, 2)])
    assert got.ids[0].tolist() == [0, 1, 2, 3, 4, 5]
    assert got.ids[1].tolist() == [0, 0, 2, 3, 3, 3]
    assert got.next_id == 6


def test_text_after_a_long_clip_starts_after_its_time():
    # 20 grids of 1 x 1 at stride 2: last time id 1 + 38, text at 40 (one text token before)
    got = _positions([7, *[VIDEO] * 20, 8], [(20, 2, 2)], stride=2.0)
    assert got.ids[0, 1:21].tolist() == list(range(1, 40, 2))
    assert got.ids[:, -1].tolist() == [40, 40, 40]
    # the case of the design: the clip at 3 - 1 = 2, so the text starts at 41
    got = _positions([7, 7, *[VIDEO] * 20, 8], [(20, 2, 2)], stride=2.0)
    assert got.ids[:, -1].tolist() == [41, 41, 41]


@pytest.mark.parametrize(
    ("second_per_grid", "times"), [(0.5, [0, 1, 2, 3, 4]), (0.3, [0, 0, 1, 1, 2])]
)
def test_fractional_time_is_floored_after_the_product(second_per_grid, times):
    got = _positions([VIDEO] * 5, [(5, 2, 2)], stride=second_per_grid * 2)
    assert got.ids[0].tolist() == times


def test_counts_must_match():
    with pytest.raises(ValueError, match="3 visual placeholders, its 1 grids make 4"):
        _positions([IMAGE] * 3, [(1, 4, 4)])
    with pytest.raises(ValueError, match="interrupted"):
        _positions([IMAGE, IMAGE, 1, IMAGE, IMAGE], [(1, 4, 4)])


def test_adjacent_blocks_without_text_between():
    got = _positions([IMAGE] * 8, [(1, 4, 4), (1, 4, 4)])
    assert got.ids[0].tolist() == [0] * 4 + [2] * 4
    assert np.all(got.ids[1:, 4:] == got.ids[1:, :4] + 2)
