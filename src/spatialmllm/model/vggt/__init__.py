# SPDX-License-Identifier: Apache-2.0
"""The spatial encoder: alternating frame-wise and global attention over all frames of a context."""
