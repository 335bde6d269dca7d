# SPDX-License-Identifier: Apache-2.0
"""Rewards of robot episodes, a scalar for each step, from geometry or from a model's answers.

Multi-SpatialMLLM (arXiv 2505.17015) proposes its model as a multi-frame reward annotator and leaves
the protocol open; the one here is this package's own: docs/reward.md.
"""

from spatialmllm.reward.annotate import annotate_rewards
from spatialmllm.reward.episode import Episode, EpisodeError, RewardSpec, RewardTrace

__all__ = ["Episode", "EpisodeError", "RewardSpec", "RewardTrace", "annotate_rewards"]
