# SPDX-License-Identifier: Apache-2.0
"""Nothing of the user's is deleted, nothing is written outside: victims are planted, and stay."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spatialcore.errors import FolderInUse, OutputError, SceneFormatError, UnsafeName
from spatialcore.files import (
    child,
    content_hash,
    plain_name,
    remove_leftovers,
    temporary_name,
    whole_file,
    write_bytes,
    write_json,
)
from spatialcore.folders import MARK, claim, remove_files, replaced_folder, whole_folder

BAD_NAMES = ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\\b", "a\0b", "a\nb", "\x1b[31m",
             "x" * 224, "é" * 112, "nul", "COM1.txt", "\ud800"]  # fmt: skip


def tree(folder: Path) -> dict[str, str]:
    """What lies below a folder: content, or where a link leads."""
    return {
        path.relative_to(folder).as_posix(): str(path.readlink())
        if path.is_symlink()
        else (path.read_bytes().hex() if path.is_file() else "folder")
        for path in sorted(folder.rglob("*"))
    }


def stranger(folder: Path) -> dict[str, str]:
    """A folder of the user's, with names that ours also have; returns its content."""
    for name in ("notes.txt", "index.html", "images/a.jpg", "data/train/mine.parquet",
                 "shards/mine.json", "model/weights.bin", "checkpoint-1/mine.pt"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    return tree(folder)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_leads_elsewhere_becomes_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeName):
        child(tmp_path, name)
    with pytest.raises(UnsafeName):
        child(tmp_path, "ok", name)


def test_names_of_scenes_and_frames_become_paths(tmp_path: Path) -> None:
    for name in ("scene0000_00", "a b", "é", ".hidden", "x" * 223, "nullable", "a..b"):
        assert plain_name(name) == name
        assert child(tmp_path, name, "f.jpg") == tmp_path / name / "f.jpg"


def test_a_link_that_leads_out_is_no_folder_of_ours(tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    out.mkdir()
    other.mkdir()
    (out / "data").symlink_to(other)
    (out / "within").mkdir()
    (out / "alias").symlink_to(out / "within")
    with pytest.raises(UnsafeName, match="leads out"):
        child(out, "data", "x")
    assert child(out, "alias", "x") == out / "alias" / "x"
    (tmp_path / "by-link").symlink_to(out)  # a folder that the user named may be a link itself
    assert child(tmp_path / "by-link", "within").is_dir()


def _cut_short(path: Path, error: Exception) -> None:
    """Write half of a file and fail."""
    with whole_file(path) as temporary:
        temporary.write_bytes(b"half")
        raise error


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    assert write_json(path, {"b": 1, "a": [2]}) == content_hash(path)
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError):
        _cut_short(path, ZeroDivisionError())
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_a_link_is_replaced_and_its_target_stays(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "a").symlink_to(tmp_path / "victim")
    write_bytes(tmp_path / "a", b"ours")
    assert (tmp_path / "victim").read_text() == "mine"
    assert not (tmp_path / "a").is_symlink()


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "only be read"), (errno.EDQUOT, "quota"),
     (errno.EACCES, "no permission"), (errno.ENOENT, "vanished"), (12345, "cannot be written")],
)  # fmt: skip
def test_a_full_disk_is_a_sentence(number: int, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with pytest.raises(OutputError, match=words) as caught:
        _cut_short(path, OSError(number, os.strerror(number)))
    assert str(path) in str(caught.value)
    assert "Errno" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_dead_writers_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    dead, folder = temporary_name(tmp_path / "a"), temporary_name(tmp_path / "b")
    dead.write_text("half")
    (folder / "sub").mkdir(parents=True)
    foreign = [tmp_path / ".a.123.tmp", tmp_path / "x.tmp", tmp_path / "notes"]
    for path in foreign:
        path.write_text("mine")
    link = temporary_name(tmp_path / "c")
    link.symlink_to(tmp_path / "notes")
    with whole_file(tmp_path / "living") as living:
        assert remove_leftovers(tmp_path) == 2
        assert living.exists()
        living.write_text("whole")
    assert (tmp_path / "living").read_text() == "whole"
    assert all(path.read_text() == "mine" for path in [*foreign, link])


def test_a_killed_process_leaves_what_the_next_one_removes(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from spatialcore.folders import whole_folder\n"
        "with whole_folder(Path(sys.argv[1]), 'view') as work:\n"
        "    (work / 'a').write_text('half'); os.kill(os.getpid(), 9)"
    )
    out = tmp_path / "out"
    ended = subprocess.run([sys.executable, "-c", code, str(out)], check=False)
    assert ended.returncode == -9
    assert not out.exists()
    assert len(list(tmp_path.iterdir())) == 1
    with whole_folder(out, "view") as work:
        (work / "a").write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("made_by", ["view", None])
def test_a_strangers_folder_is_left_as_it_is(made_by: str | None, tmp_path: Path) -> None:
    before = stranger(tmp_path / "home")
    with pytest.raises(FolderInUse, match="not"), whole_folder(tmp_path / "home", made_by):
        pytest.fail("the folder was taken")
    with pytest.raises(FolderInUse, match="checkpoint-1"):
        claim(tmp_path / "home", "plan")
    with pytest.raises(FolderInUse), replaced_folder(tmp_path / "home", ("scene.json",)):
        pytest.fail("the folder was taken")
    assert tree(tmp_path / "home") == before


def test_our_own_folder_is_replaced_and_a_file_added_to_it_is_not(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for text, name in (("old", "images/0.jpg"), ("new", "images/1.jpg")):
        with whole_folder(out, "view") as work:
            (work / "images").mkdir()
            (work / "index.html").write_text(text)
            (work / name).write_text(text)
    assert (out / "index.html").read_text() == "new"
    assert sorted(tree(out)) == [MARK, "images", "images/1.jpg", "index.html"]
    (out / "images" / "mine.jpg").write_text("mine")
    before = tree(out)
    with pytest.raises(FolderInUse, match=r"images/mine\.jpg"), whole_folder(out, "view"):
        pytest.fail("the folder was taken")
    with pytest.raises(FolderInUse, match="made by `spatialcore view`"), whole_folder(out, "eval"):
        pytest.fail("the folder was taken")
    assert tree(out) == before


def test_an_empty_folder_keeps_its_place(tmp_path: Path) -> None:
    """It may be where a shell stands, or the mount point of a container."""
    out = tmp_path / "out"
    out.mkdir()
    place = out.stat().st_ino
    with whole_folder(out) as work:
        (work / "a").write_text("a")
    assert out.stat().st_ino == place
    assert tree(out) == {"a": b"a".hex()}


def test_a_mark_that_lists_what_lies_outside_removes_nothing(tmp_path: Path) -> None:
    victim, out = tmp_path / "victim.txt", tmp_path / "out"
    victim.write_text("mine")
    for name in ("../victim.txt", str(victim), "sub/../../victim.txt"):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        (out / "index.html").write_text("ours")
        mark = {"made_by": "view", "files": ["index.html", name]}
        (out / MARK).write_text(json.dumps(mark))
        with pytest.raises((UnsafeName, FolderInUse)), whole_folder(out, "view") as work:
            (work / "index.html").write_text("new")
        assert victim.read_text() == "mine"
        assert (out / "index.html").read_text() == "ours"


def test_a_folder_replaced_by_a_link_is_not_followed(tmp_path: Path) -> None:
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.mkdir()
    (victim / "a").write_text("mine")
    out.mkdir()
    (out / "images").symlink_to(victim)
    with pytest.raises(UnsafeName):
        remove_files(out, ["images/a"])
    assert (victim / "a").read_text() == "mine"


@pytest.mark.parametrize("damage", ["", "[]", "null", "{}", '{"made_by": 3, "files": []}',
                                    "[" * 100_000, '{"made_by": "view", "files": 7}'])  # fmt: skip
def test_a_damaged_mark_marks_nothing(damage: str, tmp_path: Path) -> None:
    (tmp_path / MARK).write_text(damage)
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(FolderInUse), whole_folder(tmp_path, "view"):
        pytest.fail("the folder was taken")
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.fixture(scope="module")
def made(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with its index and plan in it."""
    from spatial_engine.commands import generate

    out = tmp_path_factory.mktemp("made") / "ds"
    command = [str(sample_dir / "scannet"), "-o", str(out), "--tasks", "camera_movement.*"]
    assert generate.main([*command, "--limit", "40"]) == 0
    return out


def _verbs(made: Path, home: Path) -> dict[str, Callable[[], int]]:
    from spatial_engine.commands import export, generate, merge, plan, view
    from spatialcore.commands import index, sample

    source, out = str(made.parent / "none"), ["-o", str(home)]
    return {
        "view": lambda: view.main([str(made), *out]),
        "export": lambda: export.main([str(made), *out, "--to", "llava"]),
        "merge": lambda: merge.main([str(made), str(made), *out]),
        "plan": lambda: plan.main([str(made / "index"), *out]),
        "generate": lambda: generate.main([str(made / "plan"), *out]),
        "generate --overwrite": lambda: generate.main([str(made / "plan"), *out, "--overwrite"]),
        "generate sources": lambda: generate.main([source, *out]),
        "sample": lambda: sample.main([str(home), "--rooms", "0", "--clips", "0"]),
        "sample --overwrite": lambda: sample.main([str(home), "--rooms", "0", "--overwrite"]),
        "index": lambda: index.main(
            [json.loads((made / "index/index.json").read_text())["sources"]["scannet"]["root"],
             *out]
        ),
        "index --depth-cache": lambda: index.main(
            [json.loads((made / "index/index.json").read_text())["sources"]["scannet"]["root"],
             "-o", str(home.parent / "idx"), "--depth-cache", str(home)]
        ),
    }  # fmt: skip


VERBS = tuple(_verbs(Path("made"), Path("home")))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_leaves_a_strangers_folder_alone(
    verb: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    stranger(home)
    for name in ("manifest.json", "plan.json", "index.json", "sample.json", "README.txt"):
        (home / name).write_text('{"files": ["notes.txt"], "name": "mine"}')
    before = tree(home)
    assert _verbs(made, home)[verb]() in (1, 2)
    assert tree(home) == before
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("verb", ["view", "plan", "generate --overwrite", "index --depth-cache"])
def test_what_a_verb_has_made_it_replaces(verb: str, made: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for _ in range(2):
        assert _verbs(made, home)[verb]() == 0
        first = sorted(tree(home))
    assert [name for name in sorted(tree(home)) if not name.startswith("log-")] == [
        name for name in first if not name.startswith("log-")
    ]


def test_overwrite_takes_the_shards_and_leaves_what_lies_between_them(
    made: Path, tmp_path: Path
) -> None:
    from spatial_engine.commands import generate

    out = tmp_path / "out"
    shutil.copytree(made, out)
    for name in ("data/train/mine.parquet", "shards/notes.json", "thesis.tex", "data/notes"):
        (out / name).write_text("mine")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "part-00000.parquet").write_text("mine")
    (out / "data" / "link").symlink_to(outside)
    assert generate.main([str(made / "plan"), "-o", str(out), "--overwrite"]) == 0
    for name in ("data/train/mine.parquet", "shards/notes.json", "thesis.tex", "data/notes"):
        assert (out / name).read_text() == "mine"
    assert (outside / "part-00000.parquet").read_text() == "mine"


def test_a_sample_that_lists_a_file_outside_removes_nothing(tmp_path: Path) -> None:
    from spatialcore.commands import sample

    out, victim = tmp_path / "out", tmp_path / "victim.txt"
    assert sample.main([str(out), "--rooms", "0", "--clips", "0"]) == 0
    victim.write_text("mine")
    manifest = json.loads((out / "sample.json").read_text())
    manifest["files"].append({"path": "../victim.txt", "size": 4, "sha256": ""})
    (out / "sample.json").write_text(json.dumps(manifest))
    before = tree(out)
    assert sample.main([str(out), "--rooms", "0", "--clips", "0", "--overwrite"]) != 0
    assert victim.read_text() == "mine"
    assert tree(out) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [("scene", "../../../x"), ("source", "../../../x"), ("scene", "/tmp/x"), ("source", ""),
     ("frame_names", ["x" * 300, "y"])],
)  # fmt: skip
def test_a_record_whose_names_lead_out_exports_nothing(
    field: str, value: object, made: Path, tmp_path: Path
) -> None:
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.export import Request
    from spatial_engine.export.part import write_part
    from spatial_engine.export.request import Part

    opened = next(iter(Dataset.open(made).opened()))
    bad = replace(opened, record=replace(opened.record, **{field: value}))
    (tmp_path / "a" / "b").mkdir(parents=True)
    for mode in ("link", "copy"):
        with pytest.raises(UnsafeName):
            write_part([bad], Part(0, "train", 1), tmp_path / "a" / "b" / "out",
                       Request(("llava",), images=mode))  # type: ignore[arg-type]  # fmt: skip
    assert list((tmp_path / "a" / "b").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("uri", ["/etc/passwd", "../victim.jpg"])
def test_an_image_outside_the_source_is_no_link_of_an_export(
    uri: str, made: Path, tmp_path: Path
) -> None:
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.export import Request
    from spatial_engine.export.part import write_part
    from spatial_engine.export.request import Part

    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "victim.jpg").write_bytes(b"secret")
    opened = next(iter(Dataset.open(made).opened()))
    images = [replace(image, uri=uri, marks=()) for image in opened.record.images]
    bad = replace(opened, root=root, record=replace(opened.record, images=images))
    for mode in ("link", "copy"):
        with pytest.raises(SceneFormatError, match="leads out of the source"):
            write_part([bad], Part(0, "train", 1), tmp_path / "out",
                       Request(("llava",), images=mode))  # type: ignore[arg-type]  # fmt: skip
    assert not [path for path in (tmp_path / "out").rglob("*") if not path.is_dir()]


def test_a_plan_whose_split_leads_out_writes_nothing(made: Path, tmp_path: Path) -> None:
    from spatial_engine.commands import generate

    plan = tmp_path / "plan"
    shutil.copytree(made / "plan", plan)
    text = (plan / "plan.json").read_text().replace('"split": "train"', '"split": "../../../x"')
    (plan / "plan.json").write_text(text)
    assert generate.main([str(plan), "-o", str(tmp_path / "a" / "out")]) == 1
    assert not (tmp_path / "x").exists()
    assert not list(tmp_path.rglob("*part-00000*"))
