# SPDX-License-Identifier: Apache-2.0
"""Supervised fine-tuning: recipes, the order of samples, the trainer and its checkpoints."""
