# SPDX-License-Identifier: Apache-2.0
"""The float64 numpy specification of every operation, one file each."""
