# SPDX-License-Identifier: Apache-2.0
"""3RScan: a tiny scan that lies on its side, its mesh labels or boxes, its rooms, and damage."""

import json

import numpy as np
import pytest
from PIL import Image

from spatialcore.errors import SceneFormatError
from spatialcore.index import SceneIndex, build_index
from spatialcore.io.images import open_image
from spatialcore.io.open import open_source
from spatialcore.io.ply import read_vertices
from spatialcore.io.upright import turned_camera, turned_pose
from tests import rays

SCAN, REFERENCE = "0ad2d3a1-79e2-2212", "0ad2d38f-79e2-2212"
COUNT = 6
CAMERA = rays.pinhole(72, 96)  # upright, as the tablet was held


def write_scan(root):
    folder = root / SCAN
    (folder / "sequence").mkdir(parents=True)
    shots = rays.shots([CAMERA] * COUNT)
    stored = turned_camera(CAMERA, 270)
    assert stored.size == (96, 72)
    K = np.eye(4)
    K[:3, :3] = stored.K
    half = K.copy()
    half[:2, :3] = [[K[0, 0] / 2, 0, K[0, 2] / 2 - 0.25], [0, K[1, 1] / 2, K[1, 2] / 2 - 0.25]]
    info = {"m_versionNumber": 4, "m_sensorName": "tablet", "m_depthShift": 1000}
    info |= {"m_colorWidth": 96, "m_colorHeight": 72, "m_depthWidth": 48, "m_depthHeight": 36}
    for name, matrix in (("Color", K), ("Depth", half)):
        numbers = " ".join(repr(float(v)) for v in matrix.ravel())
        info[f"m_calibration{name}Intrinsic"] = numbers
    text = "".join(f"{name} = {value}\n" for name, value in info.items())
    (folder / "sequence/_info.txt").write_text(text)
    for k, shot in enumerate(shots):
        stem = folder / f"sequence/frame-{k:06d}"
        Image.fromarray(np.rot90(shot.colour)).save(f"{stem}.color.jpg", quality=95)
        small = rays.shoot(shot.world_from_cam, _halved())
        units = np.rint(np.rot90(small.depth) * 1000).astype(">u2")
        header = b"P5\n48 36\n65535\n"
        (folder / f"sequence/frame-{k:06d}.depth.pgm").write_bytes(header + units.tobytes())
        np.savetxt(f"{stem}.pose.txt", turned_pose(shot.world_from_cam, 270))
    return folder, shots


def _halved():
    """The upright camera of the depth maps."""
    K = CAMERA.K.copy()
    K[:2, :2] /= 2
    K[:2, 2] = K[:2, 2] / 2 - 0.25
    return type(CAMERA)(K, 36, 48)


def write_segments(folder):
    groups = []
    for k, (name, low, high, _) in enumerate(rays.BOXES, start=1):
        size = np.subtract(high, low)
        groups.append({
            "objectId": k, "label": name,
            # The first axis of the box is the world's y.
            "obb": {"centroid": np.add(low, high).__truediv__(2).tolist(),
                    "axesLengths": [size[1], size[0], size[2]],
                    "normalizedAxes": [0, 1, 0, -1, 0, 0, 0, 0, 1]},
        })  # fmt: skip
    (folder / "semseg.v2.json").write_text(json.dumps({"scan_id": SCAN, "segGroups": groups}))


def write_mesh(folder):
    """Grids of points on the top of the furniture and on the floor."""
    rows = []
    flat = [(0, (0, 0, 0), (5, 4, 0))] + [(k, b[1], b[2]) for k, b in enumerate(rays.BOXES, 1)]
    for number, low, high in flat:
        side = np.linspace(0.05, 0.95, 25)
        x, y = np.meshgrid(*(low[c] + side * (high[c] - low[c]) for c in (0, 1)))
        rows += [
            f"{a:.4f} {b:.4f} {high[2]} 1 2 3 {number} 0"
            for a, b in zip(x.flat, y.flat, strict=True)
        ]
    header = ["ply", "format ascii 1.0", "comment made for a test", f"element vertex {len(rows)}"]
    header += [f"property float {c}" for c in "xyz"]
    header += [f"property uchar {c}" for c in ("red", "green", "blue")]
    header += ["property ushort objectId", "property ushort globalId"]
    header += ["element face 1", "property list uchar int vertex_indices", "end_header"]
    path = folder / "labels.instances.annotated.v2.ply"
    path.write_text("\n".join([*header, *rows, "3 0 1 2", ""]))
    return path


def test_a_scan_stands_upright(tmp_path):
    folder, shots = write_scan(tmp_path)
    room = {"reference": REFERENCE, "type": "validation", "scans": [{"reference": SCAN}]}
    (tmp_path / "3RScan.json").write_text(json.dumps([room]))
    source = open_source(tmp_path)
    assert (source.kind, source.scene_ids()) == ("rescan", (SCAN,))
    scene = source.open(SCAN)
    assert [f.reason for f in scene.frames] == [""] * COUNT
    assert (scene.space, scene.split, scene.objects) == (REFERENCE, "val", ())
    assert scene.world_up.tolist() == [0, 0, 1]
    np.testing.assert_allclose(scene.color.K, CAMERA.K, atol=1e-9)
    np.testing.assert_allclose(scene.depth.K, _halved().K, atol=1e-9)
    for frame, shot in zip(scene.frames, shots, strict=True):
        np.testing.assert_allclose(frame.world_from_cam, shot.world_from_cam, atol=1e-9)
        small = rays.shoot(shot.world_from_cam, _halved())
        metres = scene.read_depth(frame) * scene.depth_scale
        np.testing.assert_allclose(metres, small.depth, atol=6e-4)
        shown = np.asarray(open_image(scene.root, frame.image), float)
        assert abs(shown - shot.colour).mean() < 6
    write_segments(folder)
    assert len(open_source(tmp_path).open(SCAN).objects) == 5


def test_a_mesh_and_boxes(tmp_path):
    folder, _ = write_scan(tmp_path)
    write_segments(folder)
    scene = open_source(tmp_path).open(SCAN)
    for item, (name, low, high, _) in zip(scene.objects, rays.BOXES, strict=True):
        assert item.raw_category == name
        np.testing.assert_allclose(np.concatenate(item.box.bounds), [*low, *high], atol=1e-12)
    assert scene.read_cloud is None
    write_mesh(folder)
    scene = open_source(tmp_path).open(SCAN)
    cloud = scene.read_cloud()
    assert cloud.points_world.shape == (6 * 625, 3)
    assert np.unique(cloud.instance).tolist() == [-1, 1, 2, 3, 4, 5]
    build_index([open_source(tmp_path)], tmp_path / "index")
    index = SceneIndex.open(tmp_path / "index/rescan" / SCAN)
    assert [o.vertex_count for o in index.objects] == [625] * 5


def test_a_packed_sequence_is_refused(tmp_path):
    (tmp_path / SCAN).mkdir()
    (tmp_path / SCAN / "sequence.zip").write_bytes(b"PK")
    with pytest.raises(SceneFormatError, match="unpack it into sequence/"):
        open_source(tmp_path).open(SCAN)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("m_colorWidth = 96", "m_colorWidth = wide", "no number"),
        ("m_colorWidth = 96", "m_colorWidth = 0", "0x72"),
        ("m_colorWidth = 96\n", "", "has no m_colorWidth"),
        ("m_depthShift = 1000", "m_depthShift = 0", "depth shift"),
        ("m_calibrationColorIntrinsic = ", "m_calibrationColorIntrinsic = 1 ", "16 numbers"),
        ("m_calibrationColorIntrinsic = ", "m_calibrationColorIntrinsic = nan", "16 numbers|no nu"),
    ],
)
def test_damaged_info(tmp_path, old, new, what):
    folder, _ = write_scan(tmp_path)
    path = folder / "sequence/_info.txt"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SceneFormatError, match=what):
        open_source(tmp_path).open(SCAN)


def test_damaged_frames_mask_themselves(tmp_path):
    folder, _ = write_scan(tmp_path)
    (folder / "sequence/frame-000000.pose.txt").write_text("1 2")
    (folder / "sequence/frame-000001.color.jpg").unlink()
    (folder / "sequence/frame-000002.depth.pgm").write_bytes(b"P5\n")
    scene = open_source(tmp_path).open(SCAN)
    wanted = ["pose_unreadable", "image_missing", "depth_bad", "", "", ""]
    assert [f.reason for f in scene.frames] == wanted


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[]", "list segGroups"),
        ('{"segGroups": [3]}', "list segGroups"),
        ('{"segGroups": [{"objectId": "1", "label": "x"}]}', "objectId and a label"),
        ('{"segGroups": [{"objectId": 1, "label": "x"}, {"id": 1, "label": "y"}]}', "1 twice"),
    ],
)
def test_damaged_segments(tmp_path, text, what):
    folder, _ = write_scan(tmp_path)
    (folder / "semseg.v2.json").write_text(text)
    with pytest.raises(SceneFormatError, match=what) as error:
        open_source(tmp_path).open(SCAN)
    assert error.value.code == "annotation_bad"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("ascii", "words", "one of the formats"),
        ("element vertex 3750", "element vertex 99999999", "more than it can hold"),
        ("element vertex 3750", "element vertex 3760", "no|numbers|ends"),
        ("element vertex 3750", "element edge 3750", "begin with vertices"),
        ("objectId", "object", "no vertex property objectId"),
        ("property float z", "property list uchar int z", "lists"),
        ("end_header", "header", "not a PLY"),
        ("1 2 3 2 0", "1 2 3 two 0", "not 8 numbers"),
        ("1 2 3 2 0", "1 2 3 2", "not 8 numbers"),
        ("1 2 3 2 0", "1 2 3 2.5 0", "not whole"),
        ("1 2 3 2 0", "1 2 3 65536 0", "outside the range"),
    ],
)
def test_damaged_meshes(tmp_path, old, new, what):
    path = write_mesh(tmp_path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(SceneFormatError, match=what) as error:
        read_vertices(path, ("x", "y", "z", "objectId"))
    assert error.value.code == "mesh_bad"


def test_rooms_that_are_none(tmp_path):
    write_scan(tmp_path)
    (tmp_path / "3RScan.json").write_text('[{"reference": "../x"}]')
    with pytest.raises(SceneFormatError, match="rooms with a reference"):
        open_source(tmp_path).open(SCAN)
