# SPDX-License-Identifier: Apache-2.0
"""Pictures whose EXIF says that they lie on their side: one upright picture for every consumer."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from spatial_engine.export.images import encoded
from spatialcore.io.exif import MIRRORED, picture_turn, without_turn
from spatialcore.io.images import image_bytes, image_size, open_image
from spatialcore.io.open import open_source
from spatialcore.types import Scene
from tests.fabricate import matrix_text, tum_sequence
from tests.phones import OPENGL, SENSOR, held, millimetres, png, put
from tests.rays import Shot, shoot, walk

TURN_OF = {1: 0, 2: MIRRORED, 3: 180, 4: MIRRORED, 5: MIRRORED, 6: 90, 7: MIRRORED, 8: 270}
TAG_OF = {0: 1, 90: 6, 180: 3, 270: 8}
ORIENTATION = 0x0112


def tagged(pixels: np.ndarray, tag: int, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = tag
    exif[0x010F] = "a maker of cameras"
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, exif=exif, quality=95)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("tag", range(1, 9))
def test_the_tag_is_read_and_taken_out(tmp_path: Path, kind: str, tag: int) -> None:
    picture = tagged(held(1)[0].colour, tag, kind)
    put(tmp_path / "a", picture)
    assert picture_turn(picture) == picture_turn(tmp_path / "a") == TURN_OF[tag]
    plain = without_turn(picture)
    assert len(plain) == len(picture)
    assert picture_turn(plain) == 0
    with Image.open(io.BytesIO(plain)) as opened, Image.open(io.BytesIO(picture)) as given:
        assert opened.getexif()[ORIENTATION] == 1
        assert opened.getexif()[0x010F] == "a maker of cameras"
        np.testing.assert_array_equal(np.asarray(opened), np.asarray(given))
        if TURN_OF[tag] > 0:  # Pillow's own upright picture
            upright = np.rot90(np.asarray(given), -TURN_OF[tag] // 90)
            np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(given)), upright)


def test_damaged_tags_are_no_turn() -> None:
    rng = np.random.default_rng()
    whole = [tagged(held(1)[0].colour[:8, :8], 6, kind) for kind in ("JPEG", "PNG", "WEBP")]
    for trial in range(600):
        damaged = bytearray(whole[trial % 3])
        for _ in range(int(rng.integers(1, 4))):
            damaged[int(rng.integers(min(len(damaged), 200)))] = int(rng.integers(256))
        cut = bytes(damaged[: int(rng.integers(4, len(damaged)))])
        for content in (bytes(damaged), cut):
            assert picture_turn(content) in (*TAG_OF, MIRRORED)
            assert len(without_turn(content)) == len(content)
    assert picture_turn(b"") == 0
    assert picture_turn(Path("/dev/null")) == 0


def write_posed(folder: Path, shots: list[Shot], tags: list[int]) -> None:
    for k, (shot, tag) in enumerate(zip(shots, tags, strict=True)):
        put(folder / f"color/{k}.jpg", tagged(shot.colour, tag))
        put(folder / f"depth/{k}.png", millimetres(shot))
        put(folder / f"pose/{k}.txt", "\n".join(" ".join(map(repr, r)) for r in shot[3].tolist()))
    put(folder / "intrinsic.txt", matrix_text(SENSOR.K))


def write_nerfstudio(folder: Path, shots: list[Shot], tags: list[int], **fields: object) -> None:
    rows = []
    for k, (shot, tag) in enumerate(zip(shots, tags, strict=True)):
        put(folder / f"images/{k}.jpg", tagged(shot.colour, tag))
        put(folder / f"depth/{k}.png", millimetres(shot))
        pose = (shot.world_from_cam @ OPENGL).tolist()
        rows.append({"file_path": f"images/{k}.jpg", "depth_file_path": f"depth/{k}.png",
                     "transform_matrix": pose})  # fmt: skip
    K, (w, h) = SENSOR.K, SENSOR.size
    shared = {"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2] + 0.5, "cy": K[1, 2] + 0.5}
    put(
        folder / "transforms.json", json.dumps({**shared, "w": w, "h": h, **fields, "frames": rows})
    )


def check_upright(scene: Scene, count: int) -> None:
    """Every frame is what a level camera of its own K sees from there."""
    assert [f.reason for f in scene.frames] == [""] * count
    for frame, pose in zip(scene.frames, walk(count), strict=True):
        level = shoot(pose, scene.color_of(frame))
        picture = open_image(scene.root, str(frame.image))
        assert picture.size == scene.color_of(frame).size
        away = np.abs(np.asarray(picture).astype(int) - level.colour).mean(axis=-1)
        assert np.median(away) < 8  # JPEG, and edges of the pattern
        np.testing.assert_allclose(scene.read_depth(frame) / 1000, level.depth, atol=1e-3)


@pytest.mark.parametrize("write", [write_posed, write_nerfstudio])
@pytest.mark.parametrize("turns", [(90,) * 4, (180,) * 4, (90, 0, 90, 270)])
def test_scenes_on_their_side(tmp_path: Path, write, turns: tuple[int, ...]) -> None:
    shots = [held(4, turn)[k] for k, turn in enumerate(turns)]
    write(tmp_path / "room", shots, [TAG_OF[turn] for turn in turns])
    scene = open_source(tmp_path).open("room")
    check_upright(scene, 4)
    assert f"frames_turned={sum(turn > 0 for turn in turns)}" in scene.notes
    assert [f.image.endswith(f"#rotate={t}") for f, t in zip(scene.frames, turns, strict=True)] == [
        t > 0 for t in turns
    ]
    # What is exported shows the same without a tag, to Pillow and to a browser.
    for frame in scene.frames:
        content = encoded(scene.root, str(frame.image))
        assert picture_turn(content) == 0
        shown = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
        direct = np.asarray(open_image(scene.root, str(frame.image)))
        assert np.abs(shown - direct).mean() < 6


def test_tum_on_its_side(tmp_path: Path) -> None:
    folder = tum_sequence(tmp_path / "desk")
    for path in (folder / "rgb").iterdir():
        with Image.open(path) as opened:
            path.write_bytes(tagged(np.asarray(opened.convert("RGB")), 6, "PNG"))
    scene = open_source(tmp_path).open("desk")
    assert scene.color.size == (24, 32)
    assert scene.depth_size == (24, 32)
    assert all(f.valid and f.color is None for f in scene.frames)
    assert scene.read_depth(scene.frames[0]).shape == (32, 24)


def test_a_tool_that_followed_the_tag_has_calibrated_the_upright_picture(tmp_path: Path) -> None:
    """K, size and depth are of the upright picture; only its pixels lie on their side."""
    level = [shoot(pose, SENSOR) for pose in walk(3)]
    lying = [shot._replace(colour=np.ascontiguousarray(np.rot90(shot.colour))) for shot in level]
    write_nerfstudio(tmp_path / "room", lying, [6] * 3)
    scene = open_source(tmp_path).open("room")
    assert scene.color.size == SENSOR.size
    np.testing.assert_allclose(scene.color.K, SENSOR.K)
    check_upright(scene, 3)
    assert [f.depth for f in scene.frames] == [f"room/depth/{k}.png" for k in range(3)]


def test_masks_of_the_stored_picture_are_turned_along(tmp_path: Path) -> None:
    shots = held(2)
    write_nerfstudio(tmp_path / "room", shots, [6] * 2)
    names = [{"instance": k, "name": f"thing {k}"} for k in range(1, 6)]
    put(tmp_path / "room/objects.json", json.dumps({"objects": names}))
    put(tmp_path / "room/instance/0.png", png(np.maximum(shots[0].instance, 0).astype(np.uint8)))
    upright = np.ascontiguousarray(np.rot90(np.maximum(shots[1].instance, 0), -1))
    put(tmp_path / "room/instance/1.png", png(upright.astype(np.uint8)))
    scene = open_source(tmp_path).open("room")
    for frame, shot in zip(scene.frames, shots, strict=True):
        np.testing.assert_array_equal(scene.read_instance(frame), np.rot90(shot.instance, -1))


def test_mirrored_pictures_are_masked_and_bytes_carry_no_tag(tmp_path: Path) -> None:
    shots = held(3)
    write_nerfstudio(tmp_path / "room", shots, [1, 5, 1])
    scene = open_source(tmp_path).open("room")
    assert [f.reason for f in scene.frames] == ["", "image_mirrored", ""]
    put(tmp_path / "b.jpg", tagged(shots[0].colour, 6))
    stored = image_bytes(tmp_path, "b.jpg")
    assert picture_turn(stored) == 0
    assert image_size(stored) == SENSOR.size
