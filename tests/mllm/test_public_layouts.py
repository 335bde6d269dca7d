# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from math import prod

import pytest


def _size(shapes):
    return sum(prod(shape) for shape in shapes.values())


@pytest.fixture(scope="module")
def full_size():
    from spatialmllm.config import SpatialMLLMConfig
    from spatialmllm.model.model import build_meta

    model = build_meta(SpatialMLLMConfig())
    return {name: tuple(p.shape) for name, p in model.named_parameters()}


def test_public_files_hold_the_measured_counts(layouts):
    vggt = layouts.vggt()
    assert (len(vggt), _size(vggt)) == (1797, 1_256_537_516)
    assert _size(layouts.aggregator()) == 909_112_320
    assert (len(layouts.track_head()), _size(layouts.track_head())) == (394, 65_941_396)
    assert _size(layouts.qwen()) == 3_754_622_976
    assert _size(layouts.connector()) == 302_024_704


def test_full_size_model_has_exactly_the_names_and_shapes_of_v11(full_size, layouts):
    expected = dict(layouts.qwen()) | layouts.connector()
    for name, shape in layouts.aggregator().items():
        expected[f"spatial_encoder.vggt_model.{name}"] = shape
    assert full_size == expected


def test_without_connector_it_is_qwen(layouts):
    from spatialmllm.config import SpatialMLLMConfig
    from spatialmllm.model.model import build_meta

    model = build_meta(SpatialMLLMConfig().without_spatial_encoder())
    assert {n: tuple(p.shape) for n, p in model.named_parameters()} == layouts.qwen()


@pytest.mark.parametrize("layout", ["spatial-mllm", "qwen", "qwen-nested", "vggt"])
def test_the_key_map_is_a_bijection(layout, full_size, layouts):
    from spatialmllm.checkpoints.keys import _PREFIXES, detect_layout, to_memory

    names = {
        "spatial-mllm": list(full_size),
        "qwen": list(layouts.qwen(tied=False)),
        "qwen-nested": [layouts.nested(name) for name in layouts.qwen(tied=False)],
        "vggt": list(layouts.vggt()),
    }[layout]
    assert detect_layout(names) == layout
    mapped = [to_memory(name, layout) for name in names]
    assert len(set(mapped)) == len(names)
    in_file = {memory: file for file, memory in reversed(_PREFIXES[layout])}
    for name, key in zip(names, mapped, strict=True):
        assert name in {file + key[len(m) :] for m, file in in_file.items() if key.startswith(m)}
    built = [name for name in mapped if name in full_size]
    if layout == "qwen-nested":
        assert set(built) == set(layouts.qwen())
    if layout == "vggt":
        assert len(built) == len(layouts.aggregator())


def test_every_other_vggt_tensor_is_tolerated(full_size, layouts):
    from spatialmllm.checkpoints.keys import is_tolerated, to_memory

    names = [to_memory(name, "vggt") for name in layouts.vggt()]
    rest = [name for name in names if name not in full_size]
    assert len(rest) == 1797 - len(layouts.aggregator())
    assert all(is_tolerated(name, tied=True) for name in rest)
