# SPDX-License-Identifier: Apache-2.0
"""The dual-encoder model: backbone, spatial encoder, connectors."""
