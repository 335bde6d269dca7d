# SPDX-License-Identifier: Apache-2.0
"""Published lists are found where people keep them, and a published id without one is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spatial_engine.commands import generate
from spatialcore.commands import index
from spatialcore.io.open import open_source, open_sources
from tests.fabricate import annotate, clip_arrays, posed_scene, scannet_scan, write_npz
from tests.phones import arkitscenes_video, held, put

SCENE = "scene0017_01"


@pytest.mark.parametrize("place", [
    "", "splits/", "meta_data/", "metadata/", "../meta_data/", "../", "../splits/",
])  # fmt: skip
@pytest.mark.parametrize("prefix", ["scannetv2_", "scannet_", ""])
def test_lists_beside_posed_images(tmp_path: Path, place: str, prefix: str) -> None:
    root = tmp_path / "scannet" / "posed_images"
    posed_scene(root / SCENE)
    scene = open_source(root).open(SCENE)
    assert (scene.split, "split_unknown" in scene.notes) == (None, True)
    put(root / f"{place}{prefix}val.txt", f"scene0001_00\n{SCENE}\n")
    scene = open_source(root).open(SCENE)
    assert (scene.split, "split_unknown" in scene.notes) == ("val", False)


def test_collections_beside_each_other_keep_their_lists(tmp_path: Path) -> None:
    names = {"scannet": ("scene0017_01", "val"), "own": ("scene0017_02", "train")}
    for collection, (name, split) in names.items():
        posed_scene(tmp_path / collection / "posed_images" / name)
        put(tmp_path / collection / f"meta_data/scannetv2_{split}.txt", f"{name}\n")
    (source,) = open_sources(tmp_path)
    found = {scene: source.open(scene).split for scene in source.scene_ids()}
    assert found == dict(names.values())


def test_raw_scans_and_other_collections_say_it_too(tmp_path: Path) -> None:
    scannet_scan(tmp_path / "a", SCENE)
    assert "split_unknown" in open_source(tmp_path / "a").open(SCENE).notes
    put(tmp_path / "a/meta_data/scannetv2_train.txt", SCENE)
    assert "split_unknown" not in open_source(tmp_path / "a").open(SCENE).notes
    arkitscenes_video(tmp_path / "b" / "41125700", held(3))
    assert "split_unknown" in open_source(tmp_path / "b").open("41125700").notes
    posed_scene(tmp_path / "c" / "my_office")
    assert "split_unknown" not in open_source(tmp_path / "c").open("my_office").notes


def test_axis_alignment_promises_that_z_is_up(tmp_path: Path) -> None:
    posed_scene(tmp_path / "posed_images" / SCENE)
    assert open_source(tmp_path / "posed_images").open(SCENE).world_up is None
    (tmp_path / "scans" / SCENE).mkdir(parents=True)
    annotate(tmp_path / "scans" / SCENE, SCENE)
    assert open_source(tmp_path / "posed_images").open(SCENE).world_up.tolist() == [0, 0, 1]
    scene = open_source(tmp_path / "posed_images", world_up="+y").open(SCENE)
    assert scene.world_up.tolist() == [0, 1, 0]


def test_an_archive_of_other_arrays_is_no_clip(tmp_path: Path) -> None:
    arrays = clip_arrays()
    write_npz(tmp_path / "walk.npz", arrays)
    write_npz(tmp_path / "features.npz", {"embedding": arrays["queries_xyt"]})
    put(tmp_path / "broken.npz", "no archive")
    assert open_source(tmp_path).scene_ids() == ("broken", "walk")
    posed_scene(tmp_path / "rooms" / "a")
    write_npz(tmp_path / "rooms" / "a" / "features.npz", {"embedding": arrays["queries_xyt"]})
    assert [s.kind for s in open_sources(tmp_path / "rooms")] == ["posed_images"]


def test_index_and_generate_warn(tmp_path: Path, capsys) -> None:
    root = tmp_path / "posed_images"
    folder = posed_scene(root / SCENE, 10, meta={"world_up": [0, 0, 1]})
    for path in sorted(folder.glob("*.png"))[2:]:
        path.unlink()
    assert index.main([str(root), "-o", str(tmp_path / "idx"), "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "warning: 1 with ids of a published collection are in train" in said
    assert f"warning: posed_images/{SCENE}: only 2 of 10 frames can be used" in said
    again = [str(root), "-o", str(tmp_path / "idx"), "--workers", "1", "--json"]
    assert index.main(again) == 0
    assert len(json.loads(capsys.readouterr().out)["warnings"]) == 2
    assert generate.main([str(root), "-o", str(tmp_path / "out"), "--workers", "1"]) in (0, 1)
    assert "only 2 of 10 frames can be used" in capsys.readouterr().err
    put(root / "splits/val.txt", SCENE)
    assert index.main([str(root), "-o", str(tmp_path / "b"), "--workers", "1"]) == 0
    assert "published collection" not in capsys.readouterr().out
