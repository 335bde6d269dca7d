# SPDX-License-Identifier: Apache-2.0
"""Tiny configurations; everything in this folder needs torch and transformers."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest

_MISSING = [
    name
    for name in ("torch", "transformers", "accelerate", "safetensors", "tokenizers")
    if importlib.util.find_spec(name) is None
]
collect_ignore_glob: list[str] = []


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name != "mllm":
            continue
        if _MISSING and "no_torch" not in item.nodeid:
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(_MISSING)}"))
        # The libraries deprecate their own names from release to release.
        for module in ("torch", "transformers", "accelerate", "huggingface_hub"):
            item.add_marker(pytest.mark.filterwarnings(f"ignore::Warning:{module}"))


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    if _MISSING:
        return
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def layouts():
    """The module public_layouts.py beside this file."""
    return load_beside("public_layouts")


@pytest.fixture(scope="session")
def tiny():
    """`tiny(vocab_size, connector)` makes a configuration of about 0.2 M parameters."""
    return make_tiny


@pytest.fixture
def tiny_config():
    return make_tiny()


def load_beside(name):
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def make_tiny(vocab_size=64, connector="mlp_add"):
    from spatialmllm.config import (
        ConnectorConfig,
        ProcessorConfig,
        SpatialEncoderConfig,
        SpatialMLLMConfig,
        SpecialIds,
        TextConfig,
        VisionConfig,
    )

    config = SpatialMLLMConfig(
        text=TextConfig(
            vocab_size=vocab_size,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            mrope_section=(2, 3, 3),
            max_position_embeddings=2048,
            initializer_range=0.08,
        ),
        vision=VisionConfig(
            depth=2,
            hidden_size=32,
            intermediate_size=64,
            num_heads=2,
            window_size=56,
            fullatt_block_indexes=(1,),
            out_hidden_size=64,
            initializer_range=0.08,
        ),
        spatial=SpatialEncoderConfig(
            img_size=56,
            embed_dim=32,
            depth=2,
            num_heads=2,
            patch_embed_depth=1,
            patch_embed_heads=2,
            initializer_range=0.08,
        ),
        connector=ConnectorConfig(bottleneck=64),
        processor=ProcessorConfig(resize="exact", width=56, height=56),
        ids=SpecialIds(image=10, video=11, vision_start=8, vision_end=9, pad=0, end=2),
    )
    if connector == "none":
        return config.without_spatial_encoder()
    return replace(config, connector=replace(config.connector, kind=connector))
