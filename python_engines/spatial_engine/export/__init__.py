# SPDX-License-Identifier: Apache-2.0
"""Records in the formats of trainers and harnesses: one module a target, one pass for all."""

from spatial_engine.export.run import EVALUATION, TARGETS, Exported, export

__all__ = ["EVALUATION", "TARGETS", "Exported", "export"]
