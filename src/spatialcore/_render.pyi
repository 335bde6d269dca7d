"""
Renderer of spatialcore's sample scenes.
"""
from __future__ import annotations
import numpy
import numpy.typing
import typing
__all__: list[str] = ['RenderScene', 'mark_seen']
class RenderScene:
    """
    Convex solids of a procedural room, ready to be rendered.
    """
    def __init__(self, kind: typing.Annotated[numpy.typing.ArrayLike, numpy.int32], solid_from_room: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], half: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], material: typing.Annotated[numpy.typing.ArrayLike, numpy.int32], materials: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], walls: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], height: typing.SupportsFloat | typing.SupportsIndex) -> None:
        ...
    def add_lamp(self, position: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], power: typing.SupportsFloat | typing.SupportsIndex, shadow: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], focal: typing.SupportsFloat | typing.SupportsIndex) -> None:
        """
        Add a point light with its shadow map.
        """
    def cast(self, focal_centre: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], room_from_cam: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], width: typing.SupportsInt | typing.SupportsIndex, height: typing.SupportsInt | typing.SupportsIndex, first: typing.SupportsInt | typing.SupportsIndex = 0) -> tuple:
        """
        Depth (H, W) float32 and solid index (H, W) int32.
        """
    def measure(self, focal_centre: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], room_from_cam: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], depth: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], solid: typing.Annotated[numpy.typing.ArrayLike, numpy.int32], state: typing.SupportsInt | typing.SupportsIndex, noise: typing.SupportsFloat | typing.SupportsIndex, step: typing.SupportsFloat | typing.SupportsIndex, near_limit: typing.SupportsFloat | typing.SupportsIndex, far_limit: typing.SupportsFloat | typing.SupportsIndex, holes: bool) -> numpy.typing.NDArray[numpy.uint16]:
        """
        Sensor depth (H, W) uint16 in millimetres, 0 = no reading.
        """
    def shade(self, focal_centre: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], room_from_cam: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], depth: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], solid: typing.Annotated[numpy.typing.ArrayLike, numpy.int32]) -> numpy.typing.NDArray[numpy.uint8]:
        """
        Colour (H, W, 3) uint8 of a cast view.
        """
def mark_seen(focal_centre: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], room_from_cam: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], depth: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], points: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], tolerance: typing.SupportsFloat | typing.SupportsIndex, seen: numpy.typing.NDArray[numpy.uint8]) -> None:
    """
    Set seen[p] = 1 where the view's depth agrees with point p.
    """
