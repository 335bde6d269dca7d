# SPDX-License-Identifier: Apache-2.0
"""Byte writers of the ray-cast room in the layouts of phones, written apart from the readers.

The phone is held in portrait: its sensor is landscape, so stored pictures lie on their side.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spatialcore.types import Camera, Float64
from tests.fabricate import ply, png16
from tests.rays import BOXES, Shot, pinhole, rays, shoot, walk

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


def arkit_annotation(folder: Path) -> None:
    """Boxes of the room's furniture, turned by a quarter: rows of `normalizedAxes` are the axes."""
    rows = []
    for name, low, high, _ in BOXES:
        x, y, z = np.subtract(high, low).tolist()
        box = {
            "centroid": (np.add(low, high) / 2).tolist(),
            "axesLengths": [y, x, z],
            "normalizedAxes": [0, 1, 0, -1, 0, 0, 0, 0, 1],
        }
        rows.append({"uid": name, "label": name.replace(" ", "_"), "segments": {"obbAligned": box}})
    put(
        folder / f"{folder.name}_3dod_annotation.json", json.dumps({"data": rows, "skipped": False})
    )


def arkit_pose(shot: Shot) -> Float64:
    """The pose as ARKit writes it: y up in the world, camera with y up that looks along -z."""
    return ARKIT_FROM_ROOM @ shot.world_from_cam @ OPENGL


def polycam(folder: Path, shots: list[Shot], *, corrected: bool = True) -> Path:
    """A raw export; the depth maps have half the pictures' size."""
    prefix = "corrected_" if corrected else ""
    keyframes = folder / "keyframes"
    for k, shot in enumerate(shots):
        name, K, pose = str(98_000_000 + 700_000 * k), shot.camera.K, arkit_pose(shot)
        put(keyframes / f"{prefix}images/{name}.jpg", jpg(shot.colour))
        stored: dict[str, object] = {f"t_{r}{c}": pose[r, c] for r in range(3) for c in range(4)}
        stored |= {"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "blur_score": 9.0}
        stored |= {"width": shot.camera.width, "height": shot.camera.height, "timestamp": 1}
        put(keyframes / f"{prefix}cameras/{name}.json", json.dumps(stored))
        small = shoot(shot.world_from_cam, halved(shot.camera))
        put(keyframes / f"depth/{name}.png", millimetres(small))
        levels = np.full(small.depth.shape, 255, np.uint8)
        levels[0, 0], levels[0, 1] = 0, 127
        put(keyframes / f"confidence/{name}.png", png(levels))
    put(folder / "mesh_info.json", "{}")
    return folder


def halved(camera: Camera) -> Camera:
    """The camera of a picture of half the size: edges coincide."""
    K = camera.K.copy()
    K[:2] *= 0.5
    K[:2, 2] -= 0.25
    return Camera(K, camera.width // 2, camera.height // 2)


def stray(folder: Path, shots: list[Shot], *, own_K: bool = False, codec: str = "mpeg4") -> Path:
    """A capture of Stray Scanner; newer versions write K of each frame."""
    from scipy.spatial.transform import Rotation

    header = "timestamp, frame, x, y, z, qx, qy, qz, qw"
    header += ", fx, fy, cx, cy, distortion_center_x, distortion_center_y" if own_K else ""
    lines = [header]
    for k, shot in enumerate(shots):
        pose, K = ARKIT_FROM_ROOM @ shot.world_from_cam, shot.camera.K
        numbers = [*pose[:3, 3], *Rotation.from_matrix(pose[:3, :3]).as_quat()]
        if own_K:
            numbers += [K[0, 0], K[1, 1], K[0, 2], K[1, 2]]
        row = [f"{55.5 + k / 60:.6f}", f"{k:06d}", *(repr(float(x)) for x in numbers)]
        lines.append(", ".join(row) + (", , " if own_K else ""))
        small = shoot(shot.world_from_cam, halved(shot.camera))
        put(folder / f"depth/{k:06d}.png", millimetres(small))
        levels = np.ones(small.depth.shape, np.uint8)
        levels[0, 0] = 0
        put(folder / f"confidence/{k:06d}.png", png(levels))
    put(folder / "odometry.csv", "\n".join(lines) + "\n")
    K = shots[0].camera.K
    put(folder / "camera_matrix.csv", "\n".join(",".join(map(repr, row.tolist())) for row in K))
    put(folder / "imu.csv", "timestamp, a_x\n")
    video(folder / "rgb.mp4", [shot.colour for shot in shots], codec)
    return folder


def record3d(folder: Path, shots: list[Shot], *, packed: bool = True, newer: bool = False) -> Path:
    """`<folder>.r3d`, or what it unpacks to."""
    import liblzfse
    from scipy.spatial.transform import Rotation

    camera = shots[0].camera
    poses = [arkit_pose(shot) for shot in shots]
    stored: dict[str, object] = {
        "w": camera.width, "h": camera.height, "fps": 60, "K": camera.K.T.ravel().tolist(),
        "poses": [[*Rotation.from_matrix(p[:3, :3]).as_quat().tolist(), *p[:3, 3].tolist()]
                  for p in poses],
        "initPose": [0, 0, 0, 1, 0, 0, 0],
    }  # fmt: skip
    if newer:
        K = camera.K
        stored |= {"dw": camera.width // 2, "dh": camera.height // 2, "K": [1.0] * 9}
        stored["perFrameIntrinsicCoeffs"] = [[K[0, 0], K[1, 1], K[0, 2], K[1, 2]]] * len(shots)
        stored["frameTimestamps"] = [7 + k / 60 for k in range(len(shots))]
    contents = {"metadata": json.dumps(stored).encode(), "sound.m4a": b"sound"}
    for k, shot in enumerate(shots):
        small = shoot(shot.world_from_cam, halved(camera))
        levels = np.full(small.depth.shape, 2, np.uint8)
        levels[0, 0] = 0
        contents[f"rgbd/{k}.jpg"] = jpg(shot.colour)
        contents[f"rgbd/{k}.depth"] = liblzfse.compress(small.depth.astype("<f4").tobytes())
        if newer:
            contents[f"rgbd/{k}.conf"] = liblzfse.compress(levels.tobytes())
    if packed:
        path = folder.with_name(folder.name + ".r3d")
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        return path
    for name, content in contents.items():
        put(folder / name, content)
    return folder


def resized(camera: Camera, width: int) -> Camera:
    """The camera of a picture of another width: edges coincide."""
    s = width / camera.width
    K = camera.K.copy()
    K[:2] *= s
    K[:2, 2] += 0.5 * s - 0.5
    return Camera(K, width, round(camera.height * s), camera.lens)


def depth_bin(maps: list[NDArray[np.float32]], encoding: str) -> bytes:
    """`depth.bin` of ScanNet++: one running stream, or blocks of which every third is deflated."""
    if encoding == "running":
        packer = zlib.compressobj(wbits=-15)
        return b"".join(packer.compress(m.tobytes()) for m in maps) + packer.flush()
    import lz4.block

    out = []
    for k, metres in enumerate(maps):
        if k % 3 == 1:
            packer = zlib.compressobj(wbits=-15)
            block = packer.compress(metres.tobytes()) + packer.flush()
        else:
            units = np.rint(metres * 1000).astype("<u2")
            block = lz4.block.compress(units.tobytes(), store_size=False)
        out.append(struct.pack("<I", len(block)) + block)
    return b"".join(out)


def room_points(shots: list[Shot]) -> tuple[Float64, NDArray[np.int32]]:
    """Points of the furniture that the shots see, and the box of each."""
    points, instance = [], []
    for shot in shots:
        p = rays(shot.camera) * shot.depth[..., None]
        p = p @ shot.world_from_cam[:3, :3].T + shot.world_from_cam[:3, 3]
        points.append(p[shot.instance > 0])
        instance.append(shot.instance[shot.instance > 0])
    return np.concatenate(points), np.concatenate(instance)


def scannetpp(folder: Path, shots: list[Shot], *, encoding: str = "blocks") -> Path:
    """`data/<id>/` with the phone's capture and the labelled scan."""
    rows, maps = {}, []
    for k, shot in enumerate(shots):
        rows[f"frame_{k:06d}"] = {
            "timestamp": 3.5 + k / 60,
            "pose": np.eye(4).tolist(),
            "intrinsic": resized(shot.camera, 1920).K.tolist(),
            "imu": {},
            "aligned_pose": shot.world_from_cam.tolist(),
        }
        small = shoot(shot.world_from_cam, resized(shot.camera, 256))
        maps.append(small.depth.astype("<f4"))
        if encoding == "files":
            put(folder / f"iphone/rgb/frame_{k:06d}.jpg", jpg(shot.colour))
            put(folder / f"iphone/depth/frame_{k:06d}.png", millimetres(small))
    put(folder / "iphone/pose_intrinsic_imu.json", json.dumps(rows))
    if encoding != "files":
        put(folder / "iphone/depth.bin", depth_bin(maps, encoding))
        video(folder / "iphone/rgb.mkv", [shot.colour for shot in shots])
    scan(folder, shots)
    return folder


def scan(folder: Path, shots: list[Shot]) -> None:
    """The laser scan: a mesh of the furniture, one segment a box, and the lamp cut away."""
    points, instance = room_points(shots[::2])
    put(folder / "scans/mesh_aligned_0.05.ply", ply(points))
    put(folder / "scans/segments.json", json.dumps({"segIndices": (instance * 10).tolist()}))
    groups = [
        {
            "id": k,
            "objectId": k,
            "label": "REMOVE" if name == "lamp" else name,
            "segments": [k * 10],
        }
        for k, (name, *_) in enumerate(BOXES, start=1)
    ]
    # A segment may belong to two objects: the later one has it.
    groups.append({"id": 77, "objectId": 77, "label": "chairs", "segments": [20]})
    put(folder / "scans/segments_anno.json", json.dumps({"segGroups": groups}))


def dslr(folder: Path, shots: list[Shot], *, undistorted: bool = False) -> Path:
    """The camera's pictures of ScanNet++ with rendered depth, and COLMAP's model as text."""
    from scipy.spatial.transform import Rotation

    camera = shots[0].camera
    fx, fy, cx, cy = camera.K[0, 0], camera.K[1, 1], camera.K[0, 2] + 0.5, camera.K[1, 2] + 0.5
    k = camera.lens.coefficients[:4] if camera.lens else (0.0,) * 4
    model = [1, "OPENCV_FISHEYE", camera.width, camera.height, fx, fy, cx, cy, *k]
    put(folder / "dslr/colmap/cameras.txt", "# cameras\n" + " ".join(map(str, model)) + "\n")
    places = ("resized_undistorted_images", "undistorted_depth") if undistorted else (
        "resized_images", "render_depth",
    )  # fmt: skip
    lines = []
    for number, shot in enumerate(shots):
        R = shot.world_from_cam[:3, :3].T
        x, y, z, w = Rotation.from_matrix(R).as_quat()
        numbers = [w, x, y, z, *(-R @ shot.world_from_cam[:3, 3])]
        words = [str(number + 1), *(repr(float(v)) for v in numbers), "1", f"DSC{number:05d}.JPG"]
        lines += [" ".join(words), ""]
        put(folder / f"dslr/{places[0]}/DSC{number:05d}.JPG", jpg(shot.colour))
        put(folder / f"dslr/{places[1]}/DSC{number:05d}.png", millimetres(shot))
    put(folder / "dslr/colmap/images.txt", "\n".join(lines) + "\n")
    if undistorted:
        stored = {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": camera.width, "h": camera.height}
        stored |= {"camera_model": "PINHOLE", "frames": [], "test_frames": []}
        put(folder / "dslr/nerfstudio/transforms_undistorted.json", json.dumps(stored))
    scan(folder, shots)
    return folder
