# SPDX-License-Identifier: Apache-2.0
"""Byte writers of tiny scenes and clips, independent of the package's own; and of a data set."""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from spatial_engine.records.record import SCHEMA_VERSION

if TYPE_CHECKING:
    from spatial_engine.records.record import QARecord

COLOR_SIZE = (32, 24)
DEPTH_SIZE = (16, 12)
COLOR_K = np.array([[30.0, 0, 15.75], [0, 30.0, 11.5], [0, 0, 1]])
DEPTH_K = np.array([[15.0, 0, 7.5], [0, 15.0, 5.5], [0, 0, 1]])
LOST_POSE = np.full((4, 4), -np.inf)


def level_pose(angle: float = 0.0, x: float = 0.0) -> NDArray[np.float64]:
    """world_from_cam of a level camera at (x, 0, 1.5), z up, looking along +y turned by angle."""
    c, s = math.cos(angle), math.sin(angle)
    pose = np.eye(4)
    pose[:3, :3] = np.array([[c, 0, -s], [s, 0, c], [0, -1, 0]])
    pose[:3, 3] = (x, 0, 1.5)
    return pose


def jpeg(size: tuple[int, int] = COLOR_SIZE, shade: int = 120) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (shade, 80, 40)).save(buffer, "JPEG")
    return buffer.getvalue()


def depth_map(size: tuple[int, int] = DEPTH_SIZE, base: int = 1000) -> NDArray[np.uint16]:
    w, h = size
    return (base + np.add.outer(np.arange(h) * 3, np.arange(w))).astype(np.uint16)


def png16(depth: NDArray[np.uint16]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(depth).save(buffer, "PNG")
    return buffer.getvalue()


def matrix_text(matrix: ArrayLike) -> str:
    rows = np.asarray(matrix, dtype=np.float64)
    return "".join(" ".join(f"{x:.6f}" for x in row) + "\n" for row in rows)


def padded(K: ArrayLike) -> NDArray[np.float64]:
    out = np.eye(4)
    out[:3, :3] = K
    return out


def sens(
    frames: Iterable[tuple[ArrayLike, bytes, bytes]],
    *,
    declared: int | None = None,
    depth_compression: int = 1,
    inertial: int = 2,
    color_size: tuple[int, int] = COLOR_SIZE,
    shift: float = 1000.0,
    color_K: ArrayLike = COLOR_K,
) -> bytes:
    """A version 4 container of (world_from_cam, colour bytes, depth bytes)."""
    rows = list(frames)
    parts = [struct.pack("<IQ", 4, 6), b"sensor"]
    for matrix in (padded(color_K), np.eye(4), padded(DEPTH_K), np.eye(4)):
        parts.append(np.asarray(matrix, "<f4").tobytes())
    count = len(rows) if declared is None else declared
    parts.append(struct.pack("<ii", 2, depth_compression))
    parts.append(struct.pack("<IIIIfQ", *color_size, *DEPTH_SIZE, shift, count))
    for i, (pose, color, depth) in enumerate(rows):
        parts.append(np.asarray(pose, "<f4").tobytes())
        parts.append(struct.pack("<QQQQ", 33_333 * i, 33_333 * i, len(color), len(depth)))
        parts += [color, depth]
    parts.append(struct.pack("<Q", inertial) + bytes(128 * inertial))
    return b"".join(parts)


def sens_frames(count: int = 11) -> list[tuple[NDArray[np.float64], bytes, bytes]]:
    return [
        (level_pose(0.1 * i, 0.05 * i), jpeg(shade=10 * i), zlib.compress(depth_map(base=900 + i)))
        for i in range(count)
    ]


def ply(points: ArrayLike, faces: Sequence[Sequence[int]] = (), count: object = None) -> bytes:
    xyz = np.asarray(points, "<f4")
    row = np.dtype([("xyz", "<f4", 3), ("rgba", "u1", 4)])
    rows = np.zeros(len(xyz), row)
    rows["xyz"] = xyz
    rows["rgba"] = (1, 2, 3, 255)
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment made for a test\n"
        f"element vertex {len(xyz) if count is None else count}\n"
        "property float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\nproperty uchar alpha\n"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    body = b"".join(struct.pack("<Biii", 3, *face) for face in faces)
    return header.encode() + rows.tobytes() + body


LABELS = (
    "id\traw_category\tcategory\tcount\tnyu40id\n1\tchair\tchair\t5\t5\n2\tshelf\tbookshelf\t1\t7\n"
)


def annotate(folder: Path, scene: str) -> None:
    """Eight vertices, four segments; a gap in the object ids, a shared segment, an empty object."""
    points = np.arange(24).reshape(8, 3) * 0.1
    (folder / f"{scene}_vh_clean_2.ply").write_bytes(ply(points, [(0, 1, 2), (5, 6, 7)]))
    segments = {"segIndices": [10, 10, 20, 20, 30, 30, 40, 40]}
    groups = [
        {"id": 0, "objectId": 0, "segments": [10, 20], "label": "chair"},
        {"id": 1, "objectId": 7, "segments": [20, 30], "label": "shelf"},
        {"id": 2, "objectId": 9, "segments": [99], "label": "chair"},
        {"id": 3, "objectId": 12, "segments": [40], "label": "Weird Things"},
    ]
    (folder / f"{scene}_vh_clean_2.0.010000.segs.json").write_text(json.dumps(segments))
    (folder / f"{scene}.aggregation.json").write_text(json.dumps({"segGroups": groups}))
    turn = "0 -1 0 1 1 0 0 2 0 0 1 3 0 0 0 1"
    (folder / f"{scene}.txt").write_text(f"axisAlignment = {turn}\nsceneType = Office\n")


def scannet_scan(root: Path, scene: str = "scene0000_00", **options: object) -> Path:
    """A raw scan with annotation; returns its `.sens`."""
    folder = root / scene
    folder.mkdir(parents=True)
    annotate(folder, scene)
    frames = options.pop("frames", None) or sens_frames()
    path = folder / f"{scene}.sens"
    path.write_bytes(sens(frames, **options))
    return path


def posed_scene(
    folder: Path, count: int = 6, *, depth_K: bool = True, meta: dict[str, object] | None = None
) -> Path:
    """A flat exported scene; returns the folder of the frames."""
    frames = folder / "posed_images"
    frames.mkdir(parents=True)
    for i in range(count):
        (frames / f"{i:05d}.jpg").write_bytes(jpeg(shade=20 * i))
        (frames / f"{i:05d}.png").write_bytes(png16(depth_map(base=1000 + i)))
        (frames / f"{i:05d}.txt").write_text(matrix_text(level_pose(0.1 * i)))
    (frames / "intrinsic.txt").write_text(matrix_text(padded(COLOR_K)))
    if depth_K:
        (frames / "depth_intrinsic.txt").write_text(matrix_text(padded(DEPTH_K)))
    if meta is not None:
        (frames / "scene_meta.json").write_text(json.dumps(meta))
    return frames


def npy(array: NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=array.dtype == object)
    return buffer.getvalue()


def object_array(items: Sequence[object]) -> NDArray[np.object_]:
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array


def clip_arrays(steps: int = 5, count: int = 4) -> dict[str, NDArray[np.generic]]:
    """A clip of points in front of a camera that moves 1 cm a step along x."""
    rng = np.random.default_rng(3)
    world = rng.uniform(-0.5, 0.5, (count, 3)) + np.array([0.0, 0.0, 3.0])
    extrinsics = np.tile(np.eye(4, dtype=np.float32), (steps, 1, 1))
    extrinsics[:, 0, 3] = -0.01 * np.arange(steps)
    tracks = world[None] + extrinsics[:, None, :3, 3]
    return {
        "tracks_XYZ": tracks.astype(np.float32),
        "visibility": np.ones((steps, count), dtype=bool),
        "queries_xyt": np.zeros((count, 3), np.float32),
        "fx_fy_cx_cy": np.array([30, 30, 15.75, 11.5], np.float32),
        "extrinsics_w2c": extrinsics,
        "images_jpeg_bytes": object_array([jpeg(shade=i) for i in range(steps)]),
    }


def write_npz(path: Path, arrays: dict[str, NDArray[np.generic] | bytes]) -> Path:
    """An archive; bytes are written as they are, arrays as `.npy`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", array if isinstance(array, bytes) else npy(array))
    return path


def tum_sequence(folder: Path, count: int = 4) -> Path:
    for part in ("rgb", "depth"):
        (folder / part).mkdir(parents=True)
    color, depth, truth = ["# made for a test"], [], ["# seconds tx ty tz qx qy qz qw"]
    for i in range(count):
        time = 1305031102.0 + i / 30
        (folder / "rgb" / f"{time:.6f}.png").write_bytes(jpeg())
        (folder / "depth" / f"{time + 0.01:.6f}.png").write_bytes(png16(depth_map(COLOR_SIZE)))
        color.append(f"{time:.6f} rgb/{time:.6f}.png")
        depth.append(f"{time + 0.01:.6f} depth/{time + 0.01:.6f}.png")
        truth.append(f"{time - 0.002:.4f} {0.1 * i} 2 3 0 0 0.7071067811865476 0.7071067811865476")
    (folder / "rgb.txt").write_text("\n".join(color))
    (folder / "depth.txt").write_text("\n".join(reversed(depth)))
    (folder / "groundtruth.txt").write_text("\n".join(truth))
    (folder / "intrinsic.txt").write_text(matrix_text(COLOR_K))
    return folder


def nerfstudio_capture(folder: Path, count: int = 3, **fields: object) -> Path:
    for part in ("images", "depths"):
        (folder / part).mkdir(parents=True)
    flip = np.diag([1.0, -1.0, -1.0, 1.0])
    frames = []
    for i in reversed(range(count)):
        (folder / f"images/frame_{i:05d}.jpg").write_bytes(jpeg())
        (folder / f"depths/frame_{i:05d}.png").write_bytes(png16(depth_map()))
        frames.append({
            "file_path": f"./images/frame_{i:05d}.jpg",
            "depth_file_path": f"depths/frame_{i:05d}.png",
            "transform_matrix": (level_pose(0.2 * i, 0.5 * i) @ flip).tolist(),
        })  # fmt: skip
    stored = {
        "camera_model": "OPENCV", "fl_x": 30.0, "fl_y": 30.0, "cx": 16.25, "cy": 12.0,
        "w": 32, "h": 24, "k1": 0.0, "frames": frames, **fields,
    }  # fmt: skip
    (folder / "transforms.json").write_text(json.dumps(stored))
    return folder


def data_set(
    out: Path, root: Path, records: Sequence[QARecord], *, rows: int | None = None
) -> Path:
    """A data set as `generate` writes it, of one source with the root `root`.

    A split is one file, or files of so many rows.
    """
    from spatial_engine.dataset.manifest import Manifest, ShardDone, SourceEntry, done_path
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.record import write_records
    from spatialcore.files import content_hash, write_json

    by_split: dict[str, list[QARecord]] = {}
    for record in records:
        by_split.setdefault(record.split, []).append(record)
    (out / "shards").mkdir(parents=True)
    files = [
        (split, held[k : k + (rows or len(held))])
        for split, held in by_split.items() for k in range(0, len(held), rows or len(held))
    ]  # fmt: skip
    for number, (split, held) in enumerate(files):
        (out / "data" / split).mkdir(parents=True, exist_ok=True)
        path = out / "data" / split / f"part-{number:05d}.parquet"
        write_records(path, held)
        tasks = dict(Counter(record.task for record in held))
        done = ShardDone(
            number, split, len(held), path.stat().st_size, content_hash(path), tasks, 0.0, 0
        )
        write_json(done_path(out, number), done.to_json())
    manifest = Manifest(
        version=1, record_version=SCHEMA_VERSION, versions={}, config={}, seed=0, recipe=Recipe(),
        tasks=tuple(sorted({record.task for record in records})), index="index",
        sources={records[0].source: SourceEntry("posed_images", str(root), {}, {})},
        plan_hash="0" * 32, wording="0" * 32, shards=len(files), rows=len(records),
    )  # fmt: skip
    write_json(out / "manifest.json", manifest.to_json())
    return out
