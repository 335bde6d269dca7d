# SPDX-License-Identifier: Apache-2.0
"""Weight files of a checkpoint, and which of their tensors a model takes: by name and shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from spatialcore import settings
from spatialcore.errors import SettingsError
from spatialmllm.checkpoints.keys import CheckpointFormatError, Layout, detect_layout, to_memory

SHOWN = 20
StrPath = str | PathLike[str]


class WeightFiles:
    """The safetensors files of one checkpoint and the file that holds each name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file_of: dict[str, Path] = {}
        for file in weight_files(path):
            with opened_file(file) as reader:
                for name in reader.keys():  # noqa: SIM118 - a reader is no mapping
                    if name in self.file_of:
                        raise CheckpointFormatError(f"{name} is in {self.file_of[name]} and {file}")
                    self.file_of[name] = file
        try:
            self.layout: Layout = detect_layout(self.file_of)
        except CheckpointFormatError as error:
            raise CheckpointFormatError(f"{path}: {error}") from error

    def by_file(self) -> dict[Path, list[str]]:
        """Names of the tensors of each file."""
        grouped: dict[Path, list[str]] = {}
        for name, file in self.file_of.items():
            grouped.setdefault(file, []).append(name)
        return grouped


def weight_files(path: Path) -> list[Path]:
    """The safetensors files of a folder, an index or a single file.

    Raises:
        FileNotFoundError: There are none.
        CheckpointFormatError: The index names what is not beside it.
    """
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
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointFormatError(f"{index}: no weight_map")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if Path(name).name != name:
            raise CheckpointFormatError(f"{index}: shard {name!r} lies outside the folder")
        if not (index.parent / name).is_file():
            raise CheckpointFormatError(f"{index}: shard {name!r} is missing")
    return [index.parent / name for name in names]


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; CheckpointFormatError for anything else."""
    try:
        value = settings.read_json(path)
    except SettingsError as error:
        raise CheckpointFormatError(str(error)) from error
    if not isinstance(value, dict):
        raise CheckpointFormatError(f"{path}: not an object")
    return value


def opened_file(file: Path) -> Any:
    """A reader of a safetensors file; CheckpointFormatError if it is damaged."""
    try:
        return safe_open(str(file), framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise CheckpointFormatError(f"{file}: damaged safetensors file: {error}") from error


class Match(NamedTuple):
    """`taken`: for each name in memory its file and its name there; `left_out`: tolerated names."""

    taken: dict[str, tuple[Path, str]]
    left_out: list[str]

    def read(self, dtype: torch.dtype | None, device: torch.device) -> dict[str, Tensor]:
        """Read the tensors that were taken."""
        by_file: dict[Path, list[tuple[str, str]]] = {}
        for key, (file, name) in self.taken.items():
            by_file.setdefault(file, []).append((key, name))
        state: dict[str, Tensor] = {}
        for file, pairs in by_file.items():
            with opened_file(file) as reader:
                for key, name in pairs:
                    state[key] = reader.get_tensor(name).to(device=device, dtype=dtype)
        return state


def match(
    expected: Mapping[str, tuple[int, ...]],
    sources: Iterable[WeightFiles],
    *,
    tolerated: Callable[[str], bool],
    optional: Callable[[str], bool],
) -> Match:
    """Find every parameter of a model in the files; all that does not fit is one error.

    Only the headers of the files are read.

    Args:
        expected: Shape of each parameter, by its name in memory.
        sources: The files.
        tolerated: Whether a name in memory that the model lacks may be left out.
        optional: Whether a parameter may be in no file.

    Raises:
        CheckpointFormatError: Names are missing or unexpected, or shapes differ; the first 20 of
            each kind are listed.
    """
    found = Match({}, [])
    sources = list(sources)
    unexpected: list[str] = []
    misshaped: dict[str, str] = {}
    for source in sources:
        for file, names in source.by_file().items():
            with opened_file(file) as reader:
                for name in names:
                    key = to_memory(name, source.layout)
                    shape = tuple(reader.get_slice(name).get_shape())
                    if key not in expected and tolerated(key):
                        found.left_out.append(name)
                    elif key not in expected or key in found.taken:
                        unexpected.append(name)
                    elif shape != expected[key]:
                        misshaped[key] = f"{name} {shape}, the model has {expected[key]}"
                    else:
                        found.taken[key] = (file, name)
    missing = [
        name
        for name in expected
        if name not in found.taken and name not in misshaped and not optional(name)
    ]
    problems = _listed("missing", missing) + _listed("unexpected", unexpected)
    problems += _listed("of another shape", list(misshaped.values()))
    if problems:
        raise CheckpointFormatError(
            f"{', '.join(str(source.path) for source in sources)}: the weights do not fit the "
            "model that config.json describes:\n" + "\n".join(problems)
        )
    return found


def _listed(kind: str, names: list[str]) -> list[str]:
    if not names:
        return []
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return [f"  {len(names)} {kind}: {', '.join(names[:SHOWN])}{rest}"]
