# SPDX-License-Identifier: Apache-2.0
"""One scene or clip of a source, made into a folder of the index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore._libraries import Library
from spatialcore.errors import SceneFormatError
from spatialcore.index import tables
from spatialcore.index.cloud import (
    BuiltCloud,
    OrderedCloud,
    PosedDepth,
    build_cloud,
    order_cloud,
)
from spatialcore.index.config import IndexConfig
from spatialcore.index.depth_cache import decoded_maps
from spatialcore.index.depths import DecodedDepth, DepthSpool
from spatialcore.index.frames import (
    World,
    frame_poses,
    frame_table,
    index_world,
    move_points,
    pair_table,
)
from spatialcore.index.objects import object_frame_table, object_rows, view_set_table
from spatialcore.index.store import INDEX_VERSION, array_hash, input_mark, publish
from spatialcore.index.visibility import (
    Masks,
    View,
    instance_on_depth,
    scene_masks,
    scene_view,
)
from spatialcore.types import Float64, Frame, Scene, Source, Track3D


class SceneSummary(NamedTuple):
    """What was written.

    Attributes:
        frame_count: Valid frames.
        point_count: Points of the cloud, or tracks of a clip.
        pair_count: Pairs of frames with a common point.
        reasons: Counts of what was masked or dropped.
    """

    frame_count: int
    point_count: int
    pair_count: int
    reasons: Mapping[str, int]


Decode = Callable[[Sequence[tuple[int, Frame]]], Iterator[DecodedDepth]]


@dataclass(slots=True)
class _Frames:
    """The frames of a scene while it is built; decoding may still mask some."""

    world: World
    world_from_cam: Float64
    reasons: list[str]

    def usable(self, frames: tuple[Frame, ...]) -> list[tuple[int, Frame]]:
        return [(k, f) for k, f in enumerate(frames) if not self.reasons[k]]


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
        SceneFormatError: It cannot be read, or nothing in it can be used.
    """
    opened = source.open(scene_id)
    if isinstance(opened, Track3D):
        return _build_clip(opened, config, path)
    decode = partial(decoded_maps, opened, threads=threads, folder=depth_cache)
    return _build_rgbd(opened, config, path, threads, device, decode)


def _build_rgbd(
    scene: Scene,
    config: IndexConfig,
    path: Path,
    threads: int,
    device: Library | None,
    decode: Decode,
) -> SceneSummary:
    rules = config.rules
    view = scene_view(scene, rules)
    world = index_world(scene.world_up, scene.aligned_from_world)
    poses, reasons = frame_poses(world, scene.frames)
    for k, frame in enumerate(scene.frames):
        if not reasons[k] and frame.color is not None:
            reasons[k] = "intrinsic_differs"
    state = _Frames(world, poses, reasons)
    with DepthSpool(path.parent) as spool:
        cloud, built, maps = _points(scene, view, state, spool, decode)
        masks = scene_masks(view, rules, cloud.points, poses, maps, threads=threads, device=device)
    if not len(masks.rows):
        raise SceneFormatError(scene.root / scene.id, _no_frames(reasons), code="no_usable_frames")
    pairs = pair_table(
        masks.visible,
        np.array([scene.frames[row].index for row in masks.rows], np.int32),
        poses[masks.rows],
        up_known=scene.world_up is not None,
        threads=threads,
    )
    return _publish_rgbd(scene, config, path, view, state, cloud, built, masks.to_host(), pairs)


def _no_frames(reasons: list[str]) -> str:
    counts = ", ".join(f"{n} {reason}" for reason, n in sorted(Counter(reasons).items()))
    return f"no frame can be used: {counts or 'there are none'}"


def _decoded(scene: Scene, state: _Frames, decode: Decode) -> Iterator[tuple[int, NDArray[Any]]]:
    """(row, map) of each usable frame; a frame without a map is masked on the way."""
    for item in decode(state.usable(scene.frames)):
        if item.reason:
            state.reasons[item.row] = item.reason
        else:
            yield item.row, item.depth


def _points(
    scene: Scene, view: View, state: _Frames, spool: DepthSpool, decode: Decode
) -> tuple[OrderedCloud, BuiltCloud | None, Iterator[tuple[int, NDArray[Any]]]]:
    """The cloud, and the maps that are left to test: decoded on the way, or kept from building."""
    if scene.read_cloud is not None:
        mesh = scene.read_cloud()
        ordered = order_cloud(move_points(state.world, mesh.points_world), mesh.instance)
        return ordered, None, _decoded(scene, state, decode)
    rows: list[int] = []
    built = build_cloud(
        lambda: _posed(scene, view, state, spool, rows, decode), view.depth_K, view.depth_scale
    )
    ordered = order_cloud(built.points, built.instance)
    # The order stored is the source's order of a built cloud: there is no other.
    ordered = ordered._replace(source_row=np.arange(len(ordered.points), dtype=np.uint32))
    return ordered, built, zip(rows, spool, strict=True)


def _posed(
    scene: Scene, view: View, state: _Frames, spool: DepthSpool, rows: list[int], decode: Decode
) -> Iterator[PosedDepth]:
    """Posed maps in frame order, decoded on the first pass and kept for the next ones."""
    first = not rows
    passes = _decoded(scene, state, decode) if first else zip(rows, spool, strict=True)
    for row, depth in passes:
        if first:
            rows.append(row)
            spool.append(depth)
        ids = None
        if scene.read_instance is not None:
            ids = _instance(scene, view, scene.frames[row])
        yield PosedDepth(depth, state.world_from_cam[row], ids)


def _instance(scene: Scene, view: View, frame: Frame) -> NDArray[np.int32] | None:
    """Instance ids on the depth grid; None where the frame's image is missing or damaged."""
    assert scene.read_instance is not None
    try:
        stored = scene.read_instance(frame)
    except SceneFormatError:
        return None
    return instance_on_depth(view, np.ascontiguousarray(stored, dtype=np.int32))


def _publish_rgbd(
    scene: Scene,
    config: IndexConfig,
    path: Path,
    view: View,
    state: _Frames,
    cloud: OrderedCloud,
    built: BuiltCloud | None,
    masks: Masks,
    pairs: tables.PairTable,
) -> SceneSummary:
    made = _tables(scene, config, view, state, cloud, masks, pairs)
    reasons = Counter(r for r in state.reasons if r)
    reasons["object_without_vertices"] = made.without_vertices
    reasons["no_visible_points"] = int((made.frames.visible_count[masks.rows] == 0).sum())
    reasons["point_nonfinite"] = int((~np.isfinite(cloud.points).all(axis=1)).sum())
    counts = {
        "frame_count": len(masks.rows),
        "point_count": len(cloud.points),
        "pair_count": len(made.pairs.i),
    }
    meta = _meta(scene, config, state.world) | _camera_meta(scene, config, view)
    meta |= {
        "point_count": len(cloud.points),
        "counts": counts,
        "cloud": _cloud_meta(cloud, built),
        "reasons": {k: n for k, n in sorted(reasons.items()) if n},
    }
    files: dict[str, Callable[[Path], None]] = {
        "frames.parquet": lambda p: tables.write_frames(p, made.frames),
        "points.npy": lambda p: np.save(p, cloud.points, allow_pickle=False),
        "source_row.npy": lambda p: np.save(p, cloud.source_row, allow_pickle=False),
        "instance.npy": lambda p: np.save(p, cloud.instance, allow_pickle=False),
        "visible.npy": masks.visible.save,
        "askable.npy": masks.askable.save,
        "pairs.parquet": lambda p: tables.write_pairs(p, made.pairs),
        "objects.parquet": lambda p: tables.write_objects(p, made.objects),
        "object_frames.parquet": lambda p: tables.write_object_frames(p, made.seen),
        "view_sets.parquet": lambda p: tables.write_view_sets(p, made.sets),
    }
    publish(path, meta, files)
    return SceneSummary(**counts, reasons=meta["reasons"])


class _Tables(NamedTuple):
    frames: tables.FrameTable
    pairs: tables.PairTable
    objects: tuple[tables.ObjectRow, ...]
    without_vertices: int
    seen: tables.ObjectFrames
    sets: tables.ViewSetTable


def _tables(
    scene: Scene,
    config: IndexConfig,
    view: View,
    state: _Frames,
    cloud: OrderedCloud,
    masks: Masks,
    pairs: tables.PairTable,
) -> _Tables:
    frames = frame_table(
        scene.frames,
        state.world_from_cam,
        state.reasons,
        view.image_size,
        view.depth_size,
        dict(zip(masks.rows.tolist(), masks.visible.counts().tolist(), strict=True)),
    )
    shown = frames.frame[masks.rows]
    objects, without_vertices = object_rows(scene.objects, cloud.points, cloud.instance)
    seen = object_frame_table(objects, cloud.points, cloud.instance, masks.visible, shown)
    sets = view_set_table(objects, seen, config.rules)
    return _Tables(frames, pairs, objects, without_vertices, seen, sets)


def _camera_meta(scene: Scene, config: IndexConfig, view: View) -> dict[str, Any]:
    return {
        "is_clip": False,
        "up": _up(scene),
        "aligned": scene.aligned_from_world is not None,
        "recipe": {"name": config.rules.name, "rule": str(view.rule), "map": view.map_name},
        "K_color": view.K.reshape(-1).tolist(),
        "image_size": list(view.image_size),
        "K_depth": None if scene.depth is None else scene.depth.K.reshape(-1).tolist(),
        "depth_size": list(view.depth_size),
        "depth_scale": view.depth_scale,
    }


def _cloud_meta(cloud: OrderedCloud, built: BuiltCloud | None) -> dict[str, Any]:
    stored = {"hash": array_hash(cloud.points, cloud.instance)}
    if built is None:
        return stored | {"kind": "mesh"}
    return stored | {"kind": "built", "voxel": built.voxel, "min_frames": built.min_frames}


def _up(opened: Scene | Track3D) -> str:
    if opened.world_up is None:
        return "unknown"
    return "estimated" if isinstance(opened, Scene) and opened.up_estimated else "given"


def _meta(opened: Scene | Track3D, config: IndexConfig, world: World) -> dict[str, Any]:
    up = None if opened.world_up is None else np.asarray(opened.world_up, np.float64).tolist()
    inputs = {p.relative_to(opened.root).as_posix(): input_mark(p) for p in opened.inputs}
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
        "config_hash": config.rules.hash(),
        "inputs": inputs,
        "notes": sorted(opened.notes),
    }


def _build_clip(clip: Track3D, config: IndexConfig, path: Path) -> SceneSummary:
    from spatialcore.index.motion import part_table

    if clip.tracks_cam.shape[1] < 2:
        raise SceneFormatError(
            clip.root / clip.id,
            f"{clip.tracks_cam.shape[1]} tracks have 80 % of their readings",
            "motion is a matter of at least two",
            code="track_short",
        )
    world = index_world(clip.world_up, None)
    poses, reasons = frame_poses(world, clip.frames)
    parts = part_table(clip, config.rules.segmentation)
    table = frame_table(clip.frames, poses, reasons, clip.camera.size, (0, 0), {})
    counts = Counter(r for r in reasons if r)
    counts["track_short"] = clip.short_track_count
    meta = _meta(clip, config, world) | {
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
    return SceneSummary(**meta["counts"], reasons=meta["reasons"])
