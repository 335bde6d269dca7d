# SPDX-License-Identifier: Apache-2.0
"""Reading and writing the spatial encoder with its heads as a checkpoint of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from spatialcore.errors import SettingsError
from spatialmllm.checkpoints.files import Match, StrPath, WeightFiles, match, read_json
from spatialmllm.checkpoints.keys import SPATIAL_PREFIX, CheckpointFormatError
from spatialmllm.checkpoints.save import SHARD_BYTES, write_folder
from spatialmllm.model.vggt.config import HEADS, VGGTConfig
from spatialmllm.model.vggt.model import VGGT


def load_vggt(
    path: StrPath,
    *,
    heads: Sequence[str] = HEADS,
    config: VGGTConfig | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> VGGT:
    """Load a VGGT checkpoint, or the spatial encoder inside a Spatial-MLLM v1.1 checkpoint.

    Args:
        path: A folder or file.
        heads: Heads to build; all tensors of the others are left out.
        config: Sizes; None reads `config.json` beside the weights, or takes VGGT-1B's.
        dtype: Type of the parameters; None keeps the type of the files.
        device: Where the parameters go.

    Raises:
        CheckpointFormatError: Names or shapes do not fit; the message lists the first 20.
        FileNotFoundError: The path holds no weights.
    """
    source = WeightFiles(Path(path))
    with torch.device("meta"):
        model = VGGT(_config_beside(Path(path)) if config is None else config, heads)
    state = match_vggt(model, [source]).read(dtype, torch.device(device))
    prefix = len(SPATIAL_PREFIX)
    model.load_state_dict({k[prefix:]: v for k, v in state.items()}, strict=False, assign=True)
    token = getattr(model.aggregator.patch_embed, "mask_token", None)
    if token is not None and token.is_meta:
        zeros = torch.zeros(token.shape, device=device, dtype=model.aggregator.camera_token.dtype)
        model.aggregator.patch_embed.mask_token = torch.nn.Parameter(zeros, requires_grad=False)
    model.eval()
    return model


def match_vggt(model: VGGT, sources: Iterable[WeightFiles]) -> Match:
    """Where every parameter of the model lies; of other parts only the names are looked at.

    The track head is never built; the parts of a language model around the encoder are passed over.

    Raises:
        CheckpointFormatError: As in `load_vggt`.
    """
    built = tuple(f"{SPATIAL_PREFIX}{name}_head." for name in model.heads)
    own = (f"{SPATIAL_PREFIX}aggregator.", *built)
    return match(
        {SPATIAL_PREFIX + name: tuple(p.shape) for name, p in model.named_parameters()},
        sources,
        tolerated=lambda name: not name.startswith(own),
        optional=lambda name: name.endswith(".mask_token"),
    )


def save_vggt(model: VGGT, path: StrPath, *, shard_bytes: int = SHARD_BYTES) -> None:
    """Write a folder with `config.json` and the weights under their public names."""
    text = json.dumps(model.config.to_json(), indent=2) + "\n"
    write_folder(
        Path(path), dict(model.named_parameters()), {"config.json": text}, shard_bytes=shard_bytes
    )


def _config_beside(path: Path) -> VGGTConfig:
    file = (path if path.is_dir() else path.parent) / "config.json"
    if not file.is_file():
        return VGGTConfig()
    try:
        return VGGTConfig.from_json(read_json(file), str(file))
    except SettingsError as error:
        raise CheckpointFormatError(str(error)) from error
