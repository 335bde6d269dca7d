# SPDX-License-Identifier: Apache-2.0
"""One question with its answer: the record, its typed answer, marks and wording."""
