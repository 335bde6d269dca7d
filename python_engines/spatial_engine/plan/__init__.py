# SPDX-License-Identifier: Apache-2.0
"""What will be made: quotas, two passes over candidates, thresholds, shards."""
