# SPDX-License-Identifier: Apache-2.0
"""Tiny configurations; everything in this folder needs torch and transformers."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

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
        if _MISSING and "test_sampling" not in item.nodeid:
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
    """`tiny(vocab_size, connector)` makes a configuration of about 0.2 M parameters.

    Further options are those of the connector.
    """
    return make_tiny


@pytest.fixture(scope="session")
def fabricated():
    """The module fabricated.py beside this file."""
    return load_beside("fabricated")


@pytest.fixture(scope="session")
def toy(tmp_path_factory, fabricated):
    """Eight rooms of records, their images, a tokenizer and the configuration that fits it."""
    from spatialmllm.data.records import RecordSet
    from spatialmllm.data.tokens import build_tiny

    root = tmp_path_factory.mktemp("toy")
    records = fabricated.make_records(root, 8)
    texts = [t for r in records for t in (r.question, r.answer)]
    tokenizer = build_tiny(texts)
    config = make_tiny(tokenizer.size, ids=tokenizer.ids)
    images = RecordSet.of(records, {"toy": root})
    return SimpleNamespace(
        root=root, records=records, tokenizer=tokenizer, config=config, images=images
    )


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


def make_tiny(vocab_size=64, connector="mlp_add", *, ids=None, width=56, height=56, **options):
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
            # As trained blocks have it; the initial 0.01 would hide what the blocks do.
            layer_scale_init=1.0,
            initializer_range=0.08,
        ),
        connector=ConnectorConfig(bottleneck=64),
        processor=ProcessorConfig(resize="exact", width=width, height=height),
        ids=ids or SpecialIds(image=10, video=11, vision_start=8, vision_end=9, pad=0, end=2),
    )
    if connector == "none":
        return config.without_spatial_encoder()
    return replace(config, connector=replace(config.connector, kind=connector, **options))
