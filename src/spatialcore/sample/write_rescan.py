# SPDX-License-Identifier: Apache-2.0
"""Writer of 3RScan's layout: `<scan>/sequence/`, labelled meshes, and `3RScan.json`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from spatialcore.sample.config import STRIDE
from spatialcore.sample.dice import Dice
from spatialcore.sample.files import Written, write_file
from spatialcore.sample.mesh import Mesh
from spatialcore.sample.presets import Preset
from spatialcore.sample.revisit import later_room, looked_at
from spatialcore.sample.rooms import Rectangle, Room
from spatialcore.sample.scan import Scan, world_from_room
from spatialcore.sample.solids import rotation, turn
from spatialcore.sample.write_posed import matrix_text
from spatialcore.types import Float64, compose_poses, invert_pose

FOLDER = "rescan"
VISIT_STOPS = 24  # of the looks around: a side that one visit leaves out would seem to have moved
UNITS = 1000  # of depth, to the metre


def visit_ids(scene_id: str) -> tuple[str, str]:
    """The ids of both scans of a room.

    Example:
        >>> visit_ids("scene0003_00")
        ('visit0003_first', 'visit0003_later')
    """
    number = scene_id[len("scene") :].partition("_")[0]
    return f"visit{number}_first", f"visit{number}_later"


def write_visits(root: Path, room: Room, preset: Preset, frame_count: int) -> list[Written]:
    """Make both visits of a room."""
    later, moved = later_room(room, room.dice)
    turned_to = looked_at(room, moved, room.dice)
    written: list[Written] = []
    for one, scan_id in zip((room, later), visit_ids(room.id), strict=True):
        dice = Dice(room.dice.seed, scan_id)
        scan = Scan(one, preset, frame_count, dice, turned_to, VISIT_STOPS)
        written += _sequence(root, scan)
        mesh = scan.mesh()
        folder = f"{FOLDER}/{scan_id}"
        truth = json.dumps(scan.truth(), indent=1).encode()
        written += [
            write_file(root, f"{folder}/labels.instances.annotated.v2.ply", _ply(scan, mesh)),
            write_file(root, f"{folder}/semseg.v2.json", _segments(scan, mesh)),
            write_file(root, f"{folder}/ground_truth.json", truth),
        ]
    return written


def write_room_list(root: Path, rooms: Iterable[Room], val: Collection[str]) -> Written:
    """`3RScan.json`: which scans show one room, how the later ones lie, and what moved.

    Args:
        root: Folder of the set.
        rooms: The rooms as they are at the first visit.
        val: Ids of the rooms of the validation split.
    """
    listed = []
    for room in rooms:
        first, later = visit_ids(room.id)
        worlds = [world_from_room(Dice(room.dice.seed, name)) for name in (first, later)]
        _, moved = later_room(room, room.dice)
        rigid = [
            {"instance_reference": k + 1, "instance_rescan": k + 1, "symmetry": 0,
             "transform": _columns(_motion(worlds[0], *both))}
            for k, both in sorted(moved.items())
        ]  # fmt: skip
        transform = _columns(compose_poses(worlds[0], invert_pose(worlds[1])))
        rescan = {"reference": later, "rigid": rigid, "transform": transform}
        kind = "validation" if room.id in val else "train"
        listed.append({"reference": first, "scans": [rescan], "type": kind})
    return write_file(root, f"{FOLDER}/3RScan.json", json.dumps(listed, indent=1).encode())


def _motion(world_from_room: Float64, old: Rectangle, new: Rectangle) -> Float64:
    """(4, 4) motion of a thing from one place to another, in the first scan's world."""
    motion = np.eye(4)
    motion[:3, :3] = rotation("z", new[4] - old[4])
    motion[:3, 3] = [*new[:2], 0.0] - turn(motion[:3, :3], np.array([*old[:2], 0.0]))
    return compose_poses(compose_poses(world_from_room, motion), invert_pose(world_from_room))


def _columns(matrix: Float64) -> list[float]:
    """Its numbers, one column after the other."""
    return [float(x) for x in matrix.T.reshape(-1)]


def _sequence(root: Path, scan: Scan) -> list[Written]:
    """The kept frames of a scan, and its cameras."""
    folder = f"{FOLDER}/{scan.id}/sequence"
    written = [write_file(root, f"{folder}/_info.txt", _info(scan))]
    for number in range(0, scan.frame_count, STRIDE):
        frame = scan.frame(number)
        stem = f"{folder}/frame-{number:06d}"
        written.append(write_file(root, f"{stem}.color.jpg", frame.jpeg))
        written.append(write_file(root, f"{stem}.pose.txt", matrix_text(frame.world_from_cam)))
        if frame.depth is not None:
            height, width = frame.depth.shape
            header = f"P5\n{width} {height}\n65535\n".encode()
            depth = frame.depth.astype(">u2").tobytes()
            written.append(write_file(root, f"{stem}.depth.pgm", header + depth))
    return written


def _info(scan: Scan) -> bytes:
    fields: dict[str, object] = {
        "m_versionNumber": 4, "m_sensorName": "spatialcore sample", "m_depthShift": UNITS,
    }  # fmt: skip
    for name, camera in (("Color", scan.preset.color), ("Depth", scan.preset.depth)):
        K = np.eye(4)
        K[:3, :3] = camera.K
        low = name.lower()
        fields |= {f"m_{low}Width": camera.width, f"m_{low}Height": camera.height}
        fields[f"m_calibration{name}Intrinsic"] = " ".join(repr(float(x)) for x in K.reshape(-1))
    return "".join(f"{name} = {value}\n" for name, value in fields.items()).encode()


def _ply(scan: Scan, mesh: Mesh) -> bytes:
    """The mesh as text; a vertex of no object bears 0."""
    header = [
        "ply", "format ascii 1.0", "comment spatialcore sample",
        f"element vertex {len(mesh.points)}",
        *(f"property float {axis}" for axis in "xyz"),
        *(f"property uchar {colour}" for colour in ("red", "green", "blue")),
        "property ushort objectId",
        f"element face {len(mesh.faces)}", "property list uchar int vertex_indices", "end_header",
    ]  # fmt: skip
    columns = zip(mesh.points.tolist(), scan.colours(mesh).tolist(), mesh.instance, strict=True)
    rows = [f"{x:.5f} {y:.5f} {z:.5f} {r} {g} {b} {k + 1}" for (x, y, z), (r, g, b), k in columns]
    faces = [f"3 {a} {b} {c}" for a, b, c in mesh.faces.tolist()]
    return "\n".join([*header, *rows, *faces, ""]).encode()


def _segments(scan: Scan, mesh: Mesh) -> bytes:
    """Every object that the mesh shows, with its label."""
    shown = set(np.unique(mesh.instance).tolist())
    groups = [
        {"objectId": one.object_id + 1, "label": one.raw_category}
        for one in scan.room.objects
        if one.object_id in shown
    ]
    return json.dumps({"scan_id": scan.id, "segGroups": groups}).encode()
