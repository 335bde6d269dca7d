# SPDX-License-Identifier: Apache-2.0
"""One scene or clip of a source, made into a folder of the index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spatialcore._libraries import Library
from spatialcore.errors import SceneFormatError
from spatialcore.files import save_array
from spatialcore.index import tables
from spatialcore.index.cloud import BuiltCloud, OrderedCloud
from spatialcore.index.config import IndexConfig
from spatialcore.index.frames import World, frame_poses, frame_table, index_world
from spatialcore.index.inputs import input_mark
from spatialcore.index.objects import object_frame_table, object_rows, view_set_table
from spatialcore.index.rules import Rules
from spatialcore.index.scene_build import SceneBuild
from spatialcore.index.store import INDEX_VERSION, array_hash, publish
from spatialcore.io.agreement import OUTSIDE_CONTRADICTED, outside_sentence, share_outside
from spatialcore.io.paths import input_name
from spatialcore.io.refusals import scene_fault
from spatialcore.io.survey import few_usable
from spatialcore.types import Scene, Source, Track3D


class SceneSummary(NamedTuple):
    """What was written.

    Attributes:
        frame_count: Valid frames.
        point_count: Points of the cloud, or tracks of a clip.
        pair_count: Pairs of frames with a common point.
        reasons: Counts of what was masked or dropped.
        notes: What the reader and the build have to say.
    """

    frame_count: int
    point_count: int
    pair_count: int
    reasons: Mapping[str, int]
    notes: tuple[str, ...] = ()


def build_scene(
    source: Source,
    scene_id: str,
    config: IndexConfig,
    path: Path,
    *,
    threads: int,
    device: Library | None = None,
    depth_cache: Path | None = None,
) -> SceneSummary:
    """Index one scene or clip and publish its folder.

    Args:
        source: Where it is.
        scene_id: Which.
        config: What the index depends on.
        path: Folder `IDX/<source>/<scene>`.
        threads: Threads for decoding and kernels.
        device: Where visibility and overlaps are computed; None = on the CPU. Clips are indexed on
            the CPU. The files are the same.
        depth_cache: Folder of `spatialcore.index.depth_cache`; None keeps nothing.

    Raises:
        SceneFormatError: It cannot be read, or nothing in it can be used; whatever else a reader
            or a step raises for this scene becomes one.
    """
    trusted = bool(getattr(getattr(source, "options", None), "trust_source", False))
    try:
        opened = source.open(scene_id)
        if isinstance(opened, Track3D):
            return _build_clip(opened, config, path, trusted)
        build = SceneBuild(opened, config.rules, threads, device, depth_cache, trusted)
        build.run(path.parent)
        return _publish_rgbd(build, path)
    except Exception as error:
        raise scene_fault(source.root / scene_id, error) from error


def _publish_rgbd(build: SceneBuild, path: Path) -> SceneSummary:
    made, cloud, masks = _tables(build), build.cloud, build.masks
    reasons = Counter(r for r in build.reasons if r)
    reasons["object_without_vertices"] = made.without_vertices
    reasons["frame_without_labels"] = len(build.without_labels)
    reasons["no_visible_points"] = int((made.frames.visible_count[masks.rows] == 0).sum())
    reasons["point_nonfinite"] = int((~np.isfinite(cloud.points).all(axis=1)).sum())
    counts = {
        "frame_count": len(masks.rows),
        "point_count": len(cloud.points),
        "pair_count": len(build.pairs.i),
    }
    meta = _meta(build.scene, build.rules, build.world) | _camera_meta(build)
    meta |= {
        "point_count": len(cloud.points),
        "notes": sorted((*build.scene.notes, *few_usable(len(masks.rows), len(build.reasons)))),
        "counts": counts,
        "cloud": _cloud_meta(cloud, build.built),
        "reasons": {k: n for k, n in sorted(reasons.items()) if n},
    }
    files: dict[str, Callable[[Path], None]] = {
        "frames.parquet": lambda p: tables.write_frames(p, made.frames),
        "points.npy": partial(save_array, array=cloud.points),
        "source_row.npy": partial(save_array, array=cloud.source_row),
        "instance.npy": partial(save_array, array=cloud.instance),
        "visible.npy": partial(save_array, array=masks.visible.words),
        "askable.npy": partial(save_array, array=masks.askable.words),
        "surface.npy": partial(save_array, array=masks.surface.words),
        "pairs.parquet": lambda p: tables.write_pairs(p, build.pairs),
        "objects.parquet": lambda p: tables.write_objects(p, made.objects),
        "object_frames.parquet": lambda p: tables.write_object_frames(p, made.seen),
        "view_sets.parquet": lambda p: tables.write_view_sets(p, made.sets),
    }
    publish(path, meta, files)
    return SceneSummary(**counts, reasons=meta["reasons"], notes=tuple(meta["notes"]))


class _Tables(NamedTuple):
    frames: tables.FrameTable
    objects: tuple[tables.ObjectRow, ...]
    without_vertices: int
    seen: tables.ObjectFrames
    sets: tables.ViewSetTable


def _tables(build: SceneBuild) -> _Tables:
    scene, cloud, masks = build.scene, build.cloud, build.masks
    frames = frame_table(
        scene.frames,
        build.world_from_cam,
        build.reasons,
        build.view.color.size,
        build.view.depth.size,
        dict(zip(masks.rows.tolist(), masks.visible.counts().tolist(), strict=True)),
    )
    shown = frames.frame[masks.rows]
    objects, without_vertices = object_rows(scene.objects, cloud.points, cloud.instance)
    seen = object_frame_table(
        objects,
        cloud.points,
        cloud.instance,
        masks.visible,
        shown,
        surface=masks.surface,
        inside=masks.inside,
    )
    sets = view_set_table(objects, seen, build.rules)
    return _Tables(frames, objects, without_vertices, seen, sets)


def _camera_meta(build: SceneBuild) -> dict[str, Any]:
    scene, view = build.scene, build.view
    return {
        **({"visits": scene.visits} if scene.visits > 1 else {}),
        "is_clip": False,
        "up": _up(scene),
        "aligned": scene.aligned_from_world is not None,
        "recipe": {"name": build.rules.name, "rule": str(view.rule), "map": view.map_name},
        "K_color": view.color.K.reshape(-1).tolist(),
        "image_size": list(view.color.size),
        "K_depth": None if scene.depth is None else scene.depth.K.reshape(-1).tolist(),
        "depth_size": list(view.depth.size),
        "depth_scale": view.depth_scale,
    } | _lens_meta(scene)


def _lens_meta(scene: Scene) -> dict[str, Any]:
    """The lenses of the shared cameras; nothing for pinholes."""
    cameras = {"color": scene.color, "depth": scene.depth}
    lenses = {
        name: {"model": camera.lens.model, "coefficients": list(camera.lens.coefficients)}
        for name, camera in cameras.items()
        if camera is not None and camera.lens is not None
    }
    return {"lenses": lenses} if lenses else {}


def _cloud_meta(cloud: OrderedCloud, built: BuiltCloud | None) -> dict[str, Any]:
    stored = {"hash": array_hash(cloud.points, cloud.instance)}
    if built is None:
        return stored | {"kind": "mesh"}
    return stored | {"kind": "built", "voxel": built.voxel, "min_frames": built.min_frames}


def _up(opened: Scene | Track3D) -> str:
    if opened.world_up is None:
        return "unknown"
    return "estimated" if isinstance(opened, Scene) and opened.up_estimated else "given"


def _meta(opened: Scene | Track3D, rules: Rules, world: World) -> dict[str, Any]:
    up = None if opened.world_up is None else np.asarray(opened.world_up, np.float64).tolist()
    inputs = {input_name(p, opened.root): input_mark(p) for p in opened.inputs}
    return {
        "version": INDEX_VERSION,
        "scene": opened.id,
        "source": opened.source,
        "space": opened.space,
        "split": opened.split,
        "reader": opened.kind,
        "metric": opened.metric,
        "world_up": up,
        "zup_from_world": world.zup_from_world.reshape(-1).tolist(),
        "aligned_from_world": world.aligned_from_world.reshape(-1).tolist(),
        "config_hash": rules.hash(),
        "inputs": inputs,
        "notes": sorted(opened.notes),
    }


def _build_clip(clip: Track3D, config: IndexConfig, path: Path, trusted: bool) -> SceneSummary:
    from spatialcore.index.motion import part_table

    if clip.tracks_cam.shape[1] < 2:
        raise SceneFormatError(
            clip.root / clip.id,
            f"{clip.tracks_cam.shape[1]} tracks have 80 % of their readings",
            "motion is a matter of at least two",
            code="track_short",
        )
    outside = share_outside(clip)
    if outside is not None and outside > OUTSIDE_CONTRADICTED and not trusted:
        raise SceneFormatError(
            clip.root / clip.id,
            outside_sentence(outside),
            "correct the clip; --trust-source takes it as it is",
            code="source_contradicts",
        )
    world = index_world(clip.world_up, None)
    poses, reasons = frame_poses(world, clip.frames)
    parts = part_table(clip, config.rules.segmentation)
    table = frame_table(clip.frames, poses, reasons, clip.camera.size, (0, 0), {})
    counts = Counter(r for r in reasons if r)
    counts["track_short"] = clip.short_track_count
    meta = _meta(clip, config.rules, world) | {
        "is_clip": True,
        "up": _up(clip),
        "aligned": False,
        "recipe": {"name": config.rules.name, "rule": "", "map": ""},
        "K_color": clip.camera.K.reshape(-1).tolist(),
        "image_size": list(clip.camera.size),
        "K_depth": None,
        "depth_size": [0, 0],
        "depth_scale": 1.0,
        "point_count": 0,
        "counts": {
            "frame_count": int(table.valid.sum()),
            "point_count": int(clip.tracks_cam.shape[1]),
            "pair_count": 0,
        },
        "static_camera": clip.static_camera,
        "reasons": {k: n for k, n in sorted(counts.items()) if n},
    }
    files: dict[str, Callable[[Path], None]] = {
        "frames.parquet": lambda p: tables.write_frames(p, table),
        "parts.parquet": lambda p: tables.write_parts(p, parts),
    }
    publish(path, meta, files)
    return SceneSummary(**meta["counts"], reasons=meta["reasons"], notes=tuple(meta["notes"]))
