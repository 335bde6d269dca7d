# SPDX-License-Identifier: Apache-2.0
"""One scene in many forms is asked the same: five layouts, a lens, a K for every frame."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spatial_engine.commands import generate, verify
from spatial_engine.dataset.dataset import open_records
from spatial_engine.records.record import QARecord
from spatialcore.io.open import open_source
from spatialcore.lens import Lens
from spatialcore.types import Camera
from tests import rays
from tests.fabricate import ply, png16
from tests.phones import OPENGL, jpg, millimetres, put

COUNT = 10
SHOTS = rays.shots([rays.pinhole(160, 120)] * COUNT)
K = SHOTS[0].camera.K
NAMES = [f"{k:06d}" for k in range(COUNT)]


def text(matrix: np.ndarray) -> str:
    return "\n".join(" ".join(repr(float(x)) for x in row) for row in matrix) + "\n"


def pictures(folder: Path, colour: str, depth: str) -> None:
    for name, shot in zip(NAMES, SHOTS, strict=True):
        put(folder / colour.format(name), jpg(shot.colour))
        put(folder / depth.format(name), millimetres(shot))


def posed_images(folder: Path) -> None:
    pictures(folder, "{}.jpg", "{}.png")
    for name, shot in zip(NAMES, SHOTS, strict=True):
        put(folder / f"{name}.txt", text(shot.world_from_cam))
    put(folder / "intrinsic.txt", text(K))


def nerfstudio(folder: Path) -> None:
    pictures(folder, "images/{}.jpg", "depth/{}.png")
    rows = [
        {"file_path": f"images/{name}.jpg", "depth_file_path": f"depth/{name}.png",
         "transform_matrix": (shot.world_from_cam @ OPENGL).tolist()}
        for name, shot in zip(NAMES, SHOTS, strict=True)
    ]  # fmt: skip
    camera = {"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2] + 0.5, "cy": K[1, 2] + 0.5}
    put(folder / "transforms.json", json.dumps({**camera, "w": 160, "h": 120, "frames": rows}))


def replica(folder: Path) -> None:
    pictures(folder, "results/frame{}.jpg", "results/depth{}.png")
    put(folder / "traj.txt", text(np.stack([s.world_from_cam.ravel() for s in SHOTS])))
    camera = {"w": 160, "h": 120, "fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2]}
    put(folder / "cam_params.json", json.dumps({"camera": {**camera, "scale": 1000.0}}))


def wai(folder: Path) -> None:
    pictures(folder, "views/{}.jpg", "depth/{}.png")
    rows = [
        {"frame_name": name, "image": f"views/{name}.jpg", "depth": f"depth/{name}.png",
         "transform_matrix": shot.world_from_cam.tolist()}
        for name, shot in zip(NAMES, SHOTS, strict=True)
    ]  # fmt: skip
    camera = {"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2] + 0.5, "cy": K[1, 2] + 0.5}
    stored = {**camera, "w": 160, "h": 120, "camera_convention": "opencv", "frames": rows}
    modalities = {"depth": {"frame_key": "depth", "format": "depth"}}
    put(folder / "scene_meta.json", json.dumps({**stored, "frame_modalities": modalities}))


def trajectory(folder: Path) -> None:
    pictures(folder, "color/{}.jpg", "depth/{}.png")
    rows = (f"{k} {k} {k + 1}\n{text(s.world_from_cam)}" for k, s in enumerate(SHOTS))
    put(folder / "trajectory.log", "".join(rows))
    put(folder / "intrinsic.txt", text(K))


def labelled(folder: Path) -> None:
    rows = [{"instance": k, "name": box[0]} for k, box in enumerate(rays.BOXES, start=1)]
    put(folder / "objects.json", json.dumps({"objects": rows}))
    for name, shot in zip(NAMES, SHOTS, strict=True):
        put(folder / f"instance/{name}.png", png16(np.maximum(shot.instance, 0).astype(np.uint16)))


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "posed_images": posed_images, "nerfstudio": nerfstudio, "replica": replica, "wai": wai,
    "trajectory": trajectory,
}  # fmt: skip


def test_five_layouts_of_one_scene_give_equal_records(tmp_path: Path) -> None:
    """The key of the source is one, since draws depend on it; only the uris differ."""
    found = {}
    for kind, write in LAYOUTS.items():
        write(tmp_path / kind / "room")
        labelled(tmp_path / kind / "room")
        assert open_source(tmp_path / kind).kind == kind
        out = tmp_path / f"{kind}_out"
        options = ["--key", "rooms", "--world-up", "z", "--workers", "1", "--limit", "400"]
        assert generate.main([str(tmp_path / kind), "-o", str(out), *options]) == 0
        found[kind] = [opened.record for opened in open_records(out)]
    bare = {kind: [without_uris(r) for r in records] for kind, records in found.items()}
    assert len(bare["posed_images"]) == 400
    assert len({r.task for r in bare["posed_images"]}) > 20
    for kind in LAYOUTS:
        assert bare[kind] == bare["posed_images"], kind
    assert len({repr(r[0].images) for r in found.values()}) == 5
    assert verify.main([str(tmp_path / "wai_out"), "--all", "--workers", "1"]) == 0


def without_uris(record: QARecord) -> QARecord:
    images = tuple(dataclasses.replace(image, uri="") for image in record.images)
    return dataclasses.replace(record, images=images)


def refocused(k: int) -> Camera:
    """Autofocus: another focal length and principal point for every frame."""
    wanted = rays.pinhole(160, 120).K
    wanted[0, 0] *= 1 + 0.004 * (k % 3)
    wanted[1, 1] *= 1 + 0.004 * (k % 3)
    wanted[:2, 2] += 0.3 * (k % 2)
    return Camera(wanted, 160, 120)


CAMERAS: dict[str, Callable[[int], Camera]] = {
    "pinhole": lambda k: rays.pinhole(160, 120),
    "refocused": refocused,
    "barrel": lambda k: Camera(rays.pinhole(160, 120).K, 160, 120, Lens("opencv", (-0.08, 0.01))),
    "fisheye": lambda k: Camera(rays.pinhole(160, 120).K, 160, 120, Lens("fisheye", ())),
}
# What a picture's own geometry decides, not the room's: where a point lies in the picture.
OF_THE_PICTURE = ("coordinate", "box")


def mesh(folder: Path) -> None:
    """Walls and furniture as a mesh in ScanNet's files, so that all forms have the same points."""
    parts = [rays.box_surface(*rays.ROOM, 0.12)]
    parts += [rays.box_surface(low, high, 0.04) for _, low, high, _ in rays.BOXES]
    segments = np.repeat(np.arange(len(parts)), [len(part) for part in parts]).tolist()
    groups = [{"id": k, "objectId": k, "segments": [k], "label": box[0]}
              for k, box in enumerate(rays.BOXES, start=1)]  # fmt: skip
    mesh = f"{folder.name}_vh_clean_2"
    put(folder / f"{mesh}.ply", ply(np.concatenate(parts)))
    put(folder / f"{mesh}.0.010000.segs.json", json.dumps({"segIndices": segments}))
    put(folder / f"{folder.name}.aggregation.json", json.dumps({"segGroups": groups}))


def seen_through(folder: Path, cameras: list[Camera]) -> None:
    """A nerfstudio capture whose frames carry their own cameras."""
    rows = []
    for name, shot in zip(NAMES, rays.shots(cameras), strict=True):
        put(folder / f"images/{name}.jpg", jpg(shot.colour))
        put(folder / f"depth/{name}.png", millimetres(shot))
        matrix, lens = shot.camera.K, shot.camera.lens
        row = {
            "file_path": f"images/{name}.jpg", "depth_file_path": f"depth/{name}.png",
            "transform_matrix": (shot.world_from_cam @ OPENGL).tolist(),
            "fl_x": matrix[0, 0], "fl_y": matrix[1, 1], "w": 160, "h": 120,
            "cx": matrix[0, 2] + 0.5, "cy": matrix[1, 2] + 0.5, "camera_model": "OPENCV",
        }  # fmt: skip
        if lens is not None and lens.model == "fisheye":
            row["camera_model"] = "OPENCV_FISHEYE"
        elif lens is not None:
            row |= {"k1": lens.coefficients[0], "k2": lens.coefficients[1]}
        rows.append(row)
    put(folder / "transforms.json", json.dumps({"frames": rows}))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, QARecord]]:
    """Records by id of the same room and walk, seen through each camera."""
    found = {}
    for name, camera in CAMERAS.items():
        folder = tmp_path_factory.mktemp(name)
        seen_through(folder / "in/room", [camera(k) for k in range(COUNT)])
        mesh(folder / "in/room")
        out = str(folder / "out")
        options = ["--workers", "1", "--world-up", "z"]
        assert generate.main([str(folder / "in"), "-o", out, *options]) == 0
        assert verify.main([out, "--all", "--workers", "1"]) == 0
        records = [opened.record for opened in open_records(out)]
        found[name] = {record.id: record for record in records}
    return found


@pytest.mark.parametrize("name", [name for name in CAMERAS if name != "pinhole"])
def test_other_cameras_give_the_answers_of_the_pinhole(
    asked: dict[str, dict[str, QARecord]], name: str
) -> None:
    plain, other = asked["pinhole"], asked[name]
    common = [
        i for i in sorted(plain.keys() & other.keys()) if plain[i].options == other[i].options
    ]
    compared: Counter[str] = Counter()
    for key in common:
        a, b = plain[key], other[key]
        if a.answer_type in OF_THE_PICTURE:
            continue
        assert a.answer_text == b.answer_text, (a.question, a.answer, b.answer)
        np.testing.assert_allclose(a.answer_number, b.answer_number, atol=1.01, err_msg=a.question)
        compared[a.task.partition(".")[0]] += 1
    assert sum(compared.values()) > 100
    assert len(compared) >= 5
