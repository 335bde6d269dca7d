# SPDX-License-Identifier: Apache-2.0
"""The committed stubs are what the compiled modules say of themselves."""

from __future__ import annotations

import pytest

pytest.importorskip("pybind11_stubgen", reason="pybind11-stubgen is not installed")

from tests.stubs import built_modules, committed, generate


@pytest.mark.parametrize("module", built_modules())
def test_stub_is_current(module: str) -> None:
    assert committed(module).read_text(encoding="utf-8") == generate(module)
