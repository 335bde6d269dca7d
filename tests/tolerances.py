# SPDX-License-Identifier: Apache-2.0
"""What tests may allow. Visibility, projection and counts are bit-equal and allow nothing."""

# Metres and pixels by which a point has to clear every decision edge before a test may expect that
# moving world and cameras together leaves its bit alone.
CLEAR_OF_EDGE = 1e-5
