# SPDX-License-Identifier: Apache-2.0
"""Fields of packed records against numpy's structured arrays."""

from __future__ import annotations

import numpy as np
import pytest

from spatialcore import _cpu


@pytest.mark.parametrize("width", [1, 2, 3, 8, 12, 13, 24, 40])
@pytest.mark.parametrize("count", [0, 1, 5, 1001])
def test_equals_numpy(width: int, count: int) -> None:
    for before, after in ((0, 0), (1, 0), (0, 3), (7, 9)):
        size = before + width + after
        rows = np.random.default_rng(width).integers(0, 256, (count, size), dtype=np.uint8)
        found = _cpu.copy_fields(rows.ravel(), size, before, width)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, rows[:, before : before + width])


@pytest.mark.parametrize(
    ("row_bytes", "offset", "width"), [(0, 0, 0), (7, 0, 3), (10, 8, 3), (10, 0, 11), (10, 11, 0)]
)
def test_rows_that_do_not_fit(row_bytes: int, offset: int, width: int) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        _cpu.copy_fields(bytes(20), row_bytes, offset, width)
