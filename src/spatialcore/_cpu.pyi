"""
CPU kernels of spatialcore.
"""
from __future__ import annotations
import numpy
import numpy.typing
import typing
import typing_extensions
__all__: list[str] = ['available_threads', 'decode_depth_png', 'depth_png_header', 'inflate']
def available_threads() -> int:
    """
    Threads that the process may use: the size of its affinity mask.
    """
def decode_depth_png(png: typing_extensions.Buffer, max_pixels: typing.SupportsInt | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.uint16]:
    """
    Decode a plain 16-bit greyscale PNG to (h, w) uint16; ValueError when it is damaged.
    """
def depth_png_header(png: typing_extensions.Buffer) -> tuple[int, int, bool]:
    """
    (width, height, plain) of a PNG; plain: decode_depth_png can read it.
    """
def inflate(stream: typing_extensions.Buffer, size: typing.SupportsInt | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.uint8]:
    """
    Inflate a zlib stream of exactly `size` bytes to uint8; ValueError when it is damaged.
    """
__version__: str = '0.1.0'
