# SPDX-License-Identifier: Apache-2.0
"""The scene index: visibility, overlap, objects and rigid parts of every scene."""
