# SPDX-License-Identifier: Apache-2.0
"""Names and shapes of the public weight files, written from their description, not from our model.

The counts they add up to are those measured on the public models; see test_public_layouts.py.
"""

from __future__ import annotations

Shapes = dict[str, tuple[int, ...]]


def _linear(name, inputs, outputs, bias=True) -> Shapes:
    shapes = {f"{name}.weight": (outputs, inputs)}
    return shapes | ({f"{name}.bias": (outputs,)} if bias else {})


def _conv(name, inputs, outputs, size, bias=True) -> Shapes:
    shapes = {f"{name}.weight": (outputs, inputs, size, size)}
    return shapes | ({f"{name}.bias": (outputs,)} if bias else {})


def _norm(name, dim) -> Shapes:
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def qwen(
    *,
    layers=36,
    hidden=2048,
    ffn=11008,
    kv_dim=256,
    vocab=151936,
    depth=32,
    width=1280,
    vision_ffn=3420,
    tied=True,
) -> Shapes:
    shapes: Shapes = {"model.embed_tokens.weight": (vocab, hidden), "model.norm.weight": (hidden,)}
    for i in range(layers):
        at = f"model.layers.{i}"
        shapes |= _linear(f"{at}.self_attn.q_proj", hidden, hidden)
        shapes |= _linear(f"{at}.self_attn.k_proj", hidden, kv_dim)
        shapes |= _linear(f"{at}.self_attn.v_proj", hidden, kv_dim)
        shapes |= _linear(f"{at}.self_attn.o_proj", hidden, hidden, bias=False)
        shapes |= _linear(f"{at}.mlp.gate_proj", hidden, ffn, bias=False)
        shapes |= _linear(f"{at}.mlp.up_proj", hidden, ffn, bias=False)
        shapes |= _linear(f"{at}.mlp.down_proj", ffn, hidden, bias=False)
        shapes[f"{at}.input_layernorm.weight"] = (hidden,)
        shapes[f"{at}.post_attention_layernorm.weight"] = (hidden,)
    shapes["visual.patch_embed.proj.weight"] = (width, 3, 2, 14, 14)
    for i in range(depth):
        at = f"visual.blocks.{i}"
        shapes[f"{at}.norm1.weight"] = (width,)
        shapes[f"{at}.norm2.weight"] = (width,)
        shapes |= _linear(f"{at}.attn.qkv", width, 3 * width)
        shapes |= _linear(f"{at}.attn.proj", width, width)
        shapes |= _linear(f"{at}.mlp.gate_proj", width, vision_ffn)
        shapes |= _linear(f"{at}.mlp.up_proj", width, vision_ffn)
        shapes |= _linear(f"{at}.mlp.down_proj", vision_ffn, width)
    shapes["visual.merger.ln_q.weight"] = (width,)
    shapes |= _linear("visual.merger.mlp.0", 4 * width, 4 * width)
    shapes |= _linear("visual.merger.mlp.2", 4 * width, hidden)
    if not tied:
        shapes["lm_head.weight"] = (vocab, hidden)
    return shapes


def nested(name: str) -> str:
    """Name of a parameter of `qwen` in files written by the newer library layout."""
    if name.startswith("visual."):
        return f"model.{name}"
    return name.replace("model.", "model.language_model.", 1) if name[:2] == "mo" else name


def _block(name, dim, head=None, ratio=4) -> Shapes:
    shapes = _norm(f"{name}.norm1", dim) | _norm(f"{name}.norm2", dim)
    shapes |= _linear(f"{name}.attn.qkv", dim, 3 * dim) | _linear(f"{name}.attn.proj", dim, dim)
    if head:
        shapes |= _norm(f"{name}.attn.q_norm", head) | _norm(f"{name}.attn.k_norm", head)
    shapes |= _linear(f"{name}.mlp.fc1", dim, ratio * dim)
    shapes |= _linear(f"{name}.mlp.fc2", ratio * dim, dim)
    return shapes | {f"{name}.ls1.gamma": (dim,), f"{name}.ls2.gamma": (dim,)}


def aggregator(*, dim=1024, depth=24, head=64, dino_depth=24, grid=37, registers=4) -> Shapes:
    shapes: Shapes = {
        "aggregator.camera_token": (1, 2, 1, dim),
        "aggregator.register_token": (1, 2, registers, dim),
        "aggregator.patch_embed.cls_token": (1, 1, dim),
        "aggregator.patch_embed.pos_embed": (1, grid * grid + 1, dim),
        "aggregator.patch_embed.register_tokens": (1, registers, dim),
        "aggregator.patch_embed.mask_token": (1, dim),
    }
    shapes |= _conv("aggregator.patch_embed.patch_embed.proj", 3, dim, 14)
    for i in range(dino_depth):
        shapes |= _block(f"aggregator.patch_embed.blocks.{i}", dim)
    shapes |= _norm("aggregator.patch_embed.norm", dim)
    for kind in ("frame", "global"):
        for i in range(depth):
            shapes |= _block(f"aggregator.{kind}_blocks.{i}", dim, head)
    return shapes


def camera_head(dim=2048) -> Shapes:
    shapes: Shapes = {"camera_head.empty_pose_tokens": (1, 1, 9)}
    for i in range(4):
        shapes |= _block(f"camera_head.trunk.{i}", dim)
    shapes |= _norm("camera_head.token_norm", dim) | _norm("camera_head.trunk_norm", dim)
    shapes |= _linear("camera_head.embed_pose", 9, dim)
    shapes |= _linear("camera_head.poseLN_modulation.1", dim, 3 * dim)
    shapes |= _linear("camera_head.pose_branch.fc1", dim, dim // 2)
    return shapes | _linear("camera_head.pose_branch.fc2", dim // 2, 9)


def dpt_head(name, features, outputs, dim=2048) -> Shapes:
    channels = (256, 512, 1024, 1024)
    shapes = _norm(f"{name}.norm", dim)
    for i, width in enumerate(channels):
        shapes |= _conv(f"{name}.projects.{i}", dim, width, 1)
        shapes |= _conv(f"{name}.scratch.layer{i + 1}_rn", width, features, 3, bias=False)
    shapes |= _conv(f"{name}.resize_layers.0", 256, 256, 4)
    shapes |= _conv(f"{name}.resize_layers.1", 512, 512, 2)
    shapes |= _conv(f"{name}.resize_layers.3", 1024, 1024, 3)
    for i in (1, 2, 3, 4):
        at = f"{name}.scratch.refinenet{i}"
        shapes |= _conv(f"{at}.out_conv", features, features, 1)
        for unit in (2,) if i == 4 else (1, 2):
            shapes |= _conv(f"{at}.resConfUnit{unit}.conv1", features, features, 3)
            shapes |= _conv(f"{at}.resConfUnit{unit}.conv2", features, features, 3)
    if outputs is None:
        return shapes | _conv(f"{name}.scratch.output_conv1", features, features, 3)
    shapes |= _conv(f"{name}.scratch.output_conv1", features, features // 2, 3)
    shapes |= _conv(f"{name}.scratch.output_conv2.0", features // 2, 32, 3)
    return shapes | _conv(f"{name}.scratch.output_conv2.2", 32, outputs, 1)


def _track_block(name, dim, attention) -> Shapes:
    shapes = _norm(f"{name}.norm1", dim) | _norm(f"{name}.norm2", dim)
    if attention == "cross_attn":
        shapes |= _norm(f"{name}.norm_context", dim)
    at = f"{name}.{attention}"
    shapes |= {f"{at}.in_proj_weight": (3 * dim, dim), f"{at}.in_proj_bias": (3 * dim,)}
    shapes |= _linear(f"{at}.out_proj", dim, dim)
    return (
        shapes | _linear(f"{name}.mlp.fc1", dim, 4 * dim) | _linear(f"{name}.mlp.fc2", 4 * dim, dim)
    )


def track_head() -> Shapes:
    """Tolerated on loading and never used; only its size counts here."""
    shapes = dpt_head("track_head.feature_extractor", 128, None)
    at, latent, hidden, token = "track_head.tracker", 128, 384, 388
    shapes |= _linear(f"{at}.corr_mlp.fc1", 7 * 81, hidden)
    shapes |= _linear(f"{at}.corr_mlp.fc2", hidden, latent)
    shapes[f"{at}.query_ref_token"] = (1, 2, token)
    former = f"{at}.updateformer"
    shapes |= _linear(f"{former}.input_transform", token, hidden)
    shapes |= _linear(f"{former}.flow_head", hidden, latent + 2)
    shapes[f"{former}.virtual_tracks"] = (1, 64, 1, hidden)
    shapes |= _norm(f"{former}.input_norm", token) | _norm(f"{former}.output_norm", hidden)
    for i in range(6):
        shapes |= _track_block(f"{former}.time_blocks.{i}", hidden, "attn")
        shapes |= _track_block(f"{former}.space_virtual_blocks.{i}", hidden, "attn")
        shapes |= _track_block(f"{former}.point_to_virtual_blocks.{i}", hidden, "cross_attn")
        shapes |= _track_block(f"{former}.virtual_to_point_blocks.{i}", hidden, "cross_attn")
    shapes |= _norm(f"{at}.fmap_norm", latent) | _norm(f"{at}.ffeat_norm", latent)
    shapes |= _linear(f"{at}.ffeat_updater.0", latent, latent)
    return (
        shapes
        | _linear(f"{at}.vis_predictor.0", latent, 1)
        | _linear(f"{at}.conf_predictor.0", latent, 1)
    )


def vggt() -> Shapes:
    return (
        aggregator()
        | camera_head()
        | dpt_head("point_head", 256, 4)
        | dpt_head("depth_head", 256, 2)
        | track_head()
    )


def connector(merged=16384, hidden=2048) -> Shapes:
    shapes: Shapes = {"connector.ln_q.weight": (merged,)}
    shapes |= _linear("connector.mlp.0", merged, merged)
    return shapes | _linear("connector.mlp.2", merged, hidden)
