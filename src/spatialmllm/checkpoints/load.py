# SPDX-License-Identifier: Apache-2.0
"""Strict loading of safetensors checkpoints: every name and shape must fit, or nothing loads."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from spatialmllm.backbone import restore_rotary
from spatialmllm.checkpoints.keys import (
    CheckpointFormatError,
    Layout,
    detect_layout,
    is_tolerated,
    may_be_missing,
    to_memory,
)
from spatialmllm.config import (
    ConnectorConfig,
    ProcessorConfig,
    SpatialEncoderConfig,
    SpatialMLLMConfig,
    from_mapping,
)
from spatialmllm.model import SpatialMLLM, build_meta

_log = logging.getLogger(__name__)
_SHOWN = 20
StrPath = str | PathLike[str]


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

    Args:
        path: A folder or file, or several: their parameters are joined.
        config: Sizes; None reads `config.json` of the first path that has one.
        dtype: Type of the parameters; None keeps the type of the files.
        device: Where the parameters go.
        attention: As in `SpatialMLLM`.
        init_connector: Let a connector that is in no file start from its initialisation.
        seed: Seed of that initialisation.

    Returns:
        The model, in training mode with nothing frozen.

    Raises:
        CheckpointFormatError: Files are damaged, of an unknown layout or generation, or names or
            shapes do not fit; the message lists the first 20 of each kind.
        FileNotFoundError: A path holds no weights.
    """
    paths = [Path(p) for p in ([path] if isinstance(path, str | PathLike) else path)]
    sources = [_WeightFiles(p) for p in paths]
    if config is None:
        config = _config_of(sources, init_connector)
    model = build_meta(config, attention)
    state = _collect(model, sources, dtype, torch.device(device), init_connector)
    model.load_state_dict(state, strict=False, assign=True)
    _fill_missing(model, device, dtype, seed)
    restore_rotary(model, torch.device(device))
    left = [n for n, t in (*model.named_parameters(), *model.named_buffers()) if t.is_meta]
    if left:
        raise CheckpointFormatError(f"parameters left without values: {', '.join(left[:_SHOWN])}")
    return model


def read_weights(model: SpatialMLLM, path: StrPath) -> None:
    """Copy the weights of a model folder into a model of the same configuration, strictly.

    Raises:
        CheckpointFormatError: As in `load`.
    """
    state = _collect(model, [_WeightFiles(Path(path))], None, torch.device("cpu"), False)
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
    flat = _read_json(folder / "config.json")
    processor = None
    if (folder / "processor.json").is_file():
        values = _read_json(folder / "processor.json")
        processor = from_mapping(ProcessorConfig, values, str(folder / "processor.json"))
    try:
        return SpatialMLLMConfig.from_json(flat, processor)
    except (ValueError, TypeError) as error:
        raise CheckpointFormatError(f"{folder / 'config.json'}: {error}") from error


class _WeightFiles:
    """The safetensors files of one checkpoint and the file that holds each name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file_of: dict[str, Path] = {}
        for file in _weight_files(path):
            with _opened(file) as reader:
                for name in reader.keys():  # noqa: SIM118 - a reader is no mapping
                    if name in self.file_of:
                        raise CheckpointFormatError(f"{name} is in {self.file_of[name]} and {file}")
                    self.file_of[name] = file
        try:
            self.layout: Layout = detect_layout(self.file_of)
        except CheckpointFormatError as error:
            raise CheckpointFormatError(f"{path}: {error}") from error

    def by_file(self) -> dict[Path, list[str]]:
        grouped: dict[Path, list[str]] = {}
        for name, file in self.file_of.items():
            grouped.setdefault(file, []).append(name)
        return grouped


def _weight_files(path: Path) -> list[Path]:
    if path.is_file():
        if path.name.endswith(".index.json"):
            return _indexed(path)
        return [path]
    indexes = sorted(path.glob("*.safetensors.index.json"))
    if indexes:
        return _indexed(indexes[0])
    single = path / "model.safetensors"
    if single.is_file():
        return [single]
    found = sorted(path.glob("*.safetensors"))
    if len(found) == 1:
        return found
    raise FileNotFoundError(
        f"{path}: no model.safetensors and no index; PyTorch archives (.bin, .pt) are not read, "
        "save them as safetensors first"
    )


def _indexed(index: Path) -> list[Path]:
    weight_map = _read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointFormatError(f"{index}: no weight_map")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if Path(name).name != name:
            raise CheckpointFormatError(f"{index}: shard {name!r} lies outside the folder")
        if not (index.parent / name).is_file():
            raise CheckpointFormatError(f"{index}: shard {name!r} is missing")
    return [index.parent / name for name in names]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointFormatError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointFormatError(f"{path}: not an object")
    return value


def _opened(file: Path) -> Any:
    try:
        return safe_open(str(file), framework="pt", device="cpu")
    except SafetensorError as error:
        raise CheckpointFormatError(f"{file}: damaged safetensors file: {error}") from error


def _config_of(sources: Sequence[_WeightFiles], init_connector: bool) -> SpatialMLLMConfig:
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
    sources: Iterable[_WeightFiles],
    dtype: torch.dtype | None,
    device: torch.device,
    init_connector: bool,
) -> dict[str, Tensor]:
    """Read every tensor that the model has; all that does not fit is one error."""
    expected = {name: tuple(p.shape) for name, p in model.named_parameters()}
    tied = model.settings.text.tie_word_embeddings
    state: dict[str, Tensor] = {}
    unexpected: list[str] = []
    misshaped: list[str] = []
    dropped = 0
    for source in sources:
        for file, names in source.by_file().items():
            with _opened(file) as reader:
                for name in names:
                    key = to_memory(name, source.layout)
                    shape = tuple(reader.get_slice(name).get_shape())
                    if key not in expected and is_tolerated(key, tied=tied):
                        dropped += 1
                    elif key not in expected or key in state:
                        unexpected.append(name)
                    elif shape != expected[key]:
                        misshaped.append(f"{name} {shape}, the model has {expected[key]}")
                    else:
                        state[key] = reader.get_tensor(name).to(device=device, dtype=dtype)
    missing = [
        name
        for name in expected
        if name not in state and not may_be_missing(name, init_connector=init_connector)
    ]
    missing = [name for name in missing if not any(m.startswith(f"{name} ") for m in misshaped)]
    problems = _listed("missing", missing) + _listed("unexpected", unexpected)
    problems += _listed("of another shape", misshaped)
    if problems:
        raise CheckpointFormatError(
            "the checkpoint does not fit the model:\n" + "\n".join(problems)
        )
    if dropped:
        _log.info("left out %d tensors of heads that are not built", dropped)
    return state


def _listed(kind: str, names: list[str]) -> list[str]:
    if not names:
        return []
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [f"  {len(names)} {kind}: {', '.join(names[:_SHOWN])}{rest}"]


def _fill_missing(
    model: SpatialMLLM, device: torch.device | str, dtype: torch.dtype | None, seed: int
) -> None:
    """Give values to what no file holds: the unused mask token and a new connector."""
    loaded = {p.dtype for p in model.model.parameters()}
    chosen = dtype or next(iter(loaded))
    for module in model.modules():
        token = getattr(module, "mask_token", None)
        if isinstance(token, Tensor) and token.is_meta:
            zeros = torch.zeros(token.shape, device=device, dtype=chosen)
            module.mask_token = torch.nn.Parameter(zeros, requires_grad=False)
    connector = model.connector
    if connector is not None and next(connector.parameters()).is_meta:
        connector.to_empty(device="cpu").float()
        connector.reset(torch.Generator().manual_seed(seed))
        connector.to(device=device, dtype=chosen)
        _log.info("the connector starts from its initialisation")
