# SPDX-License-Identifier: Apache-2.0
"""Records in the formats of trainers and harnesses: one module a target, one pass for all."""

from spatial_engine.export.part import EVALUATION, TARGETS
from spatial_engine.export.request import Exported, Request
from spatial_engine.export.run import export

__all__ = ["EVALUATION", "TARGETS", "Exported", "Request", "export"]
