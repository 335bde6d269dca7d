# SPDX-License-Identifier: Apache-2.0
"""What the exit code of a verb says."""

OK = 0
FAILED = 1
USAGE = 2
SKIPPED = 3  # finished, but a whole scene or clip was left out
# A signal that ended the verb: 128 + its number (spatialcore.interrupts.exit_code).
