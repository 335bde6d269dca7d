# SPDX-License-Identifier: Apache-2.0
"""Generating responses to records; scoring them is `spatial_engine.scoring`."""
