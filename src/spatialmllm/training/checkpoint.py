# SPDX-License-Identifier: Apache-2.0
"""Training checkpoints: folders that are whole or absent, with a hash of each of their files."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spatialcore.files import content_hash, remove_leftovers, write_json
from spatialcore.folders import has_mark, remove_folder, whole_folder

COMPLETE = "complete.json"
_NAME = re.compile(r"^checkpoint-(\d+)$")


def folder_of(run: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return run / f"checkpoint-{step}"


@contextmanager
def written(run: Path, step: int) -> Iterator[Path]:
    """A folder to write a checkpoint into; whole where it belongs when the block ends, or absent.

    `complete.json`, written last, has the hash of every file.

    Args:
        run: Folder of the run.
        step: Its step.

    Raises:
        FolderInUse: What bears its name is not a checkpoint of `spatialcore train`.
        OutputError: The disk is full, or the like.
    """
    with whole_folder(folder_of(run, step), "train") as work:
        yield work
        files = {
            path.relative_to(work).as_posix(): {
                "size": path.stat().st_size,
                "blake2b": content_hash(path),
            }
            for path in sorted(work.rglob("*"))
            if path.is_file()
        }
        write_json(work / COMPLETE, {"step": step, "files": files})


def newest_valid(run: Path) -> Path | None:
    """The checkpoint of the latest step that is complete and undamaged, or None."""
    return next((path for path in _newest_first(run) if is_valid(path)), None)


def is_valid(path: Path) -> bool:
    """Whether every file of a checkpoint has the size and hash that `complete.json` says."""
    try:
        files = json.loads((path / COMPLETE).read_text(encoding="utf-8"))["files"]
        return all(
            (path / name).stat().st_size == expected["size"]
            and content_hash(path / name) == expected["blake2b"]
            for name, expected in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def prune(run: Path, keep: int) -> None:
    """Remove all but the `keep` latest checkpoints, and what killed writers left.

    A folder of such a name that is not ours is left where it is, and not counted; so is a file of
    somebody else's in one of ours.
    """
    remove_leftovers(run)
    ours = [path for path in _newest_first(run) if has_mark(path, "train")]
    for path in ours[keep:]:
        remove_folder(path, "train")


def step_of(path: Path) -> int:
    """The step of a checkpoint folder."""
    found = _NAME.match(path.name)
    if found is None:
        raise ValueError(f"{path} is no checkpoint folder")
    return int(found.group(1))


def random_state() -> dict[str, Any]:
    """State of all generators, in types that load without running code."""
    kind, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002 - the global one
    version, internal, gauss = random.getstate()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys).astype(np.int64)),
                  int(position), int(has_gauss), float(cached)],
        "python": [version, list(internal), gauss],
    }  # fmt: skip
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Inverse of `random_state`."""
    torch.set_rng_state(state["torch"])
    kind, keys, position, has_gauss, cached = state["numpy"]
    numpy_state = (kind, keys.numpy().astype(np.uint32), position, has_gauss, cached)
    np.random.set_state(numpy_state)  # noqa: NPY002 - the global one
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    if torch.cuda.is_available() and len(state.get("cuda", ())) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def _newest_first(run: Path) -> Iterator[Path]:
    found = [path for path in run.glob("checkpoint-*") if _NAME.match(path.name)]
    yield from sorted(found, key=step_of, reverse=True)
