# SPDX-License-Identifier: Apache-2.0
"""The depth cache: the same index with less decoding, and never a stale or cut file."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.index.depths import SceneMaps
from spatialcore.index.index import build_index
from spatialcore.io.open import open_source
from spatialcore.types import Scene

LAYOUTS = ("scannet", "posed_images")


class Counting:
    """A scene whose decoded frames are counted."""

    def __init__(self, scene: Scene, broken: int | None = None) -> None:
        self.decoded: list[int] = []
        self._read, self._broken = scene.read_depth, broken
        self.scene = dataclasses.replace(scene, read_depth=self._count)

    def _count(self, frame):
        self.decoded.append(frame.index)
        if frame.index == self._broken:
            raise SceneFormatError(Path("depth.png"), "is damaged", code="depth_damaged")
        return self._read(frame)

    def walk(self, folder: Path | None, threads: int = 2) -> SceneMaps:
        rows = [k for k, f in enumerate(self.scene.frames) if f.valid]
        return SceneMaps(self.scene, rows, threads, folder)

    def maps(self, folder: Path | None) -> list:
        return list(self.walk(folder))


def opened(root: Path, layout: str = "posed_images") -> Scene:
    source = open_source(root / layout)
    return source.open(source.scene_ids()[0])


def same(first: list, second: list) -> bool:
    return len(first) == len(second) and all(
        a[0] == b[0] and np.array_equal(a[1], b[1]) for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_maps_come_back_bit_for_bit_and_nothing_is_decoded(sample_dir, tmp_path, layout):
    scene = opened(sample_dir, layout)
    plain = Counting(scene).maps(None)
    first, second = Counting(scene), Counting(scene)
    assert same(first.maps(tmp_path), plain)
    assert first.decoded
    assert same(second.maps(tmp_path), plain)
    assert second.decoded == []
    assert {p.name for p in (tmp_path / scene.source).iterdir()} == {
        f"{scene.id}.npy", f"{scene.id}.json",
    }  # fmt: skip


def test_the_index_is_byte_for_byte_the_same(sample_dir, tmp_path):
    sources = [open_source(sample_dir / "posed_images"), open_source(sample_dir / "tapvid3d")]
    build_index(sources, tmp_path / "plain")
    for name in ("first", "second"):
        build_index(sources, tmp_path / name, depth_cache=tmp_path / "cache")
    files = [p for p in (tmp_path / "plain").rglob("*") if p.is_file()]
    assert len(files) > 10
    for path in files:
        for name in ("first", "second"):
            other = tmp_path / name / path.relative_to(tmp_path / "plain")
            assert other.read_bytes() == path.read_bytes()


def test_a_damaged_frame_is_not_kept_and_is_tried_again(sample_dir, tmp_path):
    scene = opened(sample_dir)
    broken = next(f.index for f in scene.frames[3:] if f.valid)
    first = Counting(scene, broken=broken).walk(tmp_path)
    rows = [row for row, _ in first]
    lost = next(k for k, f in enumerate(scene.frames) if f.index == broken)
    assert first.reasons == {lost: "depth_damaged"}
    assert lost not in rows
    assert len(rows) == sum(f.valid for f in scene.frames) - 1
    again = Counting(scene)
    assert same(again.maps(tmp_path), Counting(scene).maps(None))
    assert again.decoded == [broken]


def test_an_input_that_changed_is_decoded_again(sample_dir, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(sample_dir / "posed_images", root / "posed_images")
    cache = tmp_path / "cache"
    Counting(opened(root)).maps(cache)
    scene = opened(root)
    frames = [f for f in scene.frames if f.valid]
    shutil.copyfile(scene.root / frames[1].depth, scene.root / frames[0].depth)
    changed = Counting(opened(root))
    maps = changed.maps(cache)
    assert len(changed.decoded) == len(maps)
    np.testing.assert_array_equal(maps[0][1], maps[1][1])


@pytest.mark.parametrize("harm", ["cut", "text", "shape", "json", "missing"])
def test_a_damaged_cache_is_made_again(sample_dir, tmp_path, harm):
    scene = opened(sample_dir)
    plain = Counting(scene).maps(tmp_path)
    array, meta = (tmp_path / scene.source / f"{scene.id}{e}" for e in (".npy", ".json"))
    if harm == "cut":
        array.write_bytes(array.read_bytes()[:-100])
    elif harm == "text":
        array.write_bytes(b"not an array")
    elif harm == "shape":
        np.save(array, np.zeros((2, 3, 4), np.uint16))
    elif harm == "json":
        meta.write_text("{", encoding="utf-8")
    else:
        array.unlink()
    for expected in (True, False):
        counting = Counting(scene)
        assert same(counting.maps(tmp_path), plain)
        assert bool(counting.decoded) == expected


def test_a_pass_that_was_broken_off_leaves_nothing(sample_dir, tmp_path):
    scene = opened(sample_dir)
    passing = iter(Counting(scene).walk(tmp_path, threads=1))
    next(passing)
    passing.close()
    assert list((tmp_path / scene.source).iterdir()) == []


def test_the_files_are_plain_numpy(sample_dir, tmp_path):
    scene = opened(sample_dir)
    plain = Counting(scene).maps(tmp_path)
    maps = np.load(tmp_path / scene.source / f"{scene.id}.npy", allow_pickle=False)
    frames = json.loads((tmp_path / scene.source / f"{scene.id}.json").read_text())["frames"]
    assert frames == [f.index for f in scene.frames if f.valid]
    np.testing.assert_array_equal(maps, np.stack([depth for _, depth in plain]))
