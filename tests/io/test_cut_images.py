# SPDX-License-Identifier: Apache-2.0
"""Pictures that end too early are told without being decoded, and sound ones are not suspected."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spatialcore.errors import SceneFormatError
from spatialcore.index.make import build_index
from spatialcore.io.images import image_bytes, image_size
from spatialcore.io.open import open_source
from tests.fabricate import sens, sens_frames

FORMS = ["JPEG", "PNG", "WEBP"]


def picture(form: str, seed: int = 0, **options: object) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


@pytest.mark.parametrize("form", FORMS)
@given(share=st.floats(0.3, 0.999), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=25)
def test_a_cut_picture_is_told_and_a_whole_one_is_not(form: str, share: float, seed: int) -> None:
    whole = picture(form, seed)
    assert image_size(whole, whole=True) == (64, 48)
    assert image_size(whole + bytes(3), whole=True) == (64, 48)  # padding
    cut = whole[: int(share * len(whole))]
    assert image_size(cut) == (64, 48)  # the head alone
    with pytest.raises(SceneFormatError, match="is cut off before its end"):
        image_size(cut, whole=True)


def test_a_preview_is_no_end_and_a_film_behind_it_is_let_be(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x927C] = picture("JPEG", 1)  # a maker's note with a picture, which has an end of its own
    whole = picture("JPEG", exif=exif)
    assert whole.count(b"\xff\xd9") == 2
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[:-200])
    with pytest.raises(SceneFormatError, match=r"a\.jpg: is cut off") as caught:
        image_size(path)
    assert caught.value.code == "image_bad"
    path.write_bytes(whole + bytes(3 << 20))
    assert image_size(path) == (64, 48)
    assert image_bytes(tmp_path, "a.jpg")


def test_frames_of_cut_pictures_are_counted(sample_dir: Path, tmp_path: Path) -> None:

    place = tmp_path / "posed"
    shutil.copytree(sample_dir / "posed_images", place)
    source = open_source(place)
    scene = source.open(source.scene_ids()[0])
    sound = [str(frame.image) for frame in scene.frames if not frame.reason]
    for image in sound[:3]:
        path = scene.root / image
        path.write_bytes(path.read_bytes()[:-900])
    report = build_index([source], tmp_path / "index")
    assert report.reasons["image_bad"] == 3


def test_frames_of_a_sens_too(tmp_path: Path) -> None:
    from spatialcore.io.scannet import _frame_fault
    from spatialcore.io.sens import open_sens

    frames = sens_frames(3)
    pose, color, depth = frames[1]
    frames[1] = (pose, color[:-20], depth)
    path = tmp_path / "a.sens"
    path.write_bytes(sens(frames))
    opened = open_sens(path)
    assert [_frame_fault(opened, k) for k in range(3)] == ["", "image_bad", ""]
