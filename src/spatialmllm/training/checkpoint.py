# SPDX-License-Identifier: Apache-2.0
"""Training checkpoints that are whole or absent: written aside, hashed, synced, renamed."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spatialmllm.checkpoints.save import flush_folder

COMPLETE = "complete.json"
_NAME = re.compile(r"^checkpoint-(\d+)$")
_CHUNK = 1 << 24


def folder_of(run: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return run / f"checkpoint-{step}"


def begin(run: Path, step: int) -> Path:
    """An empty folder to write a checkpoint into."""
    temporary = run / f"checkpoint-{step}.tmp"
    if temporary.exists():
        shutil.rmtree(temporary)
    temporary.mkdir(parents=True)
    return temporary


def finish(temporary: Path, step: int) -> Path:
    """Hash all files, write `complete.json`, flush everything to disk and rename the folder."""
    files = {
        str(path.relative_to(temporary)): {"size": path.stat().st_size, "blake2b": _digest(path)}
        for path in sorted(temporary.rglob("*"))
        if path.is_file()
    }
    text = json.dumps({"step": step, "files": files}, indent=1) + "\n"
    (temporary / COMPLETE).write_text(text, encoding="utf-8")
    flush_folder(temporary)
    final = temporary.with_name(temporary.name.removesuffix(".tmp"))
    if final.exists():
        shutil.rmtree(final)
    temporary.rename(final)
    return final


def newest_valid(run: Path) -> Path | None:
    """The checkpoint of the latest step that is complete and undamaged, or None."""
    return next((path for path in _newest_first(run) if is_valid(path)), None)


def is_valid(path: Path) -> bool:
    """Whether every file of a checkpoint has the size and hash that `complete.json` says."""
    mark = path / COMPLETE
    if not mark.is_file():
        return False
    try:
        files = json.loads(mark.read_text(encoding="utf-8"))["files"]
    except (json.JSONDecodeError, KeyError, UnicodeDecodeError):
        return False
    for name, expected in files.items():
        file = path / name
        if not file.is_file() or file.stat().st_size != expected["size"]:
            return False
        if _digest(file) != expected["blake2b"]:
            return False
    return True


def prune(run: Path, keep: int) -> None:
    """Remove all but the `keep` latest checkpoints, and unfinished ones."""
    for path in list(_newest_first(run))[keep:]:
        shutil.rmtree(path)
    for path in run.glob("checkpoint-*.tmp"):
        shutil.rmtree(path)


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


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
