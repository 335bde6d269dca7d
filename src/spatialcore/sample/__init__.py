# SPDX-License-Identifier: Apache-2.0
"""Procedural rooms and clips, and the writers of the three layouts."""
