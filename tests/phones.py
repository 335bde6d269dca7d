# SPDX-License-Identifier: Apache-2.0
"""Byte writers of the ray-cast room in the layouts of phones, written apart from the readers.

The phone is held in portrait: its sensor is landscape, so stored pictures lie on their side.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spatialcore.types import Camera, Float64
from tests.fabricate import png16
from tests.rays import Shot, pinhole, shoot, walk

SENSOR = pinhole(64, 48)
# The world of ARKit: y up. (x, y, z) of the room, z up, becomes (x, z, -y).
ARKIT_FROM_ROOM = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def rolled(world_from_cam: Float64, turn: float) -> Float64:
    """The pose of a camera rolled clockwise: its pictures show the world turned the other way."""
    a = np.deg2rad(turn)
    roll = np.eye(4)
    # The rolled sensor's axes in the level camera's own frame, whose y points down.
    roll[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    return world_from_cam @ roll


def held(count: int, turn: float = 90, camera: Camera = SENSOR) -> list[Shot]:
    """What a phone sees on its walk, rolled so that a clockwise `turn` brings pictures upright."""
    return [shoot(rolled(pose, turn), camera) for pose in walk(count)]


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def jpg(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def millimetres(shot: Shot) -> bytes:
    return png16(np.rint(shot.depth * 1000).astype(np.uint16))


def put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def arkitscenes_video(
    folder: Path, shots: list[Shot], *, start: float = 6845.7, inner: bool = False
) -> Path:
    """`<fold>/<video>/`, raw, or with the streams in `<video>_frames/` as for 3-D detection."""
    from scipy.spatial.transform import Rotation

    base = folder / f"{folder.name}_frames" if inner else folder
    lines = []
    for k, shot in enumerate(shots):
        name = f"{folder.name}_{start + 0.1 * k:.3f}"
        put(base / f"lowres_wide/{name}.png", png(shot.colour))
        put(base / f"lowres_depth/{name}.png", millimetres(shot))
        levels = np.full(shot.depth.shape, 2, np.uint8)
        levels[0, 0] = 0
        put(base / f"confidence/{name}.png", png(levels))
        K = shot.camera.K
        # Every other pincam is a millisecond early, as in the data set.
        late = f"{folder.name}_{start + 0.1 * k - 0.001 * (k % 2):.3f}"
        line = f"{shot.camera.width} {shot.camera.height} {K[0, 0]} {K[1, 1]} {K[0, 2]} {K[1, 2]}"
        put(base / f"lowres_wide_intrinsics/{late}.pincam", line)
        R = shot.world_from_cam[:3, :3].T
        numbers = [*Rotation.from_matrix(R).as_rotvec(), *(-R @ shot.world_from_cam[:3, 3])]
        time = start + 0.1 * k + 0.003
        lines.append(" ".join(repr(float(x)) for x in (time, *numbers)))
    put(base / "lowres_wide.traj", "\n".join(lines) + "\n")
    return folder


def video(path: Path, pictures: list[NDArray[np.uint8]], codec: str = "mpeg4") -> Path:
    """A video with B-frames and a key frame in every six."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        groups = {"g": "6", "bf": "2"} if codec == "mpeg4" else {}
        stream = container.add_stream(codec, rate=30, options=groups)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p" if codec == "mpeg4" else "yuvj420p"
        stream.bit_rate = 8_000_000
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path
