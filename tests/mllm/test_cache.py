# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from spatial_engine.records.record import Mark


@pytest.fixture
def place(toy, tmp_path):
    """A copy of the toy pictures, and a builder with a cache."""
    from spatialmllm.data.batches import SampleBuilder
    from spatialmllm.data.cache import ImageCache
    from spatialmllm.data.records import RecordSet

    root = tmp_path / "images"
    shutil.copytree(toy.root, root)
    images = RecordSet.of(toy.records, {"toy": root})
    cached = SampleBuilder(toy.config, toy.tokenizer, cache=ImageCache(tmp_path / "cache"))
    return root, images, cached, SampleBuilder(toy.config, toy.tokenizer)


def _frames(builder, record, images):
    return [medium.frames for medium in builder.sample([record], images).media]


def _files(tmp_path):
    return sorted((tmp_path / "cache").rglob("*.rgb"))


def test_an_image_is_decoded_once_and_equal(toy, place, tmp_path, monkeypatch):
    _, images, cached, plain = place
    record = toy.records[2]
    first = _frames(cached, record, images)
    assert len(_files(tmp_path)) == 2
    monkeypatch.setattr(type(images), "image", lambda *_: pytest.fail("decoded again"))
    again = _frames(cached, record, images)
    monkeypatch.undo()
    for a, b, c in zip(first, again, _frames(plain, record, images), strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(a, c)


def test_marks_sizes_and_changed_files_have_entries_of_their_own(toy, place, tmp_path):
    root, images, cached, plain = place
    record = toy.records[0]
    _frames(cached, record, images)
    marked = replace(
        record, images=(replace(record.images[0], marks=(Mark(20.0, 20.0, 5, "red"),)),)
    )
    assert np.array_equal(_frames(cached, marked, images)[0], _frames(plain, marked, images)[0])
    assert len(_files(tmp_path)) == 2
    shutil.copy(root / toy.records[5].images[1].uri, root / record.images[0].uri)
    assert np.array_equal(_frames(cached, record, images)[0], _frames(plain, record, images)[0])
    assert len(_files(tmp_path)) == 3
    # A file that was cut off is made again.
    for path in _files(tmp_path):
        path.write_bytes(path.read_bytes()[:-1])
    assert np.array_equal(_frames(cached, record, images)[0], _frames(plain, record, images)[0])
    (root / record.images[0].uri).unlink()
    with pytest.raises(Exception, match=r"room0000_0\.png"):
        _frames(cached, record, images)
