# SPDX-License-Identifier: Apache-2.0
"""Every path that a person may name opens the same scenes with the same uris."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spatialcore.commands import index
from spatialcore.errors import SceneFormatError
from spatialcore.io.names import NO_LABEL, clean_label, natural_order, path_fault, scene_ids
from spatialcore.io.open import open_source, open_sources
from spatialcore.io.refusals import refusal
from tests.fabricate import (
    LABELS,
    annotate,
    depth_map,
    nerfstudio_capture,
    ply,
    png16,
    posed_scene,
    scannet_scan,
    tum_sequence,
)

SRC = Path(__file__).parents[2]


@pytest.fixture
def scannet(tmp_path: Path) -> Path:
    root = tmp_path / "data" / "scannet"
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 2)])
    for scan in ("scene0000_00", "scene0001_00"):
        folder = scannet_scan(root / "scans", scan).parent
        (folder / f"{scan}_vh_clean_2.ply").write_bytes(ply(corners))
    (root / "scannetv2-labels.combined.tsv").write_text(LABELS)
    return root


@pytest.mark.parametrize("below", ["", "scans", "scans/scene0001_00", ".."])
def test_a_scan_is_the_same_from_every_folder(scannet: Path, below: str, tmp_path: Path) -> None:
    (source,) = open_sources(scannet / below)
    assert (source.kind, source.root) == ("scannet", scannet)
    scene = source.open("scene0001_00")
    assert scene.frames[0].image == "scans/scene0001_00/scene0001_00.sens#frame=0"
    assert "bookshelf" in {item.category for item in scene.objects}
    assert index.main([str(scannet / below), "-o", str(tmp_path / "index")]) == 0


def test_a_label_table_beside_the_root_is_an_input(scannet: Path, tmp_path: Path) -> None:
    """The table may lie anywhere; the index still sees that it changed."""
    table = tmp_path / "elsewhere.tsv"
    shutil.move(scannet / "scannetv2-labels.combined.tsv", table)
    command = [str(scannet), "-o", str(tmp_path / "index"), "--labels", str(table)]
    assert index.main(command) == 0
    from spatialcore.index.index import Index

    (first, _) = Index.open(tmp_path / "index")
    assert first.changed_inputs(scannet) == ()
    table.write_text(LABELS + "9\tbox\tbox\t1\t1\n")
    assert first.changed_inputs(scannet) == ("../../elsewhere.tsv",)


def test_a_folder_of_captures_of_all_kinds_gives_every_one(tmp_path: Path) -> None:
    root = tmp_path / "my captures"
    tum_sequence(root / "freiburg1 desk")
    for name in ("a", "b", "Küche", "客厅"):
        nerfstudio_capture(root / name)
    posed_scene(root / "room", 2)
    (root / "notes.txt").write_text("not a scene")
    (root / "drafts").mkdir()
    sources = {source.kind: source for source in open_sources(root)}
    assert list(sources) == ["nerfstudio", "tum", "posed_images"]
    names = [scene for source in sources.values() for scene, _ in source.files]
    assert len(names) == 6
    assert sources["tum"].scene_ids() == ("freiburg1_desk",)
    for source in sources.values():
        for scene, place in source.files:
            opened = source.open(scene)
            assert opened.frames[0].image.startswith(f"{place}/")
            assert (source.root / opened.frames[0].image).is_file()
            (alone,) = open_sources(root / place)
            assert alone.files == ((scene, place),)
    assert [s for source in sources.values() for s, _ in source.refused] == ["drafts"]


def test_captures_of_one_kind_in_several_folders_are_one_source(tmp_path: Path) -> None:
    for folder in ("phone", "tablet"):
        nerfstudio_capture(tmp_path / folder / "desk")
    (source,) = open_sources(tmp_path)
    assert [place for _, place in source.files] == ["phone/desk", "tablet/desk"]
    assert len(set(source.scene_ids())) == 2
    assert open_source(f"nerfstudio:{tmp_path}").files == source.files


def test_annotation_lies_with_the_images_or_in_scans_beside_them(tmp_path: Path) -> None:
    root = tmp_path / "scannet"
    posed_scene(root / "posed_images" / "scene0001_00", 2)
    (root / "scans" / "scene0001_00").mkdir(parents=True)
    annotate(root / "scans" / "scene0001_00", "scene0001_00")
    (source,) = open_sources(root)
    assert source.scene_ids() == ("scene0001_00",)
    assert {item.raw_category for item in source.open("scene0001_00").objects} >= {"chair"}


def test_an_unknown_kind_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SceneFormatError) as error:
        open_sources(f"scanet:{tmp_path}")
    assert error.value.code == "kind_unknown"
    assert f"did you mean scannet:{tmp_path}?" in str(error.value)


@pytest.mark.parametrize("kind", ["posed_images", "nerfstudio"])
def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path, kind: str) -> None:
    if kind == "posed_images":
        folder = posed_scene(tmp_path / "room", 12)
        files = [p for p in folder.iterdir() if p.stem.isdigit()]
        names = [(p, p.with_name(f"frame_{int(p.stem)}{p.suffix}")) for p in files]
    else:
        folder = nerfstudio_capture(tmp_path / "room", 12)
        files = list(folder.rglob("frame_*"))
        names = [(p, p.with_name(f"frame_{int(p.stem[6:])}{p.suffix}")) for p in files]
        text = (folder / "transforms.json").read_text()
        for k in range(12):
            text = text.replace(f"frame_{k:05d}", f"frame_{k}")
        (folder / "transforms.json").write_text(text)
    for old, new in names:
        old.rename(new)
    frames = open_source(tmp_path / "room").open("room").frames
    assert [frame.name for frame in frames] == [f"frame_{k}" for k in range(12)]


@pytest.mark.parametrize("depth", ["png", "pgm"])
@pytest.mark.parametrize("color", ["jpg", "png"])
def test_names_that_say_what_a_file_holds(tmp_path: Path, color: str, depth: str) -> None:
    """7-Scenes, 3DMatch and ScanNet's own export; poses may have commas between the numbers."""
    frames = posed_scene(tmp_path / "chess", 3, depth_K=False)
    for k in range(3):
        stem = frames / f"frame-{k:06d}"
        image = Image.open(frames / f"{k:05d}.jpg").resize((16, 12))
        image.save(f"{stem}.color.{color}")
        image.close()
        stored = depth_map(base=1000 + k)
        content = b"P5\n16 12\n65535\n" + stored.astype(">u2").tobytes()
        Path(f"{stem}.depth.{depth}").write_bytes(png16(stored) if depth == "png" else content)
        pose = (frames / f"{k:05d}.txt").read_text().replace(" ", ", ")
        Path(f"{stem}.pose.txt").write_text(pose)
        for suffix in ("jpg", "png", "txt"):
            (frames / f"{k:05d}.{suffix}").unlink()
    scene = open_source(frames.parent).open("chess")
    assert [(f.name, f.reason) for f in scene.frames] == [(f"frame-{k:06d}", "") for k in range(3)]
    assert scene.read_depth(scene.frames[2])[0, 0] == 1002


def test_names() -> None:
    assert scene_ids(["scene0000_00"]) == {"scene0000_00": "scene0000_00"}
    ids = scene_ids(["my office", "my_office", "B\u00fcro", "Bu\u0308ro", "房间", "x" * 200])
    assert ids["my_office"] == "my_office"
    assert len(set(ids.values())) == 5, "one name in two normal forms is one name"
    assert scene_ids(["my office"]) == {"my office": "my_office"}
    numbered = ["frame_10", "frame_9", "frame_2", "frame_" + "9" * 5000]
    assert sorted(numbered, key=natural_order)[:3] == ["frame_2", "frame_9", "frame_10"]
    assert [path_fault(n) for n in ("Küche 2", "a#b", "a\nb", "a\\b", "\udcff")] == [
        "", "name_unsafe", "name_unsafe", "name_unsafe", "name_not_utf8",
    ]  # fmt: skip
    assert clean_label("Bu\u0308ro `x` <image>\r\n\x1b[1m\u202e\ud800") == "B\u00fcro 'x' image [1m"
    assert [clean_label(text) for text in ("", " \t", "``", "<>")] == [
        NO_LABEL, NO_LABEL, "''", NO_LABEL,
    ]  # fmt: skip


def test_every_refusal_has_a_reason_code_of_its_own() -> None:
    """The default code says nothing; docs/inputs.md lists all others."""
    table = (SRC / "docs/inputs.md").read_text(encoding="utf-8")
    for path in [*SRC.glob("src/spatialcore/**/*.py"), *SRC.glob("python_engines/**/*.py")]:
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or getattr(call.func, "id", "") != "SceneFormatError":
                continue
            code = next((k.value for k in call.keywords if k.arg == "code"), None)
            code = call.args[3] if code is None and len(call.args) > 3 else code
            assert code is not None, f"{path}:{call.lineno} has no code"
            if isinstance(code, ast.Constant):
                assert f"`{code.value}`" in table, f"{code.value} is not in docs/inputs.md"


@pytest.mark.parametrize(
    ("files", "code", "lacks"),
    [
        (("lowres_wide/a_1.png",), "list_missing", "lowres_wide.traj"),
        (("x_frames/lowres_depth/a_1.png",), "list_missing", "lowres_wide.traj"),
        (("odometry.csv", "depth/000000.png"), "list_missing", "rgb.mp4"),
        (("keyframes/images/1.jpg",), "frames_missing", "keyframes/cameras"),
        (("dslr/resized_images/a.jpg",), "frames_missing", "render_depth"),
    ],
)
def test_a_phone_capture_that_lacks_a_part_is_told_which(
    tmp_path: Path, files: tuple[str, ...], code: str, lacks: str
) -> None:
    for name in files:
        path = tmp_path / "x" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"-")
    error = refusal(tmp_path / "x")
    assert (error.code, lacks in error.what) == (code, True)
