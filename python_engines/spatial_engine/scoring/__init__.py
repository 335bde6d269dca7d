# SPDX-License-Identifier: Apache-2.0
"""Scoring: pure functions from a record and a response to a `Score`; nothing here needs torch."""

from spatial_engine.scoring.multispa import Score, score
from spatial_engine.scoring.reward import reward

__all__ = ["Score", "reward", "score"]
