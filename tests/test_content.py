# SPDX-License-Identifier: Apache-2.0
"""Content decides: a file that changed is found, one that was only copied or touched is not."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from spatial_engine.commands import generate, plan
from spatialcore.commands import index
from spatialcore.index.inputs import differs_from_mark, input_mark


@pytest.fixture(scope="module")
def made(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources of our own, their index and a plan."""
    folder = tmp_path_factory.mktemp("content")
    shutil.copytree(sample_dir / "tapvid3d", folder / "tapvid3d")
    shutil.copytree(sample_dir / "scannet", folder / "scannet")
    sources = [str(folder / "scannet"), str(folder / "tapvid3d")]
    assert index.main([*sources, "-o", str(folder / "idx")]) == 0
    command = [str(folder / "idx"), "-o", str(folder / "plan"), "--limit", "60"]
    assert plan.main(command) == 0
    return folder


def flip(path: Path, where: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(where * (len(content) - 1))] ^= 0x20
    path.write_bytes(bytes(content))


def test_the_content_of_a_file_decides_and_its_time_does_not(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(100_000))
    mark = input_mark(path)
    os.utime(path, (1, 1))
    assert not differs_from_mark(path, mark)
    flip(path, 1.0)  # far behind the head, same size
    assert differs_from_mark(path, mark)
    path.unlink()
    assert differs_from_mark(path, mark)
    assert input_mark(path) is None


def test_every_file_of_an_index_is_checked(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    idx = tmp_path / "idx"
    shutil.copytree(made / "idx", idx)
    scenes = [next((idx / "scannet").iterdir()), next(p.parent for p in idx.rglob("parts.parquet"))]
    files = [path for scene in scenes for path in sorted(scene.iterdir())]
    assert len(files) == 15
    for path in files:
        whole = path.read_bytes()
        flip(path, random.choice((0.1, 0.5, 0.95)))
        assert plan.main([str(idx), "-o", str(tmp_path / "p"), "--limit", "60"]) in (1, 2), path
        error = capsys.readouterr().err
        assert str(path) in error, error
        assert "spatialcore index` again" in error
        path.write_bytes(whole)


def test_a_corrupted_scene_is_indexed_again(made: Path, tmp_path: Path) -> None:
    idx = tmp_path / "idx"
    shutil.copytree(made / "idx", idx)
    hurt = sorted(idx.rglob("visible.npy"))[0]
    whole = hurt.read_bytes()
    flip(hurt, 0.7)
    sources = [str(made / "scannet"), str(made / "tapvid3d")]
    assert index.main([*sources, "-o", str(idx)]) == 0
    assert hurt.read_bytes() == whole


def test_files_of_a_plan_are_checked(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("plan.json", "thresholds.parquet", "rejections.parquet", "rows.parquet"):
        folder = tmp_path / name
        shutil.copytree(made / "plan", folder)
        flip(folder / name, 0.5)
        assert generate.main([str(folder), "-o", str(tmp_path / "out")]) == 1
        assert name in capsys.readouterr().err or name == "plan.json"
        assert not list((tmp_path / "out").rglob("*.parquet"))


def test_a_source_that_changed_after_the_plan_stops_before_the_first_shard(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = sorted((made / "tapvid3d").rglob("*.npz"))[0]
    kept = clip.read_bytes()
    try:
        with np.load(clip, allow_pickle=False) as arrays:
            scaled = {
                name: array * 1.7 if name == "tracks_XYZ" else array
                for name, array in arrays.items()
            }
        np.savez(clip, **scaled)
        assert generate.main([str(made / "plan"), "-o", str(tmp_path / "out")]) == 1
        error = capsys.readouterr().err
        assert clip.name in error
        assert "plan again" in error
        assert not list((tmp_path / "out").rglob("*.parquet"))
    finally:
        clip.write_bytes(kept)  # the same bytes at another time
    assert generate.main([str(made / "plan"), "-o", str(tmp_path / "out")]) == 0
