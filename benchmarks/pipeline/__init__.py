# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of whole stages."""

import benchmarks.ops  # noqa: F401 - libraries on one thread, before any is loaded
