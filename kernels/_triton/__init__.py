# SPDX-License-Identifier: Apache-2.0
"""Triton kernels, one file for each operation that earns it."""
