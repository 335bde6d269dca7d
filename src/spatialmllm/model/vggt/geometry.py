# SPDX-License-Identifier: Apache-2.0
"""Point maps of candidate frames from images alone, by the heads of the spatial encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from spatialcore.types import invert_pose
from spatialmllm.geometry import GeometryProvider, PointMaps, unproject
from spatialmllm.model.vggt.model import VGGT, Geometry

if TYPE_CHECKING:
    from PIL.Image import Image

LONG_SIDE = 518
PointSource = Literal["depth", "point_head"]


def from_vggt(
    model: VGGT,
    image: Callable[[int], Image],
    *,
    point_source: PointSource = "depth",
    long_side: int = LONG_SIDE,
    max_side: int = 160,
) -> GeometryProvider:
    """Point maps of one pass over all candidates; the world is the first candidate's camera.

    Args:
        model: Encoder with the heads that are used: camera and depth, or point.
        image: Candidate index -> its image.
        point_source: "depth" unprojects the depth maps with the predicted cameras, "point_head"
            takes the point maps as they are; then depth is unknown.
        long_side: The longer side of the images that the encoder sees; both become multiples of
            its patch size. Unlike the published sampler, nothing is turned or cropped.
        max_side: Maps are thinned until their longer side is at most this.

    Raises:
        ValueError: An unknown source, or a head that it needs is not built.
    """
    needed = {"depth": ("camera", "depth"), "point_head": ("point",)}
    if point_source not in needed:
        raise ValueError(f"point_source must be depth or point_head, got {point_source!r}")
    if missing := set(needed[point_source]) - set(model.heads):
        raise ValueError(f"point source {point_source!r} needs the heads {sorted(missing)}")

    def provide(indices: Sequence[int]) -> PointMaps:
        frames = _frames([image(i) for i in indices], model, long_side)
        with torch.inference_mode():
            made = model(frames[None], needed[point_source])
        step = -(-max(frames.shape[-2:]) // max_side)
        if point_source == "depth":
            return _from_cameras(made, step)
        points = _array(made.points_world)[:, ::step, ::step]
        unknown = np.full(points.shape[:-1], np.nan, dtype=np.float32)
        confidence = _array(made.points_confidence)[:, ::step, ::step]
        return PointMaps(points, confidence, unknown)

    return provide


def input_size(height: int, width: int, long_side: int, patch: int) -> tuple[int, int]:
    """(height, width) in multiples of `patch`: the longer side becomes `long_side`, at most.

    Example:
        >>> input_size(480, 640, 518, 14)
        (392, 518)
    """
    scale = long_side / max(height, width)
    most = max(patch, long_side // patch * patch)

    def fit(side: int) -> int:
        return min(most, max(patch, round(side * scale / patch) * patch))

    return fit(height), fit(width)


def _frames(images: Sequence[Image], model: VGGT, long_side: int) -> torch.Tensor:
    """(S, 3, H, W) in [0, 1] on the model's device, all of the first image's size."""
    from PIL.Image import Resampling

    first = images[0]
    patch = model.config.encoder.patch_size
    rows, columns = input_size(first.height, first.width, long_side, patch)
    pixels = np.stack(
        [np.asarray(im.convert("RGB").resize((columns, rows), Resampling.BICUBIC)) for im in images]
    )
    token = model.aggregator.camera_token
    tensor = torch.from_numpy(pixels).to(token.device).permute(0, 3, 1, 2)
    return tensor.to(token.dtype) / 255


def _from_cameras(made: Geometry, step: int) -> PointMaps:
    depth = _array(made.depth)[:, ::step, ::step]
    world_from_cam = [invert_pose(m) for m in _array(made.cam_from_world).astype(np.float64)]
    thin = np.diag([1 / step, 1 / step, 1.0])
    maps = zip(depth, _array(made.K).astype(np.float64), world_from_cam, strict=True)
    points = np.stack([unproject(d, thin @ K, m) for d, K, m in maps])
    return PointMaps(points, _array(made.depth_confidence)[:, ::step, ::step], depth)


def _array(values: torch.Tensor | None) -> NDArray[np.float32]:
    """The only context of a batch as numpy."""
    if values is None:
        raise ValueError("the head was not run")
    return np.asarray(values[0].float().cpu().numpy())
