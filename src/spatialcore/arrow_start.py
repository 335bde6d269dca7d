# SPDX-License-Identifier: Apache-2.0
"""pyarrow without pandas in processes of this program, where nothing needs it.

The first array that pyarrow makes imports pandas where it is installed: 0.4 s and 51 MiB of every
process, and an interruption meanwhile is taken for a missing pandas. It asks once; it asks again
where a table is to become a table of pandas, and is then answered.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

_OURS = frozenset(("spatialcore", "spatial_engine"))


class _Unasked:
    """A finder that knows no pandas for code of ours that does not name it."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: object = None) -> None:
        """Returns None, so that other finders are asked, or raises ModuleNotFoundError."""
        del path, target
        if name != "pandas":
            return
        frame = sys._getframe(1)
        while frame.f_back and frame.f_globals.get("__name__", "").startswith("importlib"):
            frame = frame.f_back
        asked_by = frame.f_globals.get("__name__", "").partition(".")[0]
        if asked_by in _OURS and name not in frame.f_code.co_names:
            raise ModuleNotFoundError("no array of ours is one of pandas", name=name)


def keep_pandas_out() -> None:
    """Have pyarrow go without pandas in this process; again is harmless.

    For processes of this program: elsewhere pandas may be wanted, and is loaded already.
    """
    if _Unasked not in sys.meta_path:
        sys.meta_path.insert(0, _Unasked)
