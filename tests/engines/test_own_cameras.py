# SPDX-License-Identifier: Apache-2.0
"""Captures whose frames have their own cameras or a lens: made, verified, and equally answered."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from spatial_engine import open_records
from spatial_engine.commands import generate, verify
from spatialcore.lens import Lens
from tests import rays

FRAMES = 12
GL = np.diag([1.0, -1.0, -1.0, 1.0])
MODELS = {"opencv": "OPENCV", "fisheye": "OPENCV_FISHEYE"}


def numbers(camera):
    K = camera.K
    out = {"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2] + 0.5, "cy": K[1, 2] + 0.5}
    out |= {"w": camera.width, "h": camera.height}
    if camera.lens is not None:
        c = camera.lens.coefficients
        names = ("k1", "k2", "k3", "k4") if camera.lens.model == "fisheye" else ("k1", "k2")
        out |= {"camera_model": MODELS[camera.lens.model], **dict(zip(names, c, strict=False))}
    return out


def write_capture(folder, cameras, *, own):
    """A nerfstudio capture of the ray-cast room, the camera at the top or in every frame."""
    frames = []
    (folder / "images").mkdir(parents=True)
    (folder / "scene_meta.json").write_text(json.dumps({"world_up": [0, 0, 1]}))
    for k, shot in enumerate(rays.shots(cameras)):
        Image.fromarray(shot.colour).save(folder / f"images/frame_{k:05d}.jpg", quality=95)
        np.save(folder / f"images/depth_{k:05d}.npy", shot.depth.astype(np.float32))
        frames.append({
            "file_path": f"images/frame_{k:05d}.jpg",
            "depth_file_path": f"images/depth_{k:05d}.npy",
            "transform_matrix": (shot.world_from_cam @ GL).tolist(),
            **(numbers(shot.camera) if own else {}),
        })  # fmt: skip
    common = {} if own else numbers(cameras[0])
    (folder / "transforms.json").write_text(json.dumps({**common, "frames": frames}))


def records_of(root, out):
    tasks = "camera_movement.*,depth_perception.*,visual_correspondence.*"
    assert generate.main([str(root), "-o", str(out), "--limit", "300", "--tasks", tasks]) == 0
    assert verify.main([str(out)]) == 0
    return [opened.record for opened in open_records(out)]


def refocused(k):
    camera = rays.pinhole(120, 160, 50.0) if k % 3 == 0 else rays.pinhole()
    K = camera.K.copy()
    K[:2, :2] *= 1 + 0.012 * np.sin(k / 2)
    K[:2, 2] += (0.7 * np.cos(k), 0.6 * np.sin(k))
    return dataclasses.replace(camera, K=K)


def test_a_camera_written_as_one_or_as_many_gives_equal_records(tmp_path):
    made = []
    for own in (False, True):
        root = tmp_path / ("many" if own else "one")
        write_capture(root / "room", [rays.pinhole()] * FRAMES, own=own)
        made.append(records_of(root, tmp_path / f"out{own:d}"))
    assert len(made[0]) > 100
    assert made[0] == made[1]


@pytest.mark.parametrize("kind", ["refocused", "barrel", "fisheye"])
def test_every_answer_follows_through_each_camera(tmp_path, kind):
    lenses = {"barrel": Lens("opencv", (-0.2, 0.03)), "fisheye": Lens("fisheye", (0.02,))}
    bent = dataclasses.replace(rays.pinhole(), lens=lenses.get(kind))
    cameras = [refocused(k) if kind == "refocused" else bent for k in range(FRAMES)]
    write_capture(tmp_path / "scans" / "room", cameras, own=kind == "refocused")
    records = records_of(tmp_path / "scans", tmp_path / "out")
    assert len(records) > 100
    assert {len(r.frames) for r in records} == {1, 2}
    shots = rays.shots(cameras)
    asked = 0
    for record in records:
        if record.task != "depth_perception.value.marked":
            continue
        (mark,) = record.images[0].marks
        shot = shots[record.frames[0]]
        assert (record.images[0].width, record.images[0].height) == shot.camera.size
        # The mark's own pixel shows the depth that was answered, within the guard.
        z = shot.depth[int(mark.v), int(mark.u)]
        assert abs(record.answer_number[0] / 1000 - z) <= max(0.06 * z, 0.05)
        asked += 1
    assert asked > 3
