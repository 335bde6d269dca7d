# SPDX-License-Identifier: Apache-2.0
"""Geometry kernels, scene readers and the scene index of spatialcore.

The public names are those of `spatialcore._public`, imported when the first is asked for: the
command hears signals, and tells its verbs, before numpy is loaded.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spatialcore._public import *  # noqa: F403
    from spatialcore._public import __all__ as __all__

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "__all__" or not name.startswith("_"):
        from spatialcore import _public

        globals().update({n: getattr(_public, n) for n in _public.__all__})
        globals()["__all__"] = _public.__all__
        if name in globals():
            return globals()[name]
    raise AttributeError(f"module 'spatialcore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
