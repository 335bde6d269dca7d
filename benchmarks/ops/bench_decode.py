# SPDX-License-Identifier: Apache-2.0
"""Decoding of 16-bit PNG, deflate and PLY, and the size of a JPEG, on one thread.

`--real FOLDER` takes the depth images of captured scenes; without it only the ray-cast room's are
decoded, written twice: by OpenCV (its default filter) and by Pillow (adaptive filters).
"""

from __future__ import annotations

import argparse
import io
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ops.compare import Comparison, Variant, write
from benchmarks.ops.harness import one_thread
from benchmarks.ops.room import make
from spatialcore import _cpu
from spatialcore.files import write_bytes
from spatialcore.io.images import image_size
from spatialcore.io.ply import read_ply

MAX_PIXELS = 1 << 22


def encoded(depth: np.ndarray) -> dict[str, list[bytes]]:
    """The maps as two writers store them."""
    import cv2
    from PIL import Image

    pillow = []
    for one in depth:
        stream = io.BytesIO()
        Image.fromarray(one).save(stream, "PNG")
        pillow.append(stream.getvalue())
    return {
        "room, written by OpenCV": [cv2.imencode(".png", one)[1].tobytes() for one in depth],
        "room, written by Pillow": pillow,
    }


def opencv(png: bytes) -> Any:
    import cv2

    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)


def pillow(png: bytes) -> Any:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(png)))


def codecs(png: bytes) -> Any:
    import imagecodecs

    return imagecodecs.png_decode(png)


def kornia(png: bytes) -> Any:
    """Rust's png; it is told the size."""
    from kornia_rs import io as kornia_io

    width, height = struct.unpack(">II", png[16:24])
    return kornia_io.decode_image_png_u16(png, (height, width), "mono")[..., 0]


def wuffs(png: bytes) -> Any:
    from pywuffs import ImageDecoderType, PixelFormat
    from pywuffs.aux import ImageDecoder, ImageDecoderConfig

    settings = ImageDecoderConfig()
    settings.enabled_decoders = [ImageDecoderType.PNG]
    settings.pixel_format = PixelFormat.Y_16LE
    pixels = ImageDecoder(settings).decode(png).pixbuf
    return pixels.reshape(len(pixels), -1).view(np.uint16)


def spng(png: bytes) -> Any:
    """Its only form of 16 bits has an alpha channel too."""
    import pyspng

    return pyspng.load(png)[..., 0]


PNG_PEERS: dict[str, tuple[str, Callable[[bytes], Any]]] = {
    "OpenCV": ("cv2", opencv),
    "Pillow": ("PIL", pillow),
    "imagecodecs (libpng)": ("imagecodecs", codecs),
    "kornia-rs": ("kornia_rs", kornia),
    "pywuffs": ("pywuffs", wuffs),
    "pyspng": ("pyspng", spng),
}


def png_table(title: str, images: list[bytes]) -> tuple[Comparison, list[Variant]]:
    def every(decode: Callable[[bytes], Any]) -> Callable[[], list[Any]]:
        return lambda: [decode(png) for png in images]

    ours = every(lambda png: _cpu.decode_depth_png(png, MAX_PIXELS))
    expected = np.stack([opencv(png) for png in images])
    table = Comparison(f"16-bit PNG, {title}", "pixels/s", expected.size, expected)
    peers = [
        Variant(name, every(decode), np.stack, needs=needs)
        for name, (needs, decode) in PNG_PEERS.items()
    ]
    return table, [Variant("ours", ours, np.stack), *peers]


def image_data(png: bytes) -> bytes:
    """The joined IDAT chunks."""
    at, parts = 8, []
    while at + 12 <= len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            parts.append(png[at + 8 : at + 8 + length])
        at += length + 12
    return b"".join(parts)


def inflate_table(title: str, images: list[bytes]) -> tuple[Comparison, list[Variant]]:
    streams = [image_data(png) for png in images]
    plain = [zlib.decompress(stream) for stream in streams]
    expected = np.frombuffer(b"".join(plain), np.uint8)
    table = Comparison(f"inflate, {title}", "bytes/s", expected.size, expected)

    def joined(parts: list[Any]) -> np.ndarray:
        return np.concatenate([np.frombuffer(part, np.uint8) for part in parts])

    def libdeflate() -> list[Any]:
        import imagecodecs

        return [imagecodecs.deflate_decode(s, out=n) for s, n in pairs]

    pairs = list(zip(streams, map(len, plain), strict=True))
    return table, [
        Variant("ours", lambda: [_cpu.inflate(s, n) for s, n in pairs], joined),
        Variant("zlib", lambda: [zlib.decompress(s) for s in streams], joined),
        Variant("libdeflate (imagecodecs)", libdeflate, joined, needs="imagecodecs"),
    ]


VERTEX = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")]
)
FACE = np.dtype([("count", "u1"), ("vertices", "<i4", 3)])


def write_mesh(path: Path, vertex_count: int) -> NDArray[np.void]:
    """A mesh with colours and two triangles a vertex, as scanners write them; its vertices."""
    rng = np.random.default_rng(0)
    vertices = np.zeros(vertex_count, VERTEX)
    for name in "xyz":
        vertices[name] = rng.normal(size=vertex_count)
    for name in ("red", "green", "blue"):
        vertices[name] = rng.integers(0, 256, vertex_count)
    faces = np.zeros(2 * vertex_count, FACE)
    faces["count"] = 3
    faces["vertices"] = rng.integers(0, vertex_count, (len(faces), 3))
    kinds = {"f": "float", "u": "uchar"}
    lines = [f"property {kinds[VERTEX[name].kind]} {name}" for name in VERTEX.names or ()]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {vertex_count}", *lines]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    write_bytes(path, "\n".join([*header, ""]).encode() + vertices.tobytes() + faces.tobytes())
    return vertices


def ply_tables(path: Path, vertex_count: int) -> list[tuple[Comparison, list[Variant]]]:
    """A mesh read for its vertices alone, and with its faces; each among its like."""
    vertices = write_mesh(path, vertex_count)
    expected = np.stack([vertices[n] for n in "xyz"], axis=1).astype(np.float64)
    title = f"PLY of {vertex_count:,} vertices and {2 * vertex_count:,} faces"

    def plyfile() -> Any:
        from plyfile import PlyData

        vertex = PlyData.read(path, known_list_len={"face": {"vertex_indices": 3}})["vertex"]
        return np.stack([vertex[n] for n in "xyz"], axis=1)

    def trimesh() -> Any:
        from trimesh import load

        return np.asarray(load(path, process=False).vertices)

    def open3d_points() -> Any:
        import open3d as o3d

        return np.asarray(o3d.io.read_point_cloud(str(path)).points)

    def open3d_tensors() -> Any:
        import open3d as o3d

        return o3d.t.io.read_point_cloud(str(path)).point.positions.numpy()

    def open3d_mesh() -> Any:
        import open3d as o3d

        return np.asarray(o3d.io.read_triangle_mesh(str(path)).vertices)

    points = Comparison(f"{title}: vertices", "vertices/s", vertex_count, expected)
    whole = Comparison(f"{title}: all", "vertices/s", vertex_count, expected)
    return [
        (points, [
            Variant("ours", lambda: read_ply(path).points_world),
            Variant("plyfile", plyfile, needs="plyfile"),
            Variant("open3d", open3d_points, needs="open3d"),
            Variant("open3d, as tensors", open3d_tensors, needs="open3d"),
        ]),
        (whole, [
            Variant("ours", lambda: read_ply(path, triangles=True).points_world),
            Variant("trimesh", trimesh, needs="trimesh"),
            Variant("open3d", open3d_mesh, needs="open3d"),
        ]),
    ]  # fmt: skip


def jpeg_size_table() -> tuple[Comparison, list[Variant]]:
    import cv2

    noise = np.random.default_rng(0).integers(0, 256, (484, 648, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", cv2.resize(noise, (1296, 968)))[1].tobytes()
    table = Comparison("size of a 1296x968 JPEG", "images/s", 1, np.array([1296, 968]))
    decoded = lambda: cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1).shape[1::-1]  # noqa: E731
    return table, [
        Variant("ours, from the header", lambda: image_size(jpeg)),
        Variant("OpenCV, decoded", decoded),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="8 images of each kind")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--real", type=Path, help="folder of scenes in the exported layout")
    given = parser.parse_args()
    one_thread()
    count = 8 if given.short else 24
    sets = encoded(make(100, count).depth)
    if given.real:
        for scene in sorted(p for p in given.real.iterdir() if p.is_dir()):
            files = sorted((scene / "posed_images").glob("*.png"))[:count]
            sets[scene.name] = [path.read_bytes() for path in files]
    inputs = [png_table(title, images) for title, images in sets.items()]
    inputs += [inflate_table(title, images) for title, images in sets.items()]
    with tempfile.TemporaryDirectory() as folder:
        inputs += [*ply_tables(Path(folder) / "mesh.ply", 200_000), jpeg_size_table()]
        tables = [table.measure(variants) for table, variants in inputs]
    write("decode", tables, output=given.output)


if __name__ == "__main__":
    main()
