# SPDX-License-Identifier: Apache-2.0
"""Does a model learn from the rewards of its own answers? Shown on two cores.

`python -m benchmarks.rewards` is the way in.
"""
