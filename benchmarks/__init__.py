# SPDX-License-Identifier: Apache-2.0
"""Benchmarks against the peers; `python -m benchmarks` runs them."""
