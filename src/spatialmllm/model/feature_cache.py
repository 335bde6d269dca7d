# SPDX-License-Identifier: Apache-2.0
"""What a frozen spatial encoder makes of frames, on disk: each context is encoded once in all runs.

A file is named by the content of the frames, its folder by the encoder's weights and the layers
that are kept, so other frames or weights never meet it. A context is encoded alone, whatever batch
it comes in: what is read is what would be computed, to the last bit.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from spatialcore.files import whole_file

if TYPE_CHECKING:
    from spatialmllm.model.model import SpatialMLLM


class FeatureCache:
    """Patch features of contexts; processes may share a folder, and a file is whole or absent.

    Args:
        folder: Where the files lie; it is made when it is not there.

    Attributes:
        read: Contexts that were read.
        made: Contexts that were encoded.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.read, self.made = 0, 0

    @staticmethod
    def of(folder: Path, model: SpatialMLLM) -> FeatureCache:
        """The cache of a model's encoder, below a folder that many encoders may share.

        Raises:
            ValueError: The model has no spatial encoder, or trains it.
        """
        encoder = model.aggregator
        if encoder is None or "spatial" not in model.frozen:
            raise ValueError(
                "features are kept of a frozen spatial encoder; this recipe "
                + ("has none" if encoder is None else "trains it: freeze 'spatial'")
            )
        digest = hashlib.blake2b(str(model.settings.connector.layers).encode(), digest_size=16)
        for name, parameter in encoder.named_parameters():
            digest.update(f"{name}|{parameter.dtype}|{tuple(parameter.shape)}|".encode())
            digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy())
        return FeatureCache(folder / digest.hexdigest())

    def features(self, model: SpatialMLLM, frames: Tensor, key: str) -> list[Tensor]:
        """Patch features (1, S, h * w, D) of each kept layer of one context.

        Args:
            model: The model.
            frames: (S, 3, H, W) in [0, 1].
            key: Hash of their content.
        """
        path = self.folder / key[:2] / f"{key[2:]}.safetensors"
        layers = model.settings.connector.layers
        try:
            kept = load_file(path, device=str(frames.device))
            found = [kept[str(number)] for number in range(len(layers))]
            self.read += 1
            return found
        except (FileNotFoundError, SafetensorError, KeyError):
            pass  # not there, or damaged: it is made again
        encoder = model.aggregator
        assert encoder is not None
        (made,) = encoder([frames[None]], layers)
        patches = [layer[:, :, encoder.patch_start :].contiguous() for layer in made]
        with whole_file(path, durable=False) as temporary:
            save_file({str(i): layer.cpu() for i, layer in enumerate(patches)}, temporary)
        self.made += 1
        return patches
