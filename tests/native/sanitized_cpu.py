# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin: the extension named by the environment takes the place of the installed one."""

from __future__ import annotations

import importlib.util
import os
import sys

from tests.native.sanitize import MODULE_VARIABLE

_spec = importlib.util.spec_from_file_location("spatialcore._cpu", os.environ[MODULE_VARIABLE])
if _spec is None or _spec.loader is None:
    raise ImportError(os.environ[MODULE_VARIABLE])
_module = importlib.util.module_from_spec(_spec)
sys.modules["spatialcore._cpu"] = _module
_spec.loader.exec_module(_module)
