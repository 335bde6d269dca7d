# SPDX-License-Identifier: Apache-2.0
"""Sizes from headers, images by uri, PLY meshes, categories: the small readers."""

from __future__ import annotations

import io
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spatialcore.errors import SceneFormatError
from spatialcore.io.categories import canonical_category, confusable
from spatialcore.io.depth_png import decode_depth_png, depth_png_size
from spatialcore.io.images import image_bytes, image_size, open_image
from spatialcore.io.layouts import LAYOUTS
from spatialcore.io.matrices import parse_world_up, pose_reason
from spatialcore.io.ply import ply_vertex_count, read_ply
from tests.fabricate import depth_map, jpeg, level_pose, ply, png16


@pytest.mark.parametrize("size", [(1, 1), (17, 5), (640, 480)])
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "comment": b"x" * 9_000}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_size_from_the_header(
    tmp_path: Path, size: tuple[int, int], kind: str, settings: dict[str, object]
) -> None:
    buffer = io.BytesIO()
    Image.effect_noise(size, 50).convert("RGB").save(buffer, kind, **settings)
    path = tmp_path / "image"
    path.write_bytes(buffer.getvalue())
    assert image_size(path) == image_size(buffer.getvalue()) == size


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8", b"\xff\xd8" + b"\xff" * 99, b"GIF89a" + bytes(9)]
)
def test_size_of_no_image(content: bytes) -> None:
    with pytest.raises(SceneFormatError) as error:
        image_size(content)
    assert error.value.code == "image_bad"


def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(SceneFormatError, match="no file"):
        image_size(tmp_path / "a.jpg")


def test_images_above_the_cap_are_refused_from_the_header() -> None:
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(
        ">IIBBBBB", 1 << 20, 1 << 20, 8, 2, 0, 0, 0
    )
    with pytest.raises(SceneFormatError, match="pixels"):
        image_size(head)


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.jpg",
        "/etc/hostname",
        "a/../../x.jpg",
        "a\\b.jpg",
        "a\0b.jpg",
        "",
        "\ud800.jpg",
    ],
)
def test_uris_stay_inside_the_root(tmp_path: Path, uri: str) -> None:
    (tmp_path / "secret.jpg").write_bytes(jpeg())
    root = tmp_path / "root"
    root.mkdir()
    for read in (open_image, image_bytes):
        with pytest.raises(SceneFormatError) as error:
            read(root, uri)
        assert error.value.code == "path_escape"


@pytest.mark.parametrize("uri", ["a.jpg#frame=1", "a.sens", "a.npz#images_jpeg_bytes/x", "b.jpg"])
def test_uris_that_name_no_image(tmp_path: Path, uri: str) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg())
    with pytest.raises(SceneFormatError):
        open_image(tmp_path, uri)


def test_truncated_jpeg_is_an_error_not_a_grey_image(tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 90).convert("RGB").save(whole, "JPEG")
    (tmp_path / "a.jpg").write_bytes(whole.getvalue()[:-400])
    with pytest.raises(SceneFormatError, match="is cut off before its end"):
        open_image(tmp_path, "a.jpg")


def test_depth_png() -> None:
    depth = depth_map((33, 21))
    png = png16(depth)
    assert depth_png_size(png[:33], Path("d.png")) == (33, 21)
    np.testing.assert_array_equal(decode_depth_png(png, Path("d.png")), depth)
    with pytest.raises(SceneFormatError, match="pixels"):
        decode_depth_png(png, Path("d.png"), max_pixels=33 * 21 - 1)
    buffer = io.BytesIO()
    Image.new("L", (3, 3)).save(buffer, "PNG")
    with pytest.raises(SceneFormatError, match="16-bit greyscale"):
        decode_depth_png(buffer.getvalue(), Path("d.png"))


def test_ply_by_property_name(tmp_path: Path) -> None:
    points = np.arange(12, dtype=np.float32).reshape(4, 3)
    path = tmp_path / "mesh.ply"
    path.write_bytes(ply(points, [(0, 1, 2), (1, 2, 3)]))
    mesh = read_ply(path, triangles=True)
    np.testing.assert_array_equal(mesh.points_world, points)
    assert mesh.colour.tolist() == [[1, 2, 3]] * 4
    assert mesh.triangles.tolist() == [[0, 1, 2], [1, 2, 3]]
    assert ply_vertex_count(path) == 4
    header = (
        "ply\nformat binary_little_endian 1.0\nelement vertex 2\nproperty double z\n"
        "property uchar tag\nproperty double y\nproperty double x\nend_header\n"
    )
    rows = struct.pack("<dBdd", 3, 9, 2, 1) * 2
    path.write_bytes(header.encode() + rows)
    assert read_ply(path).points_world.tolist() == [[1, 2, 3]] * 2
    assert read_ply(path).colour is None


def test_empty_ply(tmp_path: Path) -> None:
    (tmp_path / "mesh.ply").write_bytes(ply(np.zeros((0, 3))))
    assert read_ply(tmp_path / "mesh.ply", triangles=True).points_world.shape == (0, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ply\n",
        ply([[0, 0, 0]], count=4_000_000_000_000),
        ply([[0, 0, 0]], count=2),
        ply([[0, 0, 0]], count=-1),
        ply([[0, 0, 0]], count="9" * 30),
        ply([[0, 0, 0]], [(0, 0, 1)]),
        ply([[0, 0, 0]]).replace(b"binary_little_endian", b"ascii"),
        ply([[0, 0, 0]]).replace(b"property float y", b"property float q"),
        ply([[0, 0, 0]]).replace(b"property float y", b"property float x"),
        ply([[0, 0, 0]]).replace(b"property float y", b"property list uchar int y"),
        ply([[0, 0, 0]]).replace(b"element face 0", b"element face 77"),
    ],
)
def test_ply_that_lies(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mesh.ply").write_bytes(content)
    with pytest.raises(SceneFormatError):
        read_ply(tmp_path / "mesh.ply", triangles=True)


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("Chairs", "chair"),
        ("bookshelves", "bookshelf"),
        ("glass", "glass"),
        ("trash_can", "trash can"),
    ],
)
def test_categories(raw: str, canonical: str) -> None:
    assert canonical_category(raw) == canonical


def test_plurals_lead_back() -> None:
    plurals = {"chairs": "chair", "couches": "couch", "knives": "knife", "people": "person"}
    assert {name: canonical_category(name) for name in plurals} == plurals


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("table", "coffee table", True), ("lamp", "floor lamp", True), ("chair", "armchair", True),
        ("coffee table", "dining table", True), ("armchair", "office chair", True),
        ("armchair", "couch", True), ("sofa", "armchair", True),
        ("desk", "table", True), ("sofa", "couch", True), ("cabinet", "kitchen cabinet", True),
        ("seat", "stool", True), ("box", "cardboard box", True), ("trash can", "bin", True),
        ("table", "table", False), ("table", "tablet", False), ("chair", "table", False),
        ("chair", "stool", False), ("nightstand", "table", False),
        ("i am a bunny book", "book", True),
        ("i am a bunny book", "laugh out loud joke book", False),
        ("bag of chips", "bag", True), ("cup", "cupboard", False), ("lamp", "chair", False),
    ],
)  # fmt: skip
def test_names_of_a_family_are_confusable_either_way_round(
    one: str, other: str, *, alike: bool
) -> None:
    assert confusable(one, other) == confusable(other, one) == alike


def test_pose_reasons() -> None:
    turned = level_pose(0.7, 3.0)
    assert pose_reason(turned) == ""
    rounded = turned.copy()
    rounded[0, 0] += 1e-4
    assert pose_reason(rounded) == ""
    assert pose_reason(np.where(np.eye(4) > 0, np.nan, turned)) == "pose_nonfinite"
    mirrored = turned @ np.diag([1.0, 1, -1, 1])
    far = turned.copy()
    far[0, 3] = 1e9
    skewed = turned.copy()
    skewed[3, 0] = 0.1
    assert pose_reason(mirrored) == "pose_mirrored"
    for bad in (1.1 * turned, far, skewed, np.zeros((4, 4)), np.full((4, 4), 1e300)):
        assert pose_reason(bad) == "pose_not_rigid"


@pytest.mark.parametrize(
    ("text", "up"),
    [("+y", (0, 1, 0)), ("-y", (0, -1, 0)), ("z", (0, 0, 1)), ("0,3,4", (0, 0.6, 0.8))],
)
def test_up_directions(text: str, up: tuple[float, ...]) -> None:
    np.testing.assert_allclose(parse_world_up(text), up)


def test_video_frame_needs_its_extra_or_opens(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"no video")
    with pytest.raises(SceneFormatError) as error:
        open_image(tmp_path, "v.mp4#frame=0")
    assert error.value.code in ("extra", "image_bad")


@pytest.mark.real
def test_captured_video_frame(real_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV is not installed")
    first = open_image(real_path, "video/hololens_office_000.mp4#frame=0")
    fifth = open_image(real_path, "video/hololens_office_000.mp4#frame=5")
    assert first.size == fifth.size
    assert np.asarray(first).std() > 10
    assert (np.asarray(first) != np.asarray(fifth)).any()
    with pytest.raises(SceneFormatError, match="has no frame 9999"):
        open_image(real_path, "video/hololens_office_000.mp4#frame=9999")


def test_the_page_has_a_row_of_every_layout() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/inputs.md").read_text(encoding="utf-8")
    table = page.partition("<!-- layouts:")[2].partition("<!-- end of layouts -->")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert {row[1] for row in rows} == set(LAYOUTS)
    assert all(re.search(r"(, yes|^none(: .+)?) \|$", row[-1]) for row in rows)
