# SPDX-License-Identifier: Apache-2.0
"""Where Triton's kernels run: torch tensors on one GPU, or on the host where Triton interprets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch

from spatialcore.errors import BackendUnavailable


def check_place(array: Any) -> None:
    """BackendUnavailable for a tensor on the host, unless Triton interprets its kernels."""
    if not array.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        raise BackendUnavailable(
            "triton", "the arrays live on the host; there TRITON_INTERPRET=1 runs the kernels"
        )


def upload(values: Sequence[float], like: Any) -> Any:
    """Numbers as float64 on the device of `like`, ordered on its current stream.

    Triton passes Python floats as float32, so float64 settings travel as an array.
    """
    host = torch.tensor(values, dtype=torch.float64, pin_memory=like.is_cuda)
    return host.to(like.device, non_blocking=True)
