# SPDX-License-Identifier: Apache-2.0
"""Every answer derived a second time from its source, and compared."""
