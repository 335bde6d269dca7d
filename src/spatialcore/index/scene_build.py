# SPDX-License-Identifier: Apache-2.0
"""A posed RGB-D scene on its way into the index: its frames, its cloud, and who sees what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore._libraries import Library
from spatialcore.errors import SceneFormatError
from spatialcore.index.cloud import (
    BuiltCloud,
    OrderedCloud,
    PosedMaps,
    build_cloud,
    check_cloud,
    order_cloud,
)
from spatialcore.index.clusters import without_strays
from spatialcore.index.depths import DepthSpool, SceneMaps
from spatialcore.index.frames import World, frame_poses, index_world, move_points, pair_table
from spatialcore.index.objects import points_in_boxes
from spatialcore.index.rules import Rules
from spatialcore.index.tables import PairTable
from spatialcore.index.visibility import (
    Masks,
    View,
    find_masks,
    frame_view,
    instance_on_depth,
    scene_view,
)
from spatialcore.io.agreement import (
    DepthShot,
    contradiction,
    measure,
    only_mirrored,
)
from spatialcore.io.matrices import rigid_alignment
from spatialcore.types import Float64, Scene


@dataclass(slots=True)
class SceneBuild:
    """One scene while it is indexed: what is given, then what `run` finds.

    A frame is masked by its code in `reasons`; the pass over the depth maps may still add some.

    Attributes:
        scene: What the reader opened.
        rules: What is visible and what may be asked.
        threads: Threads for decoding and kernels.
        device: Where frames are tested; None = on the CPU.
        depth_cache: Folder of `spatialcore.index.depth_cache`; None keeps nothing.
        trusted: Whether a source that contradicts itself is taken as it is.
        view: Cameras, pixel map and rule of frames without cameras of their own.
        views: Of every frame; most are the same object.
        world: Change from the source's world to the index's.
        world_from_cam: (F, 4, 4) of every frame in the index's world, NaN where there is none.
        reasons: "" or a reason code for every frame.
        cloud: The points in the index's order.
        built: How they were made from depth; None where the source has a mesh.
        masks: What the frames see, on the host.
        pairs: Pairs of frames with a common point.
        without_labels: Rows of used frames whose instance map is missing or damaged.
    """

    scene: Scene
    rules: Rules
    threads: int
    device: Library | None = None
    depth_cache: Path | None = None
    trusted: bool = False
    view: View = field(init=False)
    views: list[View] = field(init=False)
    world: World = field(init=False)
    world_from_cam: Float64 = field(init=False)
    reasons: list[str] = field(init=False)
    cloud: OrderedCloud = field(init=False)
    built: BuiltCloud | None = field(init=False, default=None)
    masks: Masks = field(init=False)
    pairs: PairTable = field(init=False)
    without_labels: set[int] = field(init=False, default_factory=set)
    _shots: list[DepthShot] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        scene = self.scene
        if scene.aligned_from_world is not None:
            rigid_alignment(scene.aligned_from_world, scene.root / scene.id)
        self.view = scene_view(scene, self.rules)
        self.world = index_world(scene.world_up, scene.aligned_from_world)
        self.world_from_cam, self.reasons = frame_poses(self.world, scene.frames)
        self.views = [frame_view(self.view, scene, frame) for frame in scene.frames]
        for row, view in enumerate(self.views):
            if view.color.lens != view.depth.lens:
                self._mask(row, "lens_differs")

    def run(self, folder: Path) -> None:
        """Decode every map once, and find cloud, masks and pairs.

        Args:
            folder: Where maps may wait that memory does not hold.

        Raises:
            SceneFormatError: No frame can be used (code "no_usable_frames"), or the mesh cannot be
                read.
        """
        masks = self._on_depth(folder) if self.scene.read_cloud is None else self._on_mesh()
        if not len(masks.rows):
            raise self._no_frames()
        self._check_agreement()
        self.pairs = pair_table(
            masks.visible,
            np.array([self.scene.frames[row].index for row in masks.rows], np.int32),
            self.world_from_cam[masks.rows],
            up_known=self.scene.world_up is not None,
            threads=self.threads,
        )
        self.masks = masks if self.device is None else masks.to_host()
        self.cloud = self._with_objects(self.cloud)

    def _with_objects(self, cloud: OrderedCloud) -> OrderedCloud:
        """The cloud whose points have the objects they are of: no strays, and those in boxes."""
        scene, instance = self.scene, cloud.instance
        if self.built is not None and self.rules.object_points == "cluster":
            instance = without_strays(cloud.points, instance, self.built.voxel)
        instance = points_in_boxes(
            scene.objects, cloud.points, instance, self.world.aligned_from_world,
            up_known=scene.world_up is not None,
        )  # fmt: skip
        return cloud._replace(instance=instance)

    def _on_mesh(self) -> Masks:
        """Test the source's mesh against each map as it is decoded."""
        assert self.scene.read_cloud is not None
        mesh = self.scene.read_cloud()
        self.cloud = order_cloud(move_points(self.world, mesh.points_world), mesh.instance)
        check_cloud(self.cloud.points, self.scene.root / self.scene.id)
        maps = self._maps()
        masks = self._masks(maps)
        self._walked(maps)
        return masks

    def _on_depth(self, folder: Path) -> Masks:
        """Build a cloud from the maps, which are kept, and test it against them."""
        maps = self._maps()
        with DepthSpool(maps, folder) as kept:
            posed = PosedMaps(kept, self.views, self.world_from_cam, self._instance)
            self.built = build_cloud(posed, self.view.depth_scale)
            self._walked(maps)
            ordered = order_cloud(self.built.points, self.built.instance)
            # The order stored is the source's order of a built cloud: there is no other.
            rows = np.arange(len(ordered.points), dtype=np.uint32)
            self.cloud = ordered._replace(source_row=rows)
            if not all(self.reasons):
                check_cloud(self.cloud.points, self.scene.root / self.scene.id)
            return self._masks(kept)

    def _mask(self, row: int, reason: str) -> None:
        self.reasons[row] = self.reasons[row] or reason

    def _maps(self) -> SceneMaps:
        """The map of each usable frame, to be walked once."""
        usable = [row for row, reason in enumerate(self.reasons) if not reason]
        return SceneMaps(self.scene, usable, self.threads, self.depth_cache)

    def _walked(self, maps: SceneMaps) -> None:
        """Take what the walk over the maps has found."""
        for row, reason in maps.reasons.items():
            self._mask(row, reason)
        self._shots = maps.shots

    def _masks(self, maps: Iterable[tuple[int, NDArray[Any]]]) -> Masks:
        return find_masks(
            maps,
            self.views,
            self.rules,
            self.cloud.points,
            self.world_from_cam,
            threads=self.threads,
            device=self.device,
        )

    def _check_agreement(self) -> None:
        """Refuse a source that contradicts itself."""
        why = contradiction(self.scene, measure(self._shots))
        self._shots = []
        if why and not self.trusted:
            raise SceneFormatError(
                self.scene.root / self.scene.id,
                why,
                "correct the source; --trust-source takes it as it is",
                code="source_contradicts",
            )

    def _instance(self, row: int) -> NDArray[np.int32] | None:
        """Ids on the depth grid; None where the frame's image is missing or damaged."""
        if self.scene.read_instance is None:
            return None
        try:
            stored = self.scene.read_instance(self.scene.frames[row])
        except SceneFormatError:
            self.without_labels.add(row)
            return None
        return instance_on_depth(self.views[row], np.ascontiguousarray(stored, dtype=np.int32))

    def _no_frames(self) -> SceneFormatError:
        place, why = self.scene.root / self.scene.id, only_mirrored(self.reasons)
        if why:
            return SceneFormatError(place, why, "correct the poses", code="source_contradicts")
        counts = ", ".join(f"{n} {reason}" for reason, n in sorted(Counter(self.reasons).items()))
        return SceneFormatError(
            self.scene.root / self.scene.id,
            f"no frame can be used: {counts or 'there are none'}",
            code="no_usable_frames",
        )
