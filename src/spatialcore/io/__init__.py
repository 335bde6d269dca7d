# SPDX-License-Identifier: Apache-2.0
"""Readers of scene and clip layouts: streaming, bounded, with typed errors."""
