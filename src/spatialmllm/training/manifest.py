# SPDX-License-Identifier: Apache-2.0
"""What a run's folder says the run is made of: another request is refused there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spatialcore
from spatialcore.errors import UsageError
from spatialcore.files import write_text
from spatialcore.folders import claim
from spatialmllm.data.records import RecordFolder, parse_folder

if TYPE_CHECKING:
    from spatialmllm.training.sft import Prepared


class RequestError(UsageError):
    """What was asked for does not fit together: missing images, leaks, another run's folder."""


def write_manifest(prepared: Prepared) -> None:
    """Say once what the run is made of; a folder with another manifest is refused."""
    request = prepared.request
    recipe = request.recipe.to_json()
    manifest = {
        "version": spatialcore.__version__,
        "recipe": hashlib.blake2b(
            json.dumps(recipe, sort_keys=True).encode(), digest_size=8
        ).hexdigest(),
        "records": [_entry(parse_folder(text)) for text in request.records],
        "split": request.split,
        "blind": request.blind,
        "steps": prepared.steps,
        "sequences": prepared.order.sequences,
        "refused": dict(sorted(prepared.order.refused.items())),
        "init": [path.name for path in request.init],
    }
    if request.text is not None:
        manifest["text"] = request.text.name
    if request.stage != "sft":
        manifest["stage"] = request.stage
    if prepared.builder.geometry is not None:
        manifest["geometry"] = prepared.builder.geometry.identity()
    claim(request.out, "train", known=is_run)
    path = request.out / "manifest.json"
    if path.is_file():
        found = _read_manifest(path)
        for key in manifest:
            if found.get(key) != manifest[key]:
                raise RequestError(
                    f"{request.out} holds another run: {key} was {found.get(key)!r}, "
                    f"is now {manifest[key]!r}"
                )
        return
    write_text(path, json.dumps(manifest, indent=1) + "\n")
    write_text(request.out / "recipe.json", json.dumps(recipe, indent=1) + "\n")


def _entry(folder: RecordFolder) -> dict[str, Any]:
    made = {"folder": folder.path.name, "manifest": _digest(folder.path / "manifest.json")}
    return made if folder.weight == 1 else {**made, "weight": folder.weight}


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RequestError(f"{path} is damaged; choose another --out") from error
    if not isinstance(found, dict):
        raise RequestError(f"{path} is not the manifest of a run; choose another --out")
    return found


def is_run(out: Path) -> bool:
    """Whether a folder without our mark is a run's all the same."""
    path = out / "manifest.json"
    return path.is_file() and _read_manifest(path).keys() >= {"recipe", "sequences", "refused"}


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
