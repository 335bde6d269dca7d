# SPDX-License-Identifier: Apache-2.0
"""The verbs of the model package: frames, train, eval, ask."""
