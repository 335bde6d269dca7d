# SPDX-License-Identifier: Apache-2.0
"""Question-answer engines over the scene index: plan, records, verification, scoring."""
