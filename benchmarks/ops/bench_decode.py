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
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ops.compare import Comparison, write
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


def png_peers() -> dict[str, tuple[str, Callable[[bytes], Any]]]:
    def opencv(png: bytes) -> Any:
        import cv2

        return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)

    def pillow(png: bytes) -> Any:
        from PIL import Image

        return np.asarray(Image.open(io.BytesIO(png)))

    def codecs(png: bytes) -> Any:
        import imagecodecs

        return imagecodecs.png_decode(png)

    return {
        "OpenCV": ("cv2", opencv),
        "Pillow": ("PIL", pillow),
        "imagecodecs": ("imagecodecs", codecs),
    }


def compare_png(title: str, images: list[bytes]) -> Comparison:
    def every(decode: Callable[[bytes], Any]) -> Callable[[], np.ndarray]:
        return lambda: [decode(png) for png in images]

    expected = np.stack(every(lambda png: _cpu.decode_depth_png(png, MAX_PIXELS))())
    table = Comparison(f"16-bit PNG, {title}", "pixels/s", expected.size, expected)
    table.add("ours", every(lambda png: _cpu.decode_depth_png(png, MAX_PIXELS)), result=np.stack)
    for name, (needs, decode) in png_peers().items():
        if find_spec(needs):
            table.add(name, every(decode), result=np.stack, needs=needs)
    return table


def image_data(png: bytes) -> bytes:
    """The joined IDAT chunks."""
    at, parts = 8, []
    while at + 12 <= len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            parts.append(png[at + 8 : at + 8 + length])
        at += length + 12
    return b"".join(parts)


def compare_inflate(title: str, images: list[bytes]) -> Comparison:
    streams = [image_data(png) for png in images]
    plain = [zlib.decompress(stream) for stream in streams]
    sizes = [len(one) for one in plain]
    expected = np.frombuffer(b"".join(plain), np.uint8)
    table = Comparison(f"inflate, {title}", "bytes/s", expected.size, expected)

    def joined(parts: list[Any]) -> np.ndarray:
        return np.concatenate([np.frombuffer(part, np.uint8) for part in parts])

    pairs = list(zip(streams, sizes, strict=True))
    table.add("ours", lambda: [_cpu.inflate(s, n) for s, n in pairs], result=joined)
    table.add("zlib", lambda: [zlib.decompress(s) for s in streams], result=joined)
    if find_spec("imagecodecs"):
        import imagecodecs

        table.add(
            "libdeflate (imagecodecs)",
            lambda: [imagecodecs.deflate_decode(s, out=n) for s, n in pairs],
            result=joined,
            needs="imagecodecs",
        )
    return table


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


def compare_ply(path: Path, vertex_count: int) -> list[Comparison]:
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
    points.add("ours", lambda: read_ply(path).points_world)
    points.add("plyfile", plyfile, needs="plyfile")
    points.add("open3d", open3d_points, needs="open3d")
    points.add("open3d, as tensors", open3d_tensors, needs="open3d")
    whole = Comparison(f"{title}: all", "vertices/s", vertex_count, expected)
    whole.add("ours", lambda: read_ply(path, triangles=True).points_world)
    whole.add("trimesh", trimesh, needs="trimesh")
    whole.add("open3d", open3d_mesh, needs="open3d")
    return [points, whole]


def compare_jpeg_size() -> Comparison:
    import cv2

    noise = np.random.default_rng(0).integers(0, 256, (484, 648, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", cv2.resize(noise, (1296, 968)))[1].tobytes()
    table = Comparison("size of a 1296x968 JPEG", "images/s", 1, np.array([1296, 968]))
    table.add("ours, from the header", lambda: image_size(jpeg))
    table.add(
        "OpenCV, decoded", lambda: cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1).shape[1::-1]
    )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="8 images of each kind")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--real", type=Path, help="folder of scenes in the exported layout")
    given = parser.parse_args()
    count = 8 if given.short else 24
    sets = encoded(make(100, count).depth)
    if given.real:
        for scene in sorted(p for p in given.real.iterdir() if p.is_dir()):
            files = sorted((scene / "posed_images").glob("*.png"))[:count]
            sets[scene.name] = [path.read_bytes() for path in files]
    tables = [compare_png(title, images) for title, images in sets.items()]
    tables += [compare_inflate(title, images) for title, images in sets.items()]
    with tempfile.TemporaryDirectory() as folder:
        tables += compare_ply(Path(folder) / "mesh.ply", 200_000)
    tables.append(compare_jpeg_size())
    write("decode", tables, {}, given.output)


if __name__ == "__main__":
    main()
