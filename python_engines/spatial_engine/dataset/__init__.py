# SPDX-License-Identifier: Apache-2.0
"""A data set on disk: made, opened, merged and counted."""
