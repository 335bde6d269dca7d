# SPDX-License-Identifier: Apache-2.0
"""Learning, shown: does a model that looks beat its blind twin on rooms of a seed never seen?

`python -m benchmarks.proof` is the way in, docs/proof.md what came out.
"""
