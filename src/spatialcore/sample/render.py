# SPDX-License-Identifier: Apache-2.0
"""Pictures and depth maps of a room: a thin layer over the renderer in `spatialcore._cpu`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatialcore import _render
from spatialcore.sample.rooms import Wall
from spatialcore.sample.solids import Solid, turn
from spatialcore.types import Camera, Float32, Float64

SHADOW_TANGENT = 3.4  # the shadow map reaches this far sideways per metre below its lamp
SHADOW_SIZE = 1024
JPEG_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Sensor:
    """The depth camera's faults.

    Attributes:
        noise: Standard deviation of 1/z in 1/m; the depth's is then noise * z**2 metres.
        step: Quantisation of 1/z in 1/m; 0 = millimetres only.
        near: Metres; nearer readings are lost.
        far: Metres; farther readings are lost.
        holes: Whether readings are lost at grazing angles, edges and on dark surfaces.
    """

    noise: float = 0.0015
    step: float = 0.002
    near: float = 0.35
    far: float = 6.0
    holes: bool = True


PERFECT = Sensor(noise=0.0, step=0.0, near=0.05, far=60.0, holes=False)


def focal_centre(camera: Camera) -> Float32:
    """(4,) fx, fy, cx, cy."""
    K = camera.K
    return np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], dtype=np.float32)


def solid_rows(solids: Sequence[Solid]) -> Float32:
    """(S, 3, 4) solid_from_outer of every solid."""
    rows = np.zeros((len(solids), 3, 4))
    for k, solid in enumerate(solids):
        inverse = solid.R.T
        rows[k, :, :3], rows[k, :, 3] = inverse, -turn(inverse, solid.t)
    return rows.astype(np.float32)


class Renderer:
    """A room ready to be looked at.

    Args:
        solids: The room's solids; the first `shell_count` cast no shadow.
        walls: Its walls, whose corners are darkened.
        height: Of the ceiling, metres.
        lamps: (x, y, power) of lamps under the ceiling.
        shell_count: Floor, ceiling and walls.
        shadow_size: Side of the lamps' shadow maps in pixels.
    """

    def __init__(
        self,
        solids: Sequence[Solid],
        walls: Sequence[Wall],
        height: float,
        lamps: Sequence[tuple[float, float, float]],
        shell_count: int,
        shadow_size: int = SHADOW_SIZE,
    ) -> None:
        table = {id(s.material): s.material for s in solids}
        number = {key: k for k, key in enumerate(table)}
        lines = [
            [
                float(w.along[0] != 0),
                w.start[1] if w.along[0] else w.start[0],
                *sorted((w.start[0], w.end[0]) if w.along[0] else (w.start[1], w.end[1])),
            ]
            for w in walls
        ]
        self.scene = _render.RenderScene(
            np.array([s.kind for s in solids], dtype=np.int32),
            solid_rows(solids),
            np.array([s.half for s in solids], dtype=np.float32),
            np.array([number[id(s.material)] for s in solids], dtype=np.int32),
            np.array([m.row() for m in table.values()], dtype=np.float32),
            np.array(lines, dtype=np.float32).reshape(-1, 4),
            height,
        )
        focal = 0.5 * shadow_size / SHADOW_TANGENT
        for x, y, power in lamps:
            position = np.array([x, y, height - 0.2])
            down = np.eye(4)
            # Looking straight down with the image's axes along x and y mirrors the view, which a
            # shadow map does not mind.
            down[:3, 2] = (0.0, 0.0, -1.0)
            down[:3, 3] = position
            lens = np.array([focal, focal, 0.5 * shadow_size, 0.5 * shadow_size], np.float32)
            shadow, _ = self.scene.cast(lens, down, shadow_size, shadow_size, shell_count)
            self.scene.add_lamp(position, power, shadow, focal)

    def cast(self, camera: Camera, room_from_cam: Float64) -> tuple[Float32, NDArray[np.int32]]:
        """True depth (H, W) in metres, 0 = nothing, and solid index (H, W), -1 = nothing."""
        depth, solid = self.scene.cast(
            focal_centre(camera), room_from_cam, camera.width, camera.height
        )
        return depth, solid

    def shade(
        self, camera: Camera, room_from_cam: Float64, depth: Float32, solid: NDArray[np.int32]
    ) -> NDArray[np.uint8]:
        """Colour (H, W, 3) of a cast view."""
        rgb: NDArray[np.uint8] = self.scene.shade(focal_centre(camera), room_from_cam, depth, solid)
        return rgb

    def measure(
        self, camera: Camera, room_from_cam: Float64, state: int, sensor: Sensor
    ) -> NDArray[np.uint16]:
        """Sensor depth (H, W) in millimetres, 0 = no reading; `state` is a keyed draw."""
        depth, solid = self.cast(camera, room_from_cam)
        reading: NDArray[np.uint16] = self.scene.measure(
            focal_centre(camera),
            room_from_cam,
            depth,
            solid,
            state,
            sensor.noise,
            sensor.step,
            sensor.near,
            sensor.far,
            sensor.holes,
        )
        return reading


def encode_jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """A baseline JPEG of `JPEG_QUALITY`."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def encode_depth_png(depth: NDArray[np.uint16]) -> bytes:
    """A 16-bit grey PNG of millimetres."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(depth).save(buffer, format="PNG", compress_level=4)
    return buffer.getvalue()
