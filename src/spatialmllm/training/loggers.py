# SPDX-License-Identifier: Apache-2.0
"""Where else the figures of a run go: TensorBoard or Weights & Biases, by library callbacks."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import Any

TENSORBOARD = "tensorboard"  # folder of a run, beside its metrics


def check_logger(name: str) -> None:
    """Import what a logger needs, before anything else is done.

    Raises:
        ModuleNotFoundError: It is not installed.
        ValueError: There is no such logger.
    """
    if name not in ("none", "tensorboard", "wandb"):
        raise ValueError(f"report_to must be none, tensorboard or wandb, got {name!r}")
    if name != "none":
        importlib.import_module(name)


def logger_of(name: str, out: Path, step: int) -> Any:
    """The library's callback that hands a run's figures on; None for "none".

    A run that continues goes on in the same place: steps that are made again are dropped
    (TensorBoard), or the same run is resumed (Weights & Biases, whose id is that of the folder).

    Args:
        name: "none", "tensorboard" or "wandb".
        out: Folder of the run.
        step: Steps that are made already.
    """
    if name == "tensorboard":
        from torch.utils.tensorboard import SummaryWriter
        from transformers.integrations import TensorBoardCallback

        return TensorBoardCallback(SummaryWriter(str(out / TENSORBOARD), purge_step=step + 1))
    if name == "wandb":
        import wandb
        from transformers.integrations import WandbCallback

        key = hashlib.blake2b(str(out.resolve()).encode(), digest_size=8).hexdigest()
        wandb.init(dir=str(out), id=key, name=out.name, resume="allow")
        return WandbCallback()
    return None
