# SPDX-License-Identifier: Apache-2.0
"""The second derivation: float64 numpy from the source alone, no kernel and no file of the index.

`ReferenceScene` is what engines recompute their facts from; docs/contracts.md lists what it shares
with the first derivation.
"""
