# SPDX-License-Identifier: Apache-2.0
"""The layouts that are read: how an entry of a folder is recognised, and the source it gets.

Another package brings a reader by an entry point of the group `spatialcore.readers`: its name is
the kind, its value a `Layout` (docs/adding-a-reader.md; `spatialcore new-reader` writes one).
"""

from __future__ import annotations

import logging
import multiprocessing
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

from spatialcore.errors import SceneFormatError
from spatialcore.io import embodiedscan, openspatial, stanford2d3ds
from spatialcore.io.arkitscenes import ArkitScenesSource, is_video_folder, video_root
from spatialcore.io.bop import BopSource, is_bop
from spatialcore.io.ca1m import Ca1mSource
from spatialcore.io.ca1m import is_capture as is_ca1m_capture
from spatialcore.io.colmap import ColmapSource, is_reconstruction
from spatialcore.io.hypersim import HypersimSource, is_room
from spatialcore.io.listed import ListedSource
from spatialcore.io.matterport3d import Matterport3dSource, is_building
from spatialcore.io.multiscan import MultiscanSource
from spatialcore.io.multiscan import is_scan as is_multiscan
from spatialcore.io.nerfstudio import NerfstudioSource
from spatialcore.io.nerfstudio_lists import is_capture
from spatialcore.io.options import ReadOptions
from spatialcore.io.polycam import PolycamSource, is_export
from spatialcore.io.posed_images import PosedImagesSource, looks_like_scene
from spatialcore.io.predicted import PredictedSource, is_prediction
from spatialcore.io.record3d import Record3dSource, is_recording
from spatialcore.io.replica import ReplicaSource, is_render
from spatialcore.io.rescan import RescanSource
from spatialcore.io.rescan import is_scan as is_rescan
from spatialcore.io.scannet import ScannetSource, is_scan, scan_root
from spatialcore.io.scannetpp import (
    ScannetppDslrSource,
    ScannetppSource,
    is_dslr_capture,
    is_iphone_capture,
)
from spatialcore.io.stray import StraySource
from spatialcore.io.stray import is_capture as is_stray_capture
from spatialcore.io.structured3d import Structured3dSource, is_house
from spatialcore.io.tapvid3d import COLLECTIONS, Tapvid3dSource, is_clip
from spatialcore.io.trajectory import TrajectorySource, is_trajectory_folder
from spatialcore.io.tum import TumSource, is_sequence
from spatialcore.io.vipe import PARTS, VipeSource, is_result
from spatialcore.io.wai import WaiSource, is_wai

GROUP = "spatialcore.readers"
Files = tuple[tuple[str, str], ...]
_KIND = re.compile(r"[a-z][a-z0-9_]+\Z")
_log = logging.getLogger(__name__)


class Layout(NamedTuple):
    """A layout of scenes.

    Attributes:
        looks_for: What tells it, for messages.
        is_scene: Whether a file or folder is one scene of it.
        source: From root, (id, place) and options to the source.
        key_of: Source key of a root.
        root: The root of an entry: a scene has the same uris however it is opened.
        scenes: Names of the scenes in a file that holds several; None: an entry is one scene.
        parts: Folders below a root that hold parts of its scenes and are none themselves.
    """

    looks_for: str
    is_scene: Callable[[Path], bool]
    source: Callable[[Path, Files, ReadOptions], ListedSource]
    key_of: Callable[[Path, ReadOptions], str]
    root: Callable[[Path], Path] = lambda entry: entry.parent
    scenes: Callable[[Path], tuple[str, ...]] | None = None
    parts: frozenset[str] = frozenset()


def _key(kind: str) -> Callable[[Path, ReadOptions], str]:
    return lambda _, options: options.key or kind


def _clips(root: Path, files: Files, options: ReadOptions) -> Tapvid3dSource:
    return Tapvid3dSource(root, files, options, collection=_collection(root))


def _collection(root: Path) -> str:
    return root.name if root.name in COLLECTIONS else ""


# Those of this package; detection tries them in this order.
LAYOUTS: dict[str, Layout] = {
    "scannet": Layout("<id>/<id>.sens", is_scan, ScannetSource, _key("scannet"), scan_root),
    # Before posed images, which its sequence is as well.
    "rescan": Layout("sequence/_info.txt", is_rescan, RescanSource, _key("rescan")),
    "posed_images": Layout(
        "NNNNN.jpg/.png/.txt or N.color.png/.depth.png/.pose.txt with intrinsic.txt, or color/ "
        "depth/ pose/ intrinsic/",
        looks_like_scene,
        PosedImagesSource,
        _key("posed_images"),
    ),
    "tapvid3d": Layout(
        "<clip>.npz",
        is_clip,
        _clips,
        lambda root, options: options.key or _collection(root) or "tapvid3d",
    ),
    "tum": Layout(
        "rgb.txt and depth.txt, or associations.txt, with groundtruth.txt",
        is_sequence,
        TumSource,
        _key("tum"),
    ),
    "trajectory": Layout(
        "color/ and depth/ with trajectory.log or pose.txt",
        is_trajectory_folder,
        TrajectorySource,
        _key("trajectory"),
    ),
    "nerfstudio": Layout(
        "transforms.json, or transforms_train.json and its like",
        is_capture,
        NerfstudioSource,
        _key("nerfstudio"),
    ),
    "replica": Layout("traj.txt and results/", is_render, ReplicaSource, _key("replica")),
    "wai": Layout("scene_meta.json with frames and modalities", is_wai, WaiSource, _key("wai")),
    "vipe": Layout(
        "rgb/<name>.mp4 with pose/<name>.npz",
        is_result,
        VipeSource,
        _key("vipe"),
        lambda entry: entry.parent.parent,
        parts=PARTS,
    ),
    "predicted": Layout(
        "results.npz with depth, extrinsics and intrinsics, here or in exports/npz/",
        is_prediction,
        PredictedSource,
        _key("predicted"),
    ),
    "hypersim": Layout(
        "images/ and _detail/cam_XX/camera_keyframe_positions.hdf5",
        is_room,
        HypersimSource,
        _key("hypersim"),
    ),
    "embodiedscan": Layout(
        "embodiedscan_infos_*.pkl beside scannet/, 3rscan/, matterport3d/",
        embodiedscan.is_infos,
        embodiedscan.EmbodiedScanSource,
        _key("embodiedscan"),
        scenes=embodiedscan.scenes_of,
        parts=embodiedscan.PARTS,
    ),
    "openspatial": Layout(
        "<name>.parquet with scene_id, image, depth_map, pose and intrinsic",
        openspatial.is_scene_table,
        openspatial.OpenSpatialSource,
        _key("openspatial"),
        openspatial.data_root,
        scenes=openspatial.scenes_of,
        parts=embodiedscan.PARTS,
    ),
    "structured3d": Layout(
        "2D_rendering/<room>/perspective/full/<position>/",
        is_house,
        Structured3dSource,
        _key("structured3d"),
    ),
    "matterport3d": Layout(
        "undistorted_camera_parameters/<id>.conf or matterport_camera_poses/",
        is_building,
        Matterport3dSource,
        _key("matterport3d"),
    ),
    "bop": Layout("scene_camera.json and rgb/ or gray/", is_bop, BopSource, _key("bop")),
    "colmap": Layout(
        "sparse/ with cameras and images, .bin or .txt",
        is_reconstruction,
        ColmapSource,
        _key("colmap"),
    ),
    "arkitscenes": Layout(
        "<video>/ or <video>/<video>_frames/ with lowres_wide/, lowres_wide_intrinsics/, "
        "lowres_depth/ and lowres_wide.traj",
        is_video_folder,
        ArkitScenesSource,
        _key("arkitscenes"),
        video_root,
    ),
    "scannetpp": Layout(
        "<id>/iphone/pose_intrinsic_imu.json", is_iphone_capture, ScannetppSource, _key("scannetpp")
    ),
    "scannetpp_dslr": Layout(
        "<id>/dslr/ with colmap/, resized_images/ and render_depth/",
        is_dslr_capture,
        ScannetppDslrSource,
        _key("scannetpp_dslr"),
    ),
    "polycam": Layout(
        "keyframes/ with images/ and cameras/, corrected or not",
        is_export,
        PolycamSource,
        _key("polycam"),
    ),
    "stray": Layout("rgb.mp4 with odometry.csv", is_stray_capture, StraySource, _key("stray")),
    "record3d": Layout(
        "<name>.r3d, or metadata with rgbd/", is_recording, Record3dSource, _key("record3d")
    ),
    "ca1m": Layout(
        "ca1m-<split>-<video>.tar, or <nanoseconds>.wide/ and <nanoseconds>.gt/",
        is_ca1m_capture,
        Ca1mSource,
        _key("ca1m"),
    ),
    "stanford2d3ds": Layout(
        "<area>/data/ with rgb/, depth/ and pose/",
        stanford2d3ds.is_area,
        stanford2d3ds.Stanford2d3dsSource,
        _key("stanford2d3ds"),
        scenes=stanford2d3ds.scenes_of,
        parts=frozenset(("assets",)),
    ),
    "multiscan": Layout(
        "<id>/<id>.jsonl with <id>.mp4 and <id>.depth.zlib",
        is_multiscan,
        MultiscanSource,
        _key("multiscan"),
        parts=frozenset(("benchmark",)),
    ),
}


@cache
def layouts() -> Mapping[str, Layout]:
    """Every layout by its kind, in the order in which detection tries them.

    Those of installed packages come first: whoever installs a reader means it to read.
    """
    return {**_brought(), **LAYOUTS}


def kinds() -> tuple[str, ...]:
    """The kinds of `kind:path`."""
    return tuple(layouts())


def _brought() -> Mapping[str, Layout]:
    """The layouts of other packages; one that cannot be loaded is left out with a warning."""
    found: dict[str, Layout] = {}
    points = sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    for point in points:
        try:
            layout = point.load()
            _check(point.name, layout, found)
        except (Exception, SystemExit) as error:  # a foreign package may raise anything
            if multiprocessing.parent_process() is None:  # one warning, not one a worker
                why = str(error) or "no reason given"
                text = "the reader of package %r is left out: %s: %s (entry point %s = %s)"
                package = point.dist.name if point.dist else point.name
                _log.warning(text, package, type(error).__name__, why, point.name, point.value)
            continue
        found[point.name] = layout
    return found


def _check(kind: str, layout: object, found: Mapping[str, Layout]) -> None:
    """Refuse what could not be asked for by its kind, or is read already."""
    if not isinstance(layout, Layout):
        raise TypeError(f"{layout!r:.80} is no spatialcore.io.layouts.Layout")
    if _KIND.match(kind) is None:
        raise ValueError(f"{kind!r} is no kind: lower-case letters, digits and _, a letter first")
    if kind in LAYOUTS or kind in found:
        raise ValueError(f"the kind {kind!r} is read already")


def layout_of(entry: Path, among: Iterable[str]) -> str | None:
    """The first of `among` whose scene an entry is; None also when it cannot be looked into."""
    for kind in among:
        try:
            if layouts()[kind].is_scene(entry):
                return kind
        except (SceneFormatError, OSError):
            continue
        except Exception as error:
            if kind in LAYOUTS:
                raise
            _log.warning("the reader %r cannot look at %s: %r", kind, entry.name, error)
    return None


def root_of(kind: str, entry: Path) -> Path:
    """The root of an entry of this kind."""
    return layouts()[kind].root(entry)
