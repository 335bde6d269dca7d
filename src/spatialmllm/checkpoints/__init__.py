# SPDX-License-Identifier: Apache-2.0
"""Reading and writing weights: strict, in the layouts of the public files."""

from spatialmllm.checkpoints.keys import CheckpointFormatError
from spatialmllm.checkpoints.load import load, load_config
from spatialmllm.checkpoints.save import save

__all__ = ["CheckpointFormatError", "load", "load_config", "save"]
