# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed: every reader of bytes that strangers wrote, as a function of a file.

A target reads all that a file offers. It ends, or raises a SpatialCoreError; anything else, memory
and time without bounds included, is a finding.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from spatialcore.errors import SpatialCoreError
from spatialcore.io import (
    archives,
    colmap_model,
    depth_maps,
    depth_png,
    depth_stream,
    hdf5,
    images,
    lzfse,
    npz,
    object_files,
    openspatial,
    pickled_bytes,
    ply,
    record3d,
    sens,
    tapvid3d,
    tars,
)
from spatialcore.io.options import ReadOptions

DEPTH_SIZE = (16, 12)
_LISTED = 64  # members or frames of one file that are read


def _npz(path: Path) -> None:
    with npz.Npz(path) as archive:
        for name in archive.names[:_LISTED]:
            with contextlib.suppress(SpatialCoreError):
                archive.array(name)


def _pickle(path: Path) -> None:
    pickled_bytes.unpickle_bytes_array(path.read_bytes(), 2, path)


def _clip(path: Path) -> None:
    source = tapvid3d.Tapvid3dSource(path.parent, (("clip", path.name),), ReadOptions())
    source.open("clip")


def _sens(path: Path) -> None:
    file = sens.open_sens(path)
    for frame in range(min(len(file), _LISTED)):
        file.world_from_cam(frame)
        file.time(frame)
        with contextlib.suppress(SpatialCoreError):
            file.depth(frame)
        with contextlib.suppress(SpatialCoreError):
            file.image_bytes(frame)


def _ply(path: Path) -> None:
    ply.read_ply(path, triangles=True)


def _ascii_ply(path: Path) -> None:
    ply.read_vertices(path, ("x", "y", "z", "objectId"))


def _png16(path: Path) -> None:
    depth_png.decode_depth_png(path.read_bytes(), path)


def _lzfse(path: Path) -> None:
    stored = path.read_bytes()
    length = lzfse.lzfse_length(stored)
    if length is not None and length <= 1 << 20:
        lzfse.decode_lzfse(stored, length, path)
    lzfse.decode_lzfse(stored, 4 * DEPTH_SIZE[0] * DEPTH_SIZE[1], path)


def _record3d(path: Path) -> None:
    scene = record3d.Record3dSource(path.parent, (("walk", path.name),), ReadOptions()).open("walk")
    for frame in scene.frames[:_LISTED]:
        with contextlib.suppress(SpatialCoreError):
            scene.read_depth(frame)


def _colmap(name: str) -> Callable[[Path], None]:
    """A model whose other file is empty."""

    def run(path: Path) -> None:
        stored = path.read_bytes()
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            for stem in ("cameras", "images"):
                (Path(folder) / f"{stem}.bin").write_bytes(stored if stem == name else bytes(8))
            colmap_model.read_model(Path(folder))

    return run


def _depth_stream(path: Path) -> None:
    for number in (2, 0, 1):
        with contextlib.suppress(SpatialCoreError):
            depth_stream.read_stream_depth(path, number, DEPTH_SIZE)


def _archive(path: Path) -> None:
    for name in list(archives.members(path))[:_LISTED]:
        with contextlib.suppress(SpatialCoreError):
            archives.member_bytes(path, name, max_bytes=1 << 26)


def _tar(path: Path) -> None:
    tars.first_member(path)
    for name in list(tars.tar_members(path))[:_LISTED]:
        tars.tar_member_bytes(path, name, max_bytes=1 << 26)


def _hdf5(path: Path) -> None:
    hdf5.read_hdf5(path, (None, None))


def _depth_map(path: Path) -> None:
    depth_maps.depth_map_size(path.parent, path.name)
    depth_maps.read_depth_map(path.parent, path.name)


def _npz_map(path: Path) -> None:
    for part in ("depth", "maps/1"):
        with contextlib.suppress(SpatialCoreError):
            depth_maps.depth_map_size(path.parent, f"{path.name}#{part}")
            depth_maps.read_depth_map(path.parent, f"{path.name}#{part}")
    images.open_image(path.parent, f"{path.name}#image/0")


def _mask(path: Path) -> None:
    object_files.read_mask(path)


def _scene_table(path: Path) -> None:
    for name in openspatial.scenes_of(path)[:_LISTED]:
        place = f"{path.name}#{name}"
        with contextlib.suppress(SpatialCoreError):
            source = openspatial.OpenSpatialSource(path.parent, (("room", place),), ReadOptions())
            source.open("room")


def _image(path: Path) -> None:
    images.open_image(path.parent, path.name)


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        suffix: Of the file that it is given.
        read: Reads all of a file.
        needs: Module without which it reads nothing.
    """

    suffix: str
    read: Callable[[Path], None]
    needs: str = "numpy"

    @property
    def there(self) -> bool:
        """Whether what it needs is installed."""
        return find_spec(self.needs) is not None

    def __call__(self, content: bytes, folder: Path) -> bool:
        """Read a file of these bytes; returns whether it was accepted."""
        path = folder / f"input{self.suffix}"
        path.write_bytes(content)
        # Readers know an open file again by its size and time.
        os.utime(path, ns=(hash(content) % (1 << 60),) * 2)
        try:
            self.read(path)
        except SpatialCoreError:
            return False
        return True


TARGETS = {
    "npz": Target(".npz", _npz),
    "pickle": Target(".npy", _pickle),
    "clip": Target(".npz", _clip),
    "sens": Target(".sens", _sens),
    "ply": Target(".ply", _ply),
    "ascii_ply": Target(".ply", _ascii_ply),
    "png16": Target(".png", _png16),
    "lzfse": Target(".depth", _lzfse, "liblzfse"),
    "record3d": Target(".r3d", _record3d, "liblzfse"),
    "colmap_cameras": Target(".bin", _colmap("cameras")),
    "colmap_images": Target(".bin", _colmap("images")),
    "depth_stream": Target(".bin", _depth_stream, "lz4"),
    "archive": Target(".zip", _archive),
    "tar": Target(".tar", _tar),
    "hdf5": Target(".hdf5", _hdf5, "h5py"),
    "depth_npy": Target(".npy", _depth_map),
    "depth_tiff": Target(".tif", _depth_map),
    "depth_pgm": Target(".pgm", _depth_map),
    "depth_exr": Target(".exr", _depth_map, "OpenEXR"),
    "depth_colmap": Target(".bin", _depth_map),
    "npz_map": Target(".npz", _npz_map),
    "image": Target(".jpg", _image),
    "mask": Target(".png", _mask),
    "scene_table": Target(".parquet", _scene_table),
}
