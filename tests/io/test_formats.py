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
from spatialcore.io.ply import ply_vertex_count, read_ply, read_vertices
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


TEXT = (
    b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
    b"property float z\nproperty uchar red\nproperty uchar green\nproperty uchar blue\n"
    b"element face 2\nproperty list uchar int vertex_indices\nend_header\n"
    b"0.5 -1e-3 2 10 20 30\n3 4 5 11 21 31\n6 7 8 12 22 32\n3 0 1 2\n3 2 1 0\n"
)


def big_endian() -> bytes:
    vertices = [(0.5, -1e-3, 2, 10, 20, 30), (3, 4, 5, 11, 21, 31), (6, 7, 8, 12, 22, 32)]
    rows = b"".join(struct.pack(">fffBBB", *v) for v in vertices)
    faces = struct.pack(">BiiiBiii", 3, 0, 1, 2, 3, 2, 1, 0)
    return TEXT.partition(b"0.5")[0].replace(b"ascii", b"binary_big_endian") + rows + faces


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        TEXT.replace(b"\n", b"\r\n"),
        TEXT.replace(b"3 4 5", b"\n  3\t4.0   5e0").replace(b"8 12 22 32", b"8 12 22 32 "),
        TEXT[:-1],
        big_endian(),
    ],
    ids=["text", "ends of Windows", "other spaces", "no last end", "big-endian"],
)
def test_ply_of_any_format(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mesh.ply"
    path.write_bytes(content)
    mesh = read_ply(path, triangles=True)
    wanted = np.array([[0.5, -1e-3, 2], [3, 4, 5], [6, 7, 8]], np.float32)
    np.testing.assert_array_equal(mesh.points_world, wanted)
    assert mesh.colour.tolist() == [[10, 20, 30], [11, 21, 31], [12, 22, 32]]
    assert mesh.triangles.tolist() == [[0, 1, 2], [2, 1, 0]]
    assert mesh.points_world.dtype.isnative
    assert mesh.triangles.dtype == np.int32
    assert ply_vertex_count(path) == 3
    green, x = read_vertices(path, ("green", "x"))
    assert green.tolist() == [20, 21, 22]
    np.testing.assert_array_equal(x, wanted[:, 0])


@pytest.mark.parametrize(
    "content", [b"<html>denied</html>", TEXT.replace(b"element vertex", b"element edge")]
)
def test_what_is_no_mesh_is_told_with_a_way_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mesh.ply").write_bytes(content)
    with pytest.raises(SceneFormatError, match="save the mesh again"):
        read_ply(tmp_path / "mesh.ply")


def test_text_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spatialcore.io.ply_text._BLOCK_NUMBERS", 12)
    (tmp_path / "mesh.ply").write_bytes(TEXT)
    mesh = read_ply(tmp_path / "mesh.ply", triangles=True)
    assert mesh.points_world[:, 2].tolist() == [2, 5, 8]
    assert mesh.triangles.tolist() == [[0, 1, 2], [2, 1, 0]]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (b"3 4 5 11", b"3 4 5 six", "not 6 numbers"),
        (b"3 4 5 11", b"3 4 5", "not 6 numbers"),
        (b"3 4 5 11", b"3 4 5 11 9", "not 6 numbers"),
        (b" 11 21", b" 11 256", "outside the range"),
        (b" 11 21", b" 11 -1", "outside the range"),
        (b" 11 21", b" 11 1.5", "not whole"),
        (b" 11 21", b" 11 nan", "not whole"),
        (b"3 4 5", b"3 4 \xff", "not 6 numbers"),
        (b"3 4 5", b"\x1c\n \x1f" * 70_000 + b"3 4 5", "65536 empty lines"),
        (b"3 4 5", b" " * 500 + b"3 4 5", "a line of more than 384 bytes"),
        (b"3 4 5", b"\n" * 70_000 + b"3 4 5", "65536 empty lines"),
        (b"6 7 8 12 22 32\n3 0 1 2\n3 2 1 0\n", b" " * 40, "ends after 2 of 3 rows"),
        (b"3 2 1 0\n", b"", "too short"),
        (b"3 2 1 0\n", b" \n" * 9, "ends after 1 of 2 rows"),
        (b"3 0 1 2", b"4 0 1 2 3", "not 4 numbers"),
        (b"3 0 1 2", b"4 0 1 2", "not triangles"),
        (b"3 0 1 2", b"3 0 1 3", "not triangles"),
        (b"3 0 1 2", b"3 0 1 -2", "outside the range"),
        (b"vertex 3", b"vertex 3000000", "more than it can hold"),
        (b"face 2", b"face 99999999", "too short"),
        (b"ascii", b"binary_middle_endian", "one of the formats"),
        (b"format ascii 1.0", b"format ascii 1.0\nformat binary_little_endian 1.0", "one of the"),
    ],
)
def test_text_that_lies(tmp_path: Path, old: bytes, new: bytes, what: str) -> None:
    path = tmp_path / "mesh.ply"
    path.write_bytes(TEXT.replace(old, new, 1))
    with pytest.raises(SceneFormatError, match=what) as error:
        read_ply(path, triangles=True)
    assert error.value.code == "mesh_bad"


def test_text_of_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mesh.ply"
    path.write_bytes(TEXT)
    os.truncate(path, (1 << 30) + 1)
    with pytest.raises(SceneFormatError, match="binary PLY") as error:
        read_ply(path)
    assert error.value.code == "file_too_large"


def test_empty_ply(tmp_path: Path) -> None:
    (tmp_path / "mesh.ply").write_bytes(ply(np.zeros((0, 3))))
    assert read_ply(tmp_path / "mesh.ply", triangles=True).points_world.shape == (0, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ply\n",
        big_endian()[:-1],
        big_endian().replace(b"vertex 3", b"vertex 99"),
        big_endian().replace(b"face 2", b"face 3"),
        big_endian()[:-4] + b"\0\0\0\3",
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
