# SPDX-License-Identifier: Apache-2.0
"""One engine for each family of tasks."""
