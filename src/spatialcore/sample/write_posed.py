# SPDX-License-Identifier: Apache-2.0
"""Writer of the exported posed-images layout: a folder of JPEG, 16-bit PNG and pose files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spatialcore.sample.files import Written, write_file
from spatialcore.sample.render import encode_depth_png
from spatialcore.sample.scan import ScanFrame
from spatialcore.types import Camera


def matrix_text(matrix: NDArray[np.floating]) -> bytes:
    """Four lines of four numbers, each with the digits that give the stored float64 back."""
    rows = np.asarray(matrix, dtype=np.float64)
    return "".join(" ".join(repr(float(x)) for x in row) + "\n" for row in rows).encode()


def intrinsic_text(camera: Camera) -> bytes:
    """The 4x4 form of K."""
    K = np.eye(4)
    K[:3, :3] = camera.K
    return matrix_text(K)


def export_frames(
    root: Path, folder: str, frames: Iterable[ScanFrame], written: list[Written]
) -> Iterator[ScanFrame]:
    """Pass frames through and write the kept ones: `NNNNN.jpg`, `.png`, `.txt`.

    The JPEG bytes are the ones of the raw layout; a frame whose depth is lost has no PNG.
    """
    for frame in frames:
        if frame.kept:
            stem = f"{folder}/{frame.number:05d}"
            written.append(write_file(root, f"{stem}.jpg", frame.jpeg))
            written.append(write_file(root, f"{stem}.txt", matrix_text(frame.world_from_cam)))
            if frame.depth is not None:
                written.append(write_file(root, f"{stem}.png", encode_depth_png(frame.depth)))
        yield frame


def write_intrinsics(root: Path, folder: str, color: Camera, depth: Camera) -> list[Written]:
    """`intrinsic.txt` of the colour camera, `intrinsic_depth.txt`, and `scene_meta.json`."""
    return [
        write_file(root, f"{folder}/intrinsic.txt", intrinsic_text(color)),
        write_file(root, f"{folder}/intrinsic_depth.txt", intrinsic_text(depth)),
        write_file(root, f"{folder}/scene_meta.json", b'{"metric": true, "world_up": [0, 0, 1]}\n'),
    ]
