# SPDX-License-Identifier: Apache-2.0
"""The verbs of the command line that this package owns, one module each."""
