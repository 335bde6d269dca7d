# SPDX-License-Identifier: Apache-2.0
"""Question files of others as data sets: conversations, and public benchmarks; no geometry."""

from spatial_engine.importing.make import ImportReport, ImportRequest, import_files
from spatial_engine.importing.rows import KINDS

__all__ = ["KINDS", "ImportReport", "ImportRequest", "import_files"]
