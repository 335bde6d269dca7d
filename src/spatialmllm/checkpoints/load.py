# SPDX-License-Identifier: Apache-2.0
"""Strict loading of safetensors checkpoints: every name and shape must fit, or nothing loads."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from spatialcore.errors import SettingsError
from spatialcore.settings import read_settings
from spatialmllm.checkpoints.adapter import adapter_beside, merge_adapter
from spatialmllm.checkpoints.files import SHOWN, StrPath, WeightFiles, match, read_json
from spatialmllm.checkpoints.keys import CheckpointFormatError, is_tolerated, may_be_missing
from spatialmllm.config import (
    ConnectorConfig,
    ProcessorConfig,
    SpatialEncoderConfig,
    SpatialMLLMConfig,
)
from spatialmllm.model.backbone import restore_rotary
from spatialmllm.model.model import SpatialMLLM, build_meta

_log = logging.getLogger(__name__)


def load(
    path: StrPath | Sequence[StrPath],
    *,
    config: SpatialMLLMConfig | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    attention: str = "sdpa",
    init_connector: bool = False,
    seed: int = 0,
) -> SpatialMLLM:
    """Load a model from one checkpoint, or from a Qwen2.5-VL and a VGGT checkpoint together.

    A low-rank adapter in the folder `adapter` of a checkpoint is merged into the weights.

    Args:
        path: A folder or file, or several: their parameters are joined.
        config: Sizes; None reads `config.json` of the first path that has one.
        dtype: Type of the parameters; None keeps the type of the files.
        device: Where the parameters go.
        attention: As in `SpatialMLLM`.
        init_connector: Let a connector and a matching part that are in no file start from their
            initialisation.
        seed: Seed of that initialisation.

    Returns:
        The model, in training mode with nothing frozen.

    Raises:
        CheckpointFormatError: Files are damaged, of an unknown layout or generation, or names or
            shapes do not fit; the message lists the first 20 of each kind.
        FileNotFoundError: A path holds no weights.
    """
    paths = [Path(p) for p in ([path] if isinstance(path, str | PathLike) else path)]
    sources = [WeightFiles(p) for p in paths]
    if config is None:
        config = _config_of(sources, init_connector)
    model = build_meta(config, attention)
    state = _collect(model, sources, dtype, torch.device(device), init_connector)
    model.load_state_dict(state, strict=False, assign=True)
    _fill_missing(model, device, dtype, seed)
    restore_rotary(model, torch.device(device))
    for folder in filter(None, map(adapter_beside, sources)):
        merge_adapter(folder, dict(model.named_parameters()))
        _log.info("merged the adapter in %s", folder)
    left = [n for n, t in (*model.named_parameters(), *model.named_buffers()) if t.is_meta]
    if left:
        raise CheckpointFormatError(f"parameters left without values: {', '.join(left[:SHOWN])}")
    return model


def read_weights(model: SpatialMLLM, path: StrPath) -> None:
    """Copy the weights of a model folder into a model of the same configuration, strictly.

    Raises:
        CheckpointFormatError: As in `load`.
    """
    state = _collect(model, [WeightFiles(Path(path))], None, torch.device("cpu"), False)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in state:
                parameter.copy_(state[name])


def load_config(path: StrPath) -> SpatialMLLMConfig:
    """Read `config.json` and, where it exists, `processor.json` of a checkpoint folder.

    Raises:
        FileNotFoundError: The folder has no `config.json`.
        CheckpointFormatError: The files are not what they should be.
    """
    folder = Path(path)
    folder = folder if folder.is_dir() else folder.parent
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder}: no config.json")
    sizes, pixels = folder / "config.json", folder / "processor.json"
    try:
        processor = read_settings(ProcessorConfig, pixels) if pixels.is_file() else None
        return SpatialMLLMConfig.from_json(read_json(sizes), processor, str(sizes))
    except SettingsError as error:
        raise CheckpointFormatError(str(error)) from error


def _config_of(sources: Sequence[WeightFiles], init_connector: bool) -> SpatialMLLMConfig:
    """The configuration of the first folder that has one; a VGGT checkpoint adds its encoder."""
    config: SpatialMLLMConfig | None = None
    for source in sources:
        folder = source.path if source.path.is_dir() else source.path.parent
        if source.layout != "vggt" and (folder / "config.json").is_file():
            config = load_config(folder)
            break
    if config is None:
        raise FileNotFoundError(f"no config.json beside {', '.join(str(s.path) for s in sources)}")
    joined = any(source.layout == "vggt" for source in sources)
    if joined and config.spatial is None and init_connector:
        return replace(config, spatial=SpatialEncoderConfig(), connector=ConnectorConfig())
    return config


def _collect(
    model: SpatialMLLM,
    sources: Iterable[WeightFiles],
    dtype: torch.dtype | None,
    device: torch.device,
    init_connector: bool,
) -> dict[str, Tensor]:
    """Read every tensor that the model has, strictly."""
    tied = model.settings.text.tie_word_embeddings
    found = match(
        {name: tuple(p.shape) for name, p in model.named_parameters()},
        sources,
        tolerated=lambda name: is_tolerated(name, tied=tied),
        optional=lambda name: may_be_missing(name, init_connector=init_connector),
    )
    if found.left_out:
        _log.info("left out %d tensors of heads that are not built", len(found.left_out))
    return found.read(dtype, device)


def _fill_missing(
    model: SpatialMLLM, device: torch.device | str, dtype: torch.dtype | None, seed: int
) -> None:
    """Give values to what no file holds: the unused mask token, new matching and connector."""
    loaded = {p.dtype for p in model.model.parameters()}
    chosen = dtype or next(iter(loaded))
    for module in model.modules():
        token = getattr(module, "mask_token", None)
        if isinstance(token, Tensor) and token.is_meta:
            zeros = torch.zeros(token.shape, device=device, dtype=chosen)
            module.mask_token = torch.nn.Parameter(zeros, requires_grad=False)
    generator = torch.Generator().manual_seed(seed)
    connector = model.connector
    if connector is not None and next(connector.parameters()).is_meta:
        connector.to_empty(device="cpu").float()
        connector.reset(generator)
        connector.to(device=device, dtype=chosen)
        _log.info("the connector starts from its initialisation")
    matching = None if model.aggregator is None else model.aggregator.matching
    if matching is not None and next(matching.parameters()).is_meta:
        matching.to_empty(device="cpu").float()
        matching.reset(generator, silent=True)
        matching.to(device=device, dtype=chosen)
        _log.info("the matching part starts from its initialisation")
