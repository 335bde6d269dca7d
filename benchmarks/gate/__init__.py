# SPDX-License-Identifier: Apache-2.0
"""Acceptance runs: does a model that looks beat everything that does not?"""
