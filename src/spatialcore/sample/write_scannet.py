# SPDX-License-Identifier: Apache-2.0
"""Writer of the raw ScanNet layout: .sens, mesh, segments, aggregation, text, lists, labels."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spatialcore.sample.files import Written, write_file
from spatialcore.sample.mesh import Mesh
from spatialcore.sample.scan import Scan, ScanFrame
from spatialcore.types import Camera, Float64

SENS_VERSION = 4
JPEG, ZLIB_U16 = 2, 1
DEPTH_SHIFT = 1000.0
SENSOR_NAME = b"spatialcore sample"


def _padded(camera: Camera) -> bytes:
    K = np.eye(4, dtype="<f4")
    K[:3, :3] = camera.K
    return bytes(K.tobytes())


def sens_header(color: Camera, depth: Camera, frame_count: int) -> bytes:
    """The header of a `.sens` file, version 4; both extrinsics are the identity."""
    identity = np.eye(4, dtype="<f4").tobytes()
    return b"".join(
        [
            struct.pack("<IQ", SENS_VERSION, len(SENSOR_NAME)),
            SENSOR_NAME,
            _padded(color),
            identity,
            _padded(depth),
            identity,
            struct.pack("<ii", JPEG, ZLIB_U16),
            struct.pack("<IIII", color.width, color.height, depth.width, depth.height),
            struct.pack("<fQ", DEPTH_SHIFT, frame_count),
        ]
    )


def sens_frame(frame: ScanFrame) -> bytes:
    """One frame of a `.sens` file."""
    payload = frame.depth_payload()
    sizes = struct.pack(
        "<QQQQ", frame.microseconds, frame.microseconds, len(frame.jpeg), len(payload)
    )
    return bytes(frame.world_from_cam.astype("<f4").tobytes()) + sizes + frame.jpeg + payload


def write_sens(root: Path, path: str, scan: Scan, frames: Iterable[ScanFrame]) -> Written:
    """Stream frames into a `.sens` file as they are rendered."""

    def chunks() -> Iterator[bytes]:
        yield sens_header(scan.preset.color, scan.preset.depth, scan.frame_count)
        for frame in frames:
            yield sens_frame(frame)
        yield struct.pack("<Q", 0)  # no inertial records follow

    return write_file(root, path, chunks())


def ply_bytes(mesh: Mesh, colours: NDArray[np.uint8]) -> bytes:
    """A binary little-endian PLY with vertex colours and triangles."""
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment spatialcore sample\n"
        f"element vertex {len(mesh.points)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\nproperty uchar alpha\n"
        f"element face {len(mesh.faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    vertices = np.empty(len(mesh.points), dtype=[("xyz", "<f4", 3), ("rgba", "u1", 4)])
    vertices["xyz"], vertices["rgba"][:, :3], vertices["rgba"][:, 3] = mesh.points, colours, 255
    faces = np.empty(len(mesh.faces), dtype=[("count", "u1"), ("index", "<i4", 3)])
    faces["count"], faces["index"] = 3, mesh.faces
    return header.encode() + vertices.tobytes() + faces.tobytes()


def segment_files(scan: Scan, mesh: Mesh) -> tuple[bytes, bytes]:
    """Over-segments of the vertices, and the objects as groups of them (JSON, JSON)."""
    # Segments are named after their first vertex, as the public scans do.
    _, first, number = np.unique(mesh.segment, return_index=True, return_inverse=True)
    names = first[number]
    segments = {"sceneId": scan.id, "segIndices": names.tolist()}
    groups: list[dict[str, object]] = []
    for thing in scan.room.objects:
        mine = np.unique(names[mesh.instance == thing.object_id])
        if len(mine):
            groups.append(
                {
                    "id": len(groups),
                    "objectId": thing.object_id,
                    "segments": mine.tolist(),
                    "label": thing.raw_category,
                }
            )
    aggregation = {
        "sceneId": f"scannet.{scan.id}",
        "appId": "spatialcore.sample",
        "segGroups": groups,
        "segmentsFile": f"scannet.{scan.id}_vh_clean_2.0.010000.segs.json",
    }
    return _json(segments), _json(aggregation)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _numbers(matrix: Float64) -> str:
    return " ".join(repr(float(x)) for x in np.asarray(matrix).reshape(-1))


def scene_text(scan: Scan) -> bytes:
    """The `key = value` file of a scan."""
    color, depth = scan.preset.color, scan.preset.depth
    values: dict[str, object] = {
        "axisAlignment": _numbers(scan.aligned_from_world),
        "colorHeight": color.height,
        "colorToDepthExtrinsics": _numbers(np.eye(4)),
        "colorWidth": color.width,
        "depthHeight": depth.height,
        "depthWidth": depth.width,
    }
    for name, camera in (("color", color), ("depth", depth)):
        fx, fy, cx, cy = camera.K[0, 0], camera.K[1, 1], camera.K[0, 2], camera.K[1, 2]
        values |= {
            f"fx_{name}": float(fx),
            f"fy_{name}": float(fy),
            f"mx_{name}": float(cx),
            f"my_{name}": float(cy),
        }
    values |= {
        "numColorFrames": scan.frame_count,
        "numDepthFrames": scan.frame_count,
        "sceneType": scan.room.kind.title(),
    }
    return "".join(f"{key} = {value}\n" for key, value in values.items()).encode()


def mesh_files(scan: Scan) -> dict[str, bytes]:
    """Mesh, segments, objects, text and truth of a scan by the ending after its id."""
    mesh = scan.mesh()
    segments, aggregation = segment_files(scan, mesh)
    return {
        "_vh_clean_2.ply": ply_bytes(mesh, scan.colours(mesh)),
        "_vh_clean_2.0.010000.segs.json": segments,
        ".aggregation.json": aggregation,
        ".txt": scene_text(scan),
    }
