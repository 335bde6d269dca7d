# SPDX-License-Identifier: Apache-2.0
"""Objects of BOP scenes: from the poses of models in each image to objects of the world."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore.box import OrientedBox
from spatialcore.errors import SceneFormatError
from spatialcore.io.categories import named_objects
from spatialcore.io.object_files import Labels, read_mask
from spatialcore.io.paths import read_json
from spatialcore.types import Float64, Frame, compose_poses

TRUTH, MODELS, NAMES, MASKS = "scene_gt.json", "models_info.json", "names.json", "mask_visib"
_JSON_BYTES = 256 << 20
MM = 0.001
SAME_PLACE_M = 0.03  # poses of one object differ by less from image to image, two objects by more
_MAX_OBJECTS = 512  # of a scene; a bin of parts has some dozens
# Models are numbered; these data sets say in words what they are.
_YCBV = (
    "coffee can", "cracker box", "sugar box", "tomato soup can", "mustard bottle", "tuna can",
    "pudding box", "gelatin box", "potted meat can", "banana", "pitcher", "bleach bottle", "bowl",
    "mug", "power drill", "wood block", "scissors", "marker", "clamp", "large clamp", "foam brick",
)  # fmt: skip
_LINEMOD = (
    "ape", "bench vise", "bowl", "camera", "watering can", "cat", "cup", "drill", "duck",
    "egg box", "glue", "hole puncher", "iron", "lamp", "phone",
)  # fmt: skip
_WORDS = {"ycbv": _YCBV, "lm": _LINEMOD, "lmo": _LINEMOD}


def numbers(fields: Any, key: str, count: int) -> Float64 | None:
    """The list of `count` finite numbers under a key, or None."""
    found = fields.get(key) if isinstance(fields, dict) else None
    if not isinstance(found, list) or len(found) != count:
        return None
    if not all(type(v) in (int, float) and abs(v) < 1e12 for v in found):
        return None
    return np.array(found, dtype=np.float64)


def rigid(fields: Any, names: tuple[str, str]) -> Float64 | None:
    """(4, 4) in metres from the nine numbers and the three under `names`, or None."""
    turn, place = numbers(fields, names[0], 9), numbers(fields, names[1], 3)
    if turn is None or place is None:
        return None
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = turn.reshape(3, 3), place * MM
    return out


def read_by_image(path: Path) -> dict[int, Any]:
    """A file of BOP, whose keys are numbers of images or models: number -> value, ascending.

    Raises:
        SceneFormatError: It is not JSON, or not such a table; code "bop_bad".
    """
    stored = read_json(path, _JSON_BYTES)
    if not isinstance(stored, dict) or not all(k.isascii() and k.isdigit() for k in stored):
        raise SceneFormatError(path, "must have numbers as keys", code="bop_bad")
    if not all(len(k) < 10 for k in stored):
        raise SceneFormatError(path, "has numbers of ten digits", code="bop_bad")
    return {int(key): stored[key] for key in sorted(stored, key=int)}


@dataclass(slots=True)
class _Standing:
    """An object of the world: its model, its pose, and where images draw it.

    Attributes:
        model: Number of the model.
        world_from_model: (4, 4) metres, of the first image that has it.
        rows: Image number -> its row in the image's list.
    """

    model: int
    world_from_model: Float64
    rows: dict[int, int]


def _standing(truth: Mapping[int, Any], frames: Iterable[Frame], path: Path) -> list[_Standing]:
    """The objects of all images, in the order in which they are first seen."""
    found: list[_Standing] = []
    places = np.full((_MAX_OBJECTS + 1, 3), np.inf)
    models = np.zeros(_MAX_OBJECTS + 1, np.int64)
    for frame in frames:
        rows = truth.get(frame.index)
        if frame.world_from_cam is None or not isinstance(rows, list):
            continue
        taken = np.zeros(_MAX_OBJECTS + 1, bool)  # two rows of an image are two objects
        for row, fields in enumerate(rows):
            cam_from_model = rigid(fields, ("cam_R_m2c", "cam_t_m2c"))
            model = fields.get("obj_id") if isinstance(fields, dict) else None
            if cam_from_model is None or type(model) is not int or not 0 < model < 1 << 16:
                continue
            pose = compose_poses(frame.world_from_cam, cam_from_model)
            count = len(found)
            away = np.linalg.norm(places[:count] - pose[:3, 3], axis=1)
            away[(models[:count] != model) | taken[:count]] = np.inf
            k = int(away.argmin()) if count else -1
            if k < 0 or not away[k] <= SAME_PLACE_M:
                k = count
                if k == _MAX_OBJECTS:
                    what = f"lists more than {_MAX_OBJECTS} objects"
                    raise SceneFormatError(path, what, code="bop_bad")
                found.append(_Standing(model, pose, {}))
                places[k], models[k] = pose[:3, 3], model
            taken[k] = True
            found[k].rows[frame.index] = row
    return found


def _first(folder: Path, name: str) -> Path | None:
    """A file of the models: `models/` lies beside the folders of splits."""
    data_set = folder.parent.parent
    return next((p for p in sorted(data_set.glob(f"models*/{name}")) if p.is_file()), None)


def _words(folder: Path, path: Path | None) -> dict[int, str]:
    """Model -> what it is called."""
    known = dict(enumerate(_WORDS.get(folder.parent.parent.name, ()), start=1))
    if path is not None:
        stored = read_by_image(path)
        if not all(isinstance(name, str) for name in stored.values()):
            what = 'must be {"1": "mug", ...}'
            raise SceneFormatError(path, what, code="bop_bad")
        known |= stored
    return known


def _box(fields: Any, world_from_model: Float64) -> OrientedBox | None:
    """The box of a model where it stands; None where the file does not give it."""
    if not isinstance(fields, dict):
        return None
    sides = [[fields.get(f"{kind}_{axis}") for axis in "xyz"] for kind in ("min", "size")]
    low, size = (numbers({"v": side}, "v", 3) for side in sides)
    if low is None or size is None:
        return None
    try:
        box = OrientedBox((low + 0.5 * size) * MM, size * MM, np.eye(3))
        return box.turned(world_from_model)
    except ValueError:
        return None


def scene_labels(folder: Path, frames: Sequence[Frame], size: tuple[int, int]) -> Labels:
    """Objects of a scene, where its models have names.

    Args:
        folder: Of the scene.
        frames: Its frames.
        size: (width, height) of the images.

    Returns:
        Labels; the note "models_unnamed=n" counts objects that no word is known for.

    Raises:
        SceneFormatError: A JSON file is malformed.
    """
    path = folder / TRUTH
    if not path.is_file():
        return Labels()
    found = _standing(read_by_image(path), frames, path)
    named, info = _first(folder, NAMES), _first(folder, MODELS)
    words = _words(folder, named)
    models = {} if info is None else read_by_image(info)
    labels = {k: words[item.model] for k, item in enumerate(found, 1) if item.model in words}
    objects, notes = named_objects(labels)
    boxed = tuple(
        replace(o, box=_box(models.get(found[o.object_id - 1].model),
                            found[o.object_id - 1].world_from_model))
        for o in objects
    )  # fmt: skip
    unnamed = len(found) - len(labels)
    notes += (f"models_unnamed={unnamed}",) if unnamed else ()
    drawn: dict[int, list[tuple[int, Path]]] = {}
    for k in labels:
        for image, row in found[k - 1].rows.items():
            mask = folder / MASKS / f"{image:06d}_{row:06d}.png"
            if mask.is_file():
                drawn.setdefault(image, []).append((k, mask))
    masks = [mask for rows in drawn.values() for _, mask in rows]
    inputs = [p for p in (path, named, info, *masks) if p is not None]
    read = functools.partial(_read_instance, size, drawn) if drawn else None
    return Labels(boxed, read, tuple(inputs), notes)


def _read_instance(
    size: tuple[int, int], drawn: Mapping[int, list[tuple[int, Path]]], frame: Frame
) -> NDArray[np.int32]:
    """Ids of a frame from one mask an object."""
    ids = np.full(size[::-1], -1, np.int32)
    for number, path in drawn.get(frame.index, ()):
        mask = read_mask(path)
        if mask.shape != ids.shape:
            what = f"has shape {mask.shape}, the colour image {ids.shape}"
            raise SceneFormatError(path, what, code="instance_bad")
        ids[mask > 0] = number
    return ids
