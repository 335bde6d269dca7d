# SPDX-License-Identifier: Apache-2.0
"""Reader of TAPVid-3D clips: `.npz` files of 3-D tracks, camera poses and JPEG frames."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.images import image_size
from spatialcore.io.listed import ListedSource
from spatialcore.io.matrices import make_camera, pose_reason
from spatialcore.io.npz import Npz, parse_npy_header
from spatialcore.io.orientation import resolve_orientation
from spatialcore.io.paths import resolve_inside
from spatialcore.io.pickled_bytes import unpickle_bytes_array
from spatialcore.io.splits import split_of
from spatialcore.types import Camera, Float64, Frame, Track3D, invert_pose

COLLECTIONS = ("adt", "pstudio", "drivetrack")
MAX_CELLS = 1 << 27  # T * N: 3 GB of float64, above any published clip by a factor of 100
_MIN_PRESENT = 0.8
_ALIASES = {
    "tracks_XYZ": ("tracks_XYZ", "tracks_xyz"),
    "fx_fy_cx_cy": ("fx_fy_cx_cy", "intrinsics"),
    "extrinsics_w2c": ("extrinsics_w2c", "extrinsics"),
    "visibility": ("visibility",),
}
# Of the aliases those that other archives of geometry have too do not tell a clip.
_CLIP_KEYS = frozenset((*_ALIASES, *_ALIASES["tracks_XYZ"], "images_jpeg_bytes", "queries_xyt"))
_CHUNK = re.compile(r"(.+)_[0-9]+\Z")


class _Images(Sequence[bytes]):
    """JPEG bytes of a clip, sliced out of one buffer on demand."""

    def __init__(self, buffer: bytes, offsets: Sequence[int]) -> None:
        self._buffer = buffer
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: Any) -> Any:
        start, end = self._offsets[index], self._offsets[index + 1]
        return self._buffer[start:end]


def _offset_images(npz: Npz) -> Sequence[bytes]:
    """Our own writer's form: all bytes in one uint8 array, T + 1 offsets beside it."""
    packed = npz.array("images_jpeg_bytes")
    offsets = npz.array("images_jpeg_offsets")
    if packed.dtype != np.uint8 or packed.ndim != 1 or offsets.ndim != 1 or offsets.size < 1:
        raise SceneFormatError(
            npz.path, "images_jpeg_bytes and _offsets must be uint8 and integer", code="clip_bad"
        )
    if offsets.dtype.kind not in "iu":
        raise SceneFormatError(npz.path, "images_jpeg_offsets must hold integers", code="clip_bad")
    stops = [int(x) for x in offsets.tolist()]
    ordered = all(a <= b for a, b in itertools.pairwise(stops))
    if not ordered or stops[0] != 0 or stops[-1] != packed.size:
        raise SceneFormatError(
            npz.path, "images_jpeg_offsets do not cover images_jpeg_bytes", code="clip_bad"
        )
    return _Images(packed.tobytes(), stops)


def _read_images(npz: Npz) -> Sequence[bytes]:
    if "images_jpeg_bytes" not in npz.names:
        return ()
    if "images_jpeg_offsets" in npz.names:
        return _offset_images(npz)
    npy = npz.read("images_jpeg_bytes")
    header = parse_npy_header(npy[:4096], npz.path)
    if header.descr != "|O" or len(header.shape) != 1:
        raise SceneFormatError(
            npz.path,
            f"images_jpeg_bytes is {header.descr!r:.40} of shape {header.shape}",
            code="clip_bad",
        )
    return unpickle_bytes_array(npy[header.length :], header.shape[0], npz.path)


@functools.lru_cache(maxsize=2)
def _cached_images(path: Path, _mtime_ns: int, _size: int) -> Sequence[bytes]:
    with Npz(path) as npz:
        return _read_images(npz)


def clip_images(path: Path) -> Sequence[bytes]:
    """The encoded images of a clip, () when it has none; the last two clips stay in memory.

    Raises:
        SceneFormatError: Not a clip, or its images are not byte strings; code "archive_unsafe"
            when they hold anything else.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise SceneFormatError(path, f"cannot be read: {error}", code="file_missing") from error
    return _cached_images(path, stat.st_mtime_ns, stat.st_size)


def _pick(npz: Npz, name: str, notes: list[str]) -> str | None:
    """The key under which the file keeps `name`; an alias is noted."""
    found = next((alias for alias in _ALIASES[name] if alias in npz.names), None)
    if found is not None and found != name:
        notes.append(f"key {found} read as {name}")
    return found


def _required(npz: Npz, name: str, notes: list[str]) -> Any:
    key = _pick(npz, name, notes)
    if key is None:
        raise SceneFormatError(
            npz.path,
            f"has no array {' or '.join(_ALIASES[name])}",
            f"it has {', '.join(npz.names)[:200]}",
            code="key_missing",
        )
    return npz.array(key)


def _read_tracks(npz: Npz, notes: list[str]) -> tuple[Float64, np.ndarray[Any, Any]]:
    """(T, N, 3) camera-frame tracks with NaN where there is no reading, and (T, N) visibility."""
    stored = _required(npz, "tracks_XYZ", notes)
    seen = _required(npz, "visibility", notes)
    if stored.ndim != 3 or stored.shape[2] != 3 or stored.dtype.kind != "f":
        raise SceneFormatError(
            npz.path, f"tracks_XYZ has shape {stored.shape}, expected (T, N, 3)", code="clip_bad"
        )
    if seen.shape != stored.shape[:2]:
        raise SceneFormatError(
            npz.path,
            f"visibility has shape {seen.shape}, the tracks {stored.shape}",
            code="clip_bad",
        )
    if stored.shape[0] * stored.shape[1] > MAX_CELLS:
        raise SceneFormatError(
            npz.path, f"holds {stored.shape} readings, too many", code="clip_bad"
        )
    tracks = stored.astype(np.float64)
    # z <= 0 covers exact zeros, the published mark of a missing reading.
    present = np.isfinite(tracks).all(axis=2) & (tracks[..., 2] > 0)
    tracks[~present] = np.nan
    return tracks, seen.astype(bool) & present


def _read_intrinsic(npz: Npz, notes: list[str]) -> Float64:
    stored = np.asarray(_required(npz, "fx_fy_cx_cy", notes), dtype=np.float64)
    if stored.shape == (3, 3):
        return stored
    if stored.shape != (4,):
        raise SceneFormatError(
            npz.path, f"fx_fy_cx_cy has shape {stored.shape}, expected (4,)", code="clip_bad"
        )
    fx, fy, cx, cy = stored
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def _image_size(npz: Npz, images: Sequence[bytes]) -> tuple[int, int]:
    if len(images):
        return image_size(images[0], npz.path)
    if "image_hw" in npz.names:
        sides = np.asarray(npz.array("image_hw"), dtype=np.float64).reshape(-1).tolist()
        height, width = sides if len(sides) == 2 else (0.0, 0.0)
        if 1 <= height < 1 << 16 and 1 <= width < 1 << 16:
            return int(width), int(height)
    raise SceneFormatError(
        npz.path,
        "has neither images nor a valid image_hw",
        "the image size is not known",
        code="clip_bad",
    )


def _read_extrinsics(npz: Npz, count: int, static: bool, notes: list[str]) -> Float64:
    key = _pick(npz, "extrinsics_w2c", notes)
    if key is None:
        if not static:
            raise SceneFormatError(
                npz.path,
                "has no extrinsics_w2c: the camera's motion would be taken for the objects'",
                "use a release with extrinsics, or --static-camera if the camera stood still",
                code="extrinsics_missing",
            )
        notes.append("extrinsics_static")
        return np.tile(np.eye(4), (count, 1, 1))
    stored = np.asarray(npz.array(key), dtype=np.float64)
    if stored.shape == (count, 3, 4):
        stored = np.concatenate([stored, np.tile([[[0.0, 0.0, 0.0, 1.0]]], (count, 1, 1))], axis=1)
    if stored.shape != (count, 4, 4):
        raise SceneFormatError(
            npz.path, f"{key} has shape {stored.shape}, expected (T, 4, 4)", code="clip_bad"
        )
    return stored


def _frame_faults(cam_from_world: Float64, images: Sequence[bytes], camera: Camera) -> list[str]:
    faults = []
    for t, matrix in enumerate(cam_from_world):
        fault = pose_reason(matrix)
        if not fault and len(images):
            try:
                size = image_size(images[t], whole=True)
                fault = "" if size == camera.size else "image_size_differs"
            except SceneFormatError:
                fault = "image_bad"
        faults.append(fault)
    return faults


def _frames(
    uri: str, cam_from_world: Float64, images: Sequence[bytes], camera: Camera, fps: float | None
) -> tuple[Frame, ...]:
    world_from_cam = invert_pose(cam_from_world)
    return tuple(
        Frame(
            index=t,
            name=f"{t:05d}",
            world_from_cam=world_from_cam[t],
            image=f"{uri}#images_jpeg_bytes/{t}" if len(images) else None,
            reason=fault,
            time=None if fps is None else t / fps,
        )
        for t, fault in enumerate(_frame_faults(cam_from_world, images, camera))
    )


def _read_fps(npz: Npz) -> float | None:
    if "fps" not in npz.names:
        return None
    stored = npz.array("fps")
    value = float(stored.reshape(-1)[0]) if stored.size == 1 else 0.0
    return value if 0 < value < 1e5 else None


@dataclass(frozen=True, slots=True)
class Tapvid3dSource(ListedSource):
    """Clips of 3-D tracks.

    Attributes:
        collection: "adt", "pstudio", "drivetrack", or "" for any other place.
    """

    kind: ClassVar[str] = "tapvid3d"
    collection: str = ""

    @property
    def key(self) -> str:
        """Source key of the records."""
        return self.options.key or self.collection or self.kind

    def open(self, scene_id: str) -> Track3D:
        """Open one clip: tracks, poses and image headers; no image is decoded.

        Raises:
            SceneFormatError: No such clip, a malformed one, or one that must not be used; codes
                "extrinsics_missing", "tracks_too_few", "source_not_allowed", "key_missing".
        """
        relative = self.place(scene_id)
        path = resolve_inside(self.root.resolve(), relative)
        place = path.parent.name if path.parent.name in COLLECTIONS else self.collection
        if place == "drivetrack" and place not in self.options.allow_source:
            raise SceneFormatError(
                path,
                "drivetrack clips are left out, as published: their poses are inaccurate",
                "--allow-source drivetrack reads them",
                code="source_not_allowed",
            )
        with Npz(path) as npz:
            return _open_clip(self, scene_id, relative, place, npz)


def _split(source: Tapvid3dSource, clip: str, space: str, place: str) -> str | None:
    prefixes = (f"{place}_", "") if place else ("",)
    split, _ = split_of(clip, source.root, prefixes=prefixes, space=space)
    if split is None and place == "pstudio":
        # Published: every basketball clip is validation, all others are training.
        return "val" if clip.startswith("basketball") else "train"
    return split


def _open_clip(source: Tapvid3dSource, clip: str, relative: str, place: str, npz: Npz) -> Track3D:
    notes: list[str] = []
    tracks, visible = _read_tracks(npz, notes)
    count = len(tracks)
    images = clip_images(npz.path)
    if len(images) not in (0, count):
        raise SceneFormatError(
            npz.path, f"has {len(images)} images for {count} steps", code="clip_bad"
        )
    camera = make_camera(_read_intrinsic(npz, notes), *_image_size(npz, images), npz.path)
    static = source.options.static_camera or place == "pstudio"
    cam_from_world = _read_extrinsics(npz, count, static, notes)
    # A track under 80 % present says more about the tracker than about motion.
    present = np.isfinite(tracks[..., 2])
    kept = np.flatnonzero(present.sum(axis=0) >= _MIN_PRESENT * count)
    if len(kept) < 2 or count < 2:
        raise SceneFormatError(
            npz.path,
            f"{len(kept)} of {tracks.shape[1]} tracks have enough readings in {count} "
            "steps, two are needed",
            code="tracks_too_few",
        )
    space = clip
    if place in COLLECTIONS and (found := _CHUNK.match(clip)):
        space = found.group(1)
    frames = _frames(relative, cam_from_world, images, camera, _read_fps(npz))
    orientation = resolve_orientation(source.options, (npz.path.parent,), frames)
    return Track3D(
        source=source.key,
        id=clip,
        space=space,
        root=source.root.resolve(),
        camera=camera,
        frames=frames,
        cam_from_world=cam_from_world,
        tracks_cam=np.ascontiguousarray(tracks[:, kept]),
        visible=np.ascontiguousarray(visible[:, kept]),
        track_index=kept.astype(np.int32),
        short_track_count=tracks.shape[1] - len(kept),
        static_camera=static,
        metric=orientation.metric,
        world_up=orientation.world_up,
        split=_split(source, clip, space, place),
        kind=source.kind,
        inputs=(npz.path,),
        notes=tuple(notes) + orientation.notes,
    )


def is_clip(entry: Path) -> bool:
    """Whether an entry is an `.npz` with an array of a clip, or one that cannot be looked into."""
    if entry.suffix != ".npz" or not entry.is_file():
        return False
    try:
        with Npz(entry) as npz:
            return not _CLIP_KEYS.isdisjoint(npz.names)
    except SceneFormatError:
        return True  # opening it says what is wrong
