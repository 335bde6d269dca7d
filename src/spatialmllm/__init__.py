# SPDX-License-Identifier: Apache-2.0
"""The dual-encoder multimodal model: architecture, samplers, training and evaluation."""
