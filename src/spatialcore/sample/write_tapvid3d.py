# SPDX-License-Identifier: Apache-2.0
"""Writer of the TAPVid-3D layout: one `.npz` a clip, images as bytes with offsets, no pickle."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore.sample.clips import FPS, Clip, make_clip
from spatialcore.sample.config import SampleConfig
from spatialcore.sample.dice import Dice
from spatialcore.sample.files import Written, write_file
from spatialcore.sample.presets import CLIP_CAMERA

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time a zip can hold; a clock would change the bytes
STATIC_EVERY, STATIC_AT = 3, 1  # clip k stands still when k % STATIC_EVERY == STATIC_AT


def clip_place(number: int) -> tuple[str, str]:
    """(collection, id) of a clip: moving cameras as `adt`, static ones as `pstudio`."""
    if number % STATIC_EVERY == STATIC_AT:
        return "pstudio", f"corner{number:04d}_0"
    return "adt", f"Sample_corner{number:04d}_0"


def clip_splits(count: int) -> dict[str, dict[str, list[str]]]:
    """Collection -> split -> clip ids; the last clip of a collection with several goes to val."""
    lists: dict[str, dict[str, list[str]]] = {}
    for number in range(count):
        collection, clip = clip_place(number)
        lists.setdefault(collection, {"train": [], "val": []})["train"].append(clip)
    for splits in lists.values():
        held = len(splits["train"]) // 3
        if held:
            splits["train"], splits["val"] = splits["train"][:-held], splits["train"][-held:]
    return lists


def npz_bytes(arrays: dict[str, NDArray[Any]]) -> bytes:
    """An uncompressed `.npz` whose bytes depend on the arrays alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", EPOCH), member.getvalue())
    return buffer.getvalue()


def clip_arrays(clip: Clip) -> dict[str, NDArray[Any]]:
    """The arrays of a clip under the names of the public files.

    A static camera has no `extrinsics_w2c`, as published; `images_jpeg_offsets` cuts the one
    uint8 array of all images, so that no object array is needed.
    """
    K = CLIP_CAMERA.K
    sizes = [len(jpeg) for jpeg in clip.jpegs]
    arrays: dict[str, NDArray[Any]] = {
        "images_jpeg_bytes": np.frombuffer(b"".join(clip.jpegs), dtype=np.uint8),
        "images_jpeg_offsets": np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        "fx_fy_cx_cy": np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]]),
        "tracks_XYZ": clip.tracks_cam,
        "visibility": clip.visible,
        "queries_xyt": clip.queries,
        "group_id": clip.group,
        "fps": np.array([FPS]),
    }
    if not clip.static_camera:
        arrays["extrinsics_w2c"] = clip.cam_from_world
    return arrays


def write_clip(root: Path, config: SampleConfig, number: int) -> list[Written]:
    """Make one clip and write it."""
    collection, name = clip_place(number)
    dice = Dice(config.seed, f"{collection}/{name}")
    clip = make_clip(name, dice, config.clip_frames, config.tracks, collection == "pstudio")
    path = f"tapvid3d/{collection}/{name}.npz"
    return [write_file(root, path, npz_bytes(clip_arrays(clip)))]


def write_clip_lists(root: Path, count: int) -> list[Written]:
    """Split lists `<collection>_<split>.txt`, and the up direction of the moving clips' world."""
    written = []
    for collection, splits in clip_splits(count).items():
        for split, names in splits.items():
            text = "".join(f"{name}\n" for name in names).encode()
            written.append(write_file(root, f"tapvid3d/{collection}_{split}.txt", text))
        if collection == "adt":
            meta = b'{"metric": true, "world_up": [0, 0, 1]}\n'
            written.append(write_file(root, "tapvid3d/adt/scene_meta.json", meta))
    return written
