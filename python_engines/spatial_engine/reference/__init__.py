# SPDX-License-Identifier: Apache-2.0
"""The second derivation: float64 numpy, no kernel, no mask, no table of the index."""
