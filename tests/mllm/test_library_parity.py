# SPDX-License-Identifier: Apache-2.0
"""Our forward, preprocessing and decoding against the library's own Qwen2.5-VL."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="module")
def pair(tiny):
    """Our model without connector and the library's model with the same weights."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    from spatialmllm.model.backbone import text_config, vision_config
    from spatialmllm.model.model import build

    config = tiny(connector="none")
    ours = build(config, seed=4).eval()
    library = Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config=text_config(config.text).to_dict(),
            vision_config=vision_config(config.vision).to_dict(),
            image_token_id=config.ids.image,
            video_token_id=config.ids.video,
            vision_start_token_id=config.ids.vision_start,
            vision_end_token_id=config.ids.vision_end,
            tie_word_embeddings=True,
        )
    ).eval()
    state = {}
    for name, value in ours.state_dict().items():
        place = "visual." if name.startswith("visual.") else "language_model."
        state[f"model.{place}{name.removeprefix('visual.').removeprefix('model.')}"] = value
    missing, unexpected = library.load_state_dict(state, strict=False)
    assert not unexpected
    assert set(missing) <= {"lm_head.weight"}
    library.tie_weights()
    generator = torch.Generator().manual_seed(0)
    inputs = {
        "input_ids": torch.tensor([[1, 5, 8, *[10] * 6, 9, 6, 7, 8, *[11] * 8, 9, 3]]),
        "grid_image": torch.tensor([[1, 4, 6]]),
        "grid_video": torch.tensor([[2, 4, 4]]),
        "pixels": torch.randn(24 + 32, 1176, generator=generator),
    }
    return ours, library, inputs


def _positions(inputs, stride=1.0):
    import torch

    from spatialmllm.data.positions import sequence_positions

    grids = [*inputs["grid_image"].tolist(), *inputs["grid_video"].tolist()]
    made = sequence_positions(inputs["input_ids"][0].numpy(), grids, (10, 11), stride=stride)
    return torch.from_numpy(made.ids)[:, None], made.next_id


def test_logits_equal_those_of_the_library(pair):
    import torch

    ours, library, inputs = pair
    positions, _ = _positions(inputs)
    mask = torch.ones_like(inputs["input_ids"])
    with torch.no_grad():
        got = ours(
            inputs["input_ids"],
            mask,
            positions,
            pixel_values=inputs["pixels"],
            grid_thw=torch.cat([inputs["grid_image"], inputs["grid_video"]]),
        ).logits
        expected = library(
            input_ids=inputs["input_ids"],
            attention_mask=mask,
            position_ids=positions,
            pixel_values=inputs["pixels"][:24],
            image_grid_thw=inputs["grid_image"],
            pixel_values_videos=inputs["pixels"][24:],
            video_grid_thw=inputs["grid_video"],
        ).logits
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_positions_equal_those_of_the_library_where_its_rule_is_ours(pair):
    """One still: the library agrees. (It ignores time when it continues after a clip.)"""
    import torch
    import transformers

    if int(transformers.__version__.partition(".")[0]) < 5:
        pytest.skip("older releases cast the seconds of a pair to integers")
    _, library, inputs = pair
    ids = inputs["input_ids"][:, :12]
    kinds = (ids == 10).int()
    expected, delta = library.model.get_rope_index(
        ids, mm_token_type_ids=kinds, image_grid_thw=inputs["grid_image"]
    )
    from spatialmllm.data.positions import sequence_positions

    made = sequence_positions(ids[0].numpy(), [(1, 4, 6)], (10, 11), stride=1.0)
    assert torch.equal(torch.from_numpy(made.ids)[:, None], expected)
    assert made.next_id - ids.shape[1] == int(delta)


def test_tower_returns_raster_order(pair):
    """With attention switched off, permuting merged patches permutes the tokens alike."""
    import copy

    import torch

    from spatialmllm.model.backbone import run_tower

    tower = copy.deepcopy(pair[0].visual)
    for block in tower.blocks:
        torch.nn.init.zeros_(block.attn.proj.weight)
        torch.nn.init.zeros_(block.attn.proj.bias)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(48, 4, 1176, generator=generator)
    order = torch.randperm(48, generator=generator)
    grid = torch.tensor([[4, 6, 8]])
    with torch.no_grad():
        plain = run_tower(tower, pixels.flatten(0, 1), grid)
        moved = run_tower(tower, pixels[order].flatten(0, 1), grid)
    torch.testing.assert_close(moved, plain[order], rtol=1e-5, atol=1e-6)


def test_patch_rows_equal_those_of_the_library_processor():
    from PIL import Image

    module = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl")

    from spatialmllm.config import ProcessorConfig
    from spatialmllm.data.preprocessing import Medium, medium_rows, resize_image

    pixels = np.random.default_rng(0).integers(0, 256, (95, 130, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    config = ProcessorConfig(min_pixels=56 * 56, max_pixels=112 * 112)
    library = module.Qwen2VLImageProcessorPil(
        size={"shortest_edge": config.min_pixels, "longest_edge": config.max_pixels},
        patch_size=14, temporal_patch_size=2, merge_size=2,
    )  # fmt: skip
    made = library(images=[image], return_tensors="np")
    resized = np.asarray(resize_image(image, config))
    rows = medium_rows(Medium(resized[None].repeat(2, axis=0), still=False))
    _, h, w = (int(n) for n in made["image_grid_thw"][0])
    assert (resized.shape[0] // 14, resized.shape[1] // 14) == (h, w)
    np.testing.assert_allclose(rows, made["pixel_values"], atol=2e-6)
