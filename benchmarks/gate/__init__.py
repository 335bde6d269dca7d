# SPDX-License-Identifier: Apache-2.0
"""Acceptance runs on a GPU: does a model that looks beat everything that does not?"""
