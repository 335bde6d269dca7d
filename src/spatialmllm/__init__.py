# SPDX-License-Identifier: Apache-2.0
"""The dual-encoder multimodal model: architecture, samplers, training and evaluation.

The names below are imported on first use, so importing the package loads no torch. It makes
`AutoConfig`, `AutoModelForImageTextToText` and `AutoProcessor` of transformers open our folders.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from spatialmllm.auto.registration import register_when_imported

if TYPE_CHECKING:
    from spatialmllm.checkpoints import load, save
    from spatialmllm.config import SpatialMLLMConfig
    from spatialmllm.model.features import spatial_tokens
    from spatialmllm.model.model import SpatialMLLM
    from spatialmllm.sampling import select_frames

__all__ = ["SpatialMLLM", "SpatialMLLMConfig", "load", "save", "select_frames", "spatial_tokens"]

_HOME = {
    "SpatialMLLM": "spatialmllm.model.model",
    "SpatialMLLMConfig": "spatialmllm.config",
    "load": "spatialmllm.checkpoints",
    "save": "spatialmllm.checkpoints",
    "select_frames": "spatialmllm.sampling",
    "spatial_tokens": "spatialmllm.model.features",
}


register_when_imported()


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'spatialmllm' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
