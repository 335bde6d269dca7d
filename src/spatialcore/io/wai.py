# SPDX-License-Identifier: Apache-2.0
"""Reader of WAI scenes (the common form of MapAnything's data sets): one `scene_meta.json`.

The file looks like nerfstudio's, but its cameras are OpenCV ones: `transform_matrix` is
world_from_cam with x right, y down, z forward. Pixel centres lie at +0.5. `frame_modalities` names
the key under which a frame has its depth, whose files hold metres.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.depth_maps import DEPTH_SUFFIXES
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames, count_reasons, listed
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.matrices import matrix_rows, unit_vector
from spatialcore.io.paths import read_json, resolve_inside
from spatialcore.types import Float64, Scene

META = "scene_meta.json"
PIXEL_CENTRE = 0.5  # of this format; spatialcore's are integers
_JSON_BYTES = 256 << 20
_K_KEYS = ("fl_x", "fl_y", "cx", "cy", "w", "h")
_IMAGE_KEYS = ("image", "file_path")
_DEPTH_MODALITIES = ("depth", "gt_depth", "sensor_depth", "rendered_depth", "pred_depth")


def _meta(folder: Path) -> dict[str, Any] | None:
    """The file's object, None where it is no WAI scene's."""
    path = folder / META
    if not path.is_file():
        return None
    stored = read_json(path, _JSON_BYTES)
    if not isinstance(stored, dict) or not isinstance(stored.get("frames"), list):
        return None
    return stored if "frame_modalities" in stored or "camera_convention" in stored else None


def is_wai(folder: Path) -> bool:
    """Whether a folder is a WAI scene: its `scene_meta.json` lists frames and modalities."""
    try:
        return _meta(folder) is not None
    except SceneFormatError:
        return False


def _depth_key(stored: dict[str, Any]) -> str:
    """The key under which frames name their depth map."""
    modalities = stored.get("frame_modalities")
    if isinstance(modalities, dict):
        known = [m for m in _DEPTH_MODALITIES if m in modalities]
        known += [m for m, v in modalities.items()
                  if isinstance(v, dict) and v.get("format") == "depth"]  # fmt: skip
        for name in known:
            modality = modalities[name]
            key = modality.get("frame_key", name) if isinstance(modality, dict) else modality
            if isinstance(key, str):
                return key
    return "depth"


def _number(fields: dict[str, Any], key: str) -> float:
    value: Any = fields.get(key)
    return float(value) if type(value) in (int, float) and abs(value) < 1e15 else math.nan


def _intrinsics(numbers: tuple[float, ...]) -> Intrinsics | None:
    fx, fy, cx, cy, w, h = numbers
    if not all(math.isfinite(v) for v in (fx, fy, cx, cy)):
        return None
    K = np.array([[fx, 0.0, cx - PIXEL_CENTRE], [0.0, fy, cy - PIXEL_CENTRE], [0.0, 0.0, 1.0]])
    return Intrinsics(K, (int(w), int(h)) if w >= 1 and h >= 1 else None)


def _pose(frame: dict[str, Any]) -> Float64 | None:
    return matrix_rows(frame.get("transform_matrix"), (4, 4))


def _named(frame: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    """The name under the first of the keys that holds one."""
    return next((n for n in map(frame.get, keys) if isinstance(n, str) and n), None)


class _Shared:
    """What frames of a scene share, made once: files by their names, and cameras.

    Args:
        folder: Of the scene.
        common: The camera of frames that have none of their own.
    """

    def __init__(self, folder: Path, common: dict[str, Any]) -> None:
        self._folder, self._common = folder, common
        self._files: dict[str, Path] = {}
        self._cameras: dict[tuple[float, ...], Intrinsics | None] = {}

    def file(self, name: str | None) -> Path | None:
        """The file of a name."""
        if name is None:
            return None
        if name not in self._files:
            self._files[name] = resolve_inside(self._folder, name)
        return self._files[name]

    def intrinsics(self, frame: dict[str, Any]) -> Intrinsics | None:
        """The camera of a frame; None where it has none."""
        fields = {**self._common, **frame}
        numbers = tuple([_number(fields, key) for key in _K_KEYS])
        if numbers not in self._cameras:
            self._cameras[numbers] = _intrinsics(numbers)
        return self._cameras[numbers]


def _frame_files(folder: Path, stored: dict[str, Any], stride: int) -> Iterator[FrameFiles]:
    shared = _Shared(folder, {key: stored.get(key) for key in _K_KEYS})
    key = _depth_key(stored)
    for index, frame in enumerate(stored["frames"]):
        if index % stride:
            continue
        frame = frame if isinstance(frame, dict) else {}
        name, fault, color, depth = frame.get("frame_name"), "", None, None
        try:
            color, depth = (shared.file(_named(frame, keys)) for keys in (_IMAGE_KEYS, (key,)))
        except SceneFormatError as error:
            fault = error.code
        if depth is not None and depth.suffix.lower() not in DEPTH_SUFFIXES:
            fault = fault or "depth_bad"
        intrinsics = shared.intrinsics(frame)
        yield FrameFiles(
            index=index,
            name=name if isinstance(name, str) and name else f"{index:05d}",
            color=color,
            depth=depth,
            world_from_cam=_pose(frame),
            fault=fault or ("" if intrinsics is not None else "intrinsic_missing"),
            intrinsics=intrinsics,
        )


def _world_up(stored: dict[str, Any], path: Path) -> Float64 | None:
    """(3,) Up where somebody has added it: our own file of this name would be in the way of this.

    Raises:
        SceneFormatError: It is no direction; code "scene_meta_bad".
    """
    rows = matrix_rows([stored.get("world_up")], (1, 3))
    up = None if rows is None else unit_vector(rows[0])
    if up is None and stored.get("world_up") is not None:
        what = f"has a world_up {stored['world_up']!r:.80} that is no direction"
        raise SceneFormatError(path, what, code="scene_meta_bad")
    return up


class WaiSource(FolderSource):
    """WAI scenes."""

    __slots__ = ()
    kind: ClassVar[str] = "wai"

    def open(self, scene_id: str) -> Scene:
        """Open one scene: its `scene_meta.json` and the headers of its files.

        Raises:
            SceneFormatError: No such scene, axes of another convention, no camera, or no frame with
                image and depth.
        """
        folder = self.folder(scene_id)
        stored, path = _meta(folder), folder / META
        if stored is None:
            raise SceneFormatError(path, "is no WAI scene", code="nothing_found")
        convention = stored.get("camera_convention", "opencv")
        if convention != "opencv":
            raise SceneFormatError(
                path,
                f"has cameras of convention {convention!r:.40}, not opencv",
                code="camera_convention",
            )
        model = stored.get("camera_model", "PINHOLE")
        if model != "PINHOLE":
            what = f"has a camera {model!r:.40}"
            hint = "undistort the images, as WAI's own converters do"
            raise SceneFormatError(path, what, hint, "camera_model_unknown")
        files = listed(_frame_files(folder, stored, self.options.stride or 1), folder)
        built = build_frames(files, self.root.resolve(), folder)
        if built.color is None:
            raise SceneFormatError(path, count_reasons(built.frames), code="intrinsic_missing")
        metric = stored.get("is_metric_scale", True) is not False
        return self.registered_scene(
            scene_id, built, built.color, depth_scale=None, inputs=[path], metric=metric,
            described=False, world_up=_world_up(stored, path),
        )  # fmt: skip
