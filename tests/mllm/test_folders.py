# SPDX-License-Identifier: Apache-2.0
"""A model, a run and an evaluation leave a folder of the user's as it is."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from spatialcore.errors import FolderInUse
from spatialcore.files import temporary_name
from spatialcore.folders import claim
from spatialmllm.training import checkpoint as checkpoints


def test_a_model_replaces_a_model_alone(toy, tmp_path):
    from spatialmllm.checkpoints import save
    from spatialmllm.model.model import build

    model = build(toy.config)

    home = tmp_path / "home"
    home.mkdir()
    (home / "config.json").write_text("mine")
    with pytest.raises(FolderInUse, match="holds"):
        save(model, home)
    assert [(p.name, p.read_text()) for p in home.iterdir()] == [("config.json", "mine")]
    for _ in range(2):
        save(model, tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").is_file()


def write(run, step: int) -> None:
    with checkpoints.written(run, step) as work:
        (work / "state").write_text(str(step))


def test_checkpoints_of_others_are_neither_pruned_nor_replaced(tmp_path):
    mine = tmp_path / "checkpoint-9"
    mine.mkdir()
    (mine / "model.bin").write_text("mine")
    for step in (1, 2, 3, 4):
        write(tmp_path, step)
        assert checkpoints.is_valid(checkpoints.folder_of(tmp_path, step))
    (tmp_path / "checkpoint-1" / "note").write_text("mine")
    killed = temporary_name(tmp_path / "checkpoint-5")
    killed.mkdir()
    checkpoints.prune(tmp_path, 2)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["checkpoint-1", "checkpoint-3", "checkpoint-4", "checkpoint-9"]
    assert [path.name for path in (tmp_path / "checkpoint-1").iterdir()] == ["note"]
    with pytest.raises(FolderInUse, match="not made by"):
        write(tmp_path, 9)
    assert [path.read_text() for path in mine.iterdir()] == ["mine"]
    assert checkpoints.newest_valid(tmp_path) == tmp_path / "checkpoint-4"


def test_a_checkpoint_is_whole_or_absent(tmp_path):
    write(tmp_path, 1)
    for step in (1, 2):  # one that is there, and one that is not
        with suppress(ZeroDivisionError), checkpoints.written(tmp_path, step) as work:
            (work / "state").write_text("half")
            raise ZeroDivisionError
        assert checkpoints.newest_valid(tmp_path) == tmp_path / "checkpoint-1"
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]
    (tmp_path / "checkpoint-1" / "state").write_text("x")
    assert checkpoints.newest_valid(tmp_path) is None
    write(tmp_path, 1)
    assert checkpoints.newest_valid(tmp_path) == tmp_path / "checkpoint-1"


@pytest.mark.parametrize("content", ["", "null", "[1]", '{"files": {"../x": {}}}'])
def test_a_damaged_mark_is_no_checkpoint(content, tmp_path):
    folder = tmp_path / "checkpoint-1"
    folder.mkdir()
    (folder / checkpoints.COMPLETE).write_text(content)
    assert not checkpoints.is_valid(folder)


def test_a_run_claims_its_folder(tmp_path):
    from spatialmllm.training.manifest import RequestError, is_run

    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(RequestError, match="not the manifest"):
        claim(tmp_path, "train", known=is_run)
    (tmp_path / "manifest.json").write_text(json.dumps({"name": "mine"}))
    with pytest.raises(FolderInUse):
        claim(tmp_path, "train", known=is_run)
    ours = {"recipe": "", "sequences": 1, "refused": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(ours))
    claim(tmp_path, "train", known=is_run)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
