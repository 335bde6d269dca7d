# SPDX-License-Identifier: Apache-2.0
"""A corpus of damaged files: every one opens, or fails with a typed error, and soon."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialcore.errors import SceneFormatError, SpatialCoreError
from spatialcore.io.images import image_size, open_image
from spatialcore.io.npz import array_from_npy
from spatialcore.io.open import open_source
from spatialcore.io.pickled_bytes import unpickle_bytes_array
from spatialcore.io.ply import read_ply
from spatialcore.types import Scene
from tests.fabricate import (
    annotate,
    clip_arrays,
    nerfstudio_capture,
    png16,
    posed_scene,
    scannet_scan,
    tum_sequence,
    write_npz,
)
from tests.io.test_bop import write_scene
from tests.io.test_hypersim import write_room
from tests.io.test_matterport3d import NAME, write_house, write_undistorted
from tests.io.test_rescan import SCAN, write_mesh, write_scan, write_segments
from tests.phones import (
    arkit_annotation,
    arkitscenes_video,
    dslr,
    held,
    polycam,
    record3d,
    scannetpp,
    stray,
)

CASES_PER_FILE = 24
LAYOUTS = {
    "posed/scene0000_00": (
        "posed_images/00000.jpg",
        "posed_images/00000.png",
        "posed_images/00000.txt",
        "posed_images/intrinsic.txt",
        "posed_images/scene_meta.json",
        "scene0000_00_vh_clean_2.ply",
        "scene0000_00_vh_clean_2.0.010000.segs.json",
        "scene0000_00.aggregation.json",
        "scene0000_00.txt",
    ),
    "scans/scene0000_00": ("scene0000_00.sens", "scene0000_00_vh_clean_2.ply"),
    "clips": ("walk.npz",),
    "tum/desk": ("rgb.txt", "depth.txt", "groundtruth.txt"),
    "nerfstudio/kitchen": ("transforms.json", "objects.json", "instance/frame_00001.png"),
    "bop/test/000003": ("scene_camera.json", "scene_gt.json", "mask_visib/000001_000000.png"),
    f"rescan/{SCAN}": (
        "sequence/_info.txt",
        "semseg.v2.json",
        "labels.instances.annotated.v2.ply",
    ),
    f"matterport/{NAME}": (
        f"undistorted_camera_parameters/{NAME}.conf",
        f"house_segmentations/{NAME}.house",
    ),
    "hypersim/ai_001_001": (
        "_detail/metadata_scene.csv",
        "_detail/cam_00/camera_keyframe_positions.hdf5",
        "images/scene_cam_00_geometry_hdf5/frame.0000.depth_meters.hdf5",
        "images/scene_cam_00_geometry_hdf5/frame.0000.semantic_instance.hdf5",
    ),
    "arkit/4001": (
        "lowres_wide.traj",
        "lowres_wide_intrinsics/4001_6845.700.pincam",
        "lowres_depth/4001_6845.700.png",
        "confidence/4001_6845.700.png",
        "4001_3dod_annotation.json",
    ),
    "polycam/cap": (
        "keyframes/corrected_cameras/98000000.json",
        "keyframes/confidence/98000000.png",
    ),
    "stray/cap": ("odometry.csv", "camera_matrix.csv", "rgb.mp4"),
    "record3d/cap": ("metadata", "rgbd/0.depth", "rgbd/0.conf"),
    "packed": ("cap.r3d",),
    "scannetpp/0a1b": (
        "iphone/pose_intrinsic_imu.json",
        "iphone/depth.bin",
        "scans/segments_anno.json",
    ),
    "dslr/0a1b": ("dslr/colmap/cameras.txt", "dslr/colmap/images.txt"),
}
NEEDS = {
    "hypersim/ai_001_001": "h5py",
    "stray/cap": "av",
    "scannetpp/0a1b": "lz4",
    "record3d/cap": "liblzfse",
    "packed": "liblzfse",
}
FILES = [(layout, name) for layout, names in LAYOUTS.items() for name in names]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("originals")
    posed_scene(root / "posed" / "scene0000_00", 2, meta={"world_up": [0, 0, 1]})
    annotate(root / "posed" / "scene0000_00", "scene0000_00")
    scannet_scan(root / "scans")
    write_npz(root / "clips" / "walk.npz", clip_arrays())
    tum_sequence(root / "tum" / "desk")
    label(nerfstudio_capture(root / "nerfstudio" / "kitchen"))
    if find_spec("h5py"):
        write_room(root / "hypersim")
    write_scene(root / "bop", split="test")
    arkit_annotation(arkitscenes_video(root / "arkit" / "4001", held(3)))
    polycam(root / "polycam" / "cap", held(3))
    if find_spec("av"):
        stray(root / "stray" / "cap", held(3))
        if find_spec("lz4"):
            scannetpp(root / "scannetpp" / "0a1b", held(2))
    dslr(root / "dslr" / "0a1b", held(2))
    if find_spec("liblzfse"):
        record3d(root / "record3d" / "cap", held(3), packed=False, newer=True)
        record3d(root / "packed" / "cap", held(3), newer=True)
    rescanned, _ = write_scan(root / "rescan")
    write_segments(rescanned)
    write_mesh(rescanned)
    write_house(write_undistorted(root / "matterport")[0])
    return root


def label(folder: Path) -> None:
    """Masks and a box for each frame of a capture."""
    (folder / "instance").mkdir()
    for image in sorted((folder / "images").iterdir()):
        w, h = image_size(image)
        ids = png16(np.ones((h, w), np.uint16))
        (folder / "instance" / image.with_suffix(".png").name).write_bytes(ids)
    box = {"center": [0, 2, 1], "size": [1, 1, 1], "rotation": [1, 0, 0, 0, 1, 0, 0, 0, 1]}
    rows = {"objects": [{"instance": 1, "name": "chair", "box": box}]}
    (folder / "objects.json").write_text(json.dumps(rows))


def mutations(content: bytes, seed: int) -> Iterator[bytes]:
    """Truncated, flipped, overwritten, extended and spliced versions, the same on every run."""
    rng = np.random.default_rng(seed)
    yield b""
    for share in (0.1, 0.5, 0.9):
        yield content[: int(share * len(content))]
    yield content[:-1]
    yield content + bytes(100)
    yield content + content
    for kind in range(CASES_PER_FILE - 7):
        raw = bytearray(content)
        at = int(rng.integers(0, len(raw)))
        if kind % 3 == 0:
            for place in rng.integers(0, len(raw), 1 + kind // 3):
                raw[place] ^= 1 << int(rng.integers(0, 8))
        elif kind % 3 == 1:
            raw[at : at + 8] = b"\xff" * len(raw[at : at + 8])
        else:
            del raw[at : at + int(rng.integers(1, 40))]
        yield bytes(raw)


def use_everything(root: Path) -> None:
    """Open every scene below `root` and read all that it offers."""
    source = open_source(root)
    for scene_id in source.scene_ids():
        scene = source.open(scene_id)
        for frame in scene.frames:
            if frame.valid and frame.image:
                open_image(scene.root, frame.image)
            if isinstance(scene, Scene) and frame.valid:
                assert scene.read_depth(frame).shape == scene.depth_size[::-1]
                if scene.read_instance is not None:
                    with contextlib.suppress(SceneFormatError):  # masks one frame's labels
                        assert scene.read_instance(frame).shape == scene.color.size[::-1]
        if isinstance(scene, Scene) and scene.read_cloud:
            cloud = scene.read_cloud()
            assert len(cloud.instance) == len(cloud.points_world)


@pytest.mark.parametrize(("layout", "name"), FILES)
def test_damaged_file_is_a_typed_error_or_opens(
    originals: Path, tmp_path: Path, layout: str, name: str
) -> None:
    pytest.importorskip(NEEDS.get(layout, "numpy"))
    shutil.copytree(originals / layout, tmp_path / layout)
    path = tmp_path / layout / name
    content = path.read_bytes()
    outcomes = []
    for damaged in mutations(content, seed=len(name)):
        path.write_bytes(damaged)
        start = time.process_time()
        try:
            use_everything(tmp_path / layout.partition("/")[0])
            outcomes.append("opened")
        except SpatialCoreError:
            outcomes.append("refused")
        assert time.process_time() - start < 1.0
    assert len(outcomes) == CASES_PER_FILE
    path.write_bytes(content)
    use_everything(tmp_path / layout.partition("/")[0])


def test_the_corpus_is_large_enough() -> None:
    assert CASES_PER_FILE * len(FILES) >= 250


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_bytes_in_any_parser(raw: bytes) -> None:
    path = Path("any")
    for head in (b"", b"\xff\xd8", b"\x93NUMPY\x01\x00", b"\x80\x04"):
        for parse in (
            lambda b: image_size(b),
            lambda b: array_from_npy(b, path),
            lambda b: unpickle_bytes_array(b, 3, path),
        ):
            try:
                parse(head + raw)
            except SpatialCoreError:
                continue


@given(
    header=st.text(alphabet="element vrtxfacypoliunch0123456789\n", max_size=200),
    form=st.sampled_from(["ascii", "binary_little_endian", "binary_big_endian"]),
)
@settings(max_examples=200, deadline=None)
def test_any_ply_header(tmp_path_factory: pytest.TempPathFactory, header: str, form: str) -> None:
    path = tmp_path_factory.mktemp("ply") / "a.ply"
    start = f"ply\nformat {form} 1.0\n"
    path.write_bytes(f"{start}{header}\nend_header\n".encode() + b"1 2 3\n" * 12)
    try:
        read_ply(path, triangles=True)
    except SpatialCoreError:
        return
