# SPDX-License-Identifier: Apache-2.0
"""Indexes of scenes on disk: layouts that agree, workers that agree, and the command."""

import filecmp
import json

import numpy as np
import pytest

from spatialcore.commands.index import main
from spatialcore.index.index import Index, build_index
from spatialcore.io.open import open_source
from spatialcore.sample.build import write_sample
from spatialcore.sample.config import SampleConfig


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    root = tmp_path_factory.mktemp("sample")
    for _ in write_sample(root, SampleConfig(rooms=1, clips=1, frames=25, clip_frames=12)):
        pass
    return root


@pytest.fixture(scope="module")
def index(sample, tmp_path_factory):
    out = tmp_path_factory.mktemp("index")
    sources = [open_source(sample / name) for name in ("scannet", "posed_images", "tapvid3d")]
    report = build_index(sources, out)
    assert not report.skipped
    return Index.open(out)


def same_files(a, b) -> bool:
    names = sorted(p.relative_to(a) for p in a.rglob("*") if p.is_file())
    if names != sorted(p.relative_to(b) for p in b.rglob("*") if p.is_file()):
        return False
    return not any(not filecmp.cmp(a / n, b / n, shallow=False) for n in names)


def test_raw_and_exported_layouts_give_equal_tables(index):
    scene = next(s for source, s in index.scenes() if source == "scannet")
    raw, exported = (index.open_scene(key, scene) for key in ("scannet", "posed_images"))
    names = ("points", "source_row", "instance", "visible", "askable", "pairs", "objects",
             "object_frames", "view_sets")  # fmt: skip
    for name in names:
        suffix = "npy" if (raw.path / f"{name}.npy").exists() else "parquet"
        file = f"{name}.{suffix}"
        assert filecmp.cmp(raw.path / file, exported.path / file, shallow=False), name
    for name in ("frame", "valid", "reason", "world_from_cam", "visible_count"):
        a, b = getattr(raw.frames, name), getattr(exported.frames, name)
        np.testing.assert_array_equal(a, b)
    assert len(raw.objects) > 5


def test_bytes_do_not_depend_on_workers_or_threads(sample, index, tmp_path):
    sources = [open_source(sample / name) for name in ("scannet", "posed_images", "tapvid3d")]
    build_index(sources[::-1], tmp_path / "two", workers=2, threads=3)
    assert same_files(index.path, tmp_path / "two")


def test_a_clip_has_frames_and_parts_and_its_source_opens_again(sample, index):
    source, scene = next(s for s in index.scenes() if s[0] == "tapvid3d")
    clip = index.open_scene(source, scene)
    assert clip.is_clip
    files = {p.name for p in clip.path.iterdir()}
    assert files == {"scene.json", "frames.parquet", "parts.parquet"}
    track = clip.open_track(open_source(sample / "tapvid3d"))
    assert clip.parts.track.tolist() == sorted(track.track_index.tolist())
    assert len(clip.frames.frame) == len(track.frames) == 12
    assert clip.parts.label.min() >= -1


def test_the_command_indexes_skips_and_reports(sample, tmp_path, capsys):
    scans = tmp_path / "scans"
    (sample / "posed_images").rename(scans)
    try:
        broken = scans / "scene9999_00/posed_images"
        broken.mkdir(parents=True)
        for name in ("00000.jpg", "00000.png", "00000.txt"):
            (broken / name).write_bytes(b"")
        (broken / "intrinsic.txt").write_text("not numbers")
        assert main([str(scans), "-o", str(tmp_path / "out"), "--json"]) == 3
        report = json.loads(capsys.readouterr().out)
        assert (report["built"], len(report["skipped"])) == (1, 1)
        assert report["skipped"][0]["scene"] == "scene9999_00"
        assert main([str(scans), "-o", str(tmp_path / "out"), "--recipe", "multispa-paper"]) == 2
        assert "another configuration" in capsys.readouterr().err
        assert main([str(scans), "-o", str(tmp_path / "paper"), "--depth-map", "sizes"]) == 3
        assert Index.open(tmp_path / "paper").rules.name == "custom"
        assert main([str(tmp_path / "nowhere"), "-o", str(tmp_path / "x")]) == 2
    finally:
        for path in sorted((scans / "scene9999_00").rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        (scans / "scene9999_00").rmdir()
        scans.rename(sample / "posed_images")
